//! Retry decisions: the time of the next attempt, and the point of giving up.

use super::Moment;
use std::time::Duration;

/// Limits of retrying.
#[derive(Clone, Debug)]
pub(crate) struct RetryPolicy {
    /// Rounds of failure in a row, without new bytes in between, that are tolerated.
    pub(crate) attempts: u32,
    /// Time for which failures in a row are tolerated; `None` for no such limit.
    pub(crate) max_time: Option<Duration>,
    /// Time for which a broken connection or a busy server is tolerated once bytes have come, however many rounds that
    /// takes: a line that is down for minutes comes back, and half of a file is worth waiting for.
    pub(crate) patience: Duration,
    /// Longest Retry-After that is waited for.
    pub(crate) retry_after_cap: Duration,
    /// Shortest wait between two rounds.
    pub(crate) shortest_wait: Duration,
}

impl RetryPolicy {
    /// Longest pause that a server may ask for.
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
            shortest_wait: Duration::ZERO,
        }
    }
}

/// Kind of a failure, as far as it matters for a retry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FailureClass {
    /// The connection could not be established, broke, or fell silent.
    Broken,
    /// The resolver reports that the name does not exist.
    Nameless,
    /// The server is overloaded, and may state the time to wait.
    Busy { retry_after: Option<Duration> },
    /// The response was unusable.
    Unusable,
}

/// Decision after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    Wait(Duration),
    /// The rounds or the time that the policy allows are used up.
    Exhausted,
    /// The server asks for a longer pause than the policy waits for.
    TooLong(Duration),
}

/// New bytes that count as progress, at the least: a server that hands out one byte per attempt would otherwise keep a
/// transfer alive, and the network busy, forever.
const PROGRESS: u64 = 64 * 1024;
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// Rounds tolerated for a name that does not exist: it will hardly exist in a minute; the resolver may have been wrong
/// once or twice.
const NAMELESS_ROUNDS: u32 = 2;
/// Shortest wait after the response of a busy server, whatever it states.
const SHORTEST_BUSY_WAIT: Duration = Duration::from_millis(100);

/// Failure history of one transfer. Failures of attempts that were under way together count as one round: eight
/// connections to a server that dies are one failure, not eight.
#[derive(Debug)]
pub(crate) struct Retry {
    policy: RetryPolicy,
    rounds: u32,
    first_failure: Option<Moment>,
    last_round: Option<Moment>,
    not_before: Moment,
    new_bytes: u64,
    /// True once enough bytes have come to count as progress.
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

    /// Time before which no request may be sent.
    pub(crate) fn not_before(&self) -> Moment {
        self.not_before
    }

    /// Number of failed rounds since the last progress.
    pub(crate) fn rounds(&self) -> u32 {
        self.rounds
    }

    /// Records new bytes of the file.
    pub(crate) fn progressed(&mut self, bytes: u64) {
        self.new_bytes = self.new_bytes.saturating_add(bytes);
        if self.new_bytes >= PROGRESS {
            self.new_bytes = 0;
            self.served = true;
            self.rounds = 0;
            self.first_failure = None;
        }
    }

    /// Forgets the failures so far, but not a wait that the server asked for.
    pub(crate) fn forgive(&mut self) {
        (self.rounds, self.first_failure, self.last_round) = (0, None, None);
    }

    /// Records a pause that the server asks for although it serves others: nothing failed, but no new request is sent
    /// until the pause is over. A pause beyond the cap applies only to the refused attempt.
    pub(crate) fn pause(&mut self, asked: Duration, now: Moment) {
        if asked <= self.policy.longest_pause().min(self.left(now)) {
            self.not_before = self.not_before.max(now + asked);
        }
    }

