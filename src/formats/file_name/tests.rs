use proptest::prelude::*;

use super::*;
use crate::formats::content_disposition;
#[cfg(feature = "cli")]
use crate::formats::{digest_list::DigestList, input_list, metalink};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

fn text(name: Option<ForeignName>) -> Option<String> {
    name.map(|name| name.to_string())
}

fn server(raw: &str) -> Option<String> {
    text(ForeignName::from_server(raw))
}

fn url(path: &str) -> Option<String> {
    text(ForeignName::from_url_path(path))
}

fn check(function: fn(&str) -> Option<String>, table: &[(&str, Option<&str>)]) {
    for (input, expected) in table {
        assert_eq!(function(input).as_deref(), *expected, "{input:?}");
    }
}

#[test]
fn an_ordinary_name_stays_as_it_is() {
    let names = [
        "a.iso",
        "a b (1).tar.gz",
        "naïve.txt",
        "日本語.zip",
        "a-b_c",
        "root~",
        "log_2024-04-24T10:00:01Z.gz",
        "a:b",
        "x.1:latest",
    ];
    for name in names {
        assert_eq!(server(name).as_deref(), Some(name));
        assert_eq!(url(&format!("/d/{name}")).as_deref(), Some(name));
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
            ("C:x", Some("C:x")),
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
        url,
        &[
            ("/a/b/x", Some("x")),
            ("/../../x", Some("x")),
            ("/..%5C..%5Cx", Some("x")),
            ("/%2e%2e%2fx", Some("x")),
            ("/%252e%252e%252fx", Some("%2e%2e%2fx")),
            ("/C:x", Some("C:x")),
            ("/%2Fetc%2Fpasswd", Some("passwd")),
        ],
    );
}

// T068
#[test]
fn a_name_is_never_empty_special_hidden_or_a_flag() {
    let table = [
        ("", None),
        (".", None),
        ("..", None),
        ("...", None),
        (" \t ", None),
        ("\u{202e}\u{1b}", None),
        ("~", Some("_~")),
        ("|sh", Some("_|sh")),
        ("-rf", Some("_-rf")),
        ("--OUTPUT=x", Some("_--OUTPUT=x")),
        (".bashrc", Some("bashrc")),
        (".-.bashrc", Some("_-.bashrc")),
        ("\u{200e}.bashrc", Some("bashrc")),
        (" x. . ", Some("x")),
    ];
    check(server, &table);
    for (name, expected) in table {
        let path = format!("/dir/{}", utf8_percent_encode(name, NON_ALPHANUMERIC));
        assert_eq!(url(&path).as_deref(), expected, "{name:?}");
    }
}

#[test]
fn a_segment_that_is_not_utf8_keeps_its_percent_signs() {
    check(url, &[("/a%ff%2Fb.iso", Some("a%ff%2Fb.iso"))]);
}

#[test]
fn control_bidi_and_invisible_characters_are_removed() {
    check(
        server,
        &[
            ("a\u{1b}[31mb", Some("a[31mb")),
            ("a\r\nb\0c\u{7f}", Some("abc")),
            ("a\u{9b}b", Some("ab")),
            ("fdp\u{202e}exe.txt", Some("fdpexe.txt")),
            ("a\u{2066}b\u{200f}c\u{061c}d", Some("abcd")),
            ("a\u{2028}b\u{feff}c\u{200d}d\u{ad}e", Some("abcde")),
        ],
    );
}

#[test]
fn device_names_get_an_underscore_in_front() {
    check(
        server,
        &[
            ("CON", Some("_CON")),
            ("nul.txt", Some("_nul.txt")),
            ("nul:x", Some("_nul:x")),
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
            ("x.pa\u{200d}rt", Some("x.part_")),
            ("x.part. ", Some("x.part_")),
            ("x.tmp", Some("x.tmp")),
            (".part", Some("part")),
            ("con.part", Some("_con.part_")),
        ],
    );
}

