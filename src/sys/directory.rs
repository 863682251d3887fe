//! Directories as handles, so that what was checked cannot be exchanged before it is used.

use super::Errno;
use rustix::fs::{FileType, Mode, OFlags};
use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::path::Path;

/// An open directory, to enter others from.
pub(crate) struct Handle(OwnedFd);

/// A link in a directory, held by a handle of its own.
pub(crate) struct Link(OwnedFd);

const DIRECTORY: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

impl Handle {
    /// Opens a directory, through links.
    ///
    /// # Errors
    /// Those of open(2).
    pub(crate) fn open(path: &Path) -> Result<Self, Errno> {
        rustix::fs::open(path, DIRECTORY, Mode::empty()).map(Self)
    }

    /// Enters a directory of this one.
    ///
    /// # Errors
    /// `NOENT` if it is missing, `LOOP` or `NOTDIR` for a link or a file.
    pub(crate) fn enter(&self, name: &OsStr) -> Result<Self, Errno> {
        rustix::fs::openat(&self.0, name, DIRECTORY | OFlags::NOFOLLOW, Mode::empty()).map(Self)
    }

    /// Creates a directory in this one.
    ///
    /// # Errors
    /// `EXIST` if the name is taken.
    pub(crate) fn create(&self, name: &OsStr) -> Result<(), Errno> {
        rustix::fs::mkdirat(&self.0, name, Mode::from_raw_mode(0o777))
    }

    /// Number of the user that owns it.
    ///
    /// # Errors
    /// Those of fstat(2).
    pub(crate) fn owner(&self) -> Result<u32, Errno> {
        Ok(rustix::fs::fstat(&self.0)?.st_uid)
    }

    /// Opens the link `name`, and not what it leads to; returns `None` if it is none.
    ///
    /// # Errors
    /// Those of openat(2) and fstat(2).
    pub(crate) fn link(&self, name: &OsStr) -> Result<Option<Link>, Errno> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let link = rustix::fs::openat(&self.0, name, flags, Mode::empty())?;
        let mode = rustix::fs::fstat(&link)?.st_mode;
        Ok((FileType::from_raw_mode(mode) == FileType::Symlink).then_some(Link(link)))
    }

    /// Enters the directory that a link of this one leads to.
    ///
    /// # Errors
    /// Those of readlinkat(2) and openat(2).
    pub(crate) fn follow(&self, link: &Link) -> Result<Self, Errno> {
        let leads_to = rustix::fs::readlinkat(&link.0, "", Vec::new())?;
        rustix::fs::openat(&self.0, leads_to, DIRECTORY, Mode::empty()).map(Self)
    }
}

impl Link {
    /// Number of the user that made it.
    ///
    /// # Errors
    /// Those of fstat(2).
    pub(crate) fn owner(&self) -> Result<u32, Errno> {
        Ok(rustix::fs::fstat(&self.0)?.st_uid)
    }
}
