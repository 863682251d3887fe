//! Servers with one fault.

use super::*;

#[test]
fn a_dead_server_ends_the_transfer_after_the_retries() {
    for fault in [
        Fault::Refused,
        Fault::Nonsense,
        Fault::Mute,
        Fault::Cut(0),
        Fault::Garbled(0),
        Fault::Silent(0),
        Fault::Status(503, None),
        Fault::Status(429, Some(2)),
    ] {
        let server = Server { always: Some(fault), ..Server::of(9 * MIB) };
        let mut simulation = Simulation::new(policy(8), server);
        failure(&mut simulation);
        let starts = simulation.log.starts.len();
        assert!((9..=2 * 8 + 10).contains(&starts), "{fault:?}: {starts} requests");
    }
}

#[test]
fn a_status_that_does_not_pass_is_asked_for_with_a_range_and_without() {
    for status in [400, 402, 418, 451, 202, 501] {
        let server = Server { always: Some(Fault::Status(status, None)), ..Server::of(9 * MIB) };
        let mut simulation = Simulation::new(policy(8), server);
        assert_eq!(failure(&mut simulation).kind(), Kind::Http);
        assert_eq!(simulation.log.starts.len(), 2, "{status}");
    }
}

#[test]
fn an_outage_of_minutes_is_outlasted_once_bytes_have_come() {
    for (served, patience, outlasted) in [(true, 300, true), (true, 0, false), (false, 300, false)] {
        let cut = served.then_some(Some(Fault::Cut(MIB)));
        let faults = cut.into_iter().chain([Some(Fault::Refused); 14]).collect();
        let server = Server { faults, ..Server::of(9 * MIB) };
        let patient = RetryPolicy { patience: seconds(patience), ..RetryPolicy::default() };
        let mut simulation = Simulation::new(Policy { retry: patient, ..policy(1) }, server);
        let finished = matches!(outcome(&mut simulation), Outcome::Finished);
        assert_eq!(finished, outlasted, "{served} {patience}: {simulation:?}");
        assert!(!finished || simulation.now > seconds(150), "{:?}", simulation.now);
    }
}

#[test]
fn a_server_that_dies_half_way_ends_the_transfer_and_what_came_is_kept() {
    for fault in [Fault::Refused, Fault::Mute, Fault::Silent(0), Fault::Status(503, None)] {
        let faults = [None; 6].into();
        let server = Server { faults, always: Some(fault), ..Server::of(40 * MIB) };
        let mut simulation = Simulation::new(policy(4), server);
        failure(&mut simulation);
        assert!(simulation.transfer.written().len() > MIB);
        assert!(simulation.log.starts.len() < 60, "{fault:?}: {} requests", simulation.log.starts.len());
    }
}

#[test]
fn a_resource_that_is_not_there_is_asked_for_with_a_range_and_without() {
    for (status, kind, asked) in [
        (404, Kind::NotFound, 2),
        (410, Kind::NotFound, 2),
        (403, Kind::Auth, 2),
        // Other credentials are wanted, for any request.
        (401, Kind::Auth, 1),
        (407, Kind::Auth, 1),
    ] {
        let server = Server { always: Some(Fault::Status(status, None)), ..Server::of(MIB) };
        let mut simulation = Simulation::new(policy(8), server);
        assert_eq!(failure(&mut simulation).kind(), kind);
        assert_eq!(simulation.log.starts.len(), asked);
    }
}

#[test]
fn a_wait_that_the_server_asks_for_is_kept_unless_it_is_too_long() {
    let busy =
        |seconds| Server { faults: [Some(Fault::Status(503, Some(seconds)))].into(), ..Server::of(MIB) };
    let mut simulation = Simulation::new(policy(8), busy(120));
    finish(&mut simulation);
    assert!(simulation.log.starts[1].0 >= seconds(120));
    let mut simulation = Simulation::new(policy(8), busy(301));
    failure(&mut simulation);
    assert_eq!(simulation.log.starts.len(), 1);
}

