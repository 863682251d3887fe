//! `--adopt FILE`: goes on with what another program has begun.

use super::output;
use super::runtime::runtime;
use super::setup::{Setup, Wanted};
use crate::error::{Error, Kind};
use crate::formats::aria2_control;
use crate::formats::escape;
use crate::formats::size::format_bytes;
use crate::sys::Facts as _;
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

/// Refuses what is no file, before anything is fetched.
///
/// # Errors
/// `Usage`.
pub(super) fn check(path: &Path) -> Result<(), Error> {
    let (data, _) = data_of(path);
    match fs::metadata(&data) {
        Ok(there) if !there.is_file() => {
            let shown = escape::for_terminal(&data.to_string_lossy()).into_owned();
            let what = if there.is_dir() { "a directory" } else { "no regular file" };
            Err(Error::usage(format!("--adopt: {shown} is {what}"))
                .with_hint("name the file that the other program has begun"))
        }
        _ => Ok(()),
    }
}

/// Removes the control file of aria2's beside the file that is complete now. That of a file under another name stays, as that file does.
#[expect(
    clippy::disallowed_methods,
    reason = "the control file of another program, whose download has ended"
)]
pub(super) fn finish(control: Option<&Path>) {
    if let Some(control) = control
        && let Err(error) = fs::remove_file(control)
    {
        let shown = escape::for_terminal(&control.to_string_lossy()).into_owned();
        output::say(format_args!(
            "haul: warning: {shown} is not needed any more, and cannot be removed: {error}"
        ));
    }
}

/// Prepares the download of `wanted` to go on from the file; returns it as it has to be run, and the control file that has no use once it
/// has ended.
pub(super) fn taken_over(
    path: &Path,
    wanted: Wanted,
    setup: &Setup,
    client: &Client,
) -> Result<(Wanted, Option<PathBuf>), Error> {
    let Wanted { job, mut request, line } = wanted;
    let target = request.planned_path().ok_or_else(|| {
        Error::usage("--adopt needs the name of the file").with_hint("name it with -o FILE")
    })?;
    if crate::inspect(&target).is_ok() {
        output::say(format_args!(
            "haul: note: an unfinished download lies at the target, and goes on; --adopt is left out"
        ));
        let (data, control) = data_of(path);
        let is_target = is_same(&data, &target);
        if is_target {
            if !request.is_proven() && !aside_of(&target).exists() {
                keep_original(&data, &target, setup.options.quiet)?;
            }
            request = request.if_exists(IfExists::Overwrite);
        }
        let control = Some(control).filter(|control| request.is_proven() && is_target && control.is_file());
        return Ok((Wanted { job, request, line }, control));
    }
    let path = renamed_before(path, &target);
    let shown = escape::for_terminal(&path.to_string_lossy()).into_owned();
    let Left { data, ranges, length } = left(&path, &shown, request.is_proven())?;
    let control = Some(data_of(&path).1)
        .filter(|control| request.is_proven() && is_same(&data, &target) && control.is_file());
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
    let samples_only = !request.is_proven();
    let keeps = samples_only && is_same(&data, &target);
    let runtime = runtime()?;
    let adopted = runtime.block_on(client.adopt(&request, &data, &ranges, length));
    runtime.shutdown_background();
    let adopted = adopted.map_err(|error| match error.kind() {
        Kind::Changed => error.retold(format!("{shown} cannot be taken over: {error}")),
        _ => error,
    })?;
    if !setup.options.quiet {
        output::say(format_args!("haul: note: {} of {shown} are taken over", format_bytes(adopted)));
        if samples_only {
            output::say(format_args!(
                "haul: note: samples of them are those of the server; only a digest proves them all (--sha256 HEX)"
            ));
        }
        if !data.exists() {
            output::say(format_args!(
                "haul: note: it had the name of haul's own part file, and ends in .adopted now"
            ));
        }
    }
    if keeps {
        keep_original(&data, &target, setup.options.quiet)?;
    }
    Ok((Wanted { job, request, line }, control))
}

/// Gives a file that the download would replace, without a digest to prove that, a second name.
fn keep_original(data: &Path, target: &Path, quiet: bool) -> Result<(), Error> {
    let aside = aside_of(target);
    if is_link_of(&aside, data) {
        return Ok(());
    }
    let kept = fs::hard_link(data, &aside).or_else(|_| fs::copy(data, &aside).map(drop));
    kept.map_err(|error| Error::disk("cannot keep the original as", &aside, &error))?;
    if !quiet {
        let shown = aside.to_string_lossy();
        output::say(format_args!(
            "haul: note: the original stays as {}: remove it once the file is known to be right",
            escape::for_terminal(&shown)
        ));
    }
    Ok(())
}

/// Name of an original that makes way.
fn aside_of(target: &Path) -> PathBuf {
    let mut aside = target.as_os_str().to_owned();
    aside.push(".adopted");
    PathBuf::from(aside)
}

/// Returns true for a file that another program has left: haul has not finished it, and has nothing of its own beside it.
pub(super) fn is_foreign(path: &Path) -> bool {
    let is_there = fs::symlink_metadata(path).is_ok_and(|found| found.is_file() && found.len() > 0);
    is_there && !crate::is_finished(path) && crate::inspect(path).is_err()
}

/// The file under the name that an earlier run has given it.
fn renamed_before(path: &Path, target: &Path) -> PathBuf {
    let aside = aside_of(target);
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

/// Returns true if both are names of one file, as a run that was killed leaves them.
fn is_link_of(one: &Path, other: &Path) -> bool {
    let identity = |path: &Path| path.symlink_metadata().map(|metadata| metadata.identity());
    matches!((identity(one), identity(other)), (Ok(one), Ok(other)) if one == other)
}
