//! `haul rm FILE...`

use super::super::{exit, output};
use crate::error::Error;
use crate::formats::escape;
use std::path::PathBuf;
use std::process::ExitCode;

pub(in super::super) fn run(files: &[PathBuf]) -> Result<ExitCode, Error> {
    let (mut failures, mut told) = (Vec::new(), Ok(()));
    for file in files {
        match crate::discard(file) {
            Ok(()) => {
                let shown = escape::for_terminal(&file.to_string_lossy()).into_owned();
                // A failure to print must not keep the other files from being removed.
                told = told.and(output::print_line(format_args!("{shown}: what was unfinished is removed")));
            }
            Err(error) => {
                failures.push(error.kind());
                output::say_failure(&error);
            }
        }
    }
    told.map(|()| exit::combined(&failures).into())
}
