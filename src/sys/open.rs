//! Opening of files. No function follows a link at the name itself unless it says so, no open file is inherited by other
//! programs, and nothing blocks on a pipe.

use super::Errno;
use rustix::fs::{FlockOperation, Mode, OFlags};
use std::fs::File;
use std::path::Path;

/// Mode of files for their owner alone.
const PRIVATE: Mode = Mode::RUSR.union(Mode::WUSR);

/// Opens `path` with these flags and those that every file here has.
fn open(path: &Path, flags: OFlags, mode: Mode) -> Result<File, Errno> {
    rustix::fs::open(path, flags | OFlags::CLOEXEC, mode).map(File::from)
}

/// Creates a file for its owner alone, to write and read.
///
/// # Errors
/// `EXIST` if anything has the name, be it a link.
pub(crate) fn create_new(path: &Path) -> Result<File, Errno> {
    open(path, OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW, PRIVATE)
}

/// Opens an existing file to write and read.
///
/// # Errors
/// `LOOP` for a link, `NOENT` if there is none.
pub(crate) fn open_to_write(path: &Path) -> Result<File, Errno> {
    open(path, OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK, Mode::empty())
}

/// Opens a file to write and read, or creates it for its owner alone.
///
/// # Errors
/// `LOOP` for a link.
pub(crate) fn open_or_create(path: &Path) -> Result<File, Errno> {
    open(path, OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK, PRIVATE)
}

/// Opens a file to read.
///
/// # Errors
/// `LOOP` for a link, `NOENT` if there is none.
pub(crate) fn open_to_read(path: &Path) -> Result<File, Errno> {
    open(path, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK, Mode::empty())
}

/// Opens a file to read, through a link if there is one.
///
/// # Errors
/// Those of open(2).
pub(crate) fn open_following(path: &Path) -> Result<File, Errno> {
    open(path, OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty())
}

/// Opens a device to write, which does not become the terminal of this process.
///
/// # Errors
/// `LOOP` for a link unless it is followed.
pub(crate) fn open_device(path: &Path, follow: bool) -> Result<File, Errno> {
    let mut flags = OFlags::WRONLY | OFlags::NOCTTY;
    flags.set(OFlags::NOFOLLOW, !follow);
    open(path, flags, Mode::empty())
}

/// Creates a file without a name in `directory`, with the permissions of `mode` that the mask leaves.
///
/// # Errors
/// `OPNOTSUPP`, `ISDIR`, `INVAL` or `NOSYS` where there are no such files.
pub(crate) fn create_unnamed(directory: &Path, mode: u32) -> Result<File, Errno> {
    open(directory, OFlags::RDWR | OFlags::TMPFILE, Mode::from_raw_mode(mode))
}

/// Locks a file for as long as it is open.
///
/// # Errors
/// `WOULDBLOCK` if another process has it.
pub(crate) fn lock(file: &File) -> Result<(), Errno> {
    rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive)
}
