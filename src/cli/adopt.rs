//! `--adopt FILE`: goes on with what another program has begun.

use super::output;
use super::runtime::runtime;
use super::setup::{By, Setup, Wanted};
use crate::error::{Error, Kind};
use crate::formats::aria2_control;
use crate::formats::escape;
use crate::formats::size::format_bytes;
use crate::{ByteRange, Client};
use std::fs;
use std::path::{Path, PathBuf};

/// Size limit of a control file of aria2's, in bytes.
const LARGEST_CONTROL: u64 = 64 << 20;
/// Ending of a file of a browser that may have been received in several places at once, so that it is no prefix.
const OF_SEVERAL_PIECES: &str = ".crdownload";

/// Prepares the download of `wanted` to go on from the file; returns it as it has to be run.
pub(super) fn taken_over(
    path: &Path,
    wanted: Wanted,
    setup: &Setup,
    client: &Client,
) -> Result<Wanted, Error> {
    let shown = escape::for_terminal(&path.to_string_lossy()).into_owned();
    let has_digest = !wanted.request.digests().is_empty();
    let (data, ranges) = ranges(path, &shown, has_digest)?;
    let target = wanted.request.planned_path().ok_or_else(|| {
        Error::usage("--adopt needs the name of the file").with_hint("name it with -o FILE")
    })?;
    let data = moved_aside(data, &target)?;
    let mut job = wanted.job;
    if is_same(&data, &target) {
        // The original is replaced once the whole is proven, and not before.
        job.options.if_exists = Some(crate::IfExists::Overwrite);
    }
    let wanted = Wanted { line: wanted.line, ..setup.resolved(job, By::User)? };
    if crate::inspect(&target).is_ok() {
        output::say(format_args!(
            "haul: note: an unfinished download lies at the target, and goes on; --adopt is left out"
        ));
        return Ok(wanted);
    }
    let runtime = runtime()?;
    let adopted = runtime.block_on(client.adopt(&wanted.request, &data, &ranges));
    runtime.shutdown_background();
    let adopted = adopted.map_err(|error| match error.kind() {
        Kind::Changed => error.retold(format!("{shown} cannot be taken over: {error}")),
        _ => error,
    })?;
    if !setup.options.quiet {
        output::say(format_args!("haul: note: {} of {shown} are taken over", format_bytes(adopted)));
    }
    Ok(wanted)
}

/// File with the bytes, and the ranges of it that are there.
fn ranges(path: &Path, shown: &str, has_digest: bool) -> Result<(PathBuf, Vec<ByteRange>), Error> {
    let named = path.to_string_lossy();
    let (data, control) = match named.strip_suffix(".aria2") {
        Some(data) => (PathBuf::from(data), path.to_owned()),
        None => (path.to_owned(), PathBuf::from(format!("{named}.aria2"))),
    };
    let unreadable = |error: std::io::Error| Error::usage(format!("cannot read {shown}: {error}"));
    let length = fs::metadata(&data).map_err(unreadable)?.len();
    if control.is_file() {
        let bytes = super::bounded::read_bytes(&control, LARGEST_CONTROL).map_err(unreadable)?;
        let (_, there) = aria2_control::parse(&bytes)
            .map_err(|why| Error::usage(format!("{}: {why}", control.display())))?;
        let ranges = there.into_iter().map(|(start, end)| ByteRange::new(start, end.min(length)));
        return Ok((data, ranges.collect()));
    }
    if named.ends_with(OF_SEVERAL_PIECES) && !has_digest {
        return Err(Error::usage(format!("{shown} may have holes, which only a digest can find"))
            .with_hint("give the published digest with --sha256 HEX, --checksum SPEC or --find-checksum"));
    }
    Ok((data, vec![ByteRange::new(0, length)]))
}

/// A file of a browser's may have the very name of haul's own part file: it gets another one.
#[expect(clippy::disallowed_methods, reason = "the user named this file, and its bytes stay as they are")]
fn moved_aside(data: PathBuf, target: &Path) -> Result<PathBuf, Error> {
    let mut own = target.as_os_str().to_owned();
    own.push(".part");
    if !is_same(&data, Path::new(&own)) || crate::inspect(target).is_ok() {
        return Ok(data);
    }
    let mut aside = target.as_os_str().to_owned();
    aside.push(".adopted");
    let aside = PathBuf::from(aside);
    if aside.exists() {
        return Err(Error::new(Kind::Exists, format!("{} is in the way", aside.display())));
    }
    fs::rename(&data, &aside).map_err(|error| Error::disk("cannot rename", &data, &error))?;
    let shown = escape::for_terminal(&aside.to_string_lossy()).into_owned();
    output::say(format_args!("haul: note: it had the name of haul's own part file, and is {shown} now"));
    Ok(aside)
}

fn is_same(one: &Path, other: &Path) -> bool {
    match (one.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other)) => one == other,
        _ => false,
    }
}
