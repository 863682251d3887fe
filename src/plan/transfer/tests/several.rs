//! Several sources of one file, some of which fail.

use super::*;

/// A file of `megabytes` from the URL and one mirror, both of the same rate, over `connections`.
fn two(megabytes: u64, connections: usize, bad: usize, fault: Fault, before: usize) -> Simulation {
    let length = megabytes * MIB;
    let policy = Policy { sources: 2, digest_expected: true, stall: seconds(30), ..policy(connections) };
    let faulty = Server { faults: vec![None; before].into(), always: Some(fault), ..Server::of(length) };
    let (server, mirror) = match bad {
        0 => (faulty, Server::of(length)),
        _ => (Server::of(length), faulty),
    };
    let mut simulation = Simulation::new(policy, server);
    simulation.mirrors.push(mirror);
    simulation
}

fn names(simulation: &Simulation, bad: usize) -> bool {
    simulation.log.announcements.iter().any(|announcement| {
        matches!(announcement, Announcement::SourceRests { source, .. } | Announcement::SourceDropped { source, .. }
            if *source == bad)
    })
}

#[test]
fn a_source_that_is_silent_or_dead_costs_little_whichever_it_is_and_is_named() {
    let faults = [
        Fault::Mute,
        Fault::Silent(0),
        Fault::Silent(300_000),
        Fault::Refused,
        Fault::Cut(300_000),
        Fault::Status(503, None),
    ];
    for fault in faults {
        for bad in [0, 1] {
            for before in [0, 1, 3] {
                for connections in [1, 2, 4, 8] {
                    let mut simulation = two(24, connections, bad, fault, before);
                    finish(&mut simulation);
                    // Time of the healthy source alone over half of the connections, and a second and a half.
                    let alone = 24.0 * MIB as f64 / 2e6 / (connections as f64 / 2.0).ceil();
                    let took = simulation.now.as_secs_f64();
                    let case = format!("{fault:?} of {bad} after {before} on {connections}");
                    assert!(took <= alone + 1.5, "{case}: {took} s, {alone} s alone\n{simulation:?}");
                    let asked = simulation.log.starts.iter().filter(|(_, ask)| ask.source == bad).count();
                    // A source that gives something each time it is asked is asked again.
                    let gives = matches!(fault, Fault::Silent(1..) | Fault::Cut(1..));
                    let named = asked <= before || names(&simulation, bad);
                    assert!(gives || named, "{case}: {simulation:?}");
                    assert!(gives || asked <= before + 3 + 3 * connections, "{case}: {asked} requests");
                }
            }
        }
    }
}

#[test]
fn a_source_that_dies_near_the_end_holds_it_for_no_more_than_a_second_and_a_half() {
    for fault in [Fault::Mute, Fault::Silent(0), Fault::Refused, Fault::Status(503, None)] {
        for bad in [0, 1] {
            for before in 1..12 {
                let mut simulation = two(24, 4, bad, fault, before);
                finish(&mut simulation);
                let took = simulation.now.as_secs_f64();
                let fluid = 24.0 * MIB as f64 / 2e6 / 2.0;
                assert!(took <= fluid + 1.5, "{fault:?} of {bad} after {before}: {took} s\n{simulation:?}");
            }
        }
    }
}

#[test]
fn two_sources_that_take_seconds_over_each_answer_are_both_used() {
    for head in [1_500, 3_000, 6_000] {
        let slow = Server { head: (head, head), ..Server::of(24 * MIB) };
        let policy = Policy { sources: 2, digest_expected: true, stall: seconds(30), ..policy(4) };
        let mut simulation = Simulation::new(policy, slow.clone());
        simulation.mirrors.push(slow);
        finish(&mut simulation);
        let dropped =
            |announcement: &Announcement| matches!(announcement, Announcement::SourceDropped { .. });
        assert!(!simulation.log.announcements.iter().any(dropped), "{simulation:?}");
        assert!(simulation.log.starts.len() < 40, "{simulation:?}");
    }
}
