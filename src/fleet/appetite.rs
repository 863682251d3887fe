//! Number of jobs that a worker asks for: those that it can start, and a few more while jobs end quickly. Pure.

use std::time::Duration;

/// Jobs that are taken before there is room for them, at most.
const MOST_AHEAD: usize = 64;
/// Period over which ended jobs are counted.
const PERIOD: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Appetite {
    /// Jobs that run at once.
    width: usize,
    began: Duration,
    /// Jobs that ended in this period, and in the one before it.
    ended: usize,
    before: usize,
}

impl Appetite {
    pub(super) fn new(width: usize) -> Self {
        Self { width, began: Duration::ZERO, ended: 0, before: 0 }
    }

    pub(super) fn ended(&mut self, now: Duration) {
        self.turn(now);
        self.ended += 1;
    }

    fn turn(&mut self, now: Duration) {
        let passed = now.saturating_sub(self.began);
        if passed >= PERIOD {
            self.before = if passed < 2 * PERIOD { self.ended } else { 0 };
            (self.began, self.ended) = (now, 0);
        }
    }

    /// Number of jobs to ask for beside the `held` ones; 0 until it is worth a request.
    pub(super) fn wants(&mut self, held: usize, now: Duration) -> usize {
        self.turn(now);
        // A job that is taken ahead starts within a fraction of a second.
        let ahead = (self.before.max(self.ended) / 4).min(MOST_AHEAD);
        let room = (self.width + ahead).saturating_sub(held);
        if room == 0 || (held >= self.width && room * 2 < ahead) { 0 } else { room }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_jobs_are_taken_one_by_one_and_quick_ones_ahead() {
        let mut appetite = Appetite::new(4);
        assert_eq!(appetite.wants(0, Duration::ZERO), 4);
        assert_eq!(appetite.wants(3, Duration::ZERO), 1);
        assert_eq!(appetite.wants(4, Duration::ZERO), 0);
        let mut now = Duration::ZERO;
        for _ in 0..1000 {
            now += Duration::from_millis(5);
            appetite.ended(now);
        }
        assert_eq!(appetite.wants(4, now), 50);
        assert_eq!(appetite.wants(43, now), 0);
        assert_eq!(appetite.wants(3, now), 51);
        now += 3 * PERIOD;
        assert_eq!(appetite.wants(4, now), 0);
    }

    #[test]
    fn never_more_is_held_than_the_width_and_what_is_ahead() {
        let mut appetite = Appetite::new(8);
        for millisecond in 0..5000 {
            let now = Duration::from_millis(millisecond);
            (0..10).for_each(|_| appetite.ended(now));
            for held in 0..200 {
                assert!(held + appetite.wants(held, now) <= (8 + MOST_AHEAD).max(held));
            }
        }
    }
}
