//! A small file while it is being fetched: in memory.

use super::Storage;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Bytes of a length that is known from the start.
#[derive(Debug)]
pub(crate) struct Memory(Mutex<Vec<u8>>);

impl Memory {
    pub(crate) fn new(length: usize) -> Self {
        Self(Mutex::new(vec![0; length]))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<u8>> {
        // A panic elsewhere cannot leave the bytes in a state that a later write does not mend.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the bytes out.
    pub(crate) fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.lock())
    }
}

fn beyond() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "beyond the end of the file")
}

impl Storage for Memory {
    fn len(&self) -> io::Result<u64> {
        Ok(self.lock().len() as u64)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let start = usize::try_from(offset).map_err(|_| beyond())?;
        let mut all = self.lock();
        let place = start.checked_add(bytes.len()).and_then(|end| all.get_mut(start..end));
        place.ok_or_else(beyond)?.copy_from_slice(bytes);
        Ok(())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let start = usize::try_from(offset).map_err(|_| beyond())?;
        let all = self.lock();
        let rest = all.get(start..).unwrap_or_default();
        let read = rest.len().min(buffer.len());
        buffer[..read].copy_from_slice(&rest[..read]);
        Ok(read)
    }

    /// Nothing of it is on any disk.
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
}
