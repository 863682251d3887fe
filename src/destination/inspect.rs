//! Preparation before the first request: inspects the target and the remains of an earlier run. All of it blocks.

use super::partial_file::PartialFile;
use super::spec::FileSpec;
use super::spec::IfExists;
use crate::clock::Clock;
use crate::error::{Error, Kind, Remedy};
use crate::manifest::{self, Distrust, Expectation, Journal, Raw, ReadError, Trusted};
use crate::plan::representation::Representation;
use crate::storage::{
    self, Opened, Placed, Present, Seal, Storage as _, Target, Unnamed, has_no_side_files, owner,
};
use crate::verify::{Digest, Pieces, hash_file};
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Verdict on the file at the final name.
pub(crate) enum TargetState {
    /// Continue with this target; `mode` is that of our own file to be replaced.
    Free { target: Target, mode: Option<u32> },
    /// The file is the requested one; `digests` were checked.
    Satisfied { target: Target, size: u64, digests: Vec<Digest> },
    /// The file exists, and that is enough.
    Skipped { target: Target, size: u64 },
    /// The file was this version when haul saved it; ask the server whether it still is.
    Sealed { target: Target, seal: Seal },
}

/// The directory that the last file was prepared for, which supports unnamed files. Lists mostly save into one directory, and
/// need not look at each name in it.
#[derive(Debug, Default)]
pub(crate) struct DirectorySeen {
    path: PathBuf,
    /// Files prepared for it.
    files: u32,
    listed: Option<Listing>,
}

/// Findings about a directory.
#[derive(Debug)]
struct Listing {
    age: Clock,
    /// No unfinished file was in it.
    free: bool,
    /// Longest name in it, in bytes.
    longest: usize,
}

/// Number of files in a directory from which on a listing costs less than looking for each of them.
const WORTH_A_LISTING: u32 = 16;
/// Age at which a listing is made anew. An unfinished file that appears meanwhile is not in the way: a small file gets its name
/// without one.
const FRESH: Duration = Duration::from_secs(1);

impl DirectorySeen {
    fn has_no_side_files(&mut self) -> bool {
        self.files = self.files.saturating_add(1);
        if self.files < WORTH_A_LISTING {
            return false;
        }
        match self.fresh() {
            Some(listing) => listing.free,
            None => {
                let free = has_no_side_files(&self.path);
                let longest = crate::sys::longest_name_in(&self.path);
                self.listed = Some(Listing { age: Clock::start(), free, longest });
                free
            }
        }
    }

    fn fresh(&self) -> Option<&Listing> {
        self.listed.as_ref().filter(|listing| listing.age.now() < FRESH)
    }
}

/// Places a target, without a look if its directory has just been looked at.
pub(crate) fn place(target: Target, create: bool, seen: &Mutex<DirectorySeen>) -> Result<Placed, Error> {
    target.check_root()?;
    {
        let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        let known = seen.fresh().filter(|_| seen.path == target.directory());
        if known.is_some_and(|listing| storage::needs_no_place(&target, listing.longest)) {
            return Ok(Placed { target, note: None });
        }
    }
    storage::place(target, create)
}

/// Returns true if no file exists at any of the target's names and its directory supports unnamed files.
pub(crate) fn is_untouched(target: &Target, seen: &Mutex<DirectorySeen>) -> Result<bool, Error> {
    if target.is_taken() {
        return Ok(false);
    }
    let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    if seen.path != target.directory() {
        if !Unnamed::is_possible_in(target.directory()) {
            return Ok(false);
        }
        *seen = DirectorySeen { path: target.directory().to_owned(), ..DirectorySeen::default() };
    }
    Ok(seen.has_no_side_files() || target.has_no_side_files())
}

/// Inspects the final name. Changes nothing.
pub(crate) fn look(target: Target, spec: &FileSpec) -> Result<TargetState, Error> {
    let Some(present) = target.present()? else {
        return Ok(TargetState::Free { target, mode: None });
    };
    if spec.if_exists == IfExists::Rename {
        return Ok(TargetState::Free { target: target.renamed()?, mode: None });
    }
    if !present.is_regular() {
        let cause = format!("{} exists and is not a regular file", target.path().display());
        return Err(Error::new(Kind::Unsafe, cause).with_remedy(Remedy::OtherNameOrPipe));
    }
    match spec.if_exists {
        IfExists::Skip => Ok(TargetState::Skipped { size: present.len(), target }),
        IfExists::Overwrite => {
            Ok(TargetState::Free { mode: present.mode_to_keep(target.directory()), target })
        }
        IfExists::Error | IfExists::Rename => Err(exists(&target, "")),
        IfExists::Auto => compare(target, &present, spec),
    }
}

