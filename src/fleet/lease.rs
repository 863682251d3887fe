//! A lease on a job: the time for which the queue gives it to no other worker. Pure: the time is an argument.

use std::time::Duration;

/// Time on two clocks: the one that never jumps stands still while the machine sleeps, the time of day may be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Instant {
    /// Time since the worker began.
    pub(super) running: Duration,
    /// Time of day, since 1970.
    pub(super) date: Duration,
}

impl Instant {
    /// Time since `earlier`, by the clock that shows more of it.
    pub(super) fn since(self, earlier: Self) -> Duration {
        let running = self.running.saturating_sub(earlier.running);
        running.max(self.date.saturating_sub(earlier.date))
    }
}

/// State of a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Nothing is to be done.
    Held,
    /// Bytes have moved: it is time to renew it.
    Due,
    /// It is about to run out, and no bytes move: the job is to be handed back while that may still be said.
    Ending,
    /// It may have run out: another worker may have the job, and nothing may be said to the queue.
    Lost,
}

/// See the module.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lease {
    length: Duration,
    /// A time before which the queue did not begin to count.
    from: Instant,
    /// Bytes that had moved by then.
    moved: u64,
}

impl Lease {
    /// A lease of `length` for a message that was requested at `from`.
    pub(super) fn new(length: Duration, from: Instant) -> Self {
        Self { length, from, moved: 0 }
    }

    /// Time before its end in which nothing is said any more: a message takes a while, and so does a process that is not scheduled.
    fn margin(&self) -> Duration {
        (self.length / 10).min(Duration::from_secs(5))
    }

    pub(super) fn state(&self, now: Instant, moved: u64) -> State {
        let age = now.since(self.from);
        let safe = self.length.saturating_sub(self.margin());
        if age >= safe {
            State::Lost
        } else if moved != self.moved && age >= self.length / 3 {
            State::Due
        } else if moved == self.moved && age >= safe.saturating_sub(self.margin()) {
            State::Ending
        } else {
            State::Held
        }
    }

    /// Returns true if something may be said to the queue.
    pub(super) fn may_speak(&self, now: Instant) -> bool {
        self.state(now, self.moved) != State::Lost
    }

    /// Returns true if less than half of it is gone.
    pub(super) fn is_fresh(&self, now: Instant) -> bool {
        now.since(self.from) < self.length / 2
    }

    /// The queue has confirmed a renewal that was sent at `sent`, when `moved` bytes had moved.
    pub(super) fn renewed(&mut self, sent: Instant, moved: u64) {
        if sent.running > self.from.running {
            (self.from, self.moved) = (sent, moved);
        }
    }

    /// Interval at which its state is to be looked at.
    pub(super) fn interval(&self) -> Duration {
        (self.length / 20).clamp(Duration::from_millis(10), Duration::from_secs(5))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LENGTH: Duration = Duration::from_secs(30);

    fn at(seconds: u64) -> Instant {
        Instant { running: Duration::from_secs(seconds), date: Duration::from_secs(1_000_000 + seconds) }
    }

    #[test]
    fn a_lease_is_renewed_only_while_bytes_move() {
        let mut lease = Lease::new(LENGTH, at(0));
        assert_eq!(lease.state(at(9), 5), State::Held);
        assert_eq!(lease.state(at(10), 5), State::Due);
        assert_eq!(lease.state(at(10), 0), State::Held);
        assert_eq!(lease.state(at(24), 0), State::Ending);
        assert_eq!(lease.state(at(24), 5), State::Due);
        assert_eq!(lease.state(at(27), 5), State::Lost);
        lease.renewed(at(10), 5);
        assert_eq!(lease.state(at(27), 5), State::Held);
        assert_eq!(lease.state(at(34), 5), State::Ending);
        assert_eq!(lease.state(at(34), 6), State::Due);
    }

    #[test]
    fn a_process_that_was_stopped_or_slept_says_nothing() {
        let lease = Lease::new(LENGTH, at(0));
        assert!(lease.may_speak(at(26)) && !lease.may_speak(at(27)));
        // The machine slept: only the time of day went on.
        let slept = Instant { running: Duration::from_secs(1), ..at(60) };
        assert!(!lease.may_speak(slept));
        // The time of day was set back.
        let set_back = Instant { date: Duration::ZERO, ..at(60) };
        assert!(!lease.may_speak(set_back));
    }

    #[test]
    fn a_renewal_that_is_confirmed_late_makes_no_lease_shorter() {
        let mut lease = Lease::new(LENGTH, at(0));
        lease.renewed(at(10), 7);
        lease.renewed(at(5), 3);
        assert!(lease.may_speak(at(36)));
    }

    proptest! {
        /// The queue counts from the moment a message reaches it, which is never before it was sent.
        #[test]
        fn a_worker_that_speaks_has_the_lease(
            length in 100_u64..60_000,
            steps in proptest::collection::vec((1_u64..20_000, 0_u64..500, any::<bool>(), 0_u64..3), 1..40),
        ) {
            let milliseconds = |time| Instant {
                running: Duration::from_millis(time),
                date: Duration::from_millis(1_000_000 + time),
            };
            let mut lease = Lease::new(Duration::from_millis(length), milliseconds(0));
            // End of the lease as the queue sees it.
            let (mut now, mut ends, mut moved) = (0, length, 0);
            for (pause, way, arrives, bytes) in steps {
                now += pause;
                moved += bytes;
                let state = lease.state(milliseconds(now), moved);
                if lease.may_speak(milliseconds(now)) {
                    prop_assert!(now < ends, "it spoke {now} after {ends}");
                }
                prop_assert_eq!(state == State::Lost, !lease.may_speak(milliseconds(now)));
                if state == State::Due && arrives && now + way < ends {
                    ends = now + way + length;
                    lease.renewed(milliseconds(now), moved);
                    now += way;
                }
            }
        }

        #[test]
        fn without_bytes_a_lease_is_never_renewed(length in 1_u64..60_000, time in 0_u64..100_000) {
            let now = Instant { running: Duration::from_millis(time), date: Duration::from_millis(time) };
            let from = Instant { running: Duration::ZERO, date: Duration::ZERO };
            prop_assert_ne!(Lease::new(Duration::from_millis(length), from).state(now, 0), State::Due);
        }
    }
}
