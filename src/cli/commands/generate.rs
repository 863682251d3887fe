//! `haul completions SHELL` and `haul man`

use super::super::args::Cli;
use super::super::output;
use crate::error::{Error, Kind};
use clap::CommandFactory as _;
use clap_complete::Shell;
use std::process::ExitCode;

pub(in super::super) fn completions(shell: Shell) -> Result<ExitCode, Error> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "haul", &mut script);
    output::print(&script)?;
    Ok(ExitCode::SUCCESS)
}

pub(in super::super) fn man() -> Result<ExitCode, Error> {
    let mut page = Vec::new();
    let rendered = clap_mangen::Man::new(Cli::command()).render(&mut page);
    rendered.map_err(|error| Error::new(Kind::Other, format!("cannot make the manual page: {error}")))?;
    output::print(&page)?;
    Ok(ExitCode::SUCCESS)
}
