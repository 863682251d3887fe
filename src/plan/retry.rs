//! When to try again, and when to stop trying.

use super::Moment;
use std::time::Duration;

/// The limits of trying again.
#[derive(Clone, Debug)]
pub(crate) struct RetryPolicy {
    /// How many rounds of failure in a row, without new bytes in between, are tolerated.
    pub(crate) attempts: u32,
    /// For how long failures in a row are tolerated; `None` for no such limit.
    pub(crate) max_time: Option<Duration>,
    /// For how long a connection that breaks, or a server that is busy, is tolerated once bytes have come, however many
    /// rounds that takes: a line that is down for minutes comes back, and half of a file is worth waiting for.
    pub(crate) patience: Duration,
    /// The longest Retry-After that is waited for.
    pub(crate) retry_after_cap: Duration,
}

impl RetryPolicy {
    /// The longest pause that a server may ask for.
    pub(crate) fn longest_pause(&self) -> Duration {
        self.max_time.map_or(self.retry_after_cap, |limit| limit.min(self.retry_after_cap))
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts: 8,
            max_time: None,
            patience: Duration::ZERO,
            retry_after_cap: Duration::from_secs(300),
        }
    }
}

/// What failed, as far as it matters for trying again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Setback {
    /// The connection could not be made, broke, or fell silent.
    Broken,
    /// The resolver says that there is no such name.
    Nameless,
    /// The server asked for less, perhaps saying for how long.
    Busy { retry_after: Option<Duration> },
    /// The answer was unusable.
    Unusable,
}

/// What to do after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    Wait(Duration),
    /// As many rounds as the policy allows have failed.
    Exhausted,
    /// The server asks for a longer pause than the policy waits for.
    TooLong(Duration),
}

/// New bytes below this do not count as progress: a server that hands out one byte an attempt would
/// otherwise keep a transfer alive, and the network busy, for ever.
const PROGRESS: u64 = 64 * 1024;
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// A name that does not exist now will hardly do so in a minute; the resolver may have been wrong once or twice.
const NAMELESS_ROUNDS: u32 = 2;
/// No answer of a busy server, whatever it says, is repeated sooner.
const SHORTEST_BUSY_WAIT: Duration = Duration::from_millis(100);

/// The memory of failures of one transfer. Failures of attempts that were under way together count as one
/// round: eight connections to a server that dies are one failure, not eight.
#[derive(Debug)]
pub(crate) struct Retry {
    policy: RetryPolicy,
    rounds: u32,
    first_failure: Option<Moment>,
    last_round: Option<Moment>,
    not_before: Moment,
    new_bytes: u64,
    /// Bytes have come that count.
    served: bool,
    seed: u64,
}

impl Retry {
    pub(crate) fn new(policy: RetryPolicy, seed: u64) -> Self {
        Self {
            policy,
            rounds: 0,
            first_failure: None,
            last_round: None,
            not_before: Moment::ZERO,
            new_bytes: 0,
            served: false,
            seed,
        }
    }

    /// The moment before which nothing may be asked.
    pub(crate) fn not_before(&self) -> Moment {
        self.not_before
    }

    /// How many rounds have failed since bytes last came.
    pub(crate) fn rounds(&self) -> u32 {
        self.rounds
    }

    /// New bytes of the file have come.
    pub(crate) fn progressed(&mut self, bytes: u64) {
        self.new_bytes = self.new_bytes.saturating_add(bytes);
        if self.new_bytes >= PROGRESS {
            self.new_bytes = 0;
            self.served = true;
            self.rounds = 0;
            self.first_failure = None;
        }
    }

    /// The server asks for a pause although it serves others: nothing failed, but nothing new is asked for
    /// so long. A pause beyond the cap is for the one that was refused only.
    pub(crate) fn pause(&mut self, asked: Duration, now: Moment) {
        if asked <= self.policy.longest_pause().min(self.left(now)) {
            self.not_before = self.not_before.max(now + asked);
        }
    }

    /// An attempt that began at `started` failed at `now`.
    pub(crate) fn failed(&mut self, setback: Setback, started: Moment, now: Moment) -> Decision {
        let asked = match setback {
            Setback::Busy { retry_after } => retry_after,
            _ => None,
        };
        if let Some(asked) = asked.filter(|asked| *asked > self.policy.retry_after_cap) {
            return Decision::TooLong(asked);
        }
        let same_round = self.last_round.is_some_and(|round| started < round);
        if !same_round {
            self.rounds += 1;
            self.last_round = Some(now);
        }
        let failing = now.saturating_sub(*self.first_failure.get_or_insert(now));
        let left = self.left(now);
        if left.is_zero() || (self.rounds > self.tolerated(setback) && !self.is_patient(setback, failing)) {
            return Decision::Exhausted;
        }
        if let Some(asked) = asked.filter(|asked| *asked > left) {
            return Decision::TooLong(asked);
        }
        let wait = self.wait(setback).min(left);
        self.not_before = self.not_before.max(now + wait);
        Decision::Wait(self.not_before.saturating_sub(now))
    }

