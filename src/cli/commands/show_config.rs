//! `haul config`: every value, and where it comes from.

use super::super::args::Options;
use super::super::{config, output};
use crate::error::Error;
use crate::formats::escape;
use std::process::ExitCode;

pub(in super::super) fn run(options: Options, check: bool) -> Result<ExitCode, Error> {
    let before = config::values(&options);
    let path = config::path();
    let filled = config::fill(options)?;
    if check {
        let shown = path.map_or_else(|| "no home directory".to_owned(), |path| path.display().to_string());
        output::print_line(format_args!("{}: ok", escape::for_terminal(&shown)))?;
        return Ok(ExitCode::SUCCESS);
    }
    for ((key, value), (_, given)) in config::values(&filled).into_iter().zip(before) {
        let variable = format!("HAUL_{}", key.to_ascii_uppercase().replace('-', "_"));
        let source = match (&value, given) {
            (None, _) => "default".to_owned(),
            (Some(_), Some(_)) if std::env::var_os(&variable).is_some() => variable,
            (Some(_), Some(_)) => "flag".to_owned(),
            (Some(_), None) => config::place_of(key),
        };
        let value = value.unwrap_or_else(|| "-".to_owned());
        output::print_line(format_args!(
            "{key:<20} {:<24} {}",
            escape::shown(&value),
            escape::shown(&source)
        ))?;
    }
    for rule in &filled.hosts {
        for (key, value) in rule.shown() {
            let name = format!("host.{:?}.{key}", rule.pattern);
            output::print_line(format_args!("{} = {}", escape::shown(&name), escape::shown(&value)))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
