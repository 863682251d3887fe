//! Finished files, opened for reading.

use super::Storage;
use crate::sys::{self, Errno};
use std::fs::File;
use std::io;
use std::path::Path;

/// A file that is only read; writes are refused.
pub(crate) struct ReadOnly(File);

impl ReadOnly {
    /// Opens a regular file; refuses anything else, including a pipe, which would block.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Self::of(sys::open_following(path))
    }

    /// Opens a file as [`Self::open`] does, but refuses a link, too: for directories in which others may create links.
    pub(crate) fn open_itself(path: &Path) -> io::Result<Self> {
        Self::of(sys::open_to_read(path))
    }

    fn of(opened: Result<File, Errno>) -> io::Result<Self> {
        let file = opened?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
        }
        Ok(Self(file))
    }

    /// The open file.
    pub(crate) fn file(&self) -> &File {
        &self.0
    }
}

impl Storage for ReadOnly {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn write_at(&self, _: u64, _: &[u8]) -> io::Result<()> {
        Err(io::Error::new(io::ErrorKind::PermissionDenied, "opened for reading"))
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        Storage::read_at(&self.0, offset, buffer)
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}
