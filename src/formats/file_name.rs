//! File names that are safe to create, made from names that nobody has checked.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use super::escape;

/// The longest name most file systems take, in bytes.
const MAX_NAME: usize = 255;

/// The longest suffix haul itself puts behind a name.
const LONGEST_SIDE_SUFFIX: &str = ".haul.tmp";

/// What haul's own files beside the target end in.
pub(crate) const SIDE_SUFFIXES: [&str; 3] = [".part", ".haul", LONGEST_SIDE_SUFFIX];

/// The longest name that leaves room for every file beside it.
const MAX_TARGET: usize = MAX_NAME - LONGEST_SIDE_SUFFIX.len();

/// One underscore in front and one behind may be added after a name was cut.
const MAX_CUT: usize = MAX_TARGET - 2;

/// An ending up to this many bytes, with its dot, says what the file is and survives the cut. A longer one is
/// prose.
const LONGEST_EXTENSION: usize = 16;

/// The file name in the path of a URL that the user gave: its last segment, percent-decoded once and made
/// safe.
///
/// `None` when nothing is left, as with `https://example.org/`; then only the user can say what the file is
/// called.
///
/// The user typed the URL but may have copied it, so it is trusted no more than needed: a name is never
/// hidden (leading dots go, also those that were percent-encoded) and never looks like a flag (a leading dash
/// gets `_` in front). Otherwise the rules are those of [`sanitize_server_name`]. A segment that does not
/// decode to UTF-8 keeps its percent signs, so that different URLs still give different names.
pub(crate) fn from_url_path(path: &str) -> Option<String> {
    let segment = path.rsplit('/').next()?;
    let decoded = percent_decode_str(segment).decode_utf8().unwrap_or(Cow::Borrowed(segment));
    let name = last_component(&decoded);
    finish(name.trim_start_matches(is_dot_or_blank))
}

/// Makes a name that a server proposed safe to create in the directory the user chose (RFC 6266 §4.3).
///
/// - Only what follows the last `/`, `\` or `:` counts, whatever the platform.
/// - Control characters and the ones that reorder text are removed, and leading dots, dashes, `~` and `|`, and
///   trailing dots and blanks.
/// - Names that mean something to a shell (`~`, `|`) or to every directory (`.`, `..`) are refused, as is an
///   empty one.
/// - Windows device names get `_` in front; the endings of haul's own files get `_` behind.
/// - A long name is cut so that haul's own files beside it still fit, keeping a short extension.
pub(crate) fn sanitize_server_name(raw: &str) -> Option<String> {
    let name = last_component(raw);
    finish(name.trim_start_matches(|c| matches!(c, '-' | '~' | '|') || is_dot_or_blank(c)))
}

/// Takes separators as every platform knows them: the file may move to one that reads `\` or `C:` as part of
/// a path.
fn last_component(path: &str) -> String {
    let component = path.rsplit(['/', '\\', ':']).next().unwrap_or_default();
    component.chars().filter(|c| !escape::is_unprintable(*c)).collect()
}

/// The rules that hold for any name, wherever it came from. Its beginning has been trimmed.
fn finish(name: &str) -> Option<String> {
    let name = name.trim_end_matches(is_dot_or_blank);
    if matches!(name, "" | "~" | "|") {
        return None;
    }
    // Cutting may bring a dot or a blank to the end, and shape an ending or a device name: look for those
    // afterwards.
    let cut = cut(name);
    let name = cut.trim_end_matches(is_dot_or_blank);
    let before = if name.starts_with('-') || is_device(name) { "_" } else { "" };
    let behind = if is_side_file(name) { "_" } else { "" };
    Some(format!("{before}{name}{behind}"))
}

fn is_dot_or_blank(c: char) -> bool {
    c == '.' || c.is_whitespace()
}

/// At most [`MAX_CUT`] bytes of `name`, never half a character.
fn cut(name: &str) -> Cow<'_, str> {
    if name.len() <= MAX_CUT {
        return Cow::Borrowed(name);
    }
    let (stem, extension) = split_extension(name);
    let room = stem.floor_char_boundary(MAX_CUT - extension.len());
    Cow::Owned(format!("{}{extension}", &stem[..room]))
}

/// Splits in front of the last dot, if what follows is short enough to keep.
fn split_extension(name: &str) -> (&str, &str) {
    match name.rfind('.') {
        Some(dot) if name.len() - dot <= LONGEST_EXTENSION => name.split_at(dot),
        _ => (name, ""),
    }
}

