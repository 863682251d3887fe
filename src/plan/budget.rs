//! Retry budget of a host, shared by all files of a run.

use super::Moment;
use std::time::Duration;

/// Retry rounds that may follow each other closely.
const FULL: f64 = 32.0;
/// Duration of a round: failures within it, of however many files, have one cause and count once.
const ONE_ROUND: Duration = Duration::from_millis(500);
/// Time after which one more round is allowed …
const PERIOD: Duration = Duration::from_secs(10);
/// … and the served bytes that earn one more: a host that serves is not in trouble.
const BYTES: f64 = (1_u64 << 20) as f64;

/// Retry rounds left for one host. Each file has limits of its own, and a thousand files would have a thousand times
/// those; this budget keeps a run from becoming a storm.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    rounds: f64,
    since: Moment,
    /// End of the round that was last spent.
    round_until: Moment,
}

impl Budget {
    pub(crate) fn new(now: Moment) -> Self {
        Self { rounds: FULL, since: now, round_until: now }
    }

    /// A budget with no rounds left.
    #[cfg(test)]
    pub(crate) fn exhausted(now: Moment) -> Self {
        Self { rounds: 0.0, ..Self::new(now) }
    }

    /// Credits bytes that the host has served.
    pub(crate) fn earn(&mut self, bytes: u64) {
        self.add(bytes as f64 / BYTES);
    }

    /// Credits a round for a whole file that the host has served, however small.
    pub(crate) fn earn_one(&mut self) {
        self.add(1.0);
    }

    /// Spends as [`Self::spend`] does, for a host that has served before: an outage that many files meet together is
    /// one round.
    pub(crate) fn spend_together(&mut self, now: Moment) -> bool {
        now < self.round_until || self.spend(now)
    }

    /// Spends one round; false if none is left.
    pub(crate) fn spend(&mut self, now: Moment) -> bool {
        let waited = now.saturating_sub(std::mem::replace(&mut self.since, now));
        self.add(waited.as_secs_f64() / PERIOD.as_secs_f64());
        let enough = self.rounds >= 1.0;
        if enough {
            self.rounds -= 1.0;
            self.round_until = now + ONE_ROUND;
        }
        enough
    }

    fn add(&mut self, rounds: f64) {
        self.rounds = (self.rounds + rounds).min(FULL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spent(budget: &mut Budget, now: Moment) -> usize {
        (0..1000).filter(|_| budget.spend(now)).count()
    }

    #[test]
    fn a_host_that_serves_nothing_is_soon_left_alone() {
        let mut budget = Budget::new(Moment::ZERO);
        assert_eq!(spent(&mut budget, Moment::ZERO), 32);
        assert_eq!(spent(&mut budget, Moment::from_secs(100)), 10);
        assert_eq!(spent(&mut budget, Moment::from_secs(100)), 0);
        assert_eq!(spent(&mut budget, Moment::from_secs(1_000_000)), 32);
    }

    #[test]
    fn a_host_that_serves_is_forgiven() {
        let mut budget = Budget::new(Moment::ZERO);
        spent(&mut budget, Moment::ZERO);
        budget.earn(5 << 20);
        assert_eq!(spent(&mut budget, Moment::ZERO), 5);
        budget.earn(u64::MAX);
        assert_eq!(spent(&mut budget, Moment::ZERO), 32);
    }

    #[test]
    fn many_files_that_fail_together_spend_one_round() {
        let mut budget = Budget::new(Moment::ZERO);
        assert!((0..1000).all(|_| budget.spend_together(Moment::ZERO)));
        assert_eq!(spent(&mut budget.clone(), Moment::ZERO), 31);
        // An outage of 15 s, as seen by 32 files that retry: at once, and after waits that double.
        for second in [0.0_f64, 0.2, 0.6, 1.5, 3.4, 7.2, 14.8] {
            for file in 0..32 {
                let spread = second / 4.0 * f64::from(file) / 32.0;
                assert!(budget.spend_together(Duration::from_secs_f64(second + spread)), "{second} s");
            }
        }
        assert!(spent(&mut budget, Moment::from_secs(20)) >= 8);
    }
}
