//! Heartbeats: a worker says every few seconds that it is there, and what it does.

use async_nats::jetstream::kv::Store;
use serde::{Deserialize, Serialize};
use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Interval between two heartbeats.
const INTERVAL: Duration = Duration::from_secs(3);
/// Time for which a heartbeat is kept: a worker that is killed is seen for that long.
pub(super) const KEPT: Duration = Duration::from_secs(12);

/// Figures of a worker, as a heartbeat states them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Beat {
    /// Jobs that it holds.
    pub(super) running: u64,
    pub(super) done: u64,
    pub(super) failed: u64,
    /// Bytes a second since the last heartbeat.
    pub(super) rate: f64,
}

/// Work of a worker so far.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) running: AtomicU64,
    pub(super) done: AtomicU64,
    pub(super) failed: AtomicU64,
    /// Bytes that were received.
    pub(super) bytes: AtomicU64,
}

impl Counters {
    fn beat(&self, before: u64, time: Duration) -> Beat {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Beat {
            running: of(&self.running),
            done: of(&self.done),
            failed: of(&self.failed),
            rate: of(&self.bytes).saturating_sub(before) as f64 / time.as_secs_f64(),
        }
    }
}

/// Beats until it is dropped.
pub(super) async fn beat(bucket: &Store, worker: &str, counters: &Counters) -> Infallible {
    let mut interval = tokio::time::interval(INTERVAL);
    let mut before = 0;
    loop {
        interval.tick().await;
        let beat = counters.beat(before, INTERVAL);
        before = counters.bytes.load(Ordering::Relaxed);
        if let Ok(text) = serde_json::to_vec(&beat) {
            // The next one may arrive.
            let _ = bucket.put(worker, text.into()).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_since_the_last_heartbeat() {
        let counters = Counters::default();
        counters.bytes.store(9000, Ordering::Relaxed);
        counters.running.store(2, Ordering::Relaxed);
        let beat = counters.beat(3000, Duration::from_secs(3));
        assert_eq!(beat, Beat { running: 2, rate: 2000.0, ..Beat::default() });
        let text = serde_json::to_string(&beat).unwrap();
        assert_eq!(serde_json::from_str::<Beat>(&text).unwrap(), beat);
        // A later version may state more.
        assert!(serde_json::from_str::<Beat>(r#"{"running":1,"more":2}"#).is_ok());
    }
}
