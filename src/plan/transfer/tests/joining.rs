//! Responses that must not be joined, and those that may be.

use super::*;

#[test]
fn without_a_strong_validator_one_connection_serves_everything() {
    for validator in [Validator::WeakTag, Validator::Nothing] {
        for size in [MIB, 9 * MIB, 30 * MIB] {
            let mut simulation = Simulation::new(policy(8), Server { validator, ..Server::of(size) });
            finish(&mut simulation);
            assert!(simulation.log.starts.len() <= 2);
            assert_eq!(simulation.disk.sources().len(), 1);
        }
    }
}

#[test]
fn a_server_without_a_validator_that_always_breaks_is_not_fetched_from_for_ever() {
    for fault in [Fault::Cut(5 * MIB), Fault::Garbled(5 * MIB), Fault::Silent(5 * MIB)] {
        let server = Server { validator: Validator::Nothing, always: Some(fault), ..Server::of(9 * MIB) };
        let mut simulation = Simulation::new(policy(8), server);
        let error = failure(&mut simulation);
        assert!(matches!(error.kind(), Kind::Network | Kind::Http), "{error:?}");
        assert!(simulation.log.received <= 10 * 9 * MIB, "{} bytes", simulation.log.received);
    }
}

#[test]
fn what_an_earlier_run_began_without_a_validator_is_not_joined_either() {
    let server = Server { validator: Validator::WeakTag, ..Server::of(9 * MIB) };
    let mut simulation = Simulation::resumed(policy(8), server, &RangeSet::new());
    finish(&mut simulation);
    assert_eq!(simulation.disk.sources().len(), 1);
}

#[test]
fn a_run_without_a_known_length_is_resumed() {
    let have = [ByteRange::new(0, MIB)].into_iter().collect();
    let server = Server { tells_length: false, ranges: Ranges::Ignored, ..Server::of(3 * MIB) };
    let mut simulation = Simulation::resumed(policy(8), server, &have);
    simulation.forget_length();
    finish(&mut simulation);
    assert!(simulation.disk.sources().contains(&Source { version: 1, attempt: None }));
}

/// A transfer of a file of unknown length that broke off after 2 MiB, and the attempt that follows.
fn broken_off() -> (Transfer, AttemptId, Moment) {
    let mut transfer = Transfer::new(policy(4));
    let (id, _) = started(&mut transfer, Moment::ZERO);
    let whole = head(200, &[("etag", "\"v1\"")]);
    assert!(matches!(transfer.handle_response(id, &whole, Moment::ZERO), Permit::Begin { offset: 0, .. }));
    transfer.handle_end(id, 2 * MIB, End::Failed(Failure::Broken("cut".into())), seconds(1));
    let (id, ask) = started(&mut transfer, seconds(2));
    assert!(!ask.ranged);
    (transfer, id, seconds(2))
}

#[test]
fn an_answer_that_ends_before_what_is_written_does_not_tell_the_length() {
    let (mut transfer, id, now) = broken_off();
    let whole = head(200, &[("etag", "\"v1\"")]);
    assert_eq!(transfer.handle_response(id, &whole, now), Permit::Take { offset: 0, until: u64::MAX });
    transfer.handle_end(id, MIB, End::Complete, now);
    let (_, again) = started(&mut transfer, now + seconds(1));
    assert!(!again.ranged && transfer.written().len() == 2 * MIB);
}

#[test]
fn a_file_of_which_bytes_came_is_never_empty() {
    let (mut transfer, id, now) = broken_off();
    let empty = head(416, &[("content-range", "bytes */0")]);
    assert_eq!(transfer.handle_response(id, &empty, now), Permit::Reject);
    transfer.handle_end(id, 0, End::Abandoned, now);
    let mut commands = std::iter::from_fn(|| transfer.poll_command(now + seconds(40)));
    assert!(commands.all(|command| !matches!(command, Command::Finish)));
}

#[test]
fn a_resource_that_changes_is_started_over_once() {
    let change = |seconds| (Duration::from_secs(seconds), 20 * MIB);
    let once = Server { changes: vec![change(1)], ..Server::of(24 * MIB) };
    let mut simulation = Simulation::new(policy(4), once.clone());
    finish(&mut simulation);
    assert_eq!((simulation.log.discards, simulation.disk.versions()), (1, vec![2]));

    // A second change may be several servers that do not agree: one response is one version.
    let twice = Server { changes: vec![change(1), change(3)], ..once.clone() };
    let mut simulation = Simulation::new(policy(4), twice);
    finish(&mut simulation);
    assert_eq!((simulation.log.discards, simulation.disk.versions().len()), (2, 1));
    assert_eq!(simulation.disk.sources().len(), 1);
    let longer = vec![change(1), (Duration::from_secs(3), 21 * MIB)];
    let longer = Server { changes: longer, ..once.clone() };
    assert_eq!(failure(&mut Simulation::new(policy(4), longer)).kind(), Kind::Changed);

    let mut keeping = Simulation::new(Policy { may_restart: false, ..policy(4) }, once);
    assert_eq!(failure(&mut keeping).kind(), Kind::Changed);
    assert_eq!((keeping.log.discards, keeping.disk.versions()), (0, vec![1]));
}