#[cfg(feature = "cli")]
#[test]
fn each_part_of_a_path_is_harmless_and_none_leads_out() {
    let below = |path: &str| ForeignName::below(path).map(|name| name.to_string());
    for (path, expected) in [
        ("sub/c.img", "sub/c.img"),
        ("./a//b/", "a/b"),
        ("a:b/c:d", "a:b/c:d"),
        (".ssh/authorized_keys", "ssh/authorized_keys"),
        ("disk.img.part/x", "disk.img.part_/x"),
        ("x.HAUL/y.Part", "x.HAUL_/y.Part_"),
        (r"..\..\x", "_.._x"),
        ("a\0b", "ab"),
        ("-rf/con/nul.txt", "_-rf/_con/_nul.txt"),
    ] {
        assert_eq!(below(path).as_deref(), Ok(expected), "{path:?}");
    }
    for path in ["../x", "/etc/x", "a/../../x", "..", ".", "./.", "", "a/...", "\u{202e}/x"] {
        assert!(below(path).is_err(), "{path:?}");
    }
    let inside = ForeignName::below("x").unwrap().within(&ForeignName::below("a/.b").unwrap());
    assert_eq!((inside.to_string().as_str(), inside.is_changed()), ("a/b/x", true));
}

#[test]
fn a_long_name_is_cut_and_keeps_a_short_extension() {
    let room = longest_target(MAX_NAME) - UNDERSCORES;
    let name = server(&format!("{}.iso", "a".repeat(300))).unwrap();
    assert_eq!(name, format!("{}.iso", "a".repeat(room - 4)));

    let name = server(&format!("a.{}", "b".repeat(300))).unwrap();
    assert_eq!(name, format!("a.{}", "b".repeat(room - 2)));

    let name = server(&format!("a{}.iso", "€".repeat(100))).unwrap();
    assert_eq!(name, format!("a{}.iso", "€".repeat(79)));
}

#[test]
fn cutting_does_not_bring_back_what_was_removed() {
    let room = longest_target(MAX_NAME) - UNDERSCORES;
    let dots = format!("{}.{}", "a".repeat(room - 1), "b".repeat(300));
    assert_eq!(server(&dots), Some("a".repeat(room - 1)));

    let ending = format!("{}.part{}", "a".repeat(room - 5), "b".repeat(300));
    assert_eq!(server(&ending), Some(format!("{}.part_", "a".repeat(room - 5))));

    let device = format!("CON{}x.txt", " ".repeat(300));
    assert!(server(&device).unwrap().starts_with("_CON "));
}

/// The limit of eCryptfs is 143 bytes.
#[test]
fn a_name_fits_a_directory_together_with_the_files_beside_it() {
    for longest in [14, 20, 143, 255] {
        for name in ["x.iso".to_owned(), format!("{}.tar.gz", "n".repeat(240)), "€".repeat(80)] {
            let fitted = fitted(&name, longest);
            assert!(fitted.len() + LONGEST_SIDE_SUFFIX.len() <= longest, "{fitted:?} in {longest}");
            assert!(!fitted.is_empty() && (fitted.chars().next() == name.chars().next() || fitted == "_"));
        }
    }
    assert_eq!(fitted("x.iso", 14), "x.iso");
}

#[test]
fn a_name_that_is_refused_has_one_that_is_not() {
    for (name, portable, ascii) in [
        ("what?.bin", "what_.bin", "what_.bin"),
        ("a:b*\"<c>|d\\", "a_b___c__d_", "a_b___c__d_"),
        ("naïve?", "naïve_", "na_ve_"),
        ("dot. ", "dot", "dot"),
        ("CON?", "CON_", "CON_"),
        ("NUL:", "NUL_", "NUL_"),
    ] {
        assert_eq!(replaced(name, Alphabet::Portable), portable);
        assert_eq!(replaced(name, Alphabet::Ascii), ascii);
    }
}

fn assert_safe(name: &str) {
    assert!(!name.contains(['/', '\\', '\0']), "{name:?}");
    assert!(!name.contains(escape::is_unprintable) && !name.contains(is_invisible), "{name:?}");
    assert!(!name.starts_with(['-', '.', ' ', '~', '|']), "{name:?}");
    assert!(!name.ends_with(['.', ' ']), "{name:?}");
    assert!(!name.is_empty(), "{name:?}");
    assert!(!is_side_file(name) && !is_device(name), "{name:?}");
    assert!(name.len() + LONGEST_SIDE_SUFFIX.len() <= MAX_NAME, "{name:?}");
}

/// Names made of dangerous pieces, so that their combinations come up often.
fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[./\\\\:~ |-]{1,3}",
        "(%2e|%2f|%5c|%00|%25|%ff|%)",
        "(CON|com1|nul|\\.part|\\.HAUL|\\.haul\\.tmp|\\.gz|\\.Part/)",
        "[\u{0}\u{1b}\u{9b}\u{202e}\u{2066}\u{200d}\u{fe0f}\u{ad}\r\n]",
        "(a|€){1,130}",
        any::<String>(),
    ];
    proptest::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

