//! Slots of an origin over the whole fleet: keys in a bucket, each held by one job. The server drops a key that is not renewed. Pure.

use super::subject::token;
use crate::plan::Origin;
use std::time::Duration;

/// Keys of the slots of an origin, in the order in which a worker tries them: each begins elsewhere, so that they do not contend.
pub(super) fn keys(origin: &Origin, count: u32, seed: u64) -> impl Iterator<Item = String> {
    let token = token(origin);
    let first = seed % u64::from(count.max(1));
    (0..u64::from(count)).map(move |number| format!("{token}.{}", (first + number) % u64::from(count)))
}

/// A slot that is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) key: String,
    /// Revision of the key that this holder wrote: with another one it is not its slot any more.
    pub(super) revision: u64,
    renewed: Duration,
}

impl Held {
    pub(super) fn new(key: String, revision: u64, now: Duration) -> Self {
        Self { key, revision, renewed: now }
    }

    /// Returns true if it is time to renew it, with keys that live for `age`.
    pub(super) fn is_due(&self, now: Duration, age: Duration) -> bool {
        now.saturating_sub(self.renewed) >= age / 3
    }

    pub(super) fn renewed(&mut self, revision: u64, now: Duration) {
        (self.revision, self.renewed) = (revision, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_worker_tries_all_slots_beginning_elsewhere() {
        let origin = Origin { https: false, host: "h".into(), port: 80 };
        let of = |seed| keys(&origin, 3, seed).collect::<Vec<_>>();
        assert_eq!(of(0), ["http-h-80.0", "http-h-80.1", "http-h-80.2"]);
        assert_eq!(of(5)[0], "http-h-80.2");
        assert_eq!(of(5).into_iter().collect::<BTreeSet<_>>(), of(0).into_iter().collect());
        assert_eq!(keys(&origin, 0, 7).count(), 0);
    }

    #[test]
    fn a_slot_is_renewed_well_before_its_key_is_dropped() {
        let second = Duration::from_secs;
        let mut held = Held::new("k".into(), 1, second(10));
        assert!(!held.is_due(second(19), second(30)) && held.is_due(second(20), second(30)));
        held.renewed(2, second(20));
        assert!(!held.is_due(second(29), second(30)));
        assert_eq!(held.revision, 2);
    }
}
