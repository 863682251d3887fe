//! Segments: the next range worth a request, and the cut of a victim's range for work stealing.

use super::ByteRange;
use std::time::Duration;

/// State of the transfer when a segment is cut from a gap.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Situation {
    /// Bytes not yet assigned to an attempt, over all gaps.
    pub(crate) unassigned: u64,
    pub(crate) connections: usize,
    /// Connections without an attempt.
    pub(crate) idle: usize,
    /// Bytes reserved for the connection of the probe, beyond its own request.
    pub(crate) reserved: u64,
    /// Bytes a second of one connection, if known.
    pub(crate) rate: Option<f64>,
    /// Bytes a second of the very connection that will be used, if it has been used before.
    pub(crate) own_rate: Option<f64>,
    /// Time from a request to its response.
    pub(crate) latency: Duration,
    pub(crate) min_split: u64,
    /// Replaces `min_split` on a high-latency path while no connection is up to speed.
    pub(crate) first_split: u64,
    /// True if a consumer follows the contiguous front (a digest, a pipe), so that reaching far ahead of it is bad.
    pub(crate) in_order: bool,
}

/// Limit on the first segments, in bytes, before any rate is known.
const FIRST_SEGMENT: u64 = 16 << 20;
/// Length of the very first request, in bytes, when not even the file's length is known. The part beyond a fair share
/// goes to other connections, and the bytes of it that the server has sent by then are lost, so it is short.
pub(crate) const PROBE_SEGMENT: u64 = 4 << 20;
/// Lowest cap on a segment, in bytes, while a consumer follows the front: bytes ahead of the front are work left for
/// the end, so segments are as short as the round trip permits.
const IN_ORDER_SEGMENT: u64 = 4 << 20;
/// Lowest latency, from a request to its response, of a high-latency path.
const LONG_WAY: Duration = Duration::from_millis(50);
/// Duration of a request that pays for its round trip, in round trips, …
const ROUND_TRIPS: f64 = 100.0;
/// … and its minimum, in round trips, if that would leave other connections without work.
const FEWEST_ROUND_TRIPS: f64 = 5.0;
const SHORTEST_SECONDS: f64 = 0.01;

/// Part of `gap` to request next, from its front.
///
/// Guided self-scheduling: a share of the remaining bytes, so that requests are long while many are left and short at
/// the end, when no connection should be a straggler; never so short that the round trip costs throughput.
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

/// Length of a segment once the rate of a connection is known.
fn share(situation: &Situation, rate: f64) -> u64 {
    let connections = situation.connections.max(1) as u64;
    let seconds = |round_trips: f64| (situation.latency.as_secs_f64() * round_trips).max(SHORTEST_SECONDS);
    let worth = (rate * seconds(ROUND_TRIPS)) as u64;
    let ceiling = if situation.in_order { worth.max(IN_ORDER_SEGMENT) } else { u64::MAX };
    // Limit to not much more than a fair share, or this connection would still work when the others are out of work.
    let own = situation.own_rate.unwrap_or(rate).max(rate);
    let fair = situation.unassigned.div_ceil(connections).max((own * seconds(FEWEST_ROUND_TRIPS)) as u64);
    guided(situation).clamp(worth.min(ceiling), ceiling).min(fair)
}

/// Three quarters of a fair share of the remaining bytes: less makes more requests, each of which costs a round trip,
/// and more leaves nothing for connections that turn out to be faster.
fn guided(situation: &Situation) -> u64 {
    situation.unassigned / 4 * 3 / situation.connections.max(1) as u64
}

/// Length of a segment on a high-latency path while no rate is known: a second request would cost more than an uneven
/// share, so all unassigned bytes go to the idle connections, except those reserved for the probe.
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

/// True if a round trip is long compared with the time that small parts of a file take.
fn is_long(latency: Duration) -> bool {
    latency >= LONG_WAY
}

