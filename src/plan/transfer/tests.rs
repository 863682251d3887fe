use super::*;
use crate::plan::response_head::tests::head;
use proptest::prelude::*;
use proptest::sample::select;

mod control;
mod joining;
mod last_piece;
mod one_fault;
mod several;
mod simulation;
mod slow;

use simulation::{Fault, Outcome, Ranges, Server, Simulation, Source, Validator};

const MIB: u64 = 1 << 20;
const STALL: Duration = Duration::from_secs(5);

fn policy(connections: usize) -> Policy {
    Policy {
        connections: Allowance::Fixed(connections),
        min_split: MIB,
        min_theft: 0,
        first_split: MIB,
        retry: RetryPolicy::default(),
        stall: STALL,
        digest_expected: false,
        length_expected: None,
        packing: None,
        in_order: false,
        window: None,
        may_restart: true,
        sources: 1,
        seed: 7,
    }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Runs the simulation, and checks the invariants of every run.
fn outcome(simulation: &mut Simulation) -> Outcome {
    let outcome = simulation.run();
    if matches!(outcome, Outcome::Finished) {
        check_file(simulation);
    }
    for later in [0, 1, 3600] {
        let command = simulation.transfer.poll_command(simulation.now + seconds(later));
        assert!(command.is_none(), "{command:?} after the end");
    }
    outcome
}

/// Carries out the next start; earlier announcements do not matter.
fn started(transfer: &mut Transfer, now: Moment) -> (AttemptId, SegmentRequest) {
    loop {
        match transfer.poll_command(now) {
            Some(Command::Start { id, ask }) => return (id, ask),
            Some(Command::Announce(_)) => {}
            Some(Command::Inquire { .. }) => {
                transfer.handle_inquired();
                transfer.handle_advice(None);
            }
            other => panic!("no start: {other:?}"),
        }
    }
}

/// Checks that the file is of one version and complete, as far as anything showed the version of its bytes.
fn check_file(simulation: &Simulation) {
    let (disk, server) = (&simulation.disk, &simulation.server);
    let written = disk.written();
    assert_eq!(written, simulation.transfer.written());
    if simulation.policy.digest_expected && !server.has_strong_validator() {
        return;
    }
    let versions = disk.versions();
    let first = versions.first().copied();
    let joined = |version: &usize| first.is_some_and(|first| simulation.may_be_joined(*version, first));
    assert!(versions.iter().all(joined), "{simulation:?}");
    let length = first.map_or(0, |version| server.length_of(version));
    assert!(server.lengths().any(|known| known == length), "{simulation:?}");
    assert!(written.covers(ByteRange::new(0, length)) && written.len() == length, "{simulation:?}");
    let strong =
        simulation.transfer.representation().is_some_and(|known| known.validators.strong().is_some());
    assert!(
        strong || simulation.policy.digest_expected || disk.sources().len() <= 1,
        "answers were joined: {simulation:?}"
    );
}

fn finish(simulation: &mut Simulation) {
    match outcome(simulation) {
        Outcome::Finished => {}
        Outcome::Failed(error) => panic!("{error:?}: {simulation:?}"),
    }
}

fn failure(simulation: &mut Simulation) -> Error {
    match outcome(simulation) {
        Outcome::Finished => panic!("it should not have finished: {simulation:?}"),
        Outcome::Failed(error) => error,
    }
}

/// Number of requests that are worth it, at most: one for each shortest segment of the bytes to request, and a few for
/// each event that leaves a range shorter than that.
fn most_requests(simulation: &Simulation) -> u64 {
    let (log, policy) = (&simulation.log, &simulation.policy);
    let events = log.setbacks + log.shortened + log.hedges.len() + log.announcements.len() + 2 * log.discards;
    let length = simulation.server.lengths().max().unwrap_or(0);
    let asked = length * (1 + log.discards as u64) + log.returned;
    // The size of a short response is the server's choice.
    let short = match simulation.server.ranges {
        Ranges::Short(most) => asked / most,
        _ => 0,
    };
    short + asked / policy.min_split + (policy.connections.most() + 2 * events) as u64 + 3
}

// ---- random schedules -------------------------------------------------------------------------------

fn fault() -> impl Strategy<Value = Option<Fault>> {
    prop_oneof![
        6 => Just(None),
        1 => Just(Some(Fault::Refused)),
        1 => (select(vec![408, 429, 500, 502, 503, 504]), proptest::option::of(0_u64..20))
            .prop_map(|(status, wait)| Some(Fault::Status(status, wait))),
        1 => select(vec![418, 304, 412, 204, 416]).prop_map(|status| Some(Fault::Status(status, None))),
        1 => Just(Some(Fault::Nonsense)),
        3 => (0..4 * MIB).prop_map(|after| Some(Fault::Cut(after))),
        1 => (0..4 * MIB).prop_map(|after| Some(Fault::Garbled(after))),
        2 => (0..4 * MIB).prop_map(|after| Some(Fault::Silent(after))),
        1 => Just(Some(Fault::Mute)),
    ]
}

fn length() -> impl Strategy<Value = u64> {
    prop_oneof![1 => 0..10_u64, 1 => MIB - 2..MIB + 3, 4 => 0..12 * MIB, 1 => 12 * MIB..40 * MIB]
}

fn ranges() -> impl Strategy<Value = Ranges> {
    prop_oneof![
        5 => Just(Ranges::Served),
        1 => Just(Ranges::Ignored),
        1 => (100_000..MIB).prop_map(Ranges::Short),
        1 => (1..100_000_u64).prop_map(Ranges::Early),
        1 => Just(Ranges::WithoutTotal),
    ]
}

prop_compose! {
    fn any_server()(
        length in length(),
        changes in proptest::collection::vec((0..6_000_u64, length()), 0..3),
        validator in select(vec![Validator::StrongTag, Validator::Date, Validator::WeakTag, Validator::Nothing]),
        ranges in ranges(),
        likes_if_range in proptest::bool::weighted(0.8),
        tells_length in proptest::bool::weighted(0.8),
        forgets in select(vec![0, 0, 0, 30]),
        limit in proptest::option::weighted(0.3, (
            1..4_usize,
            select(vec![Fault::Refused, Fault::Status(503, None), Fault::Status(429, Some(3))]),
        )),
        slowest in 200_000..4_000_000_u64,
        faster in 0..8_000_000_u64,
        head in (10..300_u64, 0..3_000_u64),
        later_head in proptest::option::weighted(0.2, (0..20_usize, (10..4_000_u64).prop_map(|head| (head, 2 * head)))),
        lag in select(vec![0, 0, 0, 700, 3_000]),
        faults in proptest::collection::vec(fault(), 0..16),
    ) -> Server {
        let mut moments: Vec<_> = changes.iter().map(|(at, _)| Duration::from_millis(*at)).collect();
        moments.sort();
        let changes = moments.into_iter().zip(changes.iter().map(|(_, length)| *length)).collect();
        Server {
            changes, validator, ranges, likes_if_range, tells_length, forgets, limit, lag, later_head,
            rates: (slowest, slowest + faster),
            head: (head.0, head.0 + head.1),
            faults: faults.into(),
            ..Server::of(length)
        }
    }
}

prop_compose! {
    fn any_policy()(
        connections in 1..9_usize,
        adaptive: bool,
        min_split in select(vec![64 << 10, 256 << 10, MIB]),
        attempts in 0..9_u32,
        digest_expected: bool,
        in_order: bool,
        may_restart: bool,
        seed: u64,
    ) -> Policy {
        let retry = RetryPolicy { attempts, ..RetryPolicy::default() };
        let allowed = if adaptive { Allowance::Adaptive(connections) } else { Allowance::Fixed(connections) };
        Policy {
            connections: allowed, min_split, first_split: min_split, retry, digest_expected, in_order, may_restart, seed, ..policy(connections)
        }
    }
}

/// Some ranges of a file.
fn some_of(length: u64) -> impl Strategy<Value = RangeSet> {
    proptest::collection::vec((0..=length, 0..=length), 0..6).prop_map(|ends| {
        ends.into_iter().map(|(one, other)| ByteRange::new(one.min(other), one.max(other))).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, max_shrink_iters: 20, failure_persistence: None, ..ProptestConfig::default() })]

    // For any behaviour of the server, `outcome` and the simulation check the rest.
    #[test]
    fn every_schedule_ends_with_one_version_or_with_an_error(server in any_server(), policy in any_policy()) {
        let mut simulation = Simulation::new(policy, server);
        outcome(&mut simulation);
        let (asked, most) = (simulation.log.starts.len() as u64, most_requests(&simulation));
        prop_assert!(asked <= most, "{asked} requests, {most} are worth it: {simulation:?}");
    }

    #[test]
    fn a_pipe_is_never_asked_to_hold_more_than_its_window(
        server in any_server(), policy in any_policy(), window in MIB..8 * MIB, drain in 300_000..9_000_000_u64,
    ) {
        let policy = Policy { window: Some(window), in_order: true, ..policy };
        let mut simulation = Simulation::new(policy, server);
        simulation.drain = drain;
        outcome(&mut simulation);
    }

    #[test]
    fn a_resumed_transfer_asks_for_the_gaps_only(
        policy in any_policy(), (length, have) in length().prop_flat_map(|length| (Just(length), some_of(length))),
    ) {
        let mut simulation = Simulation::resumed(policy, Server::of(length), &have);
        finish(&mut simulation);
        prop_assert_eq!(simulation.log.assigned - simulation.log.returned, length - have.len());
        for (_, ask) in &simulation.log.starts {
            let again = have.iter().map(|range| range.intersection(ask.wanted).len()).sum::<u64>();
            prop_assert_eq!(again, 0, "{:?} was there: {:?}", ask.wanted, have);
        }
    }

    #[test]
    fn every_resumed_schedule_ends_too(
        server in any_server(), policy in any_policy(), seed: u64, known_length: bool,
    ) {
        let length = server.length;
        let joinable = policy.digest_expected || server.has_strong_validator();
        let have = if joinable && length > 0 { ByteRange::new(seed % length, length) } else { ByteRange::default() };
        let mut simulation = Simulation::resumed(policy, server, &[have].into_iter().collect());
        if !known_length {
            simulation.forget_length();
        }
        outcome(&mut simulation);
    }

    // The bound, for any change of the rates: the time of a fluid and a twentieth more, and a second to notice a
    // change and make up for it.
    #[test]
    fn whatever_becomes_of_the_rates_the_transfer_is_near_the_fluid(
        slow in proptest::collection::btree_map(1..=8_usize, (0..6_000_u64, 40_000..4_000_000_u64), 0..5),
        megabytes in 60..300_u64, seed: u64,
    ) {
        let slow: Vec<_> =
            slow.into_iter().map(|(nth, (from, rate))| (nth, Duration::from_millis(from), rate)).collect();
        let (took, fluid) = uneven(megabytes * 1_000_000, &slow, false, seed);
        prop_assert!(took <= 1.05 * fluid + 1.0, "{slow:?}: {took} s for {fluid} s");
    }

    #[test]
    fn without_failures_each_position_is_asked_for_once(
        length in length(), policy in any_policy(), slowest in 500_000..2_000_000_u64, faster in 0..9_000_000_u64,
    ) {
        let rates = (slowest, slowest + faster);
        let mut simulation = Simulation::new(policy, Server { rates, ..Server::of(length) });
        finish(&mut simulation);
        prop_assert_eq!(simulation.log.assigned - simulation.log.returned, length);
        prop_assert_eq!(simulation.disk.written().len(), length);
        prop_assert!(simulation.log.starts.len() as u64 <= most_requests(&simulation));
    }
}