pub(crate) fn exists(target: &Target, why: &str) -> Error {
    Error::new(Kind::Exists, format!("{} exists already{why}", target.path().display()))
        .with_remedy(Remedy::ReplaceKeepOrAccept)
}

fn compare(target: Target, present: &Present, spec: &FileSpec) -> Result<TargetState, Error> {
    if let Some(size) = spec.size.filter(|size| *size != present.len()) {
        return Err(exists(&target, &format!(" with {} bytes, and {size} are wanted", present.len())));
    }
    if let Some(pieces) = &spec.pieces {
        return compare_pieces(target, present, pieces);
    }
    if !spec.is_proven() {
        return match Seal::read(&target.path()) {
            Ok(seal) if spec.address.matches_seal(&seal.url) => Ok(TargetState::Sealed { target, seal }),
            Ok(_) => Err(exists(&target, "")),
            Err(why) => Err(exists(&target, why)),
        };
    }
    let path = target.path();
    let failed = |error: std::io::Error| Error::disk("cannot read", &path, &error);
    let file = Arc::new(storage::ReadOnly::open_itself(&path).map_err(failed)?);
    let actual = hash_file(file.clone(), &spec.algorithms()).map_err(failed)?;
    if spec.check(&actual).is_err() {
        let has_digests = spec.digests.iter().all(|digest| actual.contains(digest));
        let why = if has_digests { " and is not what was signed" } else { " and has another digest" };
        return Err(exists(&target, why));
    }
    satisfied(target, &file, present.len(), actual)
}

/// Compares the file with the digests of its pieces, which prove it.
fn compare_pieces(target: Target, present: &Present, pieces: &Pieces) -> Result<TargetState, Error> {
    let path = target.path();
    let failed = |error: std::io::Error| Error::disk("cannot read", &path, &error);
    let file = storage::ReadOnly::open_itself(&path).map_err(failed)?;
    if !pieces.fit(present.len()) || !pieces.wrong(&file, present.len()).map_err(failed)?.is_empty() {
        return Err(exists(&target, " and has other pieces"));
    }
    satisfied(target, &file, present.len(), Vec::new())
}

/// The file is the requested one, and stays so as long as no other user may change it.
fn satisfied(
    target: Target,
    file: &storage::ReadOnly,
    size: u64,
    digests: Vec<Digest>,
) -> Result<TargetState, Error> {
    let metadata = file.file().metadata();
    let metadata = metadata.map_err(|error| Error::disk("cannot read", &target.path(), &error))?;
    if !owner::is_ours(&metadata, target.directory()) {
        return Err(exists(&target, " with the right digest, and is another user's, who may change it"));
    }
    clean_up(&target)?;
    Ok(TargetState::Satisfied { size, target, digests })
}

/// Removes a manifest without a part file, as a crash right after publishing leaves it: it says nothing that the
/// finished file does not.
pub(crate) fn clean_up(target: &Target) -> Result<(), Error> {
    let manifest = target.manifest_path();
    if std::fs::symlink_metadata(target.part_path()).is_err() && Raw::read(&manifest).is_ok() {
        storage::remove_own(&manifest).map_err(|error| Error::disk("cannot remove", &manifest, &error))?;
    }
    Ok(())
}

/// Basis of the download: nothing, or the claims of an earlier run.
pub(crate) enum Existing {
    /// No usable data; the reason, if anything was discarded.
    Fresh { partial_file: PartialFile, discarded: Option<String> },
    /// Claims that the download continues from.
    Built { partial_file: PartialFile, trusted: Trusted, journal: Box<Journal>, torn: bool },
}

/// Result of opening the part file.
pub(crate) enum Opening {
    Ready(Existing),
    /// A complete part file that is a copy, without a digest that could prove it: the server must confirm first that it
    /// has this version. Until then nothing is written.
    Unconfirmed {
        partial_file: PartialFile,
        raw: Box<Raw>,
    },
}

