//! `HAUL_…` variables: finds the one that an error is about, and unknown ones.

use super::args::Cli;
use super::{output, refresh};
use crate::formats::escape;
use clap::error::{ContextKind, ContextValue};
use clap::{Arg, Command, CommandFactory as _};
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};

/// Returns the variable that holds the invalid value; `None` if the value was given on the command line.
pub(super) fn blamed(error: &clap::Error, args: &[OsString]) -> Option<String> {
    let Some(ContextValue::String(shown)) = error.get(ContextKind::InvalidArg) else {
        return None;
    };
    let mut command = Cli::command();
    // An unbuilt command cannot show its arguments.
    command.build();
    let arg = all_args(&command).find(|arg| arg.to_string() == *shown)?;
    let variable = arg.get_env().filter(|name| std::env::var_os(name).is_some())?;
    let is_given = args.iter().skip(1).any(|word| gives(word, arg));
    (!is_given).then(|| variable.to_string_lossy().into_owned())
}

fn gives(word: &OsStr, arg: &Arg) -> bool {
    let word = word.to_string_lossy();
    let long = arg.get_long().is_some_and(|long| {
        let name = word.strip_prefix("--").map(|word| word.split('=').next().unwrap_or(word));
        name == Some(long)
    });
    let short = arg.get_short().is_some_and(|short| {
        word.strip_prefix('-').is_some_and(|cluster| !cluster.starts_with('-') && cluster.contains(short))
    });
    long || short
}

/// Warns of variables that begin like haul's and are unknown: most often they are misspelt.
pub(super) fn warn_of_unknown() {
    let set = std::env::vars_os().map(|(name, _)| name);
    for name in unknown(set) {
        let name = escape::for_terminal(&name).into_owned();
        let name = escape::clip(&name, 100);
        output::say(format_args!(
            "haul: warning: haul knows no variable {name}; haul --help names those it knows"
        ));
    }
}

fn unknown(set: impl Iterator<Item = OsString>) -> BTreeSet<String> {
    let names = set.map(|name| name.to_string_lossy().into_owned());
    let mut names: BTreeSet<_> = names.filter(|name| name.starts_with("HAUL_")).collect();
    if !names.is_empty() {
        let command = Cli::command();
        let known = all_args(&command).filter_map(Arg::get_env);
        known.for_each(|name| _ = names.remove(&*name.to_string_lossy()));
        // A command of `--refresh-cmd` may run haul.
        names.remove(refresh::URL_VARIABLE);
        // So may one of `--on-done` and `--on-error`.
        for name in super::hooks::VARIABLES {
            names.remove(name);
        }
    }
    names
}

fn all_args(command: &Command) -> impl Iterator<Item = &Arg> {
    command.get_arguments().chain(command.get_subcommands().flat_map(Command::get_arguments))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_that_means_nothing_is_known_by_its_name() {
        let set = ["HAUL_CONECTIONS", "HAUL_JOBS", "HAUL", "HAULX", "PATH", "HAUL_", "HAUL_MAX_SIZE"];
        let found: Vec<_> = unknown(set.into_iter().map(OsString::from)).into_iter().collect();
        assert_eq!(found, ["HAUL_", "HAUL_CONECTIONS"]);
    }

    #[test]
    fn a_flag_is_seen_in_whatever_way_it_is_given() {
        let command = Cli::command();
        let arg = all_args(&command).find(|arg| arg.get_long() == Some("connections")).unwrap();
        for word in ["-x", "-x4", "-qx", "--connections", "--connections=4"] {
            assert!(gives(OsStr::new(word), arg), "{word}");
        }
        for word in ["x", "--x", "-j", "--connections-4", "http://h/x"] {
            assert!(!gives(OsStr::new(word), arg), "{word}");
        }
    }
}
