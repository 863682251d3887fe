//! Content of a manifest, for people and programs that ask about an unfinished download.

use super::raw::{Raw, ReadError};
use crate::error::{Error, Kind, Remedy};
use crate::plan::is_whole_record;
use crate::plan::representation::Validators;
use crate::storage::{Identity, Target, is_worked_on, owner};
use crate::sys::Facts as _;
use crate::verify::MinisignSignature;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// State of an unfinished download according to its manifest.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Inspection {
    /// Path of the finished file.
    pub path: PathBuf,
    /// The URL; credentials left out, signatures hidden.
    pub url: String,
    /// True if `url` is whole, so that the download can be resumed from it.
    pub url_is_whole: bool,
    /// The complete length in bytes, if the server stated it.
    pub size: Option<u64>,
    /// Number of bytes durably on disk.
    pub durable: u64,
    /// The expected digests, as `algorithm:hex`.
    pub digests: Vec<String>,
    /// The signature that the file must have.
    pub signature: Option<MinisignSignature>,
    /// Other URLs of the same file, as `url`. Like everything in a manifest they may come from anybody.
    pub mirrors: Vec<String>,
    /// Origin of the document that named the URL, empty if it came from no server. `None` if the user named the URL. No
    /// other server may receive the user's secrets: see
    /// [`Request::named_by_document`](crate::Request::named_by_document).
    pub document: Option<String>,
    /// True if the part file is the one that the manifest was written for, and no other user may have written to
    /// either. If not, both may come from anybody: see
    /// [`Request::named_by_document`](crate::Request::named_by_document).
    pub part_is_recorded: bool,
    /// True if the complete file was refused because its digest did not match.
    pub rejected: bool,
    /// True if a process is working on it; `None` if no lock can tell.
    pub running: Option<bool>,
    /// Time of the last write to the manifest.
    pub modified: Option<SystemTime>,
    /// Version of the resource that the bytes belong to, by the server's validator: an `ETag`, or a `Last-Modified`.
    pub version: Option<String>,
}

/// Reads the manifest of the download to `path`; `path` may also name the part file or the manifest.
///
/// # Errors
/// `NotFound` if there is no unfinished download, `Unsafe` for a manifest of a newer version or a planted one,
/// `Changed` for a damaged one.
pub fn inspect(path: &Path) -> Result<Inspection, Error> {
    let target = Target::from_path(Path::new(""), &named(path))?;
    let manifest = target.manifest_path();
    let raw = Raw::read(&manifest).map_err(|error| error.into_error(&manifest))?;
    // Claims beyond the end are void.
    let end = raw.file.representation.complete_length.unwrap_or(u64::MAX);
    Ok(Inspection {
        path: target.path(),
        url_is_whole: is_whole_record(&raw.file.url),
        url: raw.file.url,
        size: raw.file.representation.complete_length,
        durable: raw.runs.iter().filter(|run| run.range.end() <= end).map(|run| run.range.len()).sum(),
        digests: raw.file.digests,
        signature: raw.file.signature,
        mirrors: raw.file.mirrors,
        document: raw.file.document,
        part_is_recorded: !raw.shared && is_part(&target, raw.file.part),
        rejected: raw.rejected.is_some(),
        running: is_worked_on(&target.part_path()),
        modified: std::fs::symlink_metadata(&manifest).and_then(|manifest| manifest.modified()).ok(),
        version: version(&raw.file.representation.validators),
    })
}

fn version(validators: &Validators) -> Option<String> {
    let tag = validators.etag.as_ref().map(|tag| tag.as_str().to_owned());
    tag.or_else(|| validators.last_modified.clone())
}

/// Returns true if the part file of `target` is the recorded one. Not by the device: many file systems get another
/// number each time they are mounted.
fn is_part(target: &Target, recorded: Identity) -> bool {
    let part = std::fs::symlink_metadata(target.part_path());
    part.is_ok_and(|part| {
        part.identity().1 == recorded.inode && owner::flaw(&part, target.directory()).is_none()
    })
}

/// Final name for a path that may be that of a part file or manifest.
pub(crate) fn named(path: &Path) -> PathBuf {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("part" | "haul") => path.with_extension(""),
        _ => path.to_owned(),
    }
}

impl ReadError {
    /// The failure in words for a person.
    pub(crate) fn into_error(self, path: &Path) -> Error {
        let shown = path.display();
        match self {
            Self::Missing => {
                Error::new(Kind::NotFound, format!("there is no unfinished download at {shown}"))
            }
            Self::Unusable(why) => {
                Error::new(Kind::Changed, format!("the manifest {shown} cannot be used: {why}"))
                    .with_remedy(Remedy::StartOver)
            }
            Self::Newer(version) => Error::new(
                Kind::Unsafe,
                format!("the manifest {shown} was written by a newer haul (format {version})"),
            )
            .with_remedy(Remedy::NewerHaul),
            Self::Planted(what) => Error::new(Kind::Unsafe, format!("the manifest {shown} is {what}"))
                .with_remedy(Remedy::MoveForeignAway),
            Self::Io(error) => Error::disk("cannot read", path, &error),
        }
    }
}
