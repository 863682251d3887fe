//! How much trying again a host has to put up with, from all files of a run together.

use super::Moment;
use std::time::Duration;

/// So many rounds of trying again may follow each other closely.
const FULL: f64 = 32.0;
/// One more is allowed after each of these …
const PERIOD: Duration = Duration::from_secs(10);
/// … and for this many bytes that the host has served: who serves is not in trouble.
const BYTES: f64 = (1_u64 << 20) as f64;

/// The rounds of trying again that are left for one host. Each file has limits of its own, and a thousand files
/// would be a thousand times those; this is what keeps a run from becoming a storm.
#[derive(Debug)]
pub(crate) struct Budget {
    rounds: f64,
    since: Moment,
}

impl Budget {
    pub(crate) fn new(now: Moment) -> Self {
        Self { rounds: FULL, since: now }
    }

    /// The host has served so many bytes.
    pub(crate) fn earn(&mut self, bytes: u64) {
        self.add(bytes as f64 / BYTES);
    }

    /// The host has served a file as a whole, however small: that is worth a round.
    pub(crate) fn earn_one(&mut self) {
        self.add(1.0);
    }

    /// Takes one round out, if there is one.
    pub(crate) fn spend(&mut self, now: Moment) -> bool {
        let waited = now.saturating_sub(std::mem::replace(&mut self.since, now));
        self.add(waited.as_secs_f64() / PERIOD.as_secs_f64());
        let enough = self.rounds >= 1.0;
        if enough {
            self.rounds -= 1.0;
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
}
