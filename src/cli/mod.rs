//! The command line: arguments to settings, settings to downloads, downloads to lines on a screen.
//!
//! Nothing below this module knows that a terminal exists.

mod adopt;
mod apt;
mod args;
mod aria2c;
mod base;
mod batch;
mod beside;
mod bounded;
mod canvas;
mod colour;
mod columns;
mod commands;
mod completion;
mod config;
mod digests;
mod document;
mod environment;
mod examples;
mod exit;
mod failure;
mod failures;
#[cfg(feature = "fleet")]
mod fleet_options;
#[cfg(feature = "fleet")]
mod fleet_server;
mod foreign;
mod hooks;
mod host_rules;
mod incoming;
mod into_s3;
mod keyring;
mod lfs;
mod list;
mod lock_file;
mod manual;
mod names;
mod of_one_run;
mod output;
mod places;
mod printed;
mod refresh;
mod remedy;
mod render;
mod resume_hint;
mod runtime;
mod s3_flags;
mod secrets;
mod setup;
mod signals;
mod signatures;
#[cfg(test)]
mod snapshot;
mod spool;
mod stamps;
mod unsaved;
mod uploads;
mod values;
mod verbose;

use crate::error::{Error, Kind};
use args::{Cli, Command, Options};
use clap::FromArgMatches as _;
use resume_hint::ResumeHint;
use std::ffi::OsString;
use std::process::ExitCode;

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    run_with(std::env::args_os())
}

/// Runs the command line with these arguments, the program's name first, and returns its exit code.
///
/// A signal that interrupted the run is raised again once everything is saved, so this does not return then.
pub fn run_with(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<_> = args.into_iter().collect();
    if apt::called(&args) {
        return apt::run();
    }
    match aria2c::called(&args) {
        Some(rest) => as_aria2c(rest),
        None => as_haul(&args, None),
    }
}

/// Runs in place of aria2c.
fn as_aria2c(args: &[OsString]) -> ExitCode {
    let asked = aria2c::asked(args, |path| {
        let home = std::env::home_dir().map(|home| home.join(".aria2/aria2.conf"));
        let named = path.map(std::path::PathBuf::from);
        match (named, home) {
            (Some(path), _) => {
                let text = bounded::read_lossy(&path, LARGEST_OPTIONS);
                text.map(Some).map_err(|error| format!("cannot read {}: {error}", path.display()))
            }
            (None, Some(path)) => Ok(bounded::read_lossy(&path, LARGEST_OPTIONS).ok()),
            (None, None) => Ok(None),
        }
    });
    let failed = |code: u8| ExitCode::from(aria2c::exit_code(code));
    match asked {
        Ok(aria2c::Invocation::Version) => printed(&aria2c::version()),
        Ok(aria2c::Invocation::Help) => printed(&aria2c::help()),
        Ok(aria2c::Invocation::Haul { args, notes, beside }) => {
            aria2c::tell(&notes);
            remedy::speak_as_aria2c();
            as_haul(&args, Some(beside))
        }
        Err(why) => {
            output::say_failure(&Error::usage(why));
            failed(exit::code(crate::Kind::Usage))
        }
    }
}

/// Size limit of a file of options, in bytes.
const LARGEST_OPTIONS: u64 = 1 << 20;

fn printed(text: &str) -> ExitCode {
    match output::print(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => ExitCode::from(exit::code(error.kind())),
    }
}

