//! Rate limits: of one file, of its host, and of all files of a client; each can be changed while bytes come.

use crate::clock::Clock;
use crate::plan::pace::Pace;
use std::num::NonZeroU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// One limit, or none; shared by all connections that it applies to.
#[derive(Debug)]
pub(crate) struct Limit {
    clock: Clock,
    pace: Mutex<Option<Pace>>,
    changed: Notify,
}

impl Limit {
    /// `rate` is in bytes per second; `None` for no limit.
    pub(crate) fn new(rate: Option<NonZeroU64>) -> Arc<Self> {
        Arc::new(Self {
            clock: Clock::start(),
            pace: Mutex::new(rate.map(Pace::new)),
            changed: Notify::new(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Option<Pace>> {
        // Plain numbers: a panic elsewhere cannot leave them half changed.
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the rate. Connections that wait at the old one go on at once.
    pub(crate) fn set(&self, rate: Option<NonZeroU64>) {
        *self.lock() = rate.map(Pace::new);
        self.changed.notify_waiters();
    }

    /// The rate in bytes per second, if there is a limit.
    pub(crate) fn rate(&self) -> Option<NonZeroU64> {
        self.lock().as_ref().map(Pace::rate)
    }

    /// Counts the received bytes, and waits until more may come. Dropping the future cancels only the wait.
    async fn pass(&self, bytes: usize) {
        let mut changed = std::pin::pin!(self.changed.notified());
        changed.as_mut().enable();
        let wait = self.lock().as_mut().map(|pace| pace.pass(bytes as u64, self.clock.now()));
        if let Some(wait) = wait.filter(|wait| !wait.is_zero()) {
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = changed => {}
            }
        }
    }

    fn is_binding(&self) -> bool {
        self.lock().as_ref().is_some_and(|pace| pace.is_binding(self.clock.now()))
    }
}

/// The limits that one file is subject to.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    pub(crate) file: Arc<Limit>,
    pub(crate) host: Arc<Limit>,
    pub(crate) overall: Arc<Limit>,
}

impl Limits {
    fn all(&self) -> [&Arc<Limit>; 3] {
        [&self.file, &self.host, &self.overall]
    }

    /// Counts the received bytes, and waits until each limit allows more. Dropping the future cancels only the wait.
    pub(crate) async fn pass(&self, bytes: usize) {
        for limit in self.all() {
            limit.pass(bytes).await;
        }
    }

    /// Returns true if a limit is the bottleneck.
    pub(crate) fn is_binding(&self) -> bool {
        self.all().into_iter().any(|limit| limit.is_binding())
    }

    /// The lowest rate in bytes per second, if there is a limit.
    pub(crate) fn rate(&self) -> Option<NonZeroU64> {
        self.all().into_iter().filter_map(|limit| limit.rate()).min()
    }

    /// Bytes to count at once, so that no wait lasts long.
    pub(crate) fn piece(&self) -> usize {
        self.rate().map_or(usize::MAX, Pace::read_size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::time::Instant;

    fn rate(bytes: u64) -> Option<NonZeroU64> {
        NonZeroU64::new(bytes)
    }

    #[tokio::test(start_paused = true)]
    async fn the_lowest_limit_counts_and_each_can_be_changed_while_a_connection_waits() {
        let limits =
            Limits { file: Limit::new(None), host: Limit::new(rate(1000)), overall: Limit::new(rate(500)) };
        assert_eq!(limits.rate(), rate(500));
        let began = Instant::now();
        limits.pass(5_000).await;
        assert!(began.elapsed() >= Duration::from_millis(9_800), "{:?}", began.elapsed());
        // A wait of hours ends with its limit.
        limits.file.set(rate(1));
        let mut waiting = tokio::task::JoinSet::new();
        let waits = limits.clone();
        waiting.spawn(async move { waits.pass(100_000).await });
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert!(waiting.try_join_next().is_none() && limits.is_binding());
        for limit in limits.all() {
            limit.set(None);
        }
        // The host's and the common limit are passed one after the other.
        waiting.join_next().await.unwrap().unwrap();
        assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
        assert_eq!(limits.piece(), usize::MAX);
    }
}