/// Opens and locks the part file, and decides which of its claims may be built upon.
pub(crate) fn open(target: Target, spec: &FileSpec) -> Result<Opening, Error> {
    let part = match storage::open(&target)? {
        Opened::Created(part) => {
            let partial_file = PartialFile::new(target, part, true);
            still_absent(&partial_file, spec)?;
            let discarded = stray_manifest(&partial_file, spec)?;
            return Ok(Opening::Ready(Existing::Fresh { partial_file, discarded }));
        }
        Opened::Existing(part) => part,
    };
    let partial_file = PartialFile::new(target, part, false);
    let manifest = partial_file.target.manifest_path();
    let raw = match Raw::read(&manifest) {
        Ok(raw) => raw,
        Err(error @ (ReadError::Planted(_) | ReadError::Io(_))) => return Err(error.into_error(&manifest)),
        Err(_) if spec.restart => {
            return discard(partial_file, "this was asked for".to_owned()).map(Opening::Ready);
        }
        // Recreated as another file: where locks have no effect, the run that created this one may still be using it.
        Err(ReadError::Missing) if partial_file.part.holds_nothing() => {
            return Ok(Opening::Ready(Existing::Fresh {
                partial_file: partial_file.clear()?,
                discarded: None,
            }));
        }
        Err(ReadError::Missing) => return Err(orphan(&partial_file)),
        Err(error) => return Err(error.into_error(&manifest)),
    };
    if spec.restart {
        return discard(partial_file, "this was asked for".to_owned()).map(Opening::Ready);
    }
    build(partial_file, &raw, spec, Provenance::Recorded)
}

/// Decides about a complete copy by the version the server has `now`: continues if it is the same, and starts over if
/// it is another.
///
/// # Errors
/// As for [`open`]; `Changed` if nothing shows whether it is the same, or if restarting is not allowed. Everything is
/// kept then.
pub(crate) fn judged(
    partial_file: PartialFile,
    raw: &Raw,
    now: &Representation,
    spec: &FileSpec,
) -> Result<Existing, Error> {
    let Representation { complete_length, validators, .. } = &raw.file.representation;
    if now.is_version(*complete_length, validators) {
        return match build(partial_file, raw, spec, Provenance::Confirmed)? {
            Opening::Ready(existing) => Ok(existing),
            Opening::Unconfirmed { .. } => Err(Error::defect("a copy was confirmed in vain")),
        };
    }
    let path = partial_file.part.path().display().to_string();
    match raw.file.representation.contradicted_by(now) {
        Some(why) if spec.may_restart => {
            discard(partial_file, format!("{path} is a copy of another version: {why}"))
        }
        Some(why) => Err(Error::new(Kind::Changed, format!("{path} is a copy of another version: {why}"))
            .with_remedy(Remedy::StartOver)),
        None => Err(Error::new(
            Kind::Changed,
            format!("{path} is a copy, and nothing shows whether the server has the same version"),
        )
        .with_remedy(Remedy::DigestOrStartOver)),
    }
}

/// Evidence that a part file is the one that a manifest describes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Provenance {
    /// The manifest names it.
    Recorded,
    /// Its bytes match every claim of the manifest.
    Copied,
    /// Its bytes match, and the server has this version.
    Confirmed,
}

/// Another run may have finished the same file between the look at the final name and the lock on the part file. From
/// now on no other run can.
fn still_absent(partial_file: &PartialFile, spec: &FileSpec) -> Result<(), Error> {
    let target = &partial_file.target;
    if spec.if_exists == IfExists::Overwrite || target.present()?.is_none() {
        return Ok(());
    }
    // The part file that was created a moment ago is empty and ours.
    let _ = storage::remove_own(partial_file.part.path());
    let cause = format!("{} appeared meanwhile", target.path().display());
    let remedy = match spec.if_exists {
        IfExists::Rename => Remedy::AgainForNextName,
        _ => Remedy::AgainToCompare,
    };
    Err(Error::new(Kind::Exists, cause).with_remedy(remedy))
}

