//! Which range is worth a request, and when half of somebody else's is.

use super::ByteRange;
use std::time::Duration;

/// What is known when a segment is cut from a gap.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Situation {
    /// Bytes that nobody works on yet, in all gaps together.
    pub(crate) unassigned: u64,
    pub(crate) connections: usize,
    /// How many of them have nothing to do.
    pub(crate) idle: usize,
    /// Bytes that the connection of the probe is to have besides what it was asked for.
    pub(crate) reserved: u64,
    /// Bytes a second of one connection, where that is known.
    pub(crate) rate: Option<f64>,
    /// The same of the very connection that will be used, where it has been used before.
    pub(crate) own_rate: Option<f64>,
    /// From the request to the head of the answer.
    pub(crate) latency: Duration,
    pub(crate) min_split: u64,
    /// The same, where the way is long and no connection is up to speed yet.
    pub(crate) first_split: u64,
    /// Whether somebody follows the contiguous front (a digest, a pipe), so that reaching far ahead is bad.
    pub(crate) in_order: bool,
}

/// How long the first segments are, before any rate is known.
const FIRST_SEGMENT: u64 = 16 << 20;
/// How long the very first request is, when not even the length is known. What of it turns out to be more than
/// a fair share is given to others, and what its server had sent of that by then is lost, so it is short.
pub(crate) const PROBE_SEGMENT: u64 = 4 << 20;
/// While somebody follows the front, what lies ahead of it is work left for the end, so segments are as
/// short as the round trip permits, though not below this.
const IN_ORDER_SEGMENT: u64 = 4 << 20;
/// From the request to its answer.
const LONG_WAY: Duration = Duration::from_millis(50);
/// A request must pay for its round trip this many times over.
const ROUND_TRIPS: f64 = 100.0;
/// … and where that would leave others without work, so many times over.
const FEWEST_ROUND_TRIPS: f64 = 5.0;
const SHORTEST_SECONDS: f64 = 0.01;

/// The part of `gap` to ask for next, from its front.
///
/// Guided self-scheduling: a share of what is left, so that requests are long while much is left and end
/// short, when nobody should be the last one working; never so short that the round trip costs rate.
pub(crate) fn next(gap: ByteRange, situation: &Situation) -> ByteRange {
    let (length, shortest) = match situation.rate {
        Some(rate) => (share(situation, rate), situation.min_split),
        None if is_long(situation.latency) => (first_share(situation), situation.first_split),
        None => (guided(situation).min(first_limit(situation)), situation.min_split),
    };
    let cut = gap.start().saturating_add(length.max(shortest).max(1)).min(gap.end());
    // A leftover that is too short for a request of its own comes along.
    let end = if gap.end() - cut < shortest { gap.end() } else { cut };
    ByteRange::new(gap.start(), end)
}

/// Where it is known how fast a connection is.
fn share(situation: &Situation, rate: f64) -> u64 {
    let connections = situation.connections.max(1) as u64;
    let seconds = |round_trips: f64| (situation.latency.as_secs_f64() * round_trips).max(SHORTEST_SECONDS);
    let worth = (rate * seconds(ROUND_TRIPS)) as u64;
    let ceiling = if situation.in_order { worth.max(IN_ORDER_SEGMENT) } else { u64::MAX };
    // Never much more than a fair share, or one connection would still work when the others have nothing left.
    let own = situation.own_rate.unwrap_or(rate).max(rate);
    let fair = situation.unassigned.div_ceil(connections).max((own * seconds(FEWEST_ROUND_TRIPS)) as u64);
    guided(situation).clamp(worth.min(ceiling), ceiling).min(fair)
}

/// Three quarters of a fair share of what is left: with less there are more requests, each of which costs a round trip, and
/// with more nothing is left for those who turn out to be faster.
fn guided(situation: &Situation) -> u64 {
    situation.unassigned / 4 * 3 / situation.connections.max(1) as u64
}

/// Where it is not, and the way is long: a second request would cost more than an uneven share does, so all that may
/// be handed out is, to those who have nothing yet; but for what the probe would have kept if it had been asked for more.
fn first_share(situation: &Situation) -> u64 {
    situation
        .unassigned
        .saturating_sub(situation.reserved)
        .div_ceil(situation.idle.max(1) as u64)
        .min(first_limit(situation))
}

fn first_limit(situation: &Situation) -> u64 {
    if situation.in_order { IN_ORDER_SEGMENT } else { FIRST_SEGMENT }
}

/// Whether a round trip is long against the time that small parts of a file take.
fn is_long(latency: Duration) -> bool {
    latency >= LONG_WAY
}

/// What a file is not cut shorter than once the first answer has told its length: on a short way there is nothing to be
/// gained by it.
pub(crate) fn shortest_first(first_split: u64, min_split: u64, latency: Duration) -> u64 {
    const SHORT_WAY: u64 = 256 << 10;
    if is_long(latency) { first_split } else { first_split.max(SHORT_WAY.min(min_split)) }
}