// ---- sizes ------------------------------------------------------------------------------------------

#[test]
fn every_size_near_an_edge_is_fetched_whole() {
    let edges = [0, 1, 2, 7, 8, 9, MIB, 8 * MIB, segment::PROBE_SEGMENT];
    let sizes = edges.into_iter().flat_map(|edge: u64| [edge.saturating_sub(1), edge, edge + 1]);
    for size in sizes {
        for ranges in [Ranges::Served, Ranges::Ignored] {
            let server = Server { ranges, rates: (9_000_000, 9_000_000), ..Server::of(size) };
            let mut simulation = Simulation::new(policy(8), server);
            finish(&mut simulation);
            assert_eq!(simulation.disk.written().len(), size);
        }
    }
}

#[test]
fn planning_ten_tebibytes_takes_little_memory() {
    let server = Server { rates: (40_000_000, 90_000_000), head: (20, 80), ..Server::of(10 << 40) };
    let policy = Policy { in_order: true, ..policy(8) };
    let mut simulation = Simulation::new(policy, server);
    simulation.step = Duration::from_millis(100);
    while simulation.log.starts.len() < 2_000 {
        simulation.run_until(simulation.now + seconds(10));
    }
    let log = &simulation.log;
    assert!(simulation.disk.written().len() > 1 << 36);
    assert!(log.most_ranges <= 64, "{} ranges", log.most_ranges);
    assert!(log.most_views <= 8);
}