#[test]
fn one_connection_too_many_does_not_end_those_that_are_served() {
    let limit = Some((3, Fault::Status(429, Some(3_600))));
    let mut simulation = Simulation::new(policy(8), Server { limit, ..Server::of(40 * MIB) });
    finish(&mut simulation);
}

#[test]
fn a_server_that_resets_what_it_does_not_want_to_serve_is_not_hammered() {
    let limit = Some((3, Fault::Refused));
    let mut simulation = Simulation::new(policy(8), Server { limit, ..Server::of(100 * MIB) });
    finish(&mut simulation);
    let refused = simulation.log.setbacks;
    assert!(refused <= 12, "{refused} connections were refused in {:?}", simulation.now);
}

#[test]
fn one_connection_that_fails_costs_little() {
    for fault in [Fault::Refused, Fault::Status(503, None), Fault::Nonsense] {
        for before in [1, 4, 20] {
            let faults = std::iter::repeat_n(None, before).chain([Some(fault)]).collect();
            let mut simulation = Simulation::new(policy(8), Server { faults, ..Server::of(160 * MIB) });
            finish(&mut simulation);
            // Eight connections need eleven seconds.
            assert!(simulation.now < seconds(15), "{fault:?} after {before}: {:?}", simulation.now);
        }
    }
}

#[test]
fn the_rest_of_a_silent_connection_is_taken_over_and_not_waited_for() {
    for fault in [Fault::Silent(0), Fault::Silent(100_000), Fault::Mute] {
        for retries in [0, 8] {
            let retry = RetryPolicy { attempts: retries, ..RetryPolicy::default() };
            let policy = Policy { stall: seconds(30), retry, ..policy(4) };
            let server = Server { faults: [None, None, Some(fault)].into(), ..Server::of(20 * MIB) };
            let mut simulation = Simulation::new(policy, server);
            finish(&mut simulation);
            assert!(simulation.now < seconds(10), "{fault:?}: {:?}", simulation.now);
        }
    }
}

#[test]
fn of_connections_that_are_all_silent_one_makes_room_after_the_other() {
    // Not all at once: they might go on in a moment.
    let policy = Policy { stall: seconds(30), ..policy(8) };
    let faults = vec![Some(Fault::Silent(100_000)); 8].into();
    let server = Server { faults, always: Some(Fault::Mute), ..Server::of(80 * MIB) };
    let mut simulation = Simulation::new(policy, server);
    simulation.run_until(seconds(25));
    let later = simulation.log.starts.iter().filter(|(at, _)| *at > seconds(2)).count();
    assert!((2..=4).contains(&later), "{:?}", simulation.log.starts);
}

#[test]
fn a_connection_that_falls_silent_is_given_up_even_if_it_is_the_only_one() {
    let server = Server { faults: [Some(Fault::Silent(MIB))].into(), ..Server::of(4 * MIB) };
    let mut simulation = Simulation::new(policy(1), server);
    finish(&mut simulation);
    assert!(simulation.log.announcements.contains(&Announcement::Stalled));
    assert!(simulation.now >= STALL && simulation.now < STALL * 2);
}

#[test]
fn a_server_that_takes_its_time_is_not_robbed_for_ever() {
    for (head, lag, later) in [
        (3_000, 0, None),
        (30, 700, None),
        (30, 3_000, None),
        (5_000, 1_000, None),
        (30, 0, Some((8, (5_000, 5_000)))),
        (30, 0, Some((16, (3_000, 20_000)))),
    ] {
        let policy = Policy { stall: seconds(30), ..policy(8) };
        let server = Server { head: (head, head), lag, later_head: later, ..Server::of(24 * MIB) };
        let mut simulation = Simulation::new(policy, server);
        finish(&mut simulation);
        let requests = simulation.log.starts.len();
        assert!(requests < 80, "{head} ms, {lag} ms, {later:?}: {requests} requests");
    }
}