/// Shortest segment of a file once the first response has told its length: on a low-latency path shorter ones gain
/// nothing.
pub(crate) fn shortest_first(first_split: u64, min_split: u64, latency: Duration) -> u64 {
    const SHORT_WAY: u64 = 256 << 10;
    if is_long(latency) { first_split } else { first_split.max(SHORT_WAY.min(min_split)) }
}

/// Time until a new connection reaches `rate` bytes a second (RFC 6928 §2, RFC 5681 §3.1).
pub(crate) fn slow_start(rate: f64, round_trip: Duration) -> Duration {
    const FIRST_FLIGHT: f64 = 14_600.0;
    let flights = (rate * round_trip.as_secs_f64() / FIRST_FLIGHT).max(1.0).log2();
    round_trip.mul_f64(flights)
}

/// Bytes that the probe keeps of a file of `length` bytes to be shared by `connections`. On a high-latency path it is
/// two round trips ahead of the others, and so four times as fast, until all are up to speed (RFC 5681 §3.1).
pub(crate) fn share_of_the_probe(length: u64, connections: usize, latency: Duration) -> u64 {
    let others = connections.max(1) as u64 - 1;
    let weight = if is_long(latency) { 5 } else { 1 };
    (u128::from(length) * weight / (weight + u128::from(others))) as u64 + 1
}

/// An in-flight range, seen as a work-stealing victim.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Victim {
    pub(crate) position: u64,
    pub(crate) end: u64,
    /// Bytes a second over the recent past; zero if nothing arrives.
    pub(crate) rate: f64,
}

impl Victim {
    /// Seconds that the victim would take alone.
    pub(crate) fn alone(&self) -> f64 {
        self.rest() as f64 / self.rate.max(1e-9)
    }

    fn rest(&self) -> u64 {
        self.end.saturating_sub(self.position)
    }
}

/// Time that a theft must save, at the least, …
const WORTH_STEALING: Duration = Duration::from_millis(50);
/// … and as a fraction of the time that the victim would take alone, since both rates are estimates.
const CLEAR_GAIN: f64 = 0.2;

/// Cost of a theft in bytes: a request and its response head, the connection they may need, and the bytes of the
/// victim's response that are already in flight.
const WORTH_A_REQUEST: u64 = 8 << 10;

/// Position at which to cut a victim so that both finish together; `None` if stealing gains nothing.
///
/// The thief starts after `set_up` and is assumed to run at `rate`.
pub(crate) fn cut(victim: &Victim, rate: f64, set_up: Duration) -> Option<u64> {
    let (rest, alone) = (victim.rest(), victim.alone());
    if rest == 0 || rate <= 0.0 {
        return None;
    }
    let set_up = set_up.as_secs_f64();
    // victim.rate · t + rate · (t − set_up) = rest
    let together = (rest as f64 + rate * set_up) / (victim.rate + rate);
    let worth = WORTH_STEALING.as_secs_f64().max(set_up).max(alone * CLEAR_GAIN);
    let keeps = (victim.rate * together) as u64;
    // A silent victim brings nothing, however little is left of its range.
    let pays = victim.rate <= 0.0 || rest.saturating_sub(keeps) >= WORTH_A_REQUEST;
    (keeps < rest && alone - together >= worth && pays).then(|| victim.position + keeps)
}

/// Factor by which a victim takes longer than a thief of its whole rest, beyond which the victim has collapsed.
const HOPELESS: f64 = 32.0;

/// True if the rest of a victim arrives much sooner over a connection of `rate` that starts after `set_up`.
pub(crate) fn is_hopeless(victim: &Victim, rate: f64, set_up: Duration) -> bool {
    victim.alone() > HOPELESS * (victim.rest() as f64 / rate.max(1e-9) + set_up.as_secs_f64())
}

/// Time limit for a last piece; a longer one is better shared than fetched twice.
const A_PIECE: Duration = Duration::from_millis(500);