// ---- uneven connections -----------------------------------------------------------------------------

/// Seconds that the transfer takes over eight connections of 4 MB/s, some of which are slow, and those of a fluid.
fn uneven(length: u64, slow: &[(usize, Moment, u64)], in_order: bool, seed: u64) -> (f64, f64) {
    const RATE: u64 = 4_000_000;
    let server = Server { rates: (RATE, RATE), head: (20, 20), uneven: slow.to_vec(), ..Server::of(length) };
    let mut simulation = Simulation::new(Policy { in_order, seed, ..policy(8) }, server);
    finish(&mut simulation);
    assert!(simulation.log.received <= length + length / 200, "{} were received", simulation.log.received);
    let mut fluid = (0.0, length as f64);
    let mut changes: Vec<_> = slow.iter().map(|(_, from, _)| from.as_secs_f64()).collect();
    changes.push(f64::INFINITY);
    changes.sort_by(f64::total_cmp);
    for until in changes {
        let slowed = slow.iter().filter(|(_, from, _)| from.as_secs_f64() <= fluid.0);
        let (count, rates) = slowed.fold((0, 0), |(count, rates), (.., rate)| (count + 1, rates + rate));
        let rate = ((8 - count) * RATE + rates) as f64;
        let time = (until - fluid.0).min(fluid.1 / rate).max(0.0);
        fluid = (fluid.0 + time, fluid.1 - rate * time);
    }
    (simulation.now.as_secs_f64(), fluid.0)
}

