//! The floors: a module uses only modules on lower ones, and only the uppermost speaks of flags and commands.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Modules that each top module may use. Floor 2 has an order of its own; transport is beside it.
const MAY_USE: [(&str, &[&str]); 18] = [
    ("error", &["formats", "sys"]),
    ("formats", &[]),
    ("sys", &[]),
    ("threads", &[]),
    ("clock", &["plan"]),
    ("plan", &["error", "formats"]),
    ("storage", &["error", "formats", "plan", "sys"]),
    ("verify", &["error", "storage"]),
    ("manifest", &["error", "plan", "storage", "sys", "verify"]),
    ("transport", &["error", "formats", "plan", "sys", "threads"]),
    (
        "engine",
        &[
            "clock",
            "destination",
            "error",
            "formats",
            "manifest",
            "plan",
            "s3",
            "storage",
            "sys",
            "threads",
            "transport",
            "verify",
            "Kind",
            "S3",
        ],
    ),
    ("s3", &["clock", "error", "formats", "plan", "sys", "threads", "transport"]),
    (
        "upload",
        &["clock", "engine", "error", "formats", "plan", "s3", "storage", "threads", "transport", "verify"],
    ),
    (
        "destination",
        &[
            "clock", "error", "formats", "manifest", "plan", "storage", "sys", "threads", "verify", "Error",
            "Kind",
        ],
    ),
    ("jobs", &["engine", "error", "formats", "plan", "s3", "storage", "threads", "verify"]),
    ("fleet", &["clock", "engine", "error", "jobs", "plan", "sys", "transport"]),
    ("rpc", &["error", "formats", "sys", "threads"]),
    ("cli", &["error", "fleet", "formats", "rpc", "sys", "threads"]),
];

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Returns the names after `crate::` in a line of code, one or several in braces.
fn used(line: &str) -> Vec<&str> {
    let code = line.split("//").next().unwrap_or_default();
    let word = |text: &'_ str| text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    let mut names = Vec::new();
    for rest in code.split("crate::").skip(1) {
        match rest.strip_prefix('{') {
            Some(several) => {
                let inside = several.split('}').next().unwrap_or_default();
                names.extend(inside.split(", ").map(|name| &name[..word(name)]));
            }
            None => names.push(&rest[..word(rest)]),
        }
    }
    names
}

/// Sources of the library, each with its path below `src`.
fn library() -> Vec<(PathBuf, String)> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    let inside = |file: &PathBuf| file.strip_prefix(&src).unwrap().to_owned();
    files.iter().map(|file| (inside(file), fs::read_to_string(file).unwrap())).collect()
}

/// Returns true if a string in this line of code names a long flag.
fn names_a_flag(line: &str) -> bool {
    let after_quote = line.split_once('"').map_or("", |(_, rest)| rest);
    let mut dashes = after_quote.match_indices("--");
    dashes.any(|(at, _)| after_quote[at + 2..].starts_with(|c: char| c.is_ascii_lowercase()))
}

