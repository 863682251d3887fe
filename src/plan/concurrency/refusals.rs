//! Number of connections that a server tolerates, as its refusals have shown.

use crate::plan::Moment;
use std::time::Duration;

/// Time for which a lowered limit is held before one more connection is tried, at first.
const FIRST_HOLD: Duration = Duration::from_secs(10);
/// Time within which refusals count as one.
const ONE_LESSON: Duration = Duration::from_secs(1);
const LONGEST_HOLD: Duration = Duration::from_secs(300);

/// Limit on the connections: the wanted number, lowered by the server's refusals, and raised again one at a time, more
/// rarely after each refusal.
#[derive(Debug)]
pub(crate) struct Refusals {
    wanted: usize,
    cap: usize,
    hold: Duration,
    raise_at: Option<Moment>,
    /// True if nothing was served at the last failure. That says nothing about a limit, so one attempt finds out when
    /// the outage is over, and then all are back.
    outage: bool,
    lesson_until: Moment,
}

impl Refusals {
    pub(crate) fn new(wanted: usize) -> Self {
        let wanted = wanted.max(1);
        Self {
            wanted,
            cap: wanted,
            hold: FIRST_HOLD,
            raise_at: None,
            outage: false,
            lesson_until: Moment::ZERO,
        }
    }

    /// Limit learned from refusals, if any.
    pub(crate) fn cap(&self) -> Option<usize> {
        self.raise_at.map(|_| self.cap)
    }

    /// Number of connections allowed at `now`.
    pub(crate) fn limit(&mut self, now: Moment) -> usize {
        if self.raise_at.is_some_and(|at| now >= at) {
            self.cap = (self.cap + 1).min(self.wanted);
            self.raise_at = (self.cap < self.wanted).then(|| now + self.hold);
        }
        if self.outage { 1 } else { self.cap }
    }

    /// Records that the server refused one more while `serving` were under way (0: while it served nothing at all);
    /// none is added before `wait` is over.
    pub(crate) fn refused(&mut self, serving: usize, now: Moment, wait: Duration) {
        if serving == 0 {
            self.outage = true;
            return;
        }
        self.cap = self.cap.min(serving);
        // Refusals that come together teach one limit.
        self.raise_at = Some(match self.raise_at {
            Some(at) => at.max(now + wait),
            None => now + self.hold.max(wait),
        });
        if self.lesson_until <= now {
            self.hold = (self.hold * 2).min(LONGEST_HOLD);
            self.lesson_until = now + ONE_LESSON;
        }
    }

    /// Changes the number that is wanted.
    pub(crate) fn want(&mut self, wanted: usize) {
        self.wanted = wanted;
        self.cap = if self.raise_at.is_some() { self.cap.min(wanted) } else { wanted };
    }

    /// Records that bytes come, which ends an outage.
    pub(crate) fn served(&mut self) {
        self.outage = false;
    }

    /// True while a refusal keeps the limit below the wanted number.
    pub(crate) fn is_lowered(&self) -> bool {
        self.raise_at.is_some()
    }

    /// Uses one connection for the rest, whatever was wanted.
    pub(crate) fn only_one(&mut self) {
        (self.wanted, self.cap, self.raise_at) = (1, 1, None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::from_secs(seconds)
    }

    // T049
    #[test]
    fn a_refusal_lowers_the_limit_to_what_was_being_served() {
        let mut refusals = Refusals::new(8);
        assert_eq!(refusals.limit(at(0)), 8);
        for _ in 0..5 {
            refusals.refused(3, at(0), Duration::from_secs(2));
        }
        assert_eq!(refusals.limit(at(9)), 3);
        assert_eq!(refusals.limit(at(10)), 4);
    }

    #[test]
    fn a_refused_probe_makes_the_next_one_later() {
        let mut refusals = Refusals::new(8);
        refusals.refused(3, at(0), Duration::ZERO);
        assert_eq!(refusals.limit(at(10)), 4);
        refusals.refused(3, at(10), Duration::ZERO);
        assert_eq!(refusals.limit(at(29)), 3);
        assert_eq!(refusals.limit(at(30)), 4);
    }

    #[test]
    fn one_is_always_left() {
        let mut refusals = Refusals::new(0);
        refusals.refused(0, at(0), Duration::ZERO);
        assert_eq!(refusals.limit(at(0)), 1);
    }

    #[test]
    fn after_an_outage_all_connections_are_back_at_once() {
        let mut refusals = Refusals::new(8);
        refusals.refused(0, at(0), Duration::ZERO);
        assert_eq!(refusals.limit(at(60)), 1);
        refusals.served();
        assert_eq!(refusals.limit(at(60)), 8);
    }
}