/// The name as sanitized from each of the sources.
type Source = fn(&str) -> Option<ForeignName>;

fn by_header(name: &str) -> Option<ForeignName> {
    let header = format!("attachment; filename*=UTF-8''{}", utf8_percent_encode(name, NON_ALPHANUMERIC));
    content_disposition::file_name(header.as_bytes())
}

fn by_url(name: &str) -> Option<ForeignName> {
    ForeignName::from_url_path(&format!("/dir/{}", utf8_percent_encode(name, NON_ALPHANUMERIC)))
}

#[cfg(feature = "cli")]
fn by_list(name: &str) -> Option<ForeignName> {
    let line = serde_json::json!({ "url": "http://h/x", "output": name }).to_string();
    input_list::entries(&line).next()?.ok()?.output
}

#[cfg(feature = "cli")]
fn by_options(name: &str) -> Option<ForeignName> {
    let lines = format!("http://h/x\n out={name}\n");
    input_list::entries(&lines).next()?.ok()?.output
}

#[cfg(feature = "cli")]
fn by_metalink(name: &str) -> Option<ForeignName> {
    let escaped: String = name.chars().map(|c| format!("&#{};", u32::from(c))).collect();
    let text = format!("<metalink><file name=\"{escaped}\"><url>http://h/x</url></file></metalink>");
    Some(metalink::parse(&text).ok()?.pop()?.name)
}

#[cfg(feature = "cli")]
fn by_digest_list(name: &str) -> Option<ForeignName> {
    let list = DigestList::parse(&format!("{}  {name}", "0".repeat(64)));
    list.saved_names().next()
}

#[cfg(feature = "cli")]
const SOURCES: [Source; 6] = [by_header, by_url, by_list, by_options, by_metalink, by_digest_list];
#[cfg(not(feature = "cli"))]
const SOURCES: [Source; 2] = [by_header, by_url];

/// Covers all sources, since a name that means the same everywhere cannot be smuggled past one of them.
#[test]
fn every_source_makes_the_same_of_a_name() {
    for (name, expected) in [
        (".bash_profile", "bash_profile"),
        ("a:b.iso", "a:b.iso"),
        ("-rf", "_-rf"),
        ("nul.txt", "_nul.txt"),
        ("disk.img.Part", "disk.img.Part_"),
        ("gpj.\u{202e}exe", "gpj.exe"),
        ("a\u{2028}b", "ab"),
    ] {
        for (number, source) in SOURCES.iter().enumerate() {
            // A line of text ends only at a line feed.
            assert_eq!(text(source(name)).as_deref(), Some(expected), "{name:?} by source {number}");
        }
    }
}

proptest! {
    #[test]
    fn no_source_can_name_anything_but_harmless_files(raw in hostile()) {
        for source in SOURCES {
            if let Some(name) = source(&raw) {
                name.parts().for_each(assert_safe);
                prop_assert!(name.to_path().is_relative());
                for part in name.parts() {
                    prop_assert_eq!(harmless(part), Some(part.to_owned()), "once is enough");
                }
            }
        }
    }

    #[test]
    fn a_name_from_a_url_path_is_safe_or_none(path in hostile()) {
        if let Some(name) = ForeignName::from_url_path(&path) {
            name.parts().for_each(assert_safe);
        }
    }

    #[test]
    fn a_name_that_was_fitted_or_replaced_is_safe(raw in hostile(), longest in 40..255_usize) {
        if let Some(name) = ForeignName::from_server(&raw) {
            let fitted = fitted(name.name(), longest);
            assert_safe(&fitted);
            prop_assert!(fitted.len() + LONGEST_SIDE_SUFFIX.len() <= longest);
            let replaced = replaced(name.name(), Alphabet::Portable);
            assert_safe(&replaced);
            prop_assert!(!replaced.contains(|c| is_refused_by(Alphabet::Portable, c)));
        }
    }

    #[test]
    fn a_short_safe_name_is_left_alone(name in "[a-z][a-z0-9_:]{0,20}\\.(iso|zip|tar\\.gz)") {
        prop_assume!(!is_device(&name));
        prop_assert_eq!(server(&name), Some(name.clone()));
        prop_assert_eq!(url(&format!("/dir/{name}")), Some(name));
    }
}
