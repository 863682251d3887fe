//! Untrusted text, made safe to show on one line of a terminal.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Escapes every character of `text` that could move the cursor, change colours, end the line or reorder the text.
///
/// Control characters become `\x1b`, the others `\u{202e}`. A backslash stays as it is: the result is for people, not
/// for programs to parse.
pub(crate) fn for_terminal(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unprintable) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        push_escaped(&mut shown, c);
    }
    Cow::Owned(shown)
}

/// Escapes in the strings of a JSON text every character that [`for_terminal`] escapes: as `\u009b`, which parses back
/// to the original. Outside of strings JSON has none of them, and the serializer has escaped those below U+0020
/// already.
#[cfg(feature = "cli")]
pub(crate) fn in_json(json: &str) -> Cow<'_, str> {
    if !json.contains(is_unprintable) {
        return Cow::Borrowed(json);
    }
    let mut escaped = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        if is_unprintable(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a string cannot fail.
                let _ = write!(escaped, "\\u{unit:04x}");
            }
        } else {
            escaped.push(c);
        }
    }
    Cow::Owned(escaped)
}

/// Returns the first `max_chars` characters of `text`, the last of them an ellipsis if anything was left out.
///
/// Counts characters, not columns. Escape first: a clip in the middle of an escape is still safe, and the
/// length holds.
pub(crate) fn clip(text: &str, max_chars: usize) -> Cow<'_, str> {
    if text.chars().nth(max_chars).is_none() {
        return Cow::Borrowed(text);
    }
    let Some(kept) = max_chars.checked_sub(1) else {
        return Cow::Borrowed("");
    };
    let mut clipped: String = text.chars().take(kept).collect();
    clipped.push('…');
    Cow::Owned(clipped)
}

/// Most characters of one text shown in a line: untrusted text must not fill the screen. Two digests of 512 bits fit.
pub(crate) const MOST_SHOWN: usize = 320;

/// Escapes `text`, and leaves out its middle if it is longer than [`MOST_SHOWN`]: the subject of a sentence is at its
/// beginning, and the problem often at its end.
pub(crate) fn shown(text: &str) -> Cow<'_, str> {
    match for_terminal(text) {
        Cow::Borrowed(text) => shortened(text, MOST_SHOWN),
        Cow::Owned(text) => Cow::Owned(shortened(&text, MOST_SHOWN).into_owned()),
    }
}

/// Returns the beginning and the end of `text`, `max_chars` characters together, with an ellipsis in between.
fn shortened(text: &str, max_chars: usize) -> Cow<'_, str> {
    // No character is shorter than a byte.
    if text.len() <= max_chars || text.chars().nth(max_chars).is_none() {
        return Cow::Borrowed(text);
    }
    let behind = max_chars / 3;
    let before = max_chars.saturating_sub(behind + 1);
    let end = text.char_indices().rev().nth(behind.saturating_sub(1)).map_or(0, |(at, _)| at);
    Cow::Owned(text.chars().take(before).chain(['…']).chain(text[end..].chars()).collect())
}

/// Returns true if a character acts on a terminal or on the text around it instead of being visible.
///
/// These are the control characters (C0, DEL, C1), the line and paragraph separators, and everything with the
/// Unicode property `Bidi_Control` (UAX #9 §2), which can make `gpj.exe` read as `exe.jpg`.
pub(crate) fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}')
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn push_escaped(shown: &mut String, c: char) {
    match u8::try_from(c) {
        _ if !is_unprintable(c) => shown.push(c),
        Ok(byte) if byte.is_ascii() => push_byte(shown, byte),
        _ => shown.extend(c.escape_unicode()),
    }
}

fn push_byte(shown: &mut String, byte: u8) {
    // Writing to a string cannot fail.
    let _ = write!(shown, "\\x{byte:02x}");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ordinary_text_is_not_copied() {
        for text in ["", "a b.iso", "naïve €", "日本語", r"C:\x"] {
            assert!(matches!(for_terminal(text), Cow::Borrowed(same) if same == text));
        }
    }

    // T073
    #[test]
    fn control_characters_are_shown_instead_of_sent() {
        assert_eq!(for_terminal("a\x1b[31mb"), r"a\x1b[31mb");
        assert_eq!(for_terminal("\0\x07\x7f"), r"\x00\x07\x7f");
        assert_eq!(for_terminal("a\u{9b}b"), r"a\u{9b}b");
    }

    // T073
    #[test]
    fn text_stays_on_one_line() {
        assert_eq!(for_terminal("a\r\nb\tc"), r"a\x0d\x0ab\x09c");
        assert_eq!(for_terminal("a\u{2028}b"), r"a\u{2028}b");
    }

    // T073
    #[test]
    fn characters_that_reorder_text_are_shown() {
        assert_eq!(for_terminal("gpj\u{202e}exe"), r"gpj\u{202e}exe");
        assert_eq!(for_terminal("\u{2066}\u{200f}\u{61c}"), r"\u{2066}\u{200f}\u{61c}");
    }

    #[test]
    fn a_clip_counts_its_ellipsis() {
        assert_eq!(clip("abcdef", 6), "abcdef");
        assert_eq!(clip("abcdef", 5), "abcd…");
        assert_eq!(clip("€€€", 2), "€…");
        assert_eq!(clip("abc", 1), "…");
        assert_eq!(clip("abc", 0), "");
        assert_eq!(clip("", 0), "");
    }

    proptest! {
        #[test]
        fn nothing_that_acts_on_a_terminal_gets_through(text in any::<String>()) {
            prop_assert!(!for_terminal(&text).contains(is_unprintable));
        }

        #[cfg(feature = "cli")]
        #[test]
        fn json_is_sent_to_no_terminal_unescaped_and_reads_back_as_it_was(text in any::<String>(), bad in "[\u{7f}-\u{9f}\u{2028}\u{202e}]{0,3}") {
            let value = serde_json::json!({ text.clone() + &bad: [text.clone() + &bad] });
            let written = value.to_string();
            let escaped = in_json(&written);
            prop_assert!(!escaped.contains(is_unprintable));
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&escaped).unwrap(), value);
        }

        #[test]
        fn what_is_shown_has_the_beginning_and_the_end_of_the_text(text in "\\PC{0,700}") {
            let shown = shown(&text);
            let escaped = for_terminal(&text);
            prop_assert!(shown.chars().count() <= MOST_SHOWN);
            prop_assert!(escaped.starts_with(shown.split('…').next().unwrap_or_default()));
            if escaped.chars().count() > MOST_SHOWN {
                prop_assert_eq!(shown.chars().count(), MOST_SHOWN);
                let end: String = shown.chars().rev().take(MOST_SHOWN / 3).collect();
                prop_assert!(escaped.chars().rev().collect::<String>().starts_with(&end));
            } else {
                prop_assert_eq!(shown, escaped);
            }
        }

        #[test]
        fn a_clip_is_never_longer_than_allowed(text in any::<String>(), max in 0..40_usize) {
            prop_assert!(clip(&text, max).chars().count() <= max);
        }
    }
}
