//! The command line: arguments to settings, settings to downloads, downloads to lines on a screen.
//!
//! Nothing below this module knows that a terminal exists.

mod args;
mod batch;
mod bounded;
mod canvas;
mod colour;
mod commands;
mod config;
mod digests;
mod document;
mod exit;
mod failure;
mod foreign;
mod list;
mod names;
mod output;
mod render;
mod resume_hint;
mod secrets;
mod setup;
mod signals;

use crate::error::Error;
use args::{Cli, Command};
use clap::{CommandFactory as _, FromArgMatches as _};
use resume_hint::ResumeHint;
use std::ffi::OsString;
use std::process::ExitCode;

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    run_with(std::env::args_os())
}

/// Runs the command line with these arguments, the program's name first, and says how it ended.
///
/// A signal that interrupted it is raised again once everything is saved, so that this does not return then.
pub fn run_with(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<_> = args.into_iter().collect();
    let parsed = Cli::command().try_get_matches_from(&args);
    let parsed = parsed.and_then(|matches| Ok((Cli::from_arg_matches(&matches)?, ResumeHint::new(matches))));
    let (cli, hint) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => return foreign::explain(&error, &args),
    };
    colour::decide(cli.colour());
    let outcome = match cli.command {
        None => commands::fetch::run(cli.options, &cli.urls, &hint),
        Some(Command::Info { urls, options }) => commands::info::run(*options, &urls),
        Some(Command::Status { paths, json }) => commands::status::run(&paths, json),
        Some(Command::Verify { file, repair, options }) => {
            commands::verify::run(&file, repair, *options, &hint)
        }
        Some(Command::Resume { places, options }) => commands::resume::run(*options, &places, &hint),
        Some(Command::Rm { files }) => commands::rm::run(&files),
        Some(Command::Completions { shell }) => commands::generate::completions(shell),
        Some(Command::Man) => commands::generate::man(),
    };
    outcome.unwrap_or_else(|error| fail(&error))
}

fn fail(error: &Error) -> ExitCode {
    output::say_failure(error);
    exit::code(error.kind()).into()
}
