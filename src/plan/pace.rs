//! Rate limit shared by all connections of a run, kept by waiting before the next read.

use super::Moment;
use std::num::NonZeroU64;
use std::time::Duration;

/// Unused rate that a pause saves up, at most, as time.
const SAVED_UP: Duration = Duration::from_millis(100);
/// Time within which the bytes of one read may pass, …
const TURN: Duration = Duration::from_millis(50);
/// … but a read is not smaller than its cost is worth, and not larger than the memory for it.
const SMALLEST_READ: u64 = 8 << 10;
const LARGEST_READ: u64 = 512 << 10;
/// Rate of a connection, in bytes a second, below which connections only wait for each other.
const WORTH_ONE: u64 = 64 << 10;

/// Computes the wait after each read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    rate: NonZeroU64,
    /// Time at which all bytes passed so far would have come at the rate.
    paid_until: Moment,
}

impl Pace {
    /// Creates a limit of `rate` bytes a second.
    pub(crate) fn new(rate: NonZeroU64) -> Self {
        Self { rate, paid_until: Moment::ZERO }
    }

    /// The rate in bytes a second.
    pub(crate) fn rate(&self) -> NonZeroU64 {
        self.rate
    }

    /// Records received bytes; returns the time to wait before the next read.
    pub(crate) fn pass(&mut self, bytes: u64, now: Moment) -> Duration {
        let from = self.paid_until.max(now.saturating_sub(SAVED_UP));
        let time = Duration::from_secs_f64(bytes as f64 / self.rate.get() as f64);
        self.paid_until = from.saturating_add(time);
        self.paid_until.saturating_sub(now)
    }

    /// True while the limit bounds the rate.
    pub(crate) fn is_binding(&self, now: Moment) -> bool {
        self.paid_until > now
    }

    /// Bytes of one read at this rate.
    pub(crate) fn read_size(rate: NonZeroU64) -> usize {
        let turn = u128::from(rate.get()) * TURN.as_millis() / 1000;
        // Lossless: the value is at most LARGEST_READ.
        (turn.min(u128::from(LARGEST_READ)) as usize).max(SMALLEST_READ as usize)
    }

    /// Connections at this rate, at most: more gain nothing.
    pub(crate) fn most_connections(rate: NonZeroU64) -> usize {
        usize::try_from(rate.get() / WORTH_ONE).unwrap_or(usize::MAX).max(1)
    }
}

/// Number of looks over which their share is smoothed.
const LOOKS: f64 = 20.0;
/// Share of looks beyond which a limit bounds the rate: if the line is a little slower the limit delays a connection
/// only now and then.
const NEARLY_ALWAYS: f64 = 0.9;

/// Share of the last looks at which a limit delayed a connection.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Binding {
    /// Smoothed share, from 0 to 1.
    share: f64,
    looks: f64,
}

impl Binding {
    /// Records one look: `binding` if the limit delays a connection now.
    pub(crate) fn saw(&mut self, binding: bool) {
        self.looks = (self.looks + 1.0).min(LOOKS);
        self.share += (f64::from(u8::from(binding)) - self.share) / self.looks;
    }

    /// True if the limit bounds the rate.
    pub(crate) fn lasts(self) -> bool {
        self.share > NEARLY_ALWAYS
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_limit_binds_where_it_nearly_always_does() {
        let lasts = |looks: &[bool]| {
            let mut binding = Binding::default();
            looks.iter().for_each(|look| binding.saw(*look));
            binding.lasts()
        };
        assert!(!lasts(&[]));
        assert!(lasts(&[true; 3]));
        // A line that is a quarter slower: three looks of four.
        let now_and_then: Vec<_> = (0..100).map(|look| look % 4 != 3).collect();
        assert!((1..100).all(|count| count < 4 || !lasts(&now_and_then[..count])));
        let nearly_always: Vec<_> = (0..100).map(|look| look % 50 != 25).collect();
        assert!(lasts(&nearly_always));
        let over = [[true; 50], [false; 50]].concat();
        assert!(!lasts(&over[..60]));
    }

    fn rate(bytes: u64) -> NonZeroU64 {
        NonZeroU64::new(bytes).unwrap()
    }

    #[test]
    fn little_is_read_at_once_at_a_low_rate_and_much_at_a_high_one() {
        assert_eq!(Pace::read_size(rate(1)), 8 << 10);
        assert_eq!(Pace::read_size(rate(1 << 20)), (1 << 20) / 20);
        assert_eq!(Pace::read_size(NonZeroU64::MAX), 512 << 10);
    }

    #[test]
    fn a_low_rate_is_not_spread_over_many_connections() {
        assert_eq!([1, 100 << 10, 1 << 20].map(|bytes| Pace::most_connections(rate(bytes))), [1, 1, 16]);
    }

    #[test]
    fn a_pause_does_not_save_up_for_a_burst() {
        let mut pace = Pace::new(rate(1000));
        let now = Duration::from_secs(100);
        assert!(!pace.is_binding(now));
        // A tenth of a second's worth has been saved up.
        assert_eq!(pace.pass(1100, now), Duration::from_secs(1));
        assert!(pace.is_binding(now + Duration::from_millis(999)));
        assert!(!pace.is_binding(now + Duration::from_secs(1)));
    }

    proptest! {
        // The bound: in any span of time no more has passed than the rate allows, plus the saved-up time, plus the
        // last reads of the connections that wait at its end.
        #[test]
        fn whoever_comes_when_the_rate_is_kept(
            bytes_a_second in 1_u64..1 << 40, reads in prop::collection::vec((1_u64..1 << 20, 0_u64..5000, 0_usize..4), 1..200),
        ) {
            let mut pace = Pace::new(rate(bytes_a_second));
            let mut free = [Moment::ZERO; 4];
            let (mut passed, mut last) = (0, Moment::ZERO);
            for (bytes, idle, who) in reads {
                // The connection that is free reads next, so that time does not run backwards.
                let now = free[who].max(last) + Duration::from_millis(idle);
                let wait = pace.pass(bytes, now);
                passed += bytes;
                free[who] = now + wait;
                last = now;
                let due = (now + wait + SAVED_UP).as_secs_f64() * bytes_a_second as f64;
                prop_assert!(passed as f64 <= due * (1.0 + 1e-6) + 1.0, "{passed} bytes, {due} were due");
            }
        }
    }
}