/// How long a new connection takes until it brings `rate` bytes a second (RFC 6928 §2, RFC 5681 §3.1).
pub(crate) fn slow_start(rate: f64, round_trip: Duration) -> Duration {
    const FIRST_FLIGHT: f64 = 14_600.0;
    let flights = (rate * round_trip.as_secs_f64() / FIRST_FLIGHT).max(1.0).log2();
    round_trip.mul_f64(flights)
}

/// What the probe keeps of a file of `length` bytes that `connections` are going to share. Where the way is long it is
/// two round trips ahead of the others, and so four times as fast, until all are up to speed (RFC 5681 §3.1).
pub(crate) fn share_of_the_probe(length: u64, connections: usize, latency: Duration) -> u64 {
    let others = connections.max(1) as u64 - 1;
    let weight = if is_long(latency) { 5 } else { 1 };
    (u128::from(length) * weight / (weight + u128::from(others))) as u64 + 1
}

/// A range somebody works on, as seen by one who has nothing to do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Prey {
    pub(crate) position: u64,
    pub(crate) end: u64,
    /// Bytes a second over the recent past; zero for one that delivers nothing.
    pub(crate) rate: f64,
}

impl Prey {
    /// How many seconds it would take alone.
    pub(crate) fn alone(&self) -> f64 {
        self.rest() as f64 / self.rate.max(1e-9)
    }

    fn rest(&self) -> u64 {
        self.end.saturating_sub(self.position)
    }
}

/// What a theft must gain, at the least …
const WORTH_STEALING: Duration = Duration::from_millis(50);
/// … and as a part of the time that the victim would take alone, for both rates are guesses.
const CLEAR_GAIN: f64 = 0.2;

/// A request and its answer's head, the connection they may need, and what of the victim's answer is on its way already, cost
/// as much as this many bytes.
const WORTH_A_REQUEST: u64 = 8 << 10;

/// Where to cut a victim so that both finish together; `None` where taking over is no gain.
///
/// The thief starts after `set_up` and is taken to run at `rate`.
pub(crate) fn cut(prey: &Prey, rate: f64, set_up: Duration) -> Option<u64> {
    let (rest, alone) = (prey.rest(), prey.alone());
    if rest == 0 || rate <= 0.0 {
        return None;
    }
    let set_up = set_up.as_secs_f64();
    // prey.rate · t + rate · (t − set_up) = rest
    let together = (rest as f64 + rate * set_up) / (prey.rate + rate);
    let worth = WORTH_STEALING.as_secs_f64().max(set_up).max(alone * CLEAR_GAIN);
    let keeps = (prey.rate * together) as u64;
    // One that is silent brings nothing, however little it is.
    let pays = prey.rate <= 0.0 || rest.saturating_sub(keeps) >= WORTH_A_REQUEST;
    (keeps < rest && alone - together >= worth && pays).then(|| prey.position + keeps)
}

/// A victim that would take so many times as long as whoever takes all of its rest over has collapsed.
const HOPELESS: f64 = 32.0;

/// Whether all that is left of a victim comes much sooner from a connection of `rate`, which starts after `set_up`.
pub(crate) fn is_hopeless(prey: &Prey, rate: f64, set_up: Duration) -> bool {
    prey.alone() > HOPELESS * (prey.rest() as f64 / rate.max(1e-9) + set_up.as_secs_f64())
}

/// What takes longer than this is no last piece, and is better shared than fetched twice.
const A_PIECE: Duration = Duration::from_millis(500);

/// Whether `rest` bytes are so few that a connection of `rate` may be asked for them as well, where `left` may still be
/// fetched twice.
pub(crate) fn is_a_piece(rest: u64, left: u64, rate: f64) -> bool {
    (1..=left).contains(&rest) && rest as f64 <= rate * A_PIECE.as_secs_f64()
}

