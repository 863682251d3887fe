//! `haul rm FILE...`

use super::super::{exit, failure};
use crate::error::Error;
use crate::formats::escape;
use std::path::PathBuf;
use std::process::ExitCode;

pub(in super::super) fn run(files: &[PathBuf]) -> Result<ExitCode, Error> {
    let mut failures = Vec::new();
    for file in files {
        match crate::discard(file) {
            Ok(()) => {
                println!("{}: what was unfinished is removed", escape::for_terminal(&file.to_string_lossy()));
            }
            Err(error) => {
                failures.push(error.kind());
                failure::lines(&error).iter().for_each(|line| eprintln!("{line}"));
            }
        }
    }
    Ok(exit::combined(&failures).into())
}
