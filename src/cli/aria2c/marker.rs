//! Markers beside unfinished files, for scripts that look for those of aria2.

use super::super::bounded;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;

/// Marker beside an unfinished file, for scripts that look for one of aria2's.
pub(in super::super) fn marker(path: &Path) -> std::path::PathBuf {
    let mut name = path.file_name().unwrap_or(OsStr::new("")).to_owned();
    name.push(".aria2");
    path.with_file_name(name)
}

/// Content of a marker of an unfinished file.
const MARKER: &str = "haul: the file beside this is unfinished; run the same command again\n";

/// Writes a marker, unless there is a file of that name, which may be aria2's own.
pub(in super::super) fn write_marker(path: &Path) -> io::Result<()> {
    File::create_new(path)?.write_all(MARKER.as_bytes())
}

/// Removes a marker, if it is haul's.
#[expect(clippy::disallowed_methods, reason = "a marker is no download")]
pub(in super::super) fn remove_marker(path: &Path) -> io::Result<()> {
    match bounded::read(path, MARKER.len() as u64) {
        Ok(text) if text == MARKER => std::fs::remove_file(path),
        _ => Ok(()),
    }
}
