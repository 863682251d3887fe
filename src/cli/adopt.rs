//! `--adopt FILE`: goes on with what another program has begun.

use super::output;
use super::runtime::runtime;
use super::setup::{Setup, Wanted};
use crate::error::{Error, Kind};
use crate::formats::aria2_control;
use crate::formats::escape;
use crate::formats::size::format_bytes;
use crate::sys;
use crate::{ByteRange, Client, IfExists};
use std::fs;
use std::path::{Path, PathBuf};

/// Size limit of a control file of aria2's, in bytes.
const LARGEST_CONTROL: u64 = 64 << 20;
/// Ending of aria2's control files.
const CONTROL: &str = "aria2";
/// Ending of a file of a browser that may have been received in several places at once, so that it is no prefix.
const OF_SEVERAL_PIECES: &str = "crdownload";

/// File and ranges that another program has left.
struct Left {
    data: PathBuf,
    ranges: Vec<ByteRange>,
    /// The complete length, if that program knew it.
    length: Option<u64>,
}

/// Prepares the download of `wanted` to go on from the file; returns it as it has to be run.
pub(super) fn taken_over(
    path: &Path,
    wanted: Wanted,
    setup: &Setup,
    client: &Client,
) -> Result<Wanted, Error> {
    let Wanted { job, mut request, line } = wanted;
    let target = request.planned_path().ok_or_else(|| {
        Error::usage("--adopt needs the name of the file").with_hint("name it with -o FILE")
    })?;
    if crate::inspect(&target).is_ok() {
        output::say(format_args!(
            "haul: note: an unfinished download lies at the target, and goes on; --adopt is left out"
        ));
        if is_same(&data_of(path).0, &target) {
            request = request.if_exists(IfExists::Overwrite);
        }
        return Ok(Wanted { job, request, line });
    }
    let path = renamed_before(path, &target);
    let shown = escape::for_terminal(&path.to_string_lossy()).into_owned();
    let Left { data, ranges, length } = left(&path, &shown, request.is_proven())?;
    if let Ok(present) = fs::symlink_metadata(&target) {
        let named = escape::for_terminal(&target.to_string_lossy()).into_owned();
        if !present.is_file() {
            return Err(Error::new(Kind::Unsafe, format!("{named} is no regular file")));
        }
        if is_same(&data, &target) {
            // The original is replaced once the whole is proven, and not before.
            request = request.if_exists(IfExists::Overwrite);
        } else if setup.defaults().options.if_exists != Some(IfExists::Overwrite) {
            return Err(Error::new(
                Kind::Exists,
                format!("{named} exists, and is another file than {shown}"),
            )
            .with_hint("move it away, or replace it with --if-exists overwrite"));
        }
    }
    let runtime = runtime()?;
    let adopted = runtime.block_on(client.adopt(&request, &data, &ranges, length));
    runtime.shutdown_background();
    let adopted = adopted.map_err(|error| match error.kind() {
        Kind::Changed => error.retold(format!("{shown} cannot be taken over: {error}")),
        _ => error,
    })?;
    if !setup.options.quiet {
        output::say(format_args!("haul: note: {} of {shown} are taken over", format_bytes(adopted)));
        if !data.exists() {
            output::say(format_args!(
                "haul: note: it had the name of haul's own part file, and ends in .adopted now"
            ));
        }
    }
    Ok(Wanted { job, request, line })
}

/// Returns true for a file that another program has left: haul has not finished it, and has nothing of its own beside it.
pub(super) fn is_foreign(path: &Path) -> bool {
    let Ok(file) = sys::open_to_read(path) else {
        return false;
    };
    let is_regular = file.metadata().is_ok_and(|found| found.is_file() && found.len() > 0);
    is_regular && sys::attribute(&file, SEAL, &mut [0; 16 << 10]).is_none() && crate::inspect(path).is_err()
}

/// Attribute of files that haul has finished.
const SEAL: &str = "user.haul";

/// The file under the name that an earlier run has given it.
fn renamed_before(path: &Path, target: &Path) -> PathBuf {
    let mut aside = target.as_os_str().to_owned();
    aside.push(".adopted");
    let aside = PathBuf::from(aside);
    if !path.exists() && aside.is_file() { aside } else { path.to_owned() }
}

fn left(path: &Path, shown: &str, is_proven: bool) -> Result<Left, Error> {
    let (data, control) = data_of(path);
    let unreadable = |error: std::io::Error| Error::usage(format!("cannot read {shown}: {error}"));
    let there = fs::metadata(&data).map_err(unreadable)?.len();
    if control.is_file() {
        let bytes = super::bounded::read_bytes(&control, LARGEST_CONTROL).map_err(unreadable)?;
        let (length, ranges) = aria2_control::parse(&bytes)
            .map_err(|why| Error::usage(format!("{}: {why}", control.display())))?;
        let ranges = ranges.into_iter().map(|(start, end)| ByteRange::new(start, end.min(there)));
        return Ok(Left { data, ranges: ranges.collect(), length: Some(length) });
    }
    if path.extension().is_some_and(|ending| ending == OF_SEVERAL_PIECES) && !is_proven {
        return Err(Error::usage(format!("{shown} may have holes, which only a digest can find"))
            .with_hint("give the published digest with --sha256 HEX, --checksum SPEC or --find-checksum"));
    }
    Ok(Left { data, ranges: vec![ByteRange::new(0, there)], length: None })
}

/// The file with the bytes, and the control file of aria2's that may lie beside it, given either of them.
fn data_of(path: &Path) -> (PathBuf, PathBuf) {
    if path.extension().is_some_and(|ending| ending == CONTROL) {
        return (path.with_extension(""), path.to_owned());
    }
    let mut control = path.as_os_str().to_owned();
    control.push(".");
    control.push(CONTROL);
    (path.to_owned(), PathBuf::from(control))
}

fn is_same(one: &Path, other: &Path) -> bool {
    matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}