// T045
#[test]
fn a_connection_that_is_slow_or_becomes_so_costs_no_more_than_its_own_rate() {
    let set_ups = 2.0 * 0.04;
    for nth in 1..=8 {
        for from in [0, 1_000, 2_500, 4_000] {
            for in_order in [false, true] {
                let slow = [(nth, Duration::from_millis(from), 80_000)];
                let (took, fluid) = uneven(150_000_000, &slow, in_order, 7);
                // The steps of the model are a third of the effect under test.
                let steps = 3.0 * 0.02;
                // In order, segments are short, and each costs a round trip.
                let bound = if in_order { 1.06 } else { 1.05 };
                assert!(
                    took <= bound * fluid + set_ups + steps,
                    "{slow:?} in order: {in_order}: {took} s for {fluid} s"
                );
            }
        }
    }
}

// T045
#[test]
fn a_last_connection_that_falls_silent_is_robbed_of_its_rest_within_a_second() {
    const RATE: u64 = 4_000_000;
    for length in [40_u64, 90, 150].map(|megabytes| megabytes * 1_000_000) {
        for early in [50_000, 400_000, 2_000_000] {
            // Each connection has one segment, and the last one stops a little before its end.
            let share = length / 8;
            let faults =
                [None; 7].into_iter().chain([Some(Fault::Silent(share.saturating_sub(early)))]).collect();
            let server = Server { rates: (RATE, RATE), head: (60, 60), faults, ..Server::of(length) };
            let policy = Policy { first_split: MIB, stall: seconds(30), ..policy(8) };
            let mut simulation = Simulation::new(policy, server);
            finish(&mut simulation);
            let (took, fluid) = (simulation.now.as_secs_f64(), length as f64 / (8.0 * RATE as f64));
            assert!(took <= 1.05 * fluid + 1.2, "{length}, {early}: {took} s for {fluid} s");
            assert!(simulation.log.received <= length + length / 200);
        }
    }
}

// ---- a pipe -----------------------------------------------------------------------------------------

#[test]
fn a_slow_reader_of_the_pipe_causes_no_tiny_requests() {
    let policy = Policy { window: Some(8 * MIB), in_order: true, ..policy(4) };
    let mut simulation = Simulation::new(policy, Server::of(40 * MIB));
    simulation.drain = 700_000;
    finish(&mut simulation);
    assert!(simulation.log.starts.len() <= 80, "{} requests", simulation.log.starts.len());
}