fn build(
    partial_file: PartialFile,
    raw: &Raw,
    spec: &FileSpec,
    provenance: Provenance,
) -> Result<Opening, Error> {
    let path = partial_file.part.path().to_owned();
    let foreign = |why: String| {
        Error::new(Kind::Changed, format!("{}: {why}", path.display())).with_remedy(Remedy::DiscardOrRename)
    };
    let recorded = raw.file.representation.complete_length;
    if let (Some(size), Some(length)) = (spec.size, recorded)
        && size != length
    {
        return Err(foreign(format!("it is of a file of {length} bytes, and one of {size} is wanted")));
    }
    let expected = Expectation {
        address: &spec.address,
        digests: &spec.digests,
        signature: spec.signature.as_deref(),
        has_pieces: spec.pieces.is_some(),
        part: partial_file.part.identity()?,
        part_length: partial_file.part.len().map_err(|error| Error::disk("cannot look at", &path, &error))?,
        proven: provenance != Provenance::Recorded,
    };
    let shared = raw.shared || partial_file.part.is_shared()?;
    match Trusted::check(raw.clone(), &expected) {
        Err(Distrust::Foreign(why)) => Err(foreign(why)),
        Err(Distrust::Moved) if is_a_copy(&partial_file, raw)? => {
            build(partial_file, raw, spec, Provenance::Copied)
        }
        Err(Distrust::Moved) => Err(foreign("the manifest belongs to another part file".to_owned())),
        Err(Distrust::StartOver(why)) if spec.may_restart => discard(partial_file, why).map(Opening::Ready),
        Err(Distrust::StartOver(why)) => {
            Err(Error::new(Kind::Changed, format!("{}: {why}", path.display()))
                .with_remedy(Remedy::StartOver))
        }
        Ok(_) if shared && !spec.is_proven() => Err(shared_with_others(&partial_file)),
        Ok(trusted) if provenance == Provenance::Copied && !spec.is_proven() && trusted.is_complete() => {
            Ok(Opening::Unconfirmed { partial_file, raw: Box::new(raw.clone()) })
        }
        Ok(trusted) => {
            partial_file.part.withhold();
            let (torn, length) = (raw.torn, expected.part_length);
            let (partial_file, journal) = if partial_file.part.excludes_others() {
                let journal = partial_file.reopen(raw, &trusted, spec, length)?;
                (partial_file, journal)
            } else {
                partial_file.reopen_apart(raw, &trusted, spec)?
            };
            Ok(Opening::Ready(Existing::Built { partial_file, trusted, journal: Box::new(journal), torn }))
        }
    }
}

/// Returns true if a part file that the manifest was not written for nevertheless holds every claimed byte: then it was
/// copied, or moved from another disk, and may be built upon.
fn is_a_copy(partial_file: &PartialFile, raw: &Raw) -> Result<bool, Error> {
    let damaged = manifest::audit(partial_file.part.as_ref(), &raw.runs, &AtomicBool::new(false))
        .map_err(|error| Error::disk("cannot read back", partial_file.part.path(), &error))?;
    Ok(damaged.is_empty() && !raw.runs.is_empty())
}

fn discard(partial_file: PartialFile, why: String) -> Result<Existing, Error> {
    Ok(Existing::Fresh { partial_file: partial_file.clear()?, discarded: Some(why) })
}

/// Removes a manifest beside a part file that was just created: its own part file is gone, and its claims with it.
fn stray_manifest(partial_file: &PartialFile, spec: &FileSpec) -> Result<Option<String>, Error> {
    let manifest = partial_file.target.manifest_path();
    let checked = match Raw::read(&manifest) {
        Err(ReadError::Missing) => return Ok(None),
        Ok(_) => Ok(()),
        Err(ReadError::Unusable(_) | ReadError::Newer(_)) if spec.restart => Ok(()),
        Err(error) => Err(error.into_error(&manifest)),
    };
    match checked.and_then(|()| partial_file.remove_manifest()) {
        Ok(()) => Ok(Some(format!("the part file of {} is missing", partial_file.target.path().display()))),
        Err(error) => {
            // The part file that was created a moment ago is empty and ours.
            let _ = storage::remove_own(partial_file.part.path());
            Err(error)
        }
    }
}

/// Refuses files that others may have written to: only a digest shows if the content is the server's.
fn shared_with_others(partial_file: &PartialFile) -> Error {
    let (part, manifest) = (partial_file.part.path().display(), partial_file.target.manifest_path());
    let cause = format!(
        "others may write to {part} or {}, so only a digest can tell what is in it",
        manifest.display()
    );
    Error::new(Kind::Unsafe, cause).with_remedy(Remedy::DigestOrOwnFiles)
}

fn orphan(partial_file: &PartialFile) -> Error {
    let part = partial_file.part.path().display();
    Error::new(Kind::Changed, format!("{part} has no manifest, so nothing is known about its bytes"))
        .with_remedy(Remedy::DiscardOrRename)
}
