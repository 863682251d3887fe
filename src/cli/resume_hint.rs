//! Commands that haul suggests: built from the parsed arguments, every word quoted for a shell, and without secrets.

use super::args::Cli;
use crate::Request;
use crate::formats::escape;
use clap::{Arg, ArgAction, ArgMatches, CommandFactory as _, parser::ValueSource};
use std::borrow::Cow;
use std::fmt;

/// Flags whose values are secrets, unless they name a file with an `@`.
const SECRET_FLAGS: [&str; 4] = ["user", "header", "proxy", "refresh_cmd"];

/// Command that resumes an interrupted run.
pub(super) struct ResumeHint(ArgMatches);

impl ResumeHint {
    pub(super) fn new(matches: ArgMatches) -> Self {
        Self(matches)
    }

    /// Rebuilds the parsed command line; `None` if it holds a secret or cannot be quoted for a shell.
    fn command(&self) -> Option<String> {
        let mut cli = Cli::command();
        cli.build();
        let mut words = vec!["haul".to_owned()];
        match self.0.subcommand() {
            Some((name, matches)) => {
                words.push(name.to_owned());
                words.extend(arguments(cli.find_subcommand(name)?, matches)?);
            }
            None => words.extend(arguments(&cli, &self.0)?),
        }
        Some(words.join(" "))
    }
}

impl fmt::Display for ResumeHint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.command().as_deref().unwrap_or("run the same command again to resume"))
    }
}

/// Arguments that were given, in their order.
fn arguments(command: &clap::Command, matches: &ArgMatches) -> Option<Vec<String>> {
    let mut placed = Vec::new();
    for arg in command.get_arguments() {
        let id = arg.get_id().as_str();
        let given = matches!(matches.try_contains_id(id), Ok(true))
            && matches.value_source(id) == Some(ValueSource::CommandLine);
        let Some(indices) = given.then(|| matches.indices_of(id)).flatten() else {
            continue;
        };
        match arg.get_action() {
            ArgAction::Set | ArgAction::Append => {
                for (index, value) in indices.zip(matches.get_raw(id)?) {
                    placed.push((index, with_value(arg, value.to_str()?)?));
                }
            }
            ArgAction::Count => {
                let flags = vec![flag(arg)?; usize::from(matches.get_count(id))];
                placed.push((indices.max()?, flags.join(" ")));
            }
            _ => placed.push((indices.max()?, flag(arg)?)),
        }
    }
    placed.sort();
    Some(placed.into_iter().map(|(_, words)| words).collect())
}

fn with_value(arg: &Arg, value: &str) -> Option<String> {
    if is_secret(arg.get_id().as_str(), value) {
        return None;
    }
    let quoted = quoted(value)?;
    Some(match flag(arg) {
        None => quoted,
        // Otherwise the value would be parsed as a flag.
        Some(_) if value.starts_with('-') && value != "-" => format!("--{}={quoted}", arg.get_long()?),
        Some(flag) => format!("{flag} {quoted}"),
    })
}

fn flag(arg: &Arg) -> Option<String> {
    let short = arg.get_short().map(|short| format!("-{short}"));
    short.or_else(|| arg.get_long().map(|long| format!("--{long}")))
}

fn is_secret(id: &str, value: &str) -> bool {
    let named_as_secret = SECRET_FLAGS.contains(&id) && !value.is_empty() && !value.starts_with('@');
    named_as_secret || Request::new(value).is_ok_and(|request| request.has_secret_url())
}

/// Quotes a word for a shell; `None` if it holds a character that must not be sent to a terminal.
pub(super) fn quoted(word: &str) -> Option<String> {
    if word.contains(escape::is_unprintable) {
        return None;
    }
    shlex::try_quote(word).ok().map(Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(words: &[&str]) -> Option<String> {
        ResumeHint::new(Cli::command().try_get_matches_from(words).unwrap()).command()
    }

    #[test]
    fn a_command_can_be_pasted_into_a_shell() {
        for (words, line) in [
            (&["/usr/bin/haul", "http://h/a?b=c&d", "-o", "it's"][..], "haul 'http://h/a?b=c&d' -o \"it's\""),
            (&["haul", "-qx4", "--dir=-d", "http://h/a"], "haul -q -x 4 --dir=-d http://h/a"),
            (&["haul", "-vvo-", "http://h/a"], "haul -v -v -o - http://h/a"),
            (&["haul", "resume", "-vv", "a dir"], "haul resume -v -v 'a dir'"),
            (&["haul", "-H@file", "--user", "@f", "http://h/a"], "haul -H @file -u @f http://h/a"),
            (&["haul", "--proxy", "", "http://h/a"], "haul --proxy '' http://h/a"),
        ] {
            assert_eq!(shown(words).as_deref(), Some(line), "{words:?}");
        }
    }

    #[test]
    fn a_command_with_a_secret_is_not_shown_however_it_was_written() {
        for words in [
            &["haul", "http://u:S3CR@h/a"][..],
            &["haul", "http://h/a?token=S3CR"],
            &["haul", "http://h/a?sas%5Ftoken=S3CR"],
            &["haul", "--metalink=http://u:S3CR@h/a"],
            &["haul", "-i", "list", "--checksum-file", "http://h/a?sig=S3CR"],
            &["haul", "http://h/a", "--proxy", "http://u:S3CR@p"],
            &["haul", "http://h/a", "--refresh-cmd", "sign S3CR"],
            &["haul", "http://h/a", "-vu", "me:S3CR"],
            &["haul", "http://h/a", "-4vume:S3CR"],
            &["haul", "http://h/a", "-4Hx: S3CR"],
            &["haul", "http://h/a", "--header=x: S3CR"],
            &["haul", "resume", "-vH", "x: S3CR"],
        ] {
            assert_eq!(shown(words), None, "{words:?}");
        }
    }

    #[test]
    fn a_word_that_acts_on_a_terminal_is_not_shown() {
        assert_eq!(shown(&["haul", "http://h/a", "-o", "a\u{1b}[2Jb"]), None);
    }

    proptest! {
        #[test]
        fn a_shell_takes_a_quoted_word_for_what_it_was(word in any::<String>()) {
            if let Some(quoted) = quoted(&word) {
                prop_assert_eq!(shlex::split(&quoted), Some(vec![word]));
            }
        }
    }
}
