//! `haul completions SHELL` and `haul man`

use super::super::args::Cli;
use crate::error::{Error, Kind};
use clap::CommandFactory as _;
use clap_complete::Shell;
use std::io::Write as _;
use std::process::ExitCode;

pub(in super::super) fn completions(shell: Shell) -> Result<ExitCode, Error> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "haul", &mut script);
    print(&script)
}

pub(in super::super) fn man() -> Result<ExitCode, Error> {
    let mut page = Vec::new();
    let rendered = clap_mangen::Man::new(Cli::command()).render(&mut page);
    rendered.map_err(|error| Error::new(Kind::Other, format!("cannot make the manual page: {error}")))?;
    print(&page)
}

fn print(text: &[u8]) -> Result<ExitCode, Error> {
    let written = std::io::stdout().write_all(text);
    written.map_err(|error| Error::new(Kind::Disk, format!("cannot write to the output: {error}")))?;
    Ok(ExitCode::SUCCESS)
}
