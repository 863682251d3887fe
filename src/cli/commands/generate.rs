//! `haul completions SHELL` and `haul man`

use super::super::args::Options;
use super::super::{completion, config, manual, output};
use crate::error::{Error, Kind};
use crate::formats::escape;
use clap_complete::Shell;
use std::path::Path;
use std::process::ExitCode;

/// Prints the script for a shell, or the hosts of the configuration.
pub(in super::super) fn completions(shell: Option<Shell>) -> Result<ExitCode, Error> {
    if let Some(shell) = shell {
        output::print(completion::script(shell).as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    }
    for rule in config::fill(Options::default())?.hosts {
        output::print_line(escape::for_terminal(&rule.pattern))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints a page, or writes all of them.
pub(in super::super) fn man(page: Option<&str>, directory: Option<&Path>) -> Result<ExitCode, Error> {
    let pages = manual::pages();
    if let Some(directory) = directory {
        for page in &pages {
            write(directory, &page.file_name(), &rendered(page)?)
                .map_err(|error| Error::disk("cannot write the manual to", directory, &error))?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let wanted = page.map_or("haul", |page| page.strip_prefix("haul-").unwrap_or(page));
    let page = pages.iter().find(|page| page.name() == wanted).ok_or_else(|| {
        let names: Vec<_> = pages.iter().map(manual::Page::name).collect();
        let shown = escape::for_terminal(wanted).into_owned();
        Error::usage(format!("there is no page for {shown}"))
            .with_hint(format!("the pages are {}", names.join(", ")))
    })?;
    output::print(&rendered(page)?)?;
    Ok(ExitCode::SUCCESS)
}

fn rendered(page: &manual::Page) -> Result<Vec<u8>, Error> {
    let failed = |error| Error::new(Kind::Other, format!("cannot make the manual page: {error}"));
    page.render().map_err(failed)
}

#[expect(clippy::disallowed_methods, reason = "a directory that the user names, for pages of the manual")]
fn write(directory: &Path, name: &str, page: &[u8]) -> std::io::Result<()> {
    std::fs::create_dir_all(directory)?;
    std::fs::write(directory.join(name), page)
}
