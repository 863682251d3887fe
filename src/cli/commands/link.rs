//! `haul link-aria2c DIR`.

use super::super::output;
use crate::error::{Error, Kind};
use crate::formats::escape;
use std::path::Path;
use std::process::ExitCode;

pub(in super::super) fn run(directory: &Path) -> Result<ExitCode, Error> {
    let program = std::env::current_exe().map_err(|error| {
        Error::new(Kind::Other, format!("this program does not know where it is: {error}"))
    })?;
    let link = directory.join("aria2c");
    crate::sys::make_link(&program, &link).map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => {
            Error::new(Kind::Exists, format!("{} exists and is left as it is", link.display()))
                .with_hint("choose a directory without one, and put it first in PATH")
        }
        _ => Error::disk("cannot make the link", &link, &error),
    })?;
    let link = link.to_string_lossy();
    output::print_line(format_args!("{}", escape::for_terminal(&link)))?;
    Ok(ExitCode::SUCCESS)
}
