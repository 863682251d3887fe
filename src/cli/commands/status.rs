//! `haul status PATH...`

use super::super::{exit, output, render};
use crate::error::{Error, Kind};
use crate::formats::escape;
use crate::formats::size::format_bytes;
use crate::{Inspection, inspect};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

pub(in super::super) fn run(paths: &[PathBuf], json: bool) -> Result<ExitCode, Error> {
    let mut failures = Vec::new();
    for path in paths {
        let found = if path.is_dir() { manifests(path)? } else { vec![path.clone()] };
        for manifest in found {
            match inspect(&manifest) {
                Ok(inspection) if json => output::print_json(&object(&inspection))?,
                Ok(inspection) => output::print_line(line(&inspection))?,
                Err(error) => {
                    failures.push(error.kind());
                    output::say_failure(&error);
                    if json {
                        render::tell_error(&error, exit::code(error.kind()))?;
                    }
                }
            }
        }
    }
    Ok(exit::combined(&failures).into())
}

/// The manifests in a directory, sorted.
pub(super) fn manifests(directory: &Path) -> Result<Vec<PathBuf>, Error> {
    let failed = |error: std::io::Error| {
        Error::new(Kind::Disk, format!("cannot read {}: {error}", directory.display()))
    };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|extension| extension == "haul") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn line(inspection: &Inspection) -> String {
    let path = inspection.path.to_string_lossy();
    let durable = format_bytes(inspection.durable);
    let of = match inspection.size {
        Some(size) => {
            let percent =
                if size == 0 { 100 } else { u128::from(inspection.durable) * 100 / u128::from(size) };
            format!("{percent}%, {durable} of {}", format_bytes(size))
        }
        None => format!("{durable} of an unknown size"),
    };
    let rejected = if inspection.rejected { ", refused: its digest was another one" } else { "" };
    format!("{}: {of}{rejected}, from {}", escape::for_terminal(&path), escape::shown(&inspection.url))
}

fn object(inspection: &Inspection) -> serde_json::Value {
    json!({
        "v": 1, "event": "status", "path": inspection.path.to_string_lossy(), "url": inspection.url,
        "size": inspection.size, "durable": inspection.durable, "digests": inspection.digests,
        "rejected": inspection.rejected,
    })
}