#[test]
fn a_reader_of_the_pipe_that_pauses_is_no_stall() {
    for ranges in [Ranges::Served, Ranges::Ignored] {
        let policy = Policy { window: Some(2 * MIB), in_order: true, may_restart: false, ..policy(4) };
        let mut simulation = Simulation::new(policy, Server { ranges, ..Server::of(9 * MIB) });
        simulation.run_until(STALL * 3);
        simulation.drain = 3_000_000;
        finish(&mut simulation);
        assert!(!simulation.log.announcements.contains(&Announcement::Stalled), "{ranges:?}");
    }
}

#[test]
fn lost_ranges_are_fetched_again() {
    let mut simulation = Simulation::new(policy(4), Server::of(9 * MIB));
    finish(&mut simulation);
    let (before, lost) = (simulation.log.assigned - simulation.log.returned, ByteRange::new(MIB, 2 * MIB));
    simulation.transfer.handle_lost(&[lost]);
    finish(&mut simulation);
    assert_eq!(simulation.log.assigned - simulation.log.returned - before, lost.len());
}

#[test]
fn how_long_the_file_takes_to_be_made_is_not_the_servers_latency() {
    let mut transfer = Transfer::new(Policy { digest_expected: true, in_order: true, ..policy(4) });
    let millis = Duration::from_millis;
    let (id, _) = started(&mut transfer, Moment::ZERO);
    let first = [("content-range", "bytes 0-4194303/1073741824"), ("etag", "\"v1\"")];
    let permit = transfer.handle_response(id, &head(206, &first), millis(2));
    assert!(matches!(permit, Permit::Begin { .. }), "{permit:?}");
    transfer.handle_flowing(id, millis(500));
    transfer.handle_progress(id, MIB, millis(501));
    assert_eq!(transfer.latency(), millis(3));
}

// T049
#[test]
fn one_that_is_served_is_not_given_up_for_one_that_waits_for_its_answer() {
    let at = Duration::from_millis;
    let length = 64 * MIB;
    let mut transfer = Transfer::new(Policy { connections: Allowance::Adaptive(32), ..policy(1) });
    let Some(Command::Start { id: first, ask }) = transfer.poll_command(at(0)) else {
        panic!("nothing begins");
    };
    let range = format!("bytes 0-{}/{length}", ask.wanted.end() - 1);
    let body = ask.wanted.len().to_string();
    let served = head(206, &[("etag", "\"v1\""), ("content-range", &range), ("content-length", &body)]);
    assert!(matches!(transfer.handle_response(first, &served, at(300)), Permit::Begin { .. }));
    transfer.handle_flowing(first, at(301));
    // On a high-latency path many others are under way at once, and the server refuses them one after the other.
    let (mut asked, mut left) = (std::collections::VecDeque::new(), std::collections::VecDeque::new());
    let mut refusals = 0;
    for now in (302..2000).map(at) {
        while let Some(command) = transfer.poll_command(now) {
            match command {
                Command::Start { id, .. } => asked.push_back(id),
                Command::Shorten { id, end, .. } => {
                    assert!(id != first || end > 0, "after {refusals} refusals");
                }
                Command::Abandon { id } => {
                    assert_ne!(id, first, "after {refusals} refusals");
                    transfer.handle_end(id, 0, End::Abandoned, now);
                    asked.retain(|other| *other != id);
                }
                _ => {}
            }
        }
        if let Some(id) = asked.pop_front() {
            refusals += 1;
            transfer.handle_response(id, &head(503, &[]), now);
            left.push_back(id);
        }
        // Its connection comes back a little later.
        if left.len() > 2
            && let Some(id) = left.pop_front()
        {
            transfer.handle_end(id, 0, End::Abandoned, now);
        }
        transfer.handle_look(false, now);
    }
    assert!(refusals > 1);
}

#[test]
fn where_answers_come_late_and_bodies_at_once_nothing_is_kept_back_for_a_probe_that_is_done() {
    for connections in [2, 3, 4, 8] {
        let server = Server { rates: (1 << 30, 1 << 30), head: (500, 500), ..Server::of(16 * MIB) };
        let policy = Policy { first_split: 64 << 10, ..policy(connections) };
        let mut simulation = Simulation::new(policy, server);
        finish(&mut simulation);
        let asked = simulation.log.starts.len();
        assert!(asked <= 2 * connections + 4, "{asked} requests of {connections} connections");
    }
}
