//! The floors: a module uses only modules on lower ones, and only the uppermost speaks of flags and commands.

use std::fs;
use std::path::{Path, PathBuf};

/// Modules that each top module may use. Floor 2 has an order of its own; transport is beside it.
const MAY_USE: [(&str, &[&str]); 13] = [
    ("error", &["formats"]),
    ("formats", &[]),
    ("threads", &[]),
    ("clock", &["plan"]),
    ("plan", &["error", "formats"]),
    ("storage", &["error", "formats", "plan"]),
    ("verify", &["error", "storage"]),
    ("manifest", &["error", "plan", "storage", "verify"]),
    ("transport", &["error", "formats", "plan", "threads"]),
    (
        "engine",
        &[
            "clock",
            "destination",
            "error",
            "formats",
            "manifest",
            "plan",
            "storage",
            "threads",
            "transport",
            "verify",
            "Kind",
        ],
    ),
    (
        "destination",
        &["clock", "error", "formats", "manifest", "plan", "storage", "threads", "verify", "Kind"],
    ),
    ("jobs", &["engine", "error", "plan", "storage", "threads", "verify"]),
    ("cli", &["error", "formats", "threads"]),
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
        // The tests of a module may use anything.
        let tests = text.find("#[cfg(test)]\nmod ").unwrap_or(text.len());
        for (number, line) in text[..tests].lines().enumerate() {
            for name in used(line) {
                // Re-exports of the root have a capital, or are functions of the public API.
                let public = module == "cli" && !MAY_USE.iter().any(|(other, _)| *other == name);
                if name != module && !public && !allowed.contains(&name) {
                    wrong.push(format!("{}:{}: {}", inside.display(), number + 1, line.trim()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
