//! `haul verify FILE`

use super::super::args::Digests;
use super::super::session;
use crate::error::{Error, Kind};
use crate::formats::escape;
use std::path::Path;
use std::process::ExitCode;

pub(in super::super) fn run(file: &Path, digests: &Digests) -> Result<ExitCode, Error> {
    let digests = session::digests(digests)?;
    let shown = escape::for_terminal(&file.to_string_lossy()).into_owned();
    if digests.is_empty() {
        return unfinished(file, &shown);
    }
    for digest in crate::verify_file(file, &digests)? {
        println!("{shown}: {digest}");
    }
    Ok(ExitCode::SUCCESS)
}

/// Without a digest, only an unfinished file has something to be held against.
fn unfinished(file: &Path, shown: &str) -> Result<ExitCode, Error> {
    let damaged = crate::audit(file).map_err(|error| match error.kind() {
        Kind::NotFound => Error::usage(format!("there is nothing to hold {shown} against"))
            .with_hint("give the published digest with --sha256 HEX or --checksum SPEC"),
        _ => error,
    })?;
    if damaged.is_empty() {
        println!("{shown}: every recorded piece is intact");
        return Ok(ExitCode::SUCCESS);
    }
    let ranges: Vec<_> =
        damaged.iter().map(|range| format!("{}-{}", range.start(), range.end() - 1)).collect();
    Err(Error::new(Kind::Checksum, format!("{shown}: damaged at bytes {}", ranges.join(", ")))
        .with_hint("run the download again: only what is damaged or missing is fetched"))
}
