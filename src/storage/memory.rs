//! Storage in memory, for a small file while it is fetched.

use super::Storage;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Bytes of a file whose length is known from the start.
#[derive(Debug)]
pub(crate) struct Memory {
    length: usize,
    /// Bytes up to the furthest one received; gaps are zeros.
    bytes: Mutex<Vec<u8>>,
}

impl Memory {
    pub(crate) fn new(length: usize) -> Self {
        Self { length, bytes: Mutex::new(Vec::with_capacity(length)) }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<u8>> {
        // A panic elsewhere cannot leave the bytes in a state that a later write does not mend.
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes out all bytes.
    pub(crate) fn take(&self) -> Vec<u8> {
        let mut bytes = std::mem::take(&mut *self.lock());
        bytes.resize(self.length, 0);
        bytes
    }
}

fn beyond() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "beyond the end of the file")
}

impl Storage for Memory {
    fn len(&self) -> io::Result<u64> {
        Ok(self.length as u64)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let start = usize::try_from(offset).map_err(|_| beyond())?;
        let end = start.checked_add(bytes.len()).filter(|end| *end <= self.length).ok_or_else(beyond)?;
        let mut all = self.lock();
        if all.len() == start {
            // Usual case: in order.
            all.extend_from_slice(bytes);
            return Ok(());
        }
        if all.len() < end {
            all.resize(end, 0);
        }
        all[start..end].copy_from_slice(bytes);
        Ok(())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let start = usize::try_from(offset).map_err(|_| beyond())?;
        let read = self.length.saturating_sub(start).min(buffer.len());
        let all = self.lock();
        let come = all.get(start..).unwrap_or_default();
        let there = read.min(come.len());
        buffer[..there].copy_from_slice(&come[..there]);
        buffer[there..read].fill(0);
        Ok(read)
    }

    /// Fails, since nothing of it is on any disk.
    fn sync(&self) -> io::Result<()> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "memory is not durable"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_beyond_the_end_is_refused_and_nothing_is_written() {
        let memory = Memory::new(10);
        memory.write_at(7, &[1, 2, 3]).unwrap();
        assert!(memory.write_at(8, &[9, 9, 9]).is_err());
        assert!(memory.write_at(u64::MAX, &[9]).is_err());
        assert_eq!(memory.take(), [0, 0, 0, 0, 0, 0, 0, 1, 2, 3]);
    }

    #[test]
    fn in_whatever_order_bytes_come_each_is_at_its_place() {
        let memory = Memory::new(9);
        for (offset, bytes) in [(0, [1, 2]), (4, [5, 6]), (2, [3, 4]), (6, [7, 8])] {
            memory.write_at(offset, &bytes).unwrap();
        }
        assert_eq!(memory.take(), [1, 2, 3, 4, 5, 6, 7, 8, 0]);
    }
}
