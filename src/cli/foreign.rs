//! Mistakes on the command line, and flags that have another meaning in other programs.

use super::{environment, exit, output, render};
use crate::error::Error;
use crate::formats::redaction;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use std::ffi::OsString;
use std::process::ExitCode;

/// Flags of curl, wget and aria2 that haul does not have, and what to use instead.
const FOREIGN: [(&str, &str); 26] = [
    ("-c", "haul resumes by itself: run the same command again"),
    ("-C", "haul resumes by itself: run the same command again"),
    ("--continue", "haul resumes by itself: run the same command again"),
    ("--continue-at", "haul resumes by itself: run the same command again"),
    ("-O", "haul names the file after the URL by itself; another name is given with -o FILE"),
    ("--remote-name", "haul names the file after the URL by itself"),
    ("-J", "the server's name for the file is taken with --content-disposition"),
    ("-L", "haul follows redirects by itself; --max-redirs limits them"),
    ("--location", "haul follows redirects by itself; --max-redirs limits them"),
    ("-s", "the number of connections is -x; silence is -q"),
    ("--split", "the number of connections is -x"),
    ("-P", "the directory is given with -d DIR"),
    ("-f", "haul always fails on an error of the server"),
    ("--fail", "haul always fails on an error of the server"),
    ("-t", "the number of retries is --retry N"),
    ("--tries", "the number of retries is --retry N"),
    ("-S", "haul shows errors by itself; more is shown with -v"),
    ("-N", "haul compares an existing file by itself; see --if-exists"),
    ("-T", "timeouts are --connect-timeout, --first-byte-timeout and --stall-timeout"),
    ("-X", "haul only downloads; the directory for -d is created by itself"),
    ("-R", "the server's time is kept with --remote-time"),
    ("-M", "a Metalink document is given with --metalink"),
    ("--metalink-file", "a Metalink document is given with --metalink"),
    ("--netrc-path", "a netrc file is given with --netrc-file"),
    ("--pinnedpubkey", "public keys are pinned with --pin sha256//BASE64"),
    ("-I", "haul info URL shows what the server says"),
];

/// Prints help if it was asked for, and otherwise the error, on one line.
pub(super) fn explain(error: &clap::Error, args: &[OsString]) -> ExitCode {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        // A reader that closed the pipe early has seen enough.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    let cause = match environment::blamed(error, args) {
        Some(variable) => format!("{variable}: {}", cause(error)),
        None => cause(error),
    };
    let hint = instead(error, args).unwrap_or("haul --help shows what there is");
    let refused = Error::usage(cause).with_hint(hint);
    output::say_failure(&refused);
    let code = exit::code(refused.kind());
    if wants_json(args) {
        render::tell_failed_run(&refused, code);
    }
    code.into()
}

/// Returns true if JSON events are asked for, as far as unparsable arguments show it.
fn wants_json(args: &[OsString]) -> bool {
    let words = || args.iter().take_while(|word| *word != "--");
    let is_flag = |word: &OsString| word == "--json" || word == "--progress=json";
    let mut pairs = words().zip(words().skip(1));
    let progress = |word: &OsString| word.to_string_lossy().starts_with("--progress");
    words().any(is_flag)
        || pairs.any(|(flag, value)| flag == "--progress" && value == "json")
        || (!words().any(progress) && std::env::var_os("HAUL_PROGRESS").is_some_and(|style| style == "json"))
}

fn cause(error: &clap::Error) -> String {
    let text = error.to_string();
    let mut lines = text.lines().map(str::trim).take_while(|line| !line.is_empty());
    let first = lines.next().unwrap_or("the arguments make no sense");
    let first = first.strip_prefix("error: ").unwrap_or(first).to_owned();
    let whole = lines.fold(first, |text, line| format!("{text} {line}"));
    without_secrets(error, whole)
}

/// Hides a refused value, which clap quotes, if it may be a URL: in curl, `-x` is the proxy.
fn without_secrets(error: &clap::Error, text: String) -> String {
    let quoted =
        [ContextKind::InvalidValue, ContextKind::InvalidArg].into_iter().filter_map(|kind| error.get(kind));
    quoted.fold(text, |text, value| match value {
        ContextValue::String(value) if redaction::is_like_url(value) => {
            text.replace(value, &redaction::refused(value))
        }
        _ => text,
    })
}

fn instead(error: &clap::Error, args: &[OsString]) -> Option<&'static str> {
    if error.kind() != ErrorKind::UnknownArgument {
        return None;
    }
    let Some(ContextValue::String(argument)) = error.get(ContextKind::InvalidArg) else {
        return None;
    };
    let known = |flag: &str| FOREIGN.iter().find(|(foreign, _)| *foreign == flag).map(|(_, hint)| *hint);
    // clap reports `-c` for `-c`, but also for a cluster like `-cv`; the words as typed decide.
    let typed = args.iter().filter_map(|arg| arg.to_str()).any(|arg| arg.starts_with(argument.as_str()));
    known(argument).filter(|_| typed || argument.starts_with('-'))
}
