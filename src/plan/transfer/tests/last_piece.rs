//! The last piece: requested twice if it is held up, and the cost of that.

use super::*;

const LENGTH: u64 = 60_000_000;
/// Rate of each of eight connections, in bytes a second.
const RATE: u64 = 4_000_000;

/// Time that a fluid would take.
fn fluid(length: u64) -> Duration {
    Duration::from_secs_f64(length as f64 / (8.0 * RATE as f64))
}

/// A run in which attempts within `before_end` of the end are slowed to `rate` for `time`; the coming requests meet
/// `faults`.
fn held_up(
    length: u64,
    before_end: u64,
    rate: u64,
    time: Duration,
    faults: VecDeque<Option<Fault>>,
    seed: u64,
) -> Simulation {
    let server = Server {
        rates: (RATE, RATE),
        head: (60, 60),
        slow_beyond: Some((length - before_end, rate, fluid(length) + time)),
        faults,
        ..Server::of(length)
    };
    let policy = Policy { first_split: MIB, stall: seconds(60), seed, ..policy(8) };
    let mut simulation = Simulation::new(policy, server);
    finish(&mut simulation);
    simulation
}

/// A run whose last piece does not come for `pause`.
fn pausing(length: u64, before_end: u64, pause: Duration, seed: u64) -> Simulation {
    held_up(length, before_end, 0, pause, VecDeque::new(), seed)
}

#[test]
fn a_last_piece_that_is_held_up_is_asked_for_twice_and_comes_once_it_was_missed_and_a_round_trip_later() {
    let (well, late) = (pausing(LENGTH, 100_000, seconds(0), 7), pausing(LENGTH, 100_000, seconds(30), 7));
    // Time until it is missed, and of two responses, for one may be waited for already.
    let most = well.now + Duration::from_millis(400 + 2 * 60);
    assert!(late.now <= most, "{:?} against {:?}", late.now, well.now);
    assert_eq!((well.log.hedges.len(), late.log.hedges.len()), (0, 1), "{late:?}");
    assert!(late.log.received <= LENGTH + LENGTH / 200);
}

#[test]
fn a_piece_of_more_than_a_little_is_not_fetched_twice_but_shared_out() {
    let simulation = pausing(LENGTH, 2_000_000, seconds(30), 7);
    assert!(simulation.log.shortened > 0);
    let hedged: u64 = simulation.log.hedges.iter().map(|range| range.len()).sum();
    assert!(hedged <= LENGTH / 200);
}

#[test]
fn of_two_at_the_last_piece_each_position_is_written_by_whoever_brings_it_first() {
    // A victim as slow as this is hedged, and brings a few bytes itself before the hedge gets its response.
    let simulation = held_up(LENGTH, 60_000, 50_000, seconds(30), VecDeque::new(), 7);
    let [hedged] = simulation.log.hedges[..] else { panic!("{simulation:?}") };
    let writers = simulation.disk.sources_within(hedged);
    assert_eq!(writers.len(), 2, "{writers:?}");
    assert_eq!(simulation.disk.written().len(), LENGTH);
    assert!(simulation.log.received <= LENGTH + LENGTH / 200);
}

/// A run whose last piece pauses for `pause`, and whose hedges meet `faults` in their order.
fn hedged_badly(pause: Duration, faults: &[Fault]) -> Simulation {
    let well = pausing(LENGTH, 100_000, pause, 7);
    let is_hedge = |(_, ask): &(Moment, SegmentRequest)| well.log.hedges.contains(&ask.wanted);
    let before = well.log.starts.iter().position(is_hedge).expect("it is hedged");
    let faults = vec![None; before].into_iter().chain(faults.iter().copied().map(Some)).collect();
    let badly = held_up(LENGTH, 100_000, 0, pause, faults, 7);
    assert!(!badly.log.hedges.is_empty());
    badly
}

#[test]
fn one_that_hedges_and_fails_costs_nothing() {
    for fault in
        [Fault::Refused, Fault::Status(503, None), Fault::Mute, Fault::Cut(1_000), Fault::Silent(1_000)]
    {
        let took = hedged_badly(seconds(1), &[fault]).now.as_secs_f64();
        assert!(took <= 2.0 + 1.0 + 0.3, "{fault:?}: {took} s");
    }
}

