//! A finished file, to be read.

use super::Storage;
use std::fs::File;
use std::io;
use std::path::Path;

/// A file that is only read; writing to it is refused.
pub(crate) struct ReadOnly(File);

impl ReadOnly {
    #[expect(clippy::disallowed_methods, reason = "storage is where files are opened")]
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        File::open(path).map(Self)
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