    /// For how long failures in a row go on to be tolerated.
    fn left(&self, now: Moment) -> Duration {
        let failing = self.first_failure.map_or(Duration::ZERO, |first| now.saturating_sub(first));
        self.policy.max_time.map_or(Duration::MAX, |limit| limit.saturating_sub(failing))
    }

    /// How many rounds are tolerated, however fast they follow each other.
    fn tolerated(&self, setback: Setback) -> u32 {
        match setback {
            Setback::Nameless if !self.served => self.policy.attempts.min(NAMELESS_ROUNDS),
            _ => self.policy.attempts,
        }
    }

    /// Whether more rounds than that are tolerated, after failing for so long.
    fn is_patient(&self, setback: Setback, failing: Duration) -> bool {
        self.served && setback != Setback::Unusable && failing < self.policy.patience
    }

    fn wait(&mut self, setback: Setback) -> Duration {
        match setback {
            // A pause of nothing, or one that is over, does not say how long.
            Setback::Busy { retry_after: Some(asked) } if !asked.is_zero() => asked.max(SHORTEST_BUSY_WAIT),
            // The first break after good bytes is most often a server that limits the length of a connection.
            Setback::Broken if self.rounds <= 1 => Duration::ZERO,
            _ => self.back_off(),
        }
    }