/// Whether Windows would open a device instead of a file: these names, in any case and with any extension.
fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default();
    let stem = stem.trim_end().to_ascii_uppercase();
    match stem.as_str() {
        "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$" => true,
        other => is_numbered_port(other),
    }
}

/// `COM1` to `LPT9`. Windows reads the superscript digits of ISO-8859-1 as digits too.
fn is_numbered_port(stem: &str) -> bool {
    let digit = stem.strip_prefix("COM").or_else(|| stem.strip_prefix("LPT"));
    let mut characters = digit.unwrap_or_default().chars();
    matches!((characters.next(), characters.next()), (Some('0'..='9' | '¹' | '²' | '³'), None))
}

/// Whether the name could be that of a file haul keeps beside another target. In any case, since some file
/// systems fold it.
fn is_side_file(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SIDE_SUFFIXES.iter().any(|suffix| name.ends_with(suffix))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn server(raw: &str) -> Option<String> {
        sanitize_server_name(raw)
    }

    fn check(function: fn(&str) -> Option<String>, table: &[(&str, Option<&str>)]) {
        for (input, expected) in table {
            assert_eq!(function(input).as_deref(), *expected, "{input:?}");
        }
    }

    #[test]
    fn an_ordinary_name_stays_as_it_is() {
        for name in ["a.iso", "a b (1).tar.gz", "naïve.txt", "日本語.zip", "a-b_c.", "root~"] {
            let kept = name.trim_end_matches('.');
            assert_eq!(server(name).as_deref(), Some(kept));
        }
    }

    // T067
    #[test]
    fn a_server_name_never_leaves_the_directory() {
        check(
            server,
            &[
                ("../../x", Some("x")),
                (r"..\..\x", Some("x")),
                ("/etc/x", Some("x")),
                ("C:x", Some("x")),
                (r"C:\Windows\x", Some("x")),
                ("%2e%2e%2fx", Some("%2e%2e%2fx")),
                ("a/", None),
                ("../..", None),
                ("\0../x", Some("x")),
            ],
        );
    }

    // T067
    #[test]
    fn a_url_path_never_leaves_the_directory() {
        check(
            from_url_path,
            &[
                ("/a/b/x", Some("x")),
                ("/../../x", Some("x")),
                ("/..%5C..%5Cx", Some("x")),
                ("/%2e%2e%2fx", Some("x")),
                ("/%252e%252e%252fx", Some("%2e%2e%2fx")),
                ("/C:x", Some("x")),
                ("/%2Fetc%2Fpasswd", Some("passwd")),
            ],
        );
    }

    // T068
    #[test]
    fn a_server_name_is_never_empty_special_hidden_or_a_flag() {
        check(
            server,
            &[
                ("", None),
                (".", None),
                ("..", None),
                ("~", None),
                ("|", None),
                ("...", None),
                (" \t ", None),
                ("---", None),
                ("\u{202e}\u{1b}", None),
                ("-rf", Some("rf")),
                ("--output=x", Some("output=x")),
                (".bashrc", Some("bashrc")),
                (".-.bashrc", Some("bashrc")),
                ("\u{200e}.bashrc", Some("bashrc")),
                (" x. . ", Some("x")),
            ],
        );
    }

    // T068
    #[test]
    fn a_url_name_is_never_empty_special_hidden_or_a_flag() {
        check(
            from_url_path,
            &[
                ("", None),
                ("/", None),
                ("/dir/", None),
                ("/%2e%2e", None),
                ("/~", None),
                ("/-rf", Some("_-rf")),
                ("/%2Drf", Some("_-rf")),
                ("/.-rf", Some("_-rf")),
                ("/.bashrc", Some("bashrc")),
                ("/%2ebashrc", Some("bashrc")),
                ("/a%20b.iso", Some("a b.iso")),
                ("/x%2e%20", Some("x")),
            ],
        );
    }

    #[test]
    fn a_segment_that_is_not_utf8_keeps_its_percent_signs() {
        check(from_url_path, &[("/a%ff%2Fb.iso", Some("a%ff%2Fb.iso"))]);
    }

    #[test]
    fn control_and_bidi_characters_are_removed() {
        check(
            server,
            &[
                ("a\u{1b}[31mb", Some("a[31mb")),
                ("a\r\nb\0c\u{7f}", Some("abc")),
                ("a\u{9b}b", Some("ab")),
                ("fdp\u{202e}exe.txt", Some("fdpexe.txt")),
                ("a\u{2066}b\u{200f}c\u{061c}d", Some("abcd")),
            ],
        );
    }

    #[test]
    fn device_names_of_windows_get_an_underscore_in_front() {
        check(
            server,
            &[
                ("CON", Some("_CON")),
                ("nul.txt", Some("_nul.txt")),
                ("Com1.tar.gz", Some("_Com1.tar.gz")),
                ("lpt9", Some("_lpt9")),
                ("COM¹", Some("_COM¹")),
                ("AUX .txt", Some("_AUX .txt")),
                ("CONSOLE", Some("CONSOLE")),
                ("COM10", Some("COM10")),
                ("COM", Some("COM")),
                ("a.CON", Some("a.CON")),
            ],
        );
    }

    #[test]
    fn the_endings_of_our_own_files_get_an_underscore_behind() {
        check(
            server,
            &[
                ("x.part", Some("x.part_")),
                ("x.HAUL", Some("x.HAUL_")),
                ("x.haul.tmp", Some("x.haul.tmp_")),
                ("x.tmp", Some("x.tmp")),
                (".part", Some("part")),
                ("con.part", Some("_con.part_")),
            ],
        );
    }

    #[test]
    fn a_long_name_is_cut_and_keeps_a_short_extension() {
        let name = server(&format!("{}.iso", "a".repeat(300))).unwrap();
        assert_eq!(name, format!("{}.iso", "a".repeat(MAX_CUT - 4)));

        let name = server(&format!("a.{}", "b".repeat(300))).unwrap();
        assert_eq!(name, format!("a.{}", "b".repeat(MAX_CUT - 2)));
    }

    #[test]
    fn a_long_name_is_never_cut_inside_a_character() {
        let name = server(&format!("a{}.iso", "€".repeat(100))).unwrap();
        assert_eq!(name, format!("a{}.iso", "€".repeat(79)));
    }

    #[test]
    fn cutting_does_not_bring_back_what_was_removed() {
        let dots = format!("{}.{}", "a".repeat(MAX_CUT - 1), "b".repeat(300));
        assert_eq!(server(&dots), Some("a".repeat(MAX_CUT - 1)));

        let ending = format!("{}.part{}", "a".repeat(MAX_CUT - 5), "b".repeat(300));
        assert_eq!(server(&ending), Some(format!("{}.part_", "a".repeat(MAX_CUT - 5))));

        let device = format!("CON{}x.txt", " ".repeat(300));
        assert!(server(&device).unwrap().starts_with("_CON "));
    }

    fn assert_safe(name: &str) {
        assert!(!name.contains(['/', '\\', ':', '\0']), "{name:?}");
        assert!(!name.contains(escape::is_unprintable), "{name:?}");
        assert!(!name.starts_with(['-', '.', ' ']), "{name:?}");
        assert!(!name.ends_with(['.', ' ']), "{name:?}");
        assert!(!["", ".", "..", "~"].contains(&name), "{name:?}");
        assert!(!is_side_file(name) && !is_device(name), "{name:?}");
        assert!(name.len() + LONGEST_SIDE_SUFFIX.len() <= MAX_NAME, "{name:?}");
    }

    /// Names made of the pieces that are dangerous, so that their combinations come up often.
    fn hostile() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            "[./\\\\:~ -]{1,3}",
            "(%2e|%2f|%5c|%00|%25|%ff|%)",
            "(CON|com1|nul|\\.part|\\.haul|\\.haul\\.tmp|\\.gz)",
            "[\u{0}\u{1b}\u{9b}\u{202e}\u{2066}\r\n]",
            "(a|€){1,130}",
            any::<String>(),
        ];
        proptest::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn a_server_name_is_safe_or_none(raw in hostile()) {
            if let Some(name) = sanitize_server_name(&raw) {
                assert_safe(&name);
            }
        }

        #[test]
        fn a_name_from_a_url_is_safe_or_none(path in hostile()) {
            if let Some(name) = from_url_path(&path) {
                assert_safe(&name);
            }
        }

        #[test]
        fn a_short_safe_name_is_left_alone(name in "[a-z][a-z0-9_]{0,20}\\.(iso|zip|tar\\.gz)") {
            prop_assume!(!is_device(&name));
            prop_assert_eq!(sanitize_server_name(&name), Some(name.clone()));
            prop_assert_eq!(from_url_path(&format!("/dir/{name}")), Some(name));
        }
    }
}
