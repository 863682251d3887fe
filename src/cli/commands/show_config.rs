//! `haul config`: every value, and where it comes from.

use super::super::args::{Digests, Options};
use super::super::host_rules::Place;
use super::super::setup::Setup;
use super::super::{config, output};
use crate::error::Error;
use crate::formats::escape;
use serde_json::json;
use std::fmt;
use std::process::ExitCode;

pub(in super::super) fn run(options: Options, check: bool) -> Result<ExitCode, Error> {
    let before = config::values(&options);
    let json = options.wants_json();
    let filled = config::fill(options)?;
    if check {
        return checked(filled);
    }
    for ((key, value), (_, given)) in config::values(&filled).into_iter().zip(before) {
        let source = Source::of(key, value.is_some(), given.is_some());
        show(json, None, key, value.or_else(|| config::default_of(key)).as_deref(), &source)?;
    }
    for rule in &filled.hosts {
        for (key, value) in rule.shown() {
            let source = rule.place(key).cloned().map_or(Source::Default, Source::File);
            show(json, Some(&rule.pattern), key, Some(&value), &source)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Checks what the file says, and what the files say that it names. Runs no command and asks no server.
fn checked(filled: Options) -> Result<ExitCode, Error> {
    let reads_none = filled.no_config;
    for rule in &filled.hosts {
        rule.check_files()?;
    }
    // A list would be fetched.
    Setup::open(Options { digests: Digests::default(), ..filled }, &[])?.client()?;
    let Some(path) = config::path() else {
        output::print_line("no home directory: there is no file, and the defaults count")?;
        return Ok(ExitCode::SUCCESS);
    };
    let shown = path.display().to_string();
    let shown = escape::for_terminal(&shown);
    match path.exists() && !reads_none {
        true => output::print_line(format_args!("{shown}: ok"))?,
        false if reads_none => output::print_line(format_args!("{shown}: not read, as --no-config says"))?,
        false => output::print_line(format_args!("{shown}: there is no such file, and the defaults count"))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Source of a value.
enum Source {
    Default,
    Flag,
    Variable(String),
    File(Place),
}

impl Source {
    fn of(key: &str, is_there: bool, was_given: bool) -> Self {
        let variable = format!("HAUL_{}", key.to_ascii_uppercase().replace('-', "_"));
        match (is_there, was_given) {
            (false, _) => Self::Default,
            (true, true) if std::env::var_os(&variable).is_some() => Self::Variable(variable),
            (true, true) => Self::Flag,
            (true, false) => config::place_of(key).map_or(Self::Default, Self::File),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Flag => f.write_str("flag"),
            Self::Variable(name) => f.write_str(name),
            Self::File(place) => place.fmt(f),
        }
    }
}

fn show(
    json: bool,
    host: Option<&str>,
    key: &str,
    value: Option<&str>,
    source: &Source,
) -> Result<(), Error> {
    if json {
        let (from, place) = match source {
            Source::Default => ("default", None),
            Source::Flag => ("flag", None),
            Source::Variable(_) => ("environment", None),
            Source::File(place) => ("file", Some(place)),
        };
        let variable = if let Source::Variable(name) = source { Some(name) } else { None };
        return output::print_json(&json!({
            "event": "value", "host": host, "key": key, "value": value, "source": from, "variable": variable,
            "file": place.map(|place| &place.file), "line": place.map(|place| place.line),
        }));
    }
    let (value, source) = (value.unwrap_or("-"), source.to_string());
    let (value, source) = (escape::shown(value), escape::shown(&source));
    match host {
        None => output::print_line(format_args!("{key:<20} {value:<24} {source}")),
        Some(pattern) => {
            let name = format!("host.{pattern:?}.{key}");
            output::print_line(format_args!("{} = {value}  {source}", escape::shown(&name)))
        }
    }
}
