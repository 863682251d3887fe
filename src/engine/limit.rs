//! Rate limit that all connections of a client share.

use super::clock::Clock;
use crate::plan::pace::Pace;
use std::num::NonZeroU64;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// See the module.
pub(crate) struct Limit {
    clock: Clock,
    pace: Mutex<Pace>,
}

impl Limit {
    /// `rate` is in bytes per second.
    pub(crate) fn new(rate: NonZeroU64) -> Self {
        Self { clock: Clock::start(), pace: Mutex::new(Pace::new(rate)) }
    }

    fn lock(&self) -> MutexGuard<'_, Pace> {
        // Plain numbers: a panic elsewhere cannot leave them half changed.
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts the received bytes, and waits until more may come. Dropping the future cancels only the wait.
    pub(crate) async fn pass(&self, bytes: usize) {
        let wait = self.lock().pass(bytes as u64, self.clock.now());
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }

    /// Returns true if the limit is the bottleneck.
    pub(crate) fn is_binding(&self) -> bool {
        self.lock().is_binding(self.clock.now())
    }
}