#[test]
fn whatever_a_hedge_is_answered_the_first_one_goes_on() {
    for status in [200, 204, 401, 403, 404, 410, 412, 416, 429, 500, 503] {
        let well = pausing(LENGTH, 100_000, seconds(2), 7);
        let badly = hedged_badly(seconds(2), &[Fault::Status(status, None); 20]);
        assert!(
            badly.now <= fluid(LENGTH) + seconds(2) + Duration::from_millis(300),
            "{status}: {:?}",
            badly.now
        );
        assert!(badly.log.starts.len() <= well.log.starts.len() + 4, "{status}: {badly:?}");
        assert_eq!(badly.log.discards, 0, "{status}");
    }
}

#[test]
fn after_a_hedge_that_was_refused_another_one_is_tried() {
    let took = hedged_badly(seconds(50), &[Fault::Status(503, None)]).now;
    assert!(took <= fluid(LENGTH) + seconds(3), "{took:?}");
    // No request comes before the server allows one: the simulation sees to that.
    let took = hedged_badly(seconds(50), &[Fault::Status(429, Some(4))]).now;
    assert!(took >= fluid(LENGTH) + seconds(4) && took <= fluid(LENGTH) + seconds(6), "{took:?}");
}

#[test]
fn where_both_have_fallen_silent_the_piece_is_taken_over() {
    for fault in [Fault::Mute, Fault::Silent(0), Fault::Silent(1_000)] {
        for faults in [vec![fault], vec![fault; 2]] {
            let took = hedged_badly(seconds(50), &faults).now.as_secs_f64();
            assert!(took <= 2.0 + 3.0 * faults.len() as f64, "{faults:?}: {took} s");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, max_shrink_iters: 50, failure_persistence: None, ..ProptestConfig::default() })]

    // The bound on time and bytes, wherever the last connection pauses, and for however long.
    #[test]
    fn a_pause_at_the_end_costs_little_time_and_few_bytes(
        megabytes in 10..200_u64, before_end in 1_000..1_200_000_u64, pause in 0..60_000_u64, seed: u64,
    ) {
        let length = megabytes * 1_000_000;
        let simulation = pausing(length, before_end, Duration::from_millis(pause), seed);
        let (took, fluid) = (simulation.now.as_secs_f64(), fluid(length).as_secs_f64());
        prop_assert!(took <= 1.05 * fluid + 1.2, "{} s for {} s: {:?}", took, fluid, simulation);
        // The bytes of one step of the model are in the hands of a connection that is told to stop.
        let step = 80_000;
        // A range is cut to whole bytes.
        let most = length + length / 200 + step + 1;
        prop_assert!(simulation.log.received <= most, "{} of {}", simulation.log.received, length);
    }
}

#[test]
fn no_request_is_shorter_than_the_user_says_but_for_a_gap_that_is_left() {
    const LEAST: u64 = 4 * MIB;
    for seed in 0..30 {
        let server = Server { rates: (200_000, 4_000_000), ..Server::of(64 * MIB) };
        let policy = Policy { min_split: LEAST, first_split: LEAST, min_theft: LEAST, seed, ..policy(8) };
        let mut simulation = Simulation::new(policy, server);
        finish(&mut simulation);
        let hedges = &simulation.log.hedges;
        let short = simulation
            .log
            .starts
            .iter()
            .filter(|(_, ask)| ask.wanted.len() < LEAST && !hedges.contains(&ask.wanted));
        assert_eq!(short.count(), 0, "{simulation:?}");
    }
}

#[test]
fn a_file_from_slow_connections_comes_about_once_and_in_few_requests() {
    for (kib, rate) in [(64, 4 << 10), (256, 4 << 10), (1024, 16 << 10)] {
        for (connections, seed) in [(1, 1), (4, 2), (16, 3), (64, 4)] {
            let length = kib << 10;
            let server = Server { rates: (rate, rate), head: (5, 40), ..Server::of(length) };
            let mut simulation = Simulation::new(Policy { seed, ..policy(connections) }, server);
            finish(&mut simulation);
            let (received, requests) = (simulation.log.received, simulation.log.starts.len() as u64);
            assert!(received <= length + length / 10, "{received} of {length} bytes over {connections}");
            assert!(
                requests <= 2 + length / (8 << 10),
                "{requests} requests for {length} bytes over {connections}"
            );
            let alone = length as f64 / rate as f64;
            let took = simulation.now.as_secs_f64();
            assert!(connections < 16 || took <= alone / 2.0, "{took} s, {alone} s over one");
        }
    }
}
