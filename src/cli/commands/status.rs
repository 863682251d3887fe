//! `haul status PATH...`

use super::super::resume_hint::quoted;
use super::super::{exit, output, render};
use crate::error::{Error, Kind};
use crate::formats::escape;
use crate::formats::size::format_bytes;
use crate::{Inspection, inspect};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

pub(in super::super) fn run(paths: &[PathBuf], json: bool) -> Result<ExitCode, Error> {
    let mut failures = Vec::new();
    for path in paths {
        let found = if path.is_dir() { manifests(path)? } else { vec![path.clone()] };
        for manifest in found {
            match inspect(&manifest) {
                Ok(inspection) if json => output::print_json(&object(&inspection))?,
                Ok(inspection) => output::print(described(&inspection).as_bytes())?,
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

/// Manifests in a directory, sorted.
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

/// Formats one line with progress and URL, and the other facts below it.
fn described(inspection: &Inspection) -> String {
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
    let running = match inspection.running {
        Some(true) => ", running",
        Some(false) => ", not running",
        None => "",
    };
    let age = age(inspection).map_or(String::new(), |age| format!(", saved {} ago", rough(age)));
    let rejected = if inspection.rejected { ", refused: its digest was another one" } else { "" };
    let (path, url) = (escape::for_terminal(&path), escape::shown(&inspection.url));
    let mut text = format!("{path}: {of}{running}{age}{rejected}, from {url}\n");
    let mut fact = |name: &str, value: &str| {
        text.push_str(&format!("  {name:<8} {}\n", escape::for_terminal(value)));
    };
    fact("version", inspection.version.as_deref().unwrap_or("unknown: goes on only with a digest"));
    match inspection.digests.as_slice() {
        [] => fact("digest", "none expected"),
        digests => digests.iter().for_each(|digest| fact("digest", digest)),
    }
    if let Some(signature) = &inspection.signature {
        fact("signed", &format!("by minisign key {} ({})", signature.key().id(), signature.document()));
    }
    match command(inspection) {
        _ if inspection.running == Some(true) => fact("go on", "not needed: another process is at it"),
        Some(command) if inspection.url_is_whole => fact("go on", &command),
        Some(command) => {
            fact("go on", &format!("{command}   with the URL, which was signed and is not kept"));
        }
        None => fact("go on", "run the command again that began it"),
    }
    text
}

/// Command that resumes it; `None` if a name cannot be quoted for a shell.
fn command(inspection: &Inspection) -> Option<String> {
    let (url, range) = inspection.url.split_once("#bytes=").unwrap_or((&inspection.url, ""));
    let url = if inspection.url_is_whole { quoted(url)? } else { "URL".to_owned() };
    let mut command = format!("haul {url} -o {}", quoted(inspection.path.to_str()?)?);
    if !range.is_empty() {
        command += &format!(" --range {}", quoted(range)?);
    }
    for digest in &inspection.digests {
        command += &format!(" --checksum {}", quoted(digest)?);
    }
    if let Some(signature) = &inspection.signature {
        command += &format!(" --minisign {}", quoted(&signature.key().to_string())?);
    }
    Some(command)
}

/// Age of the manifest; `None` if the clock was set back.
pub(super) fn age(inspection: &Inspection) -> Option<Duration> {
    inspection.modified.and_then(|modified| modified.elapsed().ok())
}

/// A duration in rough units.
pub(super) fn rough(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds @ 7200..172_800 => format!("{} h", seconds / 3600),
        seconds => format!("{} days", seconds / 86_400),
    }
}

fn object(inspection: &Inspection) -> serde_json::Value {
    json!({
        "v": 1, "event": "status", "path": inspection.path.to_string_lossy(), "url": inspection.url,
        "size": inspection.size, "durable": inspection.durable, "digests": inspection.digests,
        "key": inspection.signature.as_ref().map(|signature| signature.key().id()),
        "rejected": inspection.rejected, "running": inspection.running,
        "age": age(inspection).map(|age| age.as_secs_f64()), "version": inspection.version,
        "command": command(inspection).filter(|_| inspection.url_is_whole),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_told_in_the_unit_that_people_use() {
        let said = |seconds| rough(Duration::from_secs(seconds));
        assert_eq!([said(5), said(119), said(180)], ["5 s", "119 s", "3 min"]);
        assert_eq!([said(7300), said(260_000)], ["2 h", "3 days"]);
    }
}