/// Whether all that is left comes clearly sooner if a connection of `rate` is asked for it as well, which takes `set_up`.
pub(crate) fn is_worth_hedging(prey: &Prey, rate: f64, set_up: Duration) -> bool {
    let takes = prey.rest() as f64 / rate.max(1e-9);
    let gain = prey.alone() - takes - set_up.as_secs_f64();
    gain >= WORTH_STEALING.as_secs_f64().max(prey.alone() * CLEAR_GAIN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MIB: u64 = 1 << 20;

    fn situation(unassigned: u64, connections: usize, rate: Option<f64>) -> Situation {
        Situation {
            unassigned,
            connections,
            idle: connections,
            reserved: 0,
            rate,
            own_rate: None,
            latency: Duration::from_millis(20),
            min_split: MIB,
            first_split: MIB,
            in_order: false,
        }
    }

    #[test]
    fn a_small_file_is_shared_out_evenly() {
        let gap = ByteRange::new(0, 8 * MIB);
        assert_eq!(next(gap, &situation(8 * MIB, 4, None)).len(), 3 * MIB / 2);
        assert_eq!(next(ByteRange::new(0, MIB), &situation(MIB, 4, None)).len(), MIB);
    }

    #[test]
    fn a_leftover_too_short_for_a_request_comes_along() {
        let gap = ByteRange::new(0, MIB + 5);
        assert_eq!(next(gap, &situation(MIB + 5, 4, None)), gap);
    }

    #[test]
    fn who_follows_the_front_is_not_left_behind() {
        let mut situation = situation(100 << 30, 8, Some(10e6));
        assert!(next(ByteRange::new(0, 100 << 30), &situation).len() > 1 << 30);
        situation.in_order = true;
        assert!(next(ByteRange::new(0, 100 << 30), &situation).len() <= 20 * MIB);
    }

    #[test]
    fn a_request_pays_for_its_round_trip() {
        let mut long_way = situation(400 * MIB, 8, Some(100e6));
        long_way.latency = Duration::from_millis(200);
        assert!(next(ByteRange::new(0, 400 * MIB), &long_way).len() >= 50 * MIB);
    }

    // T045
    #[test]
    fn the_rest_of_a_connection_that_delivers_nothing_is_taken_whole() {
        let prey = Prey { position: 10, end: 10 + MIB, rate: 0.0 };
        assert_eq!(cut(&prey, 1e6, Duration::from_millis(50)), Some(10));
    }

    #[test]
    fn a_victim_is_hopeless_where_it_is_silent_or_crawls_and_not_where_it_is_only_slower() {
        let crawling = |rate: f64| Prey { position: 0, end: 900_000, rate };
        let trip = Duration::from_millis(100);
        assert!(is_hopeless(&crawling(0.0), 5e6, trip) && is_hopeless(&crawling(2e3), 5e6, trip));
        assert!(!is_hopeless(&crawling(3e5), 5e6, trip) && !is_hopeless(&crawling(2e3), 4e3, trip));
    }

    #[test]
    fn nothing_is_taken_from_a_slow_connection_that_costs_more_than_it_brings() {
        let slow = |rest: u64| Prey { position: 0, end: rest, rate: 4096.0 };
        assert_eq!(cut(&slow(12 << 10), 4096.0, Duration::ZERO), None);
        assert_eq!(cut(&slow(64 << 10), 4096.0, Duration::ZERO), Some(32 << 10));
        let silent = Prey { position: 0, end: 100, rate: 0.0 };
        assert_eq!(cut(&silent, 4096.0, Duration::ZERO), Some(0));
    }

    #[test]
    fn who_is_nearly_done_is_left_alone() {
        let prey = Prey { position: 0, end: MIB, rate: 10e6 };
        assert_eq!(cut(&prey, 10e6, Duration::from_millis(100)), None);
    }

    #[test]
    fn a_little_is_asked_for_twice_where_it_would_come_late_and_a_lot_never() {
        let trip = Duration::from_millis(100);
        let prey = |rest: u64, rate: f64| Prey { position: 7, end: 7 + rest, rate };
        assert!(is_worth_hedging(&prey(100_000, 0.0), 5e6, trip));
        assert!(is_worth_hedging(&prey(100_000, 2e5), 5e6, trip));
        // It comes as soon without.
        assert!(!is_worth_hedging(&prey(100_000, 5e6), 5e6, trip));
        assert!(is_a_piece(100_000, 100_000, 5e6));
        assert!(!is_a_piece(100_000, 99_999, 5e6));
        assert!(!is_a_piece(0, 100_000, 5e6));
        assert!(!is_a_piece(10_000_000, u64::MAX, 5e6));
        assert!(!is_worth_hedging(&prey(100_000, 0.0), 0.0, trip));
    }

    proptest! {
        #[test]
        fn a_segment_starts_its_gap_and_stays_within(
            start in 0_u64..1 << 44, len in 1_u64..1 << 44, more in 0_u64..1 << 44, connections in 1_usize..64,
            rate in proptest::option::of(0.0_f64..1e10), min_split in 1_u64..1 << 30, in_order: bool,
            latency in 0_u64..2000,
        ) {
            let gap = ByteRange::new(start, start + len);
            let situation = Situation {
                unassigned: len + more, connections, idle: connections.div_ceil(2), reserved: more / 2, rate, own_rate: rate.map(|rate| rate * 2.0),
                latency: Duration::from_millis(latency), min_split, first_split: min_split, in_order,
            };
            let segment = next(gap, &situation);
            prop_assert_eq!(segment.start(), gap.start());
            prop_assert!(!segment.is_empty() && segment.end() <= gap.end());
            prop_assert!(segment.end() == gap.end() || segment.len() >= min_split.min(len));
        }

        #[test]
        fn a_theft_never_makes_the_pair_slower(
            rest in 1_u64..1 << 40, victim in 0.0_f64..1e9, thief in 1.0_f64..1e9, set_up in 0_u64..3000,
        ) {
            let prey = Prey { position: 7, end: 7 + rest, rate: victim };
            let set_up = Duration::from_millis(set_up);
            if let Some(end) = cut(&prey, thief, set_up) {
                prop_assert!(7 <= end && end < prey.end);
                let alone = rest as f64 / victim.max(1e-9);
                let stolen = (prey.end - end) as f64 / thief + set_up.as_secs_f64();
                let kept = if end == 7 { 0.0 } else { (end - 7) as f64 / victim };
                prop_assert!(stolen.max(kept) <= alone * 1.001 + 0.001);
            }
        }
    }
}
