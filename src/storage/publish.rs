//! The last step: the final name appears, at once and complete.

use super::owner::OTHERS_WRITE;
use super::{Directory, Lacks, PartFile, Target, remove_own};
use crate::error::{Error, Kind};
use rustix::fs::{CWD, RenameFlags};
use rustix::io::Errno;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::SystemTime;

/// How the finished file is to stand there.
#[derive(Clone, Debug)]
pub(crate) struct Publication {
    /// The mode the file gets, never executable; `None` for the one that new files get.
    pub(crate) mode: Option<u32>,
    /// Whether a file at the final name may be replaced.
    pub(crate) replace: bool,
    /// The modification time the server stated, where the user wants that.
    pub(crate) modified: Option<SystemTime>,
    pub(crate) url: String,
    pub(crate) validators: crate::plan::representation::Validators,
}

/// Gives the complete, verified and durable part file its final name, then removes the manifest.
///
/// Every crash in between leaves a state the next run understands: part and manifest (verify, publish), or
/// the final file and a manifest (clean up). Returns what the file system would not do for it.
///
/// `held` looks whether the file is still this run's, which locks do not say everywhere.
pub(crate) fn publish(
    part: &PartFile,
    target: &Target,
    how: &Publication,
    held: &dyn Fn() -> Result<(), Error>,
) -> Result<Lacks, Error> {
    let path = target.path();
    let failed = |doing: &'static str| move |error: std::io::Error| Error::disk(doing, part.path(), &error);
    let file = part.file();
    let mode = how.mode.unwrap_or_else(|| 0o666 & !umask());
    // As long as it has the name of a part file others must not write to it, or the next run would not believe it.
    let narrow = mode & !OTHERS_WRITE;
    held()?;
    let lacks = Lacks::finish(file, Some(narrow), how).map_err(|(doing, error)| failed(doing)(error))?;
    file.sync_all().map_err(failed("cannot save"))?;
    held()?;
    // What was verified is the file behind the handle; what is renamed is the one behind the name.
    match fs::symlink_metadata(part.path()) {
        Err(error) => {
            held()?;
            return Err(Error::disk("cannot find any more", part.path(), &error));
        }
        Ok(_) if part.is_still_named()? => {}
        Ok(_) => {
            let cause = format!("{} was replaced by something else meanwhile", part.path().display());
            return Err(
                Error::new(Kind::Unsafe, cause).with_hint("nothing was published; run the download again")
            );
        }
    }
    let unsaved = |error: std::io::Error| Error::disk("cannot save the name", &path, &error);
    let directory = Directory::open(target.directory()).map_err(unsaved)?;
    rename(part, target, how.replace)?;
    let lost = held().err();
    if let Some(lost) = lost.as_ref().filter(|_| !part.is_at(&path).unwrap_or(true)) {
        // Another run has put its own file in the place of this one just then, and it is not complete.
        let _ = rustix::fs::renameat_with(CWD, &path, CWD, part.path(), RenameFlags::NOREPLACE);
        return Err(Error::new(lost.kind(), lost.to_string()));
    }
    if mode != narrow {
        // What refuses this has refused the other one, too.
        let _ = file.set_permissions(fs::Permissions::from_mode(mode));
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
        rustix::fs::renameat(CWD, from, CWD, &to)
    } else {
        match rustix::fs::renameat_with(CWD, from, CWD, &to, RenameFlags::NOREPLACE) {
            // Not every file system can rename without replacing; a hard link cannot replace either.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => link_then_unlink(part, target),
            renamed => renamed,
        }
    };
    renamed.map_err(|error| match error {
        Errno::EXIST => Error::new(Kind::Exists, format!("{} appeared meanwhile", to.display()))
            .with_hint("the download is complete and kept: move that file away, or replace it with --if-exists overwrite"),
        error => Error::disk("cannot give the final name to", from, &error.into()),
    })
}

/// Where the file system has no hard links either, what is left is to look and then rename: a file that
/// appears within that instant is replaced. SECURITY.md states it.
fn link_then_unlink(part: &PartFile, target: &Target) -> Result<(), Errno> {
    let (from, to) = (part.path(), target.path());
    match rustix::fs::linkat(CWD, from, CWD, &to, rustix::fs::AtFlags::empty()) {
        Ok(()) => rustix::fs::unlink(from),
        Err(Errno::EXIST) => Err(Errno::EXIST),
        Err(_) if fs::symlink_metadata(&to).is_ok() => Err(Errno::EXIST),
        Err(_) => rustix::fs::renameat(CWD, from, CWD, &to),
    }
}

/// The process's file mode creation mask, read without changing it even for a moment.
pub(super) fn umask() -> u32 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let stated = status.lines().find_map(|line| line.strip_prefix("Umask:"));
    // Where it cannot be read, the usual one: nobody but the owner may write.
    stated.and_then(|mask| u32::from_str_radix(mask.trim(), 8).ok()).unwrap_or(0o022)
}