/// True if `rest` bytes are few enough to be requested a second time over a connection of `rate`, while `left` bytes
/// may still be fetched twice.
pub(crate) fn is_a_piece(rest: u64, left: u64, rate: f64) -> bool {
    (1..=left).contains(&rest) && rest as f64 <= rate * A_PIECE.as_secs_f64()
}

/// True if the rest arrives clearly sooner when a connection of `rate` requests it as well, after `set_up`.
pub(crate) fn is_worth_hedging(victim: &Victim, rate: f64, set_up: Duration) -> bool {
    let takes = victim.rest() as f64 / rate.max(1e-9);
    let gain = victim.alone() - takes - set_up.as_secs_f64();
    gain >= WORTH_STEALING.as_secs_f64().max(victim.alone() * CLEAR_GAIN)
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
        let victim = Victim { position: 10, end: 10 + MIB, rate: 0.0 };
        assert_eq!(cut(&victim, 1e6, Duration::from_millis(50)), Some(10));
    }

    #[test]
    fn a_victim_is_hopeless_where_it_is_silent_or_crawls_and_not_where_it_is_only_slower() {
        let crawling = |rate: f64| Victim { position: 0, end: 900_000, rate };
        let trip = Duration::from_millis(100);
        assert!(is_hopeless(&crawling(0.0), 5e6, trip) && is_hopeless(&crawling(2e3), 5e6, trip));
        assert!(!is_hopeless(&crawling(3e5), 5e6, trip) && !is_hopeless(&crawling(2e3), 4e3, trip));
    }

    #[test]
    fn nothing_is_taken_from_a_slow_connection_that_costs_more_than_it_brings() {
        let slow = |rest: u64| Victim { position: 0, end: rest, rate: 4096.0 };
        assert_eq!(cut(&slow(12 << 10), 4096.0, Duration::ZERO), None);
        assert_eq!(cut(&slow(64 << 10), 4096.0, Duration::ZERO), Some(32 << 10));
        let silent = Victim { position: 0, end: 100, rate: 0.0 };
        assert_eq!(cut(&silent, 4096.0, Duration::ZERO), Some(0));
    }

    #[test]
    fn who_is_nearly_done_is_left_alone() {
        let victim = Victim { position: 0, end: MIB, rate: 10e6 };
        assert_eq!(cut(&victim, 10e6, Duration::from_millis(100)), None);
    }

    #[test]
    fn a_little_is_asked_for_twice_where_it_would_come_late_and_a_lot_never() {
        let trip = Duration::from_millis(100);
        let victim = |rest: u64, rate: f64| Victim { position: 7, end: 7 + rest, rate };
        assert!(is_worth_hedging(&victim(100_000, 0.0), 5e6, trip));
        assert!(is_worth_hedging(&victim(100_000, 2e5), 5e6, trip));
        // The hedge would gain nothing.
        assert!(!is_worth_hedging(&victim(100_000, 5e6), 5e6, trip));
        assert!(is_a_piece(100_000, 100_000, 5e6));
        assert!(!is_a_piece(100_000, 99_999, 5e6));
        assert!(!is_a_piece(0, 100_000, 5e6));
        assert!(!is_a_piece(10_000_000, u64::MAX, 5e6));
        assert!(!is_worth_hedging(&victim(100_000, 0.0), 0.0, trip));
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
            rest in 1_u64..1 << 40, slow in 0.0_f64..1e9, thief in 1.0_f64..1e9, set_up in 0_u64..3000,
        ) {
            let victim = Victim { position: 7, end: 7 + rest, rate: slow };
            let set_up = Duration::from_millis(set_up);
            if let Some(end) = cut(&victim, thief, set_up) {
                prop_assert!(7 <= end && end < victim.end);
                let alone = rest as f64 / slow.max(1e-9);
                let stolen = (victim.end - end) as f64 / thief + set_up.as_secs_f64();
                let kept = if end == 7 { 0.0 } else { (end - 7) as f64 / slow };
                prop_assert!(stolen.max(kept) <= alone * 1.001 + 0.001);
            }
        }
    }
}
