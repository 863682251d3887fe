//! Destinations of bytes: the part file beside the target, memory, or a pipe.

#[cfg(test)]
pub(crate) mod crash;
mod device;
mod directory;
mod lacks;
mod log_file;
mod memory;
pub(crate) mod owner;
mod part_file;
mod pipe;
mod placing;
mod publish;
mod read_only;
mod state_file;
mod target;
mod unnamed;
mod walk;

pub(crate) use device::open_device;
pub(crate) use directory::{Directory, has_no_side_files, parent, remove_own, sync_directory};
pub(crate) use lacks::Lacks;
pub(crate) use log_file::LogFile;
pub(crate) use memory::Memory;
pub(crate) use part_file::{
    Allocation, Identity, Opened, PartFile, create, is_worked_on, open, remove_unlocked,
};
pub(crate) use pipe::Pipe;
pub(crate) use placing::{Placed, needs_no_place, place};
pub(crate) use publish::{Publication, publish};
pub(crate) use read_only::ReadOnly;
pub(crate) use state_file::StateFile;
pub(crate) use target::{Present, Seal, Target};
pub(crate) use unnamed::Unnamed;

use crate::sys;
use std::fs::File;
use std::io;

/// A file as the engine sees it. Tests implement it with a disk that crashes.
pub(crate) trait Storage: Send + Sync {
    fn len(&self) -> io::Result<u64>;

    /// Writes all of `bytes` at `offset`. After it returns they are *written*: visible to others and safe if this
    /// process dies, but not after a power cut.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Reads up to `buffer.len()` bytes from `offset`; returns 0 only at the end.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;

    /// Advises that these bytes are on disk and will not be read again, so the page cache may drop them.
    fn forget(&self, _offset: u64, _length: u64) {}

    /// Makes everything written before the call durable. An error is final: bytes not yet on disk may be lost although
    /// a second call would succeed.
    fn sync(&self) -> io::Result<()>;
}

impl Storage for File {
    fn len(&self) -> io::Result<u64> {
        self.metadata().map(|metadata| metadata.len())
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        sys::write_all_at(self, offset, bytes)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        sys::read_at(self, offset, buffer)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}
