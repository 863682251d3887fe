//! The options of a command line of aria2c.

use super::flags::{FLAGS, find, is_switch};
use std::ffi::OsString;

/// Options as they were given, in order.
#[derive(Default)]
pub(super) struct Given {
    pub(super) options: Vec<(&'static str, String)>,
    pub(super) urls: Vec<String>,
}

impl Given {
    pub(super) fn last(&self, name: &str) -> Option<&str> {
        self.options.iter().rev().find(|(given, _)| *given == name).map(|(_, value)| &value[..])
    }

    pub(super) fn number(&self, name: &str) -> Result<Option<u64>, String> {
        let parsed = |value: &str| value.parse().map_err(|_| format!("--{name} takes a number"));
        self.last(name).map(parsed).transpose()
    }

    pub(super) fn is_on(&self, name: &str) -> bool {
        self.last(name) == Some("true")
    }
}

pub(super) fn parse(args: &[OsString]) -> Result<Given, String> {
    let mut given = Given::default();
    let mut words = args.iter().map(|arg| arg.to_string_lossy().into_owned()).peekable();
    let mut only_urls = false;
    while let Some(word) = words.next() {
        if only_urls || !word.starts_with('-') || word == "-" {
            given.urls.push(word);
        } else if word == "--" {
            only_urls = true;
        } else if let Some(long) = word.strip_prefix("--") {
            let (name, value) =
                long.split_once('=').map_or((long, None), |(name, value)| (name, Some(value.to_owned())));
            let (name, _, means) = find(name).ok_or_else(|| format!("unrecognized option --{name}"))?;
            let value = match value {
                Some(value) => value,
                None if is_switch(name, *means) => "true".to_owned(),
                None => words.next().ok_or_else(|| format!("--{name} needs a value"))?,
            };
            given.options.push((*name, value));
        } else {
            short(&word[1..], &mut words, &mut given)?;
        }
    }
    Ok(given)
}

/// Short flags: several switches in one word, or one with its value behind it or in the next word.
fn short(letters: &str, words: &mut impl Iterator<Item = String>, given: &mut Given) -> Result<(), String> {
    for (at, letter) in letters.char_indices() {
        let known = FLAGS.iter().find(|(_, short, _)| *short == Some(letter));
        let (name, _, means) = known.ok_or_else(|| format!("unrecognized option -{letter}"))?;
        let rest = &letters[at + letter.len_utf8()..];
        if is_switch(name, *means) {
            match rest {
                tag if *name == "help" && tag.starts_with('#') => {
                    given.options.push((*name, "true".to_owned()));
                    return Ok(());
                }
                // A value can stand behind it.
                "true" | "false" | "=true" | "=false" => {
                    given.options.push((*name, rest.trim_start_matches('=').to_owned()));
                    return Ok(());
                }
                _ => given.options.push((*name, "true".to_owned())),
            }
            continue;
        }
        let value = match rest {
            "" => words.next().ok_or_else(|| format!("-{letter} needs a value"))?,
            rest => rest.trim_start_matches('=').to_owned(),
        };
        given.options.push((*name, value));
        return Ok(());
    }
    Ok(())
}

/// Reads a file of options, `name=value` a line. Returns the names of those that are none.
pub(super) fn with_file(given: &mut Given, text: &str) -> Vec<String> {
    let (mut options, mut unknown) = (Vec::new(), Vec::new());
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (name, value) = line.split_once('=').unwrap_or((line, ""));
        match find(name.trim()) {
            Some((name, ..)) => options.push((*name, value.trim().to_owned())),
            None => unknown.push(name.trim().to_owned()),
        }
    }
    unknown.sort();
    unknown.dedup();
    // Flags count more, so they come last.
    options.append(&mut given.options);
    given.options = options;
    unknown
}
