//! `haul rm FILE...`

use super::super::{exit, output};
use crate::error::Error;
use crate::formats::escape;
use std::path::PathBuf;
use std::process::ExitCode;

pub(in super::super) fn run(files: &[PathBuf]) -> Result<ExitCode, Error> {
    let mut failures = Vec::new();
    for file in files {
        match crate::discard(file) {
            Ok(()) => {
                let shown = escape::for_terminal(&file.to_string_lossy()).into_owned();
                output::print_line(format_args!("{shown}: what was unfinished is removed"))?;
            }
            Err(error) => {
                failures.push(error.kind());
                output::say_failure(&error);
            }
        }
    }
    Ok(exit::combined(&failures).into())
}