    /// Records that an attempt begun at `started` failed at `now`.
    pub(crate) fn failed(&mut self, class: FailureClass, started: Moment, now: Moment) -> Decision {
        let asked = match class {
            FailureClass::Busy { retry_after } => retry_after,
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
        if left.is_zero() || (self.rounds > self.tolerated(class) && !self.is_patient(class, failing)) {
            return Decision::Exhausted;
        }
        if let Some(asked) = asked.filter(|asked| *asked > left) {
            return Decision::TooLong(asked);
        }
        let wait = self.wait(class).max(self.policy.shortest_wait).min(left);
        self.not_before = self.not_before.max(now + wait);
        Decision::Wait(self.not_before.saturating_sub(now))
    }

    /// Remaining time for which failures in a row are tolerated.
    fn left(&self, now: Moment) -> Duration {
        let failing = self.first_failure.map_or(Duration::ZERO, |first| now.saturating_sub(first));
        self.policy.max_time.map_or(Duration::MAX, |limit| limit.saturating_sub(failing))
    }

    /// Number of rounds tolerated, however fast they follow each other.
    fn tolerated(&self, class: FailureClass) -> u32 {
        match class {
            FailureClass::Nameless if !self.served => self.policy.attempts.min(NAMELESS_ROUNDS),
            _ => self.policy.attempts,
        }
    }

    /// True if more rounds than that are tolerated, after failures over the time `failing`.
    fn is_patient(&self, class: FailureClass, failing: Duration) -> bool {
        self.served && class != FailureClass::Unusable && failing < self.policy.patience
    }

    fn wait(&mut self, class: FailureClass) -> Duration {
        match class {
            // A wait of zero, or one that is over, states no duration.
            FailureClass::Busy { retry_after: Some(asked) } if !asked.is_zero() => {
                asked.max(SHORTEST_BUSY_WAIT)
            }
            // The first break after good bytes is most often a server that limits the lifetime of a connection.
            FailureClass::Broken if self.rounds <= 1 => Duration::ZERO,
            _ => self.back_off(),
        }
    }

    /// Exponential back-off; each wait is spread over its upper half so that many clients do not come back together.
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

    #[test]
    fn no_round_follows_another_sooner_than_the_shortest_wait() {
        let policy = RetryPolicy { shortest_wait: Duration::from_secs(60), ..RetryPolicy::default() };
        let mut retry = Retry::new(policy, 7);
        let wait = Decision::Wait(Duration::from_secs(60));
        assert_eq!(retry.failed(FailureClass::Broken, Moment::ZERO, Moment::ZERO), wait);
    }

    const BUSY: FailureClass = FailureClass::Busy { retry_after: None };

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
            assert!(matches!(retry.failed(FailureClass::Broken, at(1), at(2)), Decision::Wait(_)));
        }
        assert_eq!(retry.rounds(), 1);
        assert_eq!(retry.failed(FailureClass::Broken, at(3), at(4)), Decision::Exhausted);
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
            retry.failed(FailureClass::Broken, at(round * 50 + 1), at(round * 50 + 2)) == Decision::Exhausted
        });
        assert_eq!(ended, Some(3));
    }

    // T050
    #[test]
    fn a_retry_after_is_honoured_up_to_the_cap() {
        let busy = |seconds| FailureClass::Busy { retry_after: Some(Duration::from_secs(seconds)) };
        assert_eq!(retry(8).failed(busy(2), at(1), at(1)), Decision::Wait(Duration::from_secs(2)));
        assert_eq!(retry(8).failed(busy(301), at(1), at(1)), Decision::TooLong(Duration::from_secs(301)));
    }

    #[test]
    fn a_retry_after_of_nothing_does_not_use_up_the_tries_at_once() {
        let nothing = FailureClass::Busy { retry_after: Some(Duration::ZERO) };
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
        let busy = |seconds| FailureClass::Busy { retry_after: Some(Duration::from_secs(seconds)) };
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
        // Nor does a pause between two failures lead beyond the limit.
        let mut retry = limited(3);
        assert_eq!(retry.failed(busy(2), at(1), at(1)), Decision::Wait(Duration::from_secs(2)));
        retry.pause(Duration::from_secs(2), at(3));
        assert_eq!(retry.not_before(), at(3));
        assert_eq!(retry.failed(busy(2), at(3), at(3)), Decision::TooLong(Duration::from_secs(2)));
    }

    /// Time until it gives up when failures follow each other, each found at once.
    fn endured(retry: &mut Retry, class: FailureClass) -> Duration {
        let (begin, mut now) = (at(1000), at(1000));
        while let Decision::Wait(wait) = retry.failed(class, now, now) {
            now += wait.max(Duration::from_millis(10));
        }
        now - begin
    }

    #[test]
    fn once_bytes_have_come_patience_is_counted_in_minutes() {
        let policy = RetryPolicy { patience: Duration::from_secs(300), ..RetryPolicy::default() };
        for class in [FailureClass::Broken, FailureClass::Nameless, BUSY] {
            let mut retry = Retry::new(policy.clone(), 7);
            assert!(endured(&mut retry, class) < Duration::from_secs(100), "{class:?}");
            let mut retry = Retry::new(policy.clone(), 7);
            retry.progressed(PROGRESS);
            let endured = endured(&mut retry, class);
            assert!((300..340).contains(&endured.as_secs()), "{class:?}: {endured:?}");
        }
        let mut retry = Retry::new(policy.clone(), 7);
        retry.progressed(PROGRESS);
        assert!(endured(&mut retry, FailureClass::Unusable) < Duration::from_secs(100));
        let limited = RetryPolicy { max_time: Some(Duration::from_secs(20)), ..policy };
        let mut retry = Retry::new(limited, 7);
        retry.progressed(PROGRESS);
        assert!(endured(&mut retry, FailureClass::Broken) <= Duration::from_secs(21));
    }

    #[test]
    fn a_name_that_does_not_exist_fails_sooner_than_a_server_that_is_down() {
        let nameless = endured(&mut retry(8), FailureClass::Nameless);
        let down = endured(&mut retry(8), FailureClass::Broken);
        assert!(nameless < Duration::from_secs(5) && down > Duration::from_secs(30), "{nameless:?} {down:?}");
        assert_eq!(retry(0).failed(FailureClass::Nameless, at(1), at(1)), Decision::Exhausted);
    }
}
