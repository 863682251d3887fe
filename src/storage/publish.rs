//! Last step: the final name appears, at once and complete.

use super::owner::OTHERS_WRITE;
use super::{Directory, Lacks, PartFile, Target, remove_own};
use crate::error::{Error, Kind, Remedy};
use crate::sys::{self, Errno};
use std::fs;
use std::time::SystemTime;

/// Attributes of the finished file.
#[derive(Clone, Debug)]
pub(crate) struct Publication {
    /// Mode of the file, never executable; `None` for the default of new files.
    pub(crate) mode: Option<u32>,
    /// True if a file at the final name may be replaced.
    pub(crate) replace: bool,
    /// Modification time stated by the server, if the user wants it.
    pub(crate) modified: Option<SystemTime>,
    pub(crate) url: String,
    pub(crate) validators: crate::plan::representation::Validators,
}

/// Gives the complete, verified and durable part file its final name, then removes the manifest.
///
/// A crash at any point leaves a state the next run understands: part and manifest (verify, publish), or the final file
/// and a manifest (clean up). Returns the refusals of the file system.
///
/// `held` checks that the file is still this run's, which locks do not guarantee everywhere.
pub(crate) fn publish(
    part: &PartFile,
    target: &Target,
    how: &Publication,
    held: &dyn Fn() -> Result<(), Error>,
) -> Result<Lacks, Error> {
    let path = target.path();
    let failed = |doing: &'static str| move |error: std::io::Error| Error::disk(doing, part.path(), &error);
    let file = part.file();
    let mode = how.mode.unwrap_or_else(|| 0o666 & !sys::umask());
    // While it has the name of a part file others must not write to it, or the next run would not trust it.
    let narrow = mode & !OTHERS_WRITE;
    target.check_root()?;
    held()?;
    let lacks = Lacks::finish(file, Some(narrow), how).map_err(|(doing, error)| failed(doing)(error))?;
    file.sync_all().map_err(failed("cannot save"))?;
    held()?;
    // The file behind the handle was verified; rename takes the one behind the name.
    match fs::symlink_metadata(part.path()) {
        Err(error) => {
            held()?;
            return Err(Error::disk("cannot find any more", part.path(), &error));
        }
        Ok(_) if part.is_still_named()? => {}
        Ok(_) => {
            let cause = format!("{} was replaced by something else meanwhile", part.path().display());
            return Err(Error::new(Kind::Unsafe, cause).with_remedy(Remedy::AgainAfterNothingPublished));
        }
    }
    let unsaved = |error: std::io::Error| Error::disk("cannot save the name", &path, &error);
    let directory = Directory::open(target.directory()).map_err(unsaved)?;
    rename(part, target, how.replace)?;
    let lost = held().err();
    if let Some(lost) = lost.as_ref().filter(|_| !part.is_at(&path).unwrap_or(true)) {
        // Another run has just put its own, incomplete file in the place of this one.
        let _ = sys::rename_new(&path, part.path());
        return Err(Error::new(lost.kind(), lost.to_string()));
    }
    if mode != narrow {
        // A file system that refuses this has refused the first mode, too.
        let _ = sys::set_mode(file, mode);
    }
    let synced = directory.sync().map_err(unsaved)?;
    if lost.is_none() {
        let manifest = target.manifest_path();
        remove_own(&manifest).map_err(|error| Error::disk("cannot remove", &manifest, &error))?;
    }
    directory.sync().map_err(unsaved)?;
    Ok(lacks | Lacks::of_names(synced))
}

fn rename(part: &PartFile, target: &Target, replace: bool) -> Result<(), Error> {
    let (from, to) = (part.path(), target.path());
    let renamed = if replace {
        sys::rename(from, &to)
    } else {
        match sys::rename_new(from, &to) {
            // Not every file system can rename without replacing; a hard link cannot replace either.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => link_then_unlink(part, target),
            renamed => renamed,
        }
    };
    renamed.map_err(|error| match error {
        Errno::EXIST => Error::new(Kind::Exists, format!("{} appeared meanwhile", to.display()))
            .with_remedy(Remedy::KeptMoveAway),
        error => Error::disk("cannot give the final name to", from, &error.into()),
    })
}

/// Publishes with a hard link. A file system without them leaves only a check and a rename: a file that appears in
/// between is replaced. SECURITY.md states it.
fn link_then_unlink(part: &PartFile, target: &Target) -> Result<(), Errno> {
    let (from, to) = (part.path(), target.path());
    match sys::link(from, &to) {
        Ok(()) => sys::unlink(from),
        Err(Errno::EXIST) => Err(Errno::EXIST),
        Err(_) if fs::symlink_metadata(&to).is_ok() => Err(Errno::EXIST),
        Err(_) => sys::rename(from, &to),
    }
}
