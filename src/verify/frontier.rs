//! Hashing behind the contiguous front: the verdict comes with the last byte.

use super::digest::{Digest, Hasher};
use crate::storage::Storage;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// How much is read back at once: small enough to stay in a core's cache between reading and hashing.
const READ: usize = 256 << 10;
/// How much is let go of at once.
const LET_GO: u64 = 64 << 20;

/// A hash that follows a file as it grows. It reads the file back, so that what it vouches for is what is
/// there, not what passed by.
#[derive(Debug)]
pub(crate) struct Frontier {
    shared: Arc<Shared>,
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
    /// Set once the position is the end of the file.
    complete: bool,
    cancelled: bool,
}

/// The reading and hashing side; blocking, for a thread of its own.
pub(crate) struct Follower {
    shared: Arc<Shared>,
    storage: Arc<dyn Storage>,
    hashers: Vec<Hasher>,
    /// What was hashed is not kept in memory.
    lets_go: bool,
}

impl Frontier {
    pub(crate) fn new(storage: Arc<dyn Storage>, expected: &[Digest], lets_go: bool) -> (Self, Follower) {
        let shared = Arc::new(Shared::default());
        let hashers = expected.iter().map(|digest| Hasher::new(digest.algorithm())).collect();
        (Self { shared: shared.clone() }, Follower { shared, storage, hashers, lets_go })
    }

    /// Everything before `position` is written.
    pub(crate) fn advance(&self, position: u64, complete: bool) {
        self.change(|front| {
            front.position = front.position.max(position);
            front.complete |= complete;
        });
    }

    /// How far it has been hashed.
    pub(crate) fn hashed(&self) -> u64 {
        self.shared.hashed.load(Ordering::Relaxed)
    }

    fn change(&self, change: impl FnOnce(&mut Front)) {
        // Plain numbers: a panic elsewhere cannot leave them half changed.
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
    /// Hashes until the end of the file; `None` if the frontier was dropped before.
    pub(crate) fn run(mut self) -> io::Result<Option<Vec<Digest>>> {
        let mut buffer = vec![0; READ];
        let mut position = 0;
        loop {
            let front = self.wait_beyond(position);
            if front.cancelled {
                return Ok(None);
            }
            while position < front.position {
                let length = READ.min(usize::try_from(front.position - position).unwrap_or(READ));
                let read = self.storage.read_at(position, &mut buffer[..length])?;
                if read == 0 {
                    return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the part file became shorter"));
                }
                for hasher in &mut self.hashers {
                    hasher.update(&buffer[..read]);
                }
                position += read as u64;
                if self.lets_go && position % LET_GO < read as u64 && position >= 2 * LET_GO {
                    // Not what was written a moment ago: it may not be on disk yet.
                    self.storage.forget(position - 2 * LET_GO, LET_GO);
                }
                if self.is_cancelled() {
                    return Ok(None);
                }
                self.shared.hashed.store(position, Ordering::Relaxed);
            }
            if front.complete {
                return Ok(Some(self.hashers.into_iter().map(Hasher::finish).collect()));
            }
        }
    }

    fn is_cancelled(&self) -> bool {
        self.shared.front.lock().unwrap_or_else(PoisonError::into_inner).cancelled
    }

    fn wait_beyond(&self, position: u64) -> Front {
        let mut front = self.shared.front.lock().unwrap_or_else(PoisonError::into_inner);
        while front.position <= position && !front.complete && !front.cancelled {
            front = self.shared.moved.wait(front).unwrap_or_else(PoisonError::into_inner);
        }
        *front
    }
}

/// Hashes a whole file; blocking.
pub(crate) fn hash_file(storage: Arc<dyn Storage>, expected: &[Digest]) -> io::Result<Vec<Digest>> {
    let length = storage.len()?;
    let (frontier, follower) = Frontier::new(storage, expected, false);
    frontier.advance(length, true);
    Ok(follower.run()?.unwrap_or_default())
}
