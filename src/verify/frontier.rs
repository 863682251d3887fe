//! Hashing behind the contiguous front, so that the digest is ready soon after the last byte.

use super::digest::{Algorithm, Digest, Hasher};
use crate::storage::{READ, Storage};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Poll interval of the front for a hasher without a thread of its own.
const TURN: Duration = Duration::from_millis(5);
/// Bytes dropped from the page cache at once.
const LET_GO: u64 = 64 << 20;

/// Front of a growing file that a hasher follows. The hasher reads the file back, so that it vouches for the bytes in
/// the file, not for those received.
#[derive(Debug)]
pub(crate) struct Frontier {
    shared: Arc<Shared>,
}

/// Counter of the bytes that a hasher has seen.
#[derive(Clone, Debug)]
pub(crate) struct Hashed(Arc<Shared>);

impl Hashed {
    /// Number of bytes hashed.
    pub(crate) fn bytes(&self) -> u64 {
        self.0.hashed.load(Ordering::Relaxed)
    }
}

#[derive(Debug, Default)]
struct Shared {
    front: Mutex<Front>,
    moved: Condvar,
    hashed: AtomicU64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Front {
    position: u64,
    /// True once the position is the end of the file.
    complete: bool,
    cancelled: bool,
}

/// Reading and hashing side, for a thread of its own if there is one.
pub(crate) struct Follower {
    shared: Arc<Shared>,
    storage: Arc<dyn Storage>,
    hashers: Vec<Hasher>,
    /// End of the bytes hashed so far.
    position: u64,
    /// Drop hashed bytes from the page cache.
    lets_go: bool,
}

impl Frontier {
    pub(crate) fn new(
        storage: Arc<dyn Storage>,
        algorithms: &[Algorithm],
        lets_go: bool,
    ) -> (Self, Follower) {
        let shared = Arc::new(Shared::default());
        let hashers = algorithms.iter().copied().map(Hasher::new).collect();
        (Self { shared: shared.clone() }, Follower { shared, storage, hashers, position: 0, lets_go })
    }

    /// Reports that all bytes before `position` are written.
    pub(crate) fn advance(&self, position: u64, complete: bool) {
        self.change(|front| {
            front.position = front.position.max(position);
            front.complete |= complete;
        });
    }

    /// Number of bytes hashed.
    pub(crate) fn hashed(&self) -> u64 {
        self.shared.hashed.load(Ordering::Relaxed)
    }

    /// Counter of the bytes hashed, which outlives the frontier.
    pub(crate) fn counter(&self) -> Hashed {
        Hashed(self.shared.clone())
    }

    fn change(&self, change: impl FnOnce(&mut Front)) {
        // Plain numbers, so a panic elsewhere cannot leave them half changed.
        change(&mut self.shared.front.lock().unwrap_or_else(PoisonError::into_inner));
        self.shared.moved.notify_all();
    }
}

impl Drop for Frontier {
    fn drop(&mut self) {
        self.change(|front| front.cancelled = true);
    }
}

impl Follower {
    /// Hashes until the end of the file; returns `None` if the frontier was dropped before. Blocking.
    pub(crate) fn run(mut self) -> io::Result<Option<Vec<Digest>>> {
        let mut buffer = vec![0; READ];
        loop {
            let front = self.wait_beyond(self.position);
            while !front.cancelled && self.position < front.position {
                self.step(front, &mut buffer)?;
                if self.front().cancelled {
                    return Ok(None);
                }
            }
            if let Some(ended) = self.ended(front) {
                return Ok(ended);
            }
        }
    }

    /// Does the same as [`Self::run`] on a shared thread, yielding to its other tasks.
    pub(crate) async fn run_in_turns(mut self) -> io::Result<Option<Vec<Digest>>> {
        let mut buffer = vec![0; READ];
        loop {
            let front = self.front();
            if !front.cancelled && self.position < front.position {
                self.step(front, &mut buffer)?;
                tokio::task::yield_now().await;
                continue;
            }
            if let Some(ended) = self.ended(front) {
                return Ok(ended);
            }
            tokio::time::sleep(TURN).await;
        }
    }

    /// Hashes the next bytes before the front.
    fn step(&mut self, front: Front, buffer: &mut [u8]) -> io::Result<()> {
        let length = READ.min(usize::try_from(front.position - self.position).unwrap_or(READ));
        let read = self.storage.read_at(self.position, &mut buffer[..length])?;
        if read == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the part file became shorter"));
        }
        for hasher in &mut self.hashers {
            hasher.update(&buffer[..read]);
        }
        self.position += read as u64;
        if self.lets_go && self.position % LET_GO < read as u64 && self.position >= 2 * LET_GO {
            // Keeps the latest bytes: they may not be on disk yet.
            self.storage.forget(self.position - 2 * LET_GO, LET_GO);
        }
        self.shared.hashed.store(self.position, Ordering::Relaxed);
        Ok(())
    }

    /// Returns the result once `front` is final: digests at the end of the file, `None` if cancelled.
    fn ended(&mut self, front: Front) -> Option<Option<Vec<Digest>>> {
        if front.cancelled {
            return Some(None);
        }
        if !front.complete || self.position < front.position {
            return None;
        }
        Some(Some(std::mem::take(&mut self.hashers).into_iter().map(Hasher::finish).collect()))
    }

    fn front(&self) -> Front {
        *self.shared.front.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_beyond(&self, position: u64) -> Front {
        let mut front = self.shared.front.lock().unwrap_or_else(PoisonError::into_inner);
        while front.position <= position && !front.complete && !front.cancelled {
            front = self.shared.moved.wait(front).unwrap_or_else(PoisonError::into_inner);
        }
        *front
    }
}

/// Hashes a whole file with these algorithms. Blocking.
pub(crate) fn hash_file(storage: Arc<dyn Storage>, algorithms: &[Algorithm]) -> io::Result<Vec<Digest>> {
    let length = storage.len()?;
    let (frontier, follower) = Frontier::new(storage, algorithms, false);
    frontier.advance(length, true);
    Ok(follower.run()?.unwrap_or_default())
}