/// Runs haul's own command line; with `aria2` if it stands for one of aria2c's, whose exit codes it has then.
fn as_haul(args: &[OsString], aria2: Option<aria2c::Beside>) -> ExitCode {
    let parsed = args::command().try_get_matches_from(args);
    let parsed = parsed.and_then(|matches| Ok((Cli::from_arg_matches(&matches)?, ResumeHint::new(matches))));
    let (mut cli, hint) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => {
            let code = foreign::explain(&error, args);
            return if aria2.is_some() { aria2c::exit_code(exit::code(Kind::Usage)).into() } else { code };
        }
    };
    let as_aria2 = aria2.is_some();
    if let Some(beside) = aria2 {
        (cli.options.as_aria2, cli.options.goes_on) = (true, beside.goes_on);
        if let (Some(Command::Serve { serve, .. }), Some(mut given)) = (&mut cli.command, beside.serving) {
            serve.secret = given.secret.take();
            serve.aria2 = Some(given);
        }
    }
    colour::decide(cli.colour());
    let options = cli.options();
    if options.is_some_and(|options| !options.quiet) {
        environment::warn_of_unknown();
    }
    let telling = match &cli.command {
        Some(Command::Status { json, .. }) => Telling::by(*json),
        #[cfg(feature = "fleet")]
        Some(Command::Submit(submit)) => Telling::by(submit.reach.json),
        #[cfg(feature = "fleet")]
        Some(Command::Fleet { command }) => Telling::by(command.wants_json()),
        _ => Telling::of(options),
    };
    let outcome = match cli.command {
        None => commands::fetch::run(cli.options, &cli.urls, &hint),
        Some(Command::Info { urls, options }) => commands::info::run(*options, &urls),
        Some(Command::Status { paths, json }) => commands::status::run(&paths, json),
        Some(Command::Verify { files, repair, url, options }) => {
            commands::verify::run(&files, (repair, url), *options, &hint)
        }
        Some(Command::Pieces { file, urls }) => commands::pieces::run(&file, &urls),
        Some(Command::Resume { places, options }) => commands::resume::run(*options, &places, &hint),
        Some(Command::Add { urls, lock, options }) => commands::add::run(&lock, &urls, *options, &hint),
        Some(Command::Sync { sync, options }) => commands::sync::run(&sync, *options, &hint),
        Some(Command::Config { check, options }) => commands::show_config::run(*options, check),
        Some(Command::Serve { serve, options }) => commands::serve::run(&serve, *options),
        #[cfg(feature = "fleet")]
        Some(Command::Submit(submit)) => commands::submit::run(&submit),
        #[cfg(feature = "fleet")]
        Some(Command::Worker { worker, options }) => commands::worker::run(&worker, *options),
        #[cfg(feature = "fleet")]
        Some(Command::Fleet { command }) => commands::fleet::run(&command),
        Some(Command::Aria2c { arguments }) => return as_aria2c(&arguments),
        Some(Command::AptMethod) => return apt::run(),
        Some(Command::LfsAgent) => lfs::run(),
        Some(Command::LinkAria2c { dir }) => commands::link::run(&dir),
        Some(Command::Ctl(ctl)) => commands::ctl::run(&ctl),
        Some(Command::Rm { files }) => commands::rm::run(&files),
        Some(Command::Completions { shell, .. }) => commands::generate::completions(shell),
        Some(Command::Man { page, dir }) => commands::generate::man(page.as_deref(), dir.as_deref()),
    };
    outcome.unwrap_or_else(|error| fail(&error, telling.in_json(), &hint, as_aria2))
}

/// Format in which a failure of the whole run is reported.
enum Telling {
    InWords,
    InJson,
    /// The configuration decides, so it has to be read.
    AsConfigured(Box<Options>),
}

impl Telling {
    fn by(json: bool) -> Self {
        if json { Self::InJson } else { Self::InWords }
    }

    fn of(options: Option<&Options>) -> Self {
        match options {
            Some(options) if options.wants_json() => Self::InJson,
            Some(options) if options.progress.is_none() => Self::AsConfigured(Box::new(options.clone())),
            _ => Self::InWords,
        }
    }

    fn in_json(self) -> bool {
        match self {
            Self::InWords => false,
            Self::InJson => true,
            // An invalid configuration is the very error being reported.
            Self::AsConfigured(options) => config::fill(*options).is_ok_and(|options| options.wants_json()),
        }
    }
}

/// Reports the error that ended a run before any download, or after everything else was reported.
fn fail(error: &Error, json: bool, hint: &ResumeHint, as_aria2: bool) -> ExitCode {
    let signal = signals::interruption(error);
    let code = signal.map_or(exit::code(error.kind()), exit::code_of_signal);
    output::say_failure(error);
    if signal.is_some() {
        output::say(format_args!("  next: {hint}"));
    }
    if json {
        render::tell_failed_run(error, code);
    }
    if as_aria2 {
        return aria2c::code_of(error).into();
    }
    if let Some(signal) = signal {
        signals::die_of(signal);
    }
    code.into()
}
