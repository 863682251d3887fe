//! Names of files: given, changed and taken away at once.

use super::Errno;
use rustix::fs::{AtFlags, CWD, RenameFlags};
use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::path::Path;

/// Gives a file the name `to`, in place of another file that may have it.
///
/// # Errors
/// Those of rename(2).
pub(crate) fn rename(from: &Path, to: &Path) -> Result<(), Errno> {
    rustix::fs::renameat(CWD, from, CWD, to)
}

/// Gives a file the name `to` unless that is taken.
///
/// # Errors
/// `EXIST` if it is taken; `INVAL`, `NOSYS` or `OPNOTSUPP` where the system or the file system cannot do it at once.
pub(crate) fn rename_new(from: &Path, to: &Path) -> Result<(), Errno> {
    rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE)
}

/// Gives a file a second name, which must be free.
///
/// # Errors
/// `EXIST` if it is taken.
pub(crate) fn link(from: &Path, to: &Path) -> Result<(), Errno> {
    rustix::fs::linkat(CWD, from, CWD, to, AtFlags::empty())
}

/// Gives an unnamed file its name, which must be free.
///
/// # Errors
/// `EXIST` if it is taken; `NOENT` where `/proc` is needed and missing.
pub(crate) fn name_unnamed(file: &File, path: &Path) -> Result<(), Errno> {
    // The direct way is open to the creator of the file since Linux 6.10, and before that to root; for others it
    // fails with ENOENT.
    match rustix::fs::linkat(file, "", CWD, path, AtFlags::EMPTY_PATH) {
        Err(Errno::NOENT) => {
            let own = format!("/proc/self/fd/{}", file.as_raw_fd());
            rustix::fs::linkat(CWD, Path::new(&own), CWD, path, AtFlags::SYMLINK_FOLLOW)
        }
        named => named,
    }
}

/// Takes a name away; a link goes, and not what it leads to.
///
/// # Errors
/// `NOENT` if there is none.
pub(crate) fn unlink(path: &Path) -> Result<(), Errno> {
    rustix::fs::unlink(path)
}
