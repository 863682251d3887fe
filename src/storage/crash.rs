//! A disk that can lose power, as an implementation of [`Storage`].
//!
//! Writes are visible at once and durable only after a sync. After a power cut, any combination of the sectors of the
//! unsynced writes may be on disk, whatever was written after them. A failed sync drops the unsynced bytes, and the
//! next one succeeds: that is how kernels behave.

use super::Storage;
use crate::plan::seed::mix;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

/// Unit that a disk writes atomically, in bytes.
const SECTOR: u64 = 512;

/// One disk with any number of files.
#[derive(Clone, Default)]
pub(crate) struct CrashDisk(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    files: Vec<Contents>,
    operations: usize,
    /// Number of the operation during which the power fails.
    crash_at: Option<usize>,
    /// Number of the sync that fails, counted over all files.
    failing_sync: Option<usize>,
    syncs: usize,
    seed: u64,
}

#[derive(Default)]
struct Contents {
    live: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<(u64, Vec<u8>)>,
}

/// Handle of one file on the disk.
#[derive(Clone)]
pub(crate) struct CrashFile {
    disk: CrashDisk,
    number: usize,
}

impl CrashDisk {
    pub(crate) fn new(seed: u64) -> Self {
        let disk = Self::default();
        disk.lock().seed = seed;
        disk
    }

    /// Makes the power fail during the nth operation from now on; that one and all later ones fail.
    pub(crate) fn crash_at(&self, operation: usize) {
        let mut state = self.lock();
        state.crash_at = Some(state.operations + operation);
    }

    /// Makes the nth sync from now on fail.
    pub(crate) fn fail_sync(&self, nth: usize) {
        let mut state = self.lock();
        state.failing_sync = Some(state.syncs + nth);
    }

    pub(crate) fn operations(&self) -> usize {
        self.lock().operations
    }

    /// Creates a file of this length, already durable.
    pub(crate) fn file(&self, length: usize) -> CrashFile {
        let mut state = self.lock();
        let contents = Contents { live: vec![0; length], durable: vec![0; length], unsynced: Vec::new() };
        state.files.push(contents);
        CrashFile { disk: self.clone(), number: state.files.len() - 1 }
    }

    /// Contents of the file on disk after the power cut.
    pub(crate) fn image(&self, file: &CrashFile) -> Vec<u8> {
        let mut state = self.lock();
        let mut seed = state.seed ^ file.number as u64;
        let contents = &mut state.files[file.number];
        let mut image = contents.durable.clone();
        for (offset, bytes) in &contents.unsynced {
            for (at, byte) in bytes.iter().enumerate() {
                let position = offset + at as u64;
                if at == 0 || position.is_multiple_of(SECTOR) {
                    seed = mix(seed);
                }
                if seed & 1 == 1 {
                    put(&mut image, position, &[*byte]);
                }
            }
        }
        image
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
}

fn put(image: &mut Vec<u8>, offset: u64, bytes: &[u8]) {
    let (start, end) = (offset as usize, offset as usize + bytes.len());
    image.resize(image.len().max(end), 0);
    image[start..end].copy_from_slice(bytes);
}

impl State {
    fn step(&mut self) -> io::Result<()> {
        self.operations += 1;
        match self.crash_at {
            Some(at) if self.operations >= at => Err(io::Error::other("the power is gone")),
            _ => Ok(()),
        }
    }
}

impl Storage for CrashFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.lock().files[self.number].live.len() as u64)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.disk.lock();
        let before = state.crash_at.is_some_and(|at| state.operations >= at);
        let step = state.step();
        if !before {
            // The write during which the power fails may have come as far as any other.
            let contents = &mut state.files[self.number];
            put(&mut contents.live, offset, bytes);
            contents.unsynced.push((offset, bytes.to_vec()));
        }
        step
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let state = self.disk.lock();
        let live = &state.files[self.number].live;
        let start = live.len().min(offset as usize);
        let read = buffer.len().min(live.len() - start);
        buffer[..read].copy_from_slice(&live[start..start + read]);
        Ok(read)
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.lock();
        state.step()?;
        state.syncs += 1;
        let fails = state.failing_sync == Some(state.syncs);
        let contents = &mut state.files[self.number];
        if fails {
            contents.unsynced.clear();
            return Err(io::Error::from_raw_os_error(5));
        }
        for (offset, bytes) in std::mem::take(&mut contents.unsynced) {
            put(&mut contents.durable, offset, &bytes);
        }
        Ok(())
    }
}
