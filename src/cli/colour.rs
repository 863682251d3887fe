//! Colours, if they are asked for and the terminal shows them.

use super::args::When;
use std::borrow::Cow;
use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::sync::atomic::{AtomicBool, Ordering};

/// Meaning of a text, which decides its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    Good,
    Bad,
    Warning,
    Quiet,
}

static SHOWN: AtomicBool = AtomicBool::new(false);

/// Decides if colours are shown: always, never, or if the standard error is a terminal and nothing forbids it
/// (<https://no-color.org>).
pub(super) fn decide(when: When) {
    let variable = |name| std::env::var_os(name);
    let shown = shows(when, std::io::stderr().is_terminal(), variable("NO_COLOR"), variable("TERM"));
    SHOWN.store(shown, Ordering::Relaxed);
}

/// Decides from the facts.
fn shows(when: When, on_terminal: bool, no_color: Option<OsString>, term: Option<OsString>) -> bool {
    let forbidden = no_color.is_some_and(|set| !set.is_empty()) || term.is_some_and(|term| term == "dumb");
    match when {
        When::Always => true,
        When::Never => false,
        When::Auto => on_terminal && !forbidden,
    }
}

/// Returns true if colours are shown.
pub(super) fn are_shown() -> bool {
    SHOWN.load(Ordering::Relaxed)
}

/// The text in the colour of its tone.
pub(super) fn paint(tone: Tone, text: &str) -> Cow<'_, str> {
    match are_shown() && !text.is_empty() {
        true => Cow::Owned(painted(tone, text)),
        false => Cow::Borrowed(text),
    }
}

/// Colours the first words of a line by their meaning.
pub(super) fn line(text: &str) -> Cow<'_, str> {
    match head(text) {
        Some((tone, length)) if are_shown() => Cow::Owned(painted(tone, &text[..length]) + &text[length..]),
        _ => Cow::Borrowed(text),
    }
}

/// The text with the codes of its tone, whether colours are shown or not.
pub(super) fn painted(tone: Tone, text: &str) -> String {
    let code = match tone {
        Tone::Good => "32",
        Tone::Bad => "1;31",
        Tone::Warning => "33",
        Tone::Quiet => "36",
    };
    format!("\x1b[{code}m{text}\x1b[0m")
}

/// Returns the tone of the words that a line begins with, and their length in bytes.
fn head(text: &str) -> Option<(Tone, usize)> {
    const HEADS: [(&str, Tone); 5] = [
        ("haul: warning:", Tone::Warning),
        ("haul: note:", Tone::Quiet),
        ("haul:", Tone::Bad),
        ("  next:", Tone::Quiet),
        ("  kept:", Tone::Quiet),
    ];
    HEADS.iter().find(|(head, _)| text.starts_with(head)).map(|(head, tone)| (*tone, head.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_shown_on_a_terminal_that_has_them_unless_a_flag_or_the_user_says_otherwise() {
        let set = |value: &str| Some(OsString::from(value));
        for (when, on_terminal, no_color, term, shown) in [
            (When::Auto, true, None, set("xterm"), true),
            (When::Auto, true, set(""), None, true),
            (When::Auto, false, None, set("xterm"), false),
            (When::Auto, true, set("1"), set("xterm"), false),
            (When::Auto, true, None, set("dumb"), false),
            (When::Always, false, set("1"), set("dumb"), true),
            (When::Never, true, None, set("xterm"), false),
        ] {
            let decided = shows(when, on_terminal, no_color.clone(), term.clone());
            assert_eq!(decided, shown, "{when:?} {on_terminal} {no_color:?} {term:?}");
        }
    }

    #[test]
    fn a_line_has_the_colour_of_what_it_says() {
        assert_eq!(head("haul: warning: x"), Some((Tone::Warning, 14)));
        assert_eq!(head("haul: note: x"), Some((Tone::Quiet, 11)));
        assert_eq!(head("haul: no such file"), Some((Tone::Bad, 5)));
        assert_eq!(head("file.bin: 3 B"), None);
        assert_eq!(painted(Tone::Bad, "haul:"), "\x1b[1;31mhaul:\x1b[0m");
    }
}
