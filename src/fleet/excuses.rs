//! Deliveries that were not the fault of their jobs, in a bucket: the queue counts only all of them together.

use super::outcome::{Deliveries, Excuse};
use async_nats::jetstream::kv::Store;

/// See the module.
pub(super) struct Excuses {
    bucket: Store,
    /// Counted deliveries after which a job is laid aside.
    pub(super) most: u64,
}

impl Excuses {
    pub(super) fn new(bucket: Store, most: u64) -> Self {
        Self { bucket, most }
    }

    /// Deliveries of a job, of which the queue counts `all`. Without an answer from the bucket all before this one are excused: a job must not
    /// be laid aside because the server is away.
    pub(super) async fn of(&self, id: &str, all: u64) -> Deliveries {
        // The first delivery has none before it.
        let read = if all > 1 { self.read(id).await } else { Some((0, 0)) };
        let (excused, unreached) = read.unwrap_or((all - 1, 0));
        Deliveries { all, excused, unreached, most: self.most, known: read.is_some() }
    }

    /// `None` without an answer.
    async fn read(&self, id: &str) -> Option<(u64, u64)> {
        let found = self.bucket.get(id).await.ok()?;
        Some(found.and_then(|text| parse(&text)).unwrap_or_default())
    }

    /// Records that the present delivery does not count.
    pub(super) async fn add(&self, id: &str, deliveries: Deliveries, excuse: Excuse) {
        if !deliveries.known {
            return;
        }
        let unreached = deliveries.unreached + u64::from(excuse == Excuse::Unreached);
        let text = format!("{} {unreached}", deliveries.excused + 1);
        // If it is lost, the delivery counts.
        let _ = self.bucket.put(id, text.into()).await;
    }

    /// Forgets a job that has ended.
    pub(super) async fn forget(&self, id: &str, deliveries: Deliveries) {
        if deliveries.excused > 0 {
            let _ = self.bucket.purge(id).await;
        }
    }
}

fn parse(text: &[u8]) -> Option<(u64, u64)> {
    let (excused, unreached) = std::str::from_utf8(text).ok()?.split_once(' ')?;
    Some((excused.parse().ok()?, unreached.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_that_makes_no_sense_excuses_nothing() {
        assert_eq!(parse(b"7 2"), Some((7, 2)));
        for wrong in [&b""[..], b"7", b"7 x", b"-1 0", b"\xff 1"] {
            assert_eq!(parse(wrong), None);
        }
    }
}