    /// Doubling waits, each spread over its upper half so that many clients do not come back together.
    fn back_off(&mut self) -> Duration {
        let doubled = FIRST_WAIT.saturating_mul(1 << self.rounds.min(10).saturating_sub(1));
        let ceiling = doubled.min(LONGEST_WAIT);
        self.seed = super::seed::mix(self.seed);
        ceiling / 2 + (ceiling / 2).mul_f64((self.seed >> 11) as f64 / (1_u64 << 53) as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUSY: Setback = Setback::Busy { retry_after: None };

    fn retry(attempts: u32) -> Retry {
        Retry::new(RetryPolicy { attempts, ..RetryPolicy::default() }, 7)
    }

    fn at(seconds: u64) -> Moment {
        Moment::from_secs(seconds)
    }

    #[test]
    fn failures_that_were_under_way_together_are_one_round() {
        let mut retry = retry(1);
        for _ in 0..8 {
            assert!(matches!(retry.failed(Setback::Broken, at(1), at(2)), Decision::Wait(_)));
        }
        assert_eq!(retry.rounds(), 1);
        assert_eq!(retry.failed(Setback::Broken, at(3), at(4)), Decision::Exhausted);
    }

    #[test]
    fn waits_grow_while_nothing_comes_and_start_anew_after_progress() {
        let mut retry = retry(8);
        let mut waits = Vec::new();
        for round in 0..6 {
            let now = at(100 * round + 1);
            match retry.failed(BUSY, now, now + at(1)) {
                Decision::Wait(wait) => waits.push(wait),
                other => panic!("{other:?}"),
            }
        }
        assert!(waits.windows(2).all(|pair| pair[0] < pair[1]), "{waits:?}");
        retry.progressed(PROGRESS);
        assert_eq!(retry.rounds(), 0);
    }

    #[test]
    fn a_trickle_of_bytes_is_no_progress() {
        let mut retry = retry(3);
        let ended = (0..10).find(|round| {
            retry.progressed(1);
            retry.failed(Setback::Broken, at(round * 50 + 1), at(round * 50 + 2)) == Decision::Exhausted
        });
        assert_eq!(ended, Some(3));
    }

    // T050
    #[test]
    fn a_retry_after_is_honoured_up_to_the_cap() {
        let busy = |seconds| Setback::Busy { retry_after: Some(Duration::from_secs(seconds)) };
        assert_eq!(retry(8).failed(busy(2), at(1), at(1)), Decision::Wait(Duration::from_secs(2)));
        assert_eq!(retry(8).failed(busy(301), at(1), at(1)), Decision::TooLong(Duration::from_secs(301)));
    }

    #[test]
    fn a_retry_after_of_nothing_does_not_use_up_the_tries_at_once() {
        let nothing = Setback::Busy { retry_after: Some(Duration::ZERO) };
        assert_eq!(endured(&mut retry(8), nothing), endured(&mut retry(8), BUSY));
        assert!(endured(&mut retry(8), nothing) > Duration::from_secs(20));
    }

    fn limited(seconds: u64) -> Retry {
        let policy = RetryPolicy { max_time: Some(Duration::from_secs(seconds)), ..RetryPolicy::default() };
        Retry::new(policy, 7)
    }

    #[test]
    fn the_time_limit_counts_from_the_first_failure_in_a_row() {
        let mut retry = limited(5);
        assert!(matches!(retry.failed(BUSY, at(1), at(2)), Decision::Wait(_)));
        assert_eq!(retry.failed(BUSY, at(3), at(8)), Decision::Exhausted);
    }

    #[test]
    fn the_time_limit_bounds_what_a_server_asks_for_and_what_is_waited() {
        let busy = |seconds| Setback::Busy { retry_after: Some(Duration::from_secs(seconds)) };
        assert_eq!(limited(5).failed(busy(5), at(1), at(2)), Decision::Wait(Duration::from_secs(5)));
        assert_eq!(limited(5).failed(busy(6), at(1), at(2)), Decision::TooLong(Duration::from_secs(6)));
        let mut retry = limited(5);
        assert_eq!(retry.failed(busy(3), at(1), at(2)), Decision::Wait(Duration::from_secs(3)));
        assert_eq!(retry.failed(busy(3), at(5), at(6)), Decision::TooLong(Duration::from_secs(3)));
        let mut retry = limited(20);
        for now in 2..22 {
            match retry.failed(BUSY, at(now), at(now)) {
                Decision::Wait(wait) => assert!(at(now) + wait <= at(22), "{now}: {wait:?}"),
                other => assert_eq!((other, now >= 10), (Decision::Exhausted, true)),
            }
        }
        let mut retry = limited(5);
        retry.pause(Duration::from_secs(6), at(1));
        assert_eq!(retry.not_before(), Moment::ZERO);
        // Neither does a pause between two failures lead beyond the limit.
        let mut retry = limited(3);
        assert_eq!(retry.failed(busy(2), at(1), at(1)), Decision::Wait(Duration::from_secs(2)));
        retry.pause(Duration::from_secs(2), at(3));
        assert_eq!(retry.not_before(), at(3));
        assert_eq!(retry.failed(busy(2), at(3), at(3)), Decision::TooLong(Duration::from_secs(2)));
    }

    /// For how long failures follow each other before it gives up, each found at once.
    fn endured(retry: &mut Retry, setback: Setback) -> Duration {
        let (begin, mut now) = (at(1000), at(1000));
        while let Decision::Wait(wait) = retry.failed(setback, now, now) {
            now += wait.max(Duration::from_millis(10));
        }
        now - begin
    }

    #[test]
    fn once_bytes_have_come_patience_is_counted_in_minutes() {
        let policy = RetryPolicy { patience: Duration::from_secs(300), ..RetryPolicy::default() };
        for setback in [Setback::Broken, Setback::Nameless, BUSY] {
            let mut retry = Retry::new(policy.clone(), 7);
            assert!(endured(&mut retry, setback) < Duration::from_secs(100), "{setback:?}");
            let mut retry = Retry::new(policy.clone(), 7);
            retry.progressed(PROGRESS);
            let endured = endured(&mut retry, setback);
            assert!((300..340).contains(&endured.as_secs()), "{setback:?}: {endured:?}");
        }
        let mut retry = Retry::new(policy.clone(), 7);
        retry.progressed(PROGRESS);
        assert!(endured(&mut retry, Setback::Unusable) < Duration::from_secs(100));
        let limited = RetryPolicy { max_time: Some(Duration::from_secs(20)), ..policy };
        let mut retry = Retry::new(limited, 7);
        retry.progressed(PROGRESS);
        assert!(endured(&mut retry, Setback::Broken) <= Duration::from_secs(21));
    }

    #[test]
    fn a_name_that_does_not_exist_fails_sooner_than_a_server_that_is_down() {
        let nameless = endured(&mut retry(8), Setback::Nameless);
        let down = endured(&mut retry(8), Setback::Broken);
        assert!(nameless < Duration::from_secs(5) && down > Duration::from_secs(30), "{nameless:?} {down:?}");
        assert_eq!(retry(0).failed(Setback::Nameless, at(1), at(1)), Decision::Exhausted);
    }
}