#[test]
fn below_the_command_line_no_text_names_a_flag_or_a_command() {
    let mut wrong = Vec::new();
    for (inside, text) in library().into_iter().filter(|(inside, _)| !inside.starts_with("cli")) {
        for (number, line) in text.lines().enumerate() {
            let code = line.trim_start();
            let of_a_command = ["the same command", "haul rm", "haul resume", "haul verify", ".with_hint("];
            let speaks = of_a_command.iter().any(|words| code.contains(words)) && !code.starts_with("//");
            if names_a_flag(code) || speaks {
                wrong.push(format!("{}:{}: {code}", inside.display(), number + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_module_uses_only_what_lies_on_a_lower_floor() {
    let mut wrong = Vec::new();
    for (inside, text) in library() {
        let first = inside.components().next().unwrap().as_os_str().to_string_lossy().into_owned();
        let module = first.trim_end_matches(".rs");
        let Some((_, allowed)) = MAY_USE.iter().find(|(name, _)| *name == module) else {
            continue;
        };
        for (number, line) in code_of(&inside, &text).lines().enumerate() {
            for name in used(line) {
                // Re-exports of the root have a capital, or are functions of the public API.
                let public =
                    ["cli", "rpc"].contains(&module) && !MAY_USE.iter().any(|(other, _)| *other == name);
                if name != module && !public && !allowed.contains(&name) {
                    wrong.push(format!("{}:{}: {}", inside.display(), number + 1, line.trim()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Code of a module without its tests, which may use anything.
fn code_of<'a>(inside: &Path, text: &'a str) -> &'a str {
    let of_tests = inside.iter().any(|part| part == "tests" || part == "tests.rs");
    let end = if of_tests { 0 } else { text.find("#[cfg(test)]\nmod ").unwrap_or(text.len()) };
    &text[..end]
}

#[test]
fn only_one_room_knows_the_operating_system() {
    const MARKS: [&str; 8] = [
        "libc::",
        "rustix",
        "std::os::",
        "signal_hook",
        "tokio::signal",
        "target_os",
        "\"/proc/",
        "tokio::net::Unix",
    ];
    let (mut wrong, mut known) = (Vec::new(), 0);
    for (inside, text) in library() {
        for (number, line) in code_of(&inside, &text).lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            if !MARKS.iter().any(|mark| code.contains(mark)) {
                continue;
            }
            match inside.starts_with("sys") {
                true => known += 1,
                false => wrong.push(format!("{}:{}: {}", inside.display(), number + 1, line.trim())),
            }
        }
    }
    assert!(known > 20, "the test reads nothing");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Names that the standard library and tokio have as well.
const COMMON: [&str; 26] = [
    "answer",
    "as_str",
    "bind",
    "body",
    "bounded",
    "connect",
    "drain",
    "get",
    "iter",
    "join_next",
    "length",
    "load",
    "mode",
    "on",
    "parent",
    "part",
    "push",
    "replace",
    "send",
    "span",
    "spawn",
    "sync",
    "task",
    "timeout",
    "umask",
    "update",
];

/// Name that a line declares with `keyword` in front, as a function or a field.
fn declared<'a>(line: &'a str, keyword: &str) -> Option<&'a str> {
    let rest = line.trim_start().strip_prefix(keyword)?;
    let rest = rest.trim_start_matches("const ").trim_start_matches("async ").trim_start_matches("fn ");
    let end = rest.find(|c: char| !c.is_ascii_lowercase() && !c.is_ascii_digit() && c != '_')?;
    let is_name = end > 0 && rest[end..].starts_with(['(', '<', ':']) && !rest[end..].starts_with("::");
    is_name.then_some(&rest[..end])
}

/// Names after a dot or `::` in a line of code.
fn named_in(line: &str) -> Vec<&str> {
    let code = line.split("//").next().unwrap_or_default();
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let ends = code.char_indices().filter(|(at, c)| *c == '.' || (*c == ':' && code[..*at].ends_with(':')));
    let after = |(at, _): (usize, char)| {
        let rest = &code[at + 1..];
        &rest[..rest.find(|c| !is_part(c)).unwrap_or(rest.len())]
    };
    ends.map(after).collect()
}

#[test]
fn the_front_ends_use_the_public_interface_of_what_lies_below_them() {
    const TOOLS: [&str; 6] = ["cli", "fleet", "formats", "rpc", "sys", "threads"];
    let (mut hidden, mut open) = (BTreeMap::new(), BTreeSet::new());
    let library = library();
    for (inside, text) in &library {
        let is_tool =
            TOOLS.iter().any(|tool| inside.starts_with(tool) || inside == Path::new(&format!("{tool}.rs")));
        for line in text.lines() {
            if is_tool {
                let keywords =
                    ["pub(super) ", "pub(in super::super) ", "pub(crate) ", "fn ", "async fn ", "pub ", ""];
                open.extend(keywords.iter().filter_map(|keyword| declared(line, keyword)));
            }
            open.extend(declared(line, "pub "));
            for keyword in ["pub(crate) ", "pub(super) "] {
                hidden.extend(declared(line, keyword).map(|name| (name, inside)));
            }
        }
    }
    assert!(
        hidden.contains_key("recorded_mirror") && !open.contains("recorded_mirror"),
        "the test reads nothing"
    );
    let mut wrong = Vec::new();
    for (inside, text) in
        library.iter().filter(|(inside, _)| inside.starts_with("cli") || inside.starts_with("rpc"))
    {
        for (number, line) in text.lines().enumerate() {
            for name in named_in(line) {
                let home = hidden.get(name).filter(|_| !open.contains(name) && !COMMON.contains(&name));
                if let Some(home) = home {
                    wrong.push(format!("{}:{}: {name} of {}", inside.display(), number + 1, home.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Module of a file, as `floor::module`: what lies below belongs to its parent.
fn module_of(inside: &Path) -> Option<(String, String)> {
    let mut parts = inside.components().map(|part| part.as_os_str().to_string_lossy().into_owned());
    let (floor, module) = (parts.next()?, parts.next()?);
    Some((floor, module.trim_end_matches(".rs").to_owned()))
}

/// Modules of the same floor that a line uses: by `super::` from the floor's own files, by `crate::FLOOR::` from anywhere.
fn siblings<'a>(line: &'a str, floor: &str, depth: usize) -> Vec<&'a str> {
    let code = line.split("//").next().unwrap_or_default();
    let word =
        |text: &'a str| &text[..text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len())];
    // Each level of directories needs one more `super`.
    let up = "super::".repeat(depth);
    let by_super =
        code.split(' ').filter_map(|text| text.strip_prefix(&up).filter(|rest| !rest.starts_with("super")));
    let whole = format!("crate::{floor}::");
    by_super.chain(code.split(&whole[..]).skip(1)).map(word).collect()
}

#[test]
fn within_a_floor_no_two_modules_use_each_other() {
    let files: Vec<_> = library()
        .into_iter()
        .filter_map(|(inside, text)| Some((module_of(&inside)?, inside, text)))
        .collect();
    let modules: BTreeSet<_> = files.iter().map(|(module, ..)| module.clone()).collect();
    let mut uses: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
    for ((floor, module), inside, text) in &files {
        let depth = inside.components().count() - 1;
        for line in code_of(inside, text).lines() {
            for used in siblings(line, floor, depth) {
                let known = modules.contains(&(floor.clone(), used.to_owned()));
                // A floor's own `mod.rs` may use all that it holds, and holds what they share.
                if known && used != module && module != "mod" && used != "mod" {
                    uses.entry((floor.clone(), module.clone())).or_default().insert(used.to_owned());
                }
            }
        }
    }
    let reaches = |from: &(String, String)| {
        let (mut seen, mut next) = (BTreeSet::new(), vec![from.1.clone()]);
        while let Some(module) = next.pop() {
            for used in uses.get(&(from.0.clone(), module)).into_iter().flatten() {
                if seen.insert(used.clone()) {
                    next.push(used.clone());
                }
            }
        }
        seen
    };
    let circles: Vec<_> = uses.keys().filter(|module| reaches(module).contains(&module.1)).collect();
    assert!(circles.is_empty(), "modules that use each other, if only by way of others: {circles:?}");
}
