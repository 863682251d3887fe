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
use std::ops::Range;

/// Bytes read back at once: few enough to stay in a core's cache between reading and using them.
pub(crate) const READ: usize = 256 << 10;

/// A file as the engine sees it. Tests implement it with a disk that crashes.
pub(crate) trait Storage: Send + Sync {
    fn len(&self) -> io::Result<u64>;

    /// Writes all of `bytes` at `offset`. After it returns they are *written*: visible to others and safe if this
    /// process dies, but not after a power cut.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Reads up to `buffer.len()` bytes from `offset`; returns 0 only at the end.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;

    /// Reads a range by way of `buffer`, and hands its bytes to `take` in order. Returns their number, which is smaller than that of the
    /// range if the file ends before it does.
    fn read_range(
        &self,
        range: Range<u64>,
        buffer: &mut [u8],
        take: &mut dyn FnMut(&[u8]),
    ) -> io::Result<u64> {
        let mut position = range.start;
        while position < range.end {
            let room = buffer.len().min(usize::try_from(range.end - position).unwrap_or(usize::MAX));
            let read = self.read_at(position, &mut buffer[..room])?;
            if read == 0 {
                break;
            }
            take(&buffer[..read]);
            position += read as u64;
        }
        Ok(position.saturating_sub(range.start))
    }

    /// Bytes of a range that fits into memory; fewer if the file ends before it does.
    fn bytes_of(&self, range: Range<u64>) -> io::Result<Vec<u8>> {
        let length = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(usize::MAX);
        let mut bytes = Vec::with_capacity(length);
        let mut buffer = vec![0; length.min(READ)];
        self.read_range(range, &mut buffer, &mut |read| bytes.extend_from_slice(read))?;
        Ok(bytes)
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_read_to_its_end_or_to_that_of_the_file() {
        let storage = Memory::new(100);
        let bytes: Vec<u8> = (0..100).collect();
        storage.write_at(0, &bytes).unwrap();
        for (start, end, there) in
            [(0, 100, 0..100), (7, 50, 7..50), (90, 120, 90..100), (100, 101, 100..100)]
        {
            for buffer in [1, 7, 200] {
                let mut read = Vec::new();
                let count = storage
                    .read_range(start..end, &mut vec![0; buffer], &mut |bytes| read.extend_from_slice(bytes))
                    .unwrap();
                assert_eq!((count, &read[..]), (there.len() as u64, &bytes[there.clone()]), "{start}..{end}");
            }
            assert_eq!(storage.bytes_of(start..end).unwrap(), bytes[there]);
        }
        assert!(storage.bytes_of(5..5).unwrap().is_empty());
    }
}
