//! Commands of the application at any moment: no position twice, nothing lost, no attempt outlives a pause.

use super::simulation::Order;
use super::*;

fn milliseconds(milliseconds: u64) -> Moment {
    Duration::from_millis(milliseconds)
}

fn order() -> impl Strategy<Value = Order> {
    prop_oneof![
        3 => Just(Order::Pause),
        3 => Just(Order::GoOn),
        2 => (1..9_usize).prop_map(Order::Allow),
        1 => Just(Order::AddSource),
        1 => (0..3_usize).prop_map(Order::RemoveSource),
    ]
}

/// Orders at random moments; after the last one it goes on.
fn orders() -> impl Strategy<Value = VecDeque<(Moment, Order)>> {
    proptest::collection::vec((0..8_000_u64, order()), 1..12).prop_map(|orders| {
        let mut orders: Vec<_> = orders.into_iter().map(|(at, order)| (milliseconds(at), order)).collect();
        orders.sort_by_key(|(at, _)| *at);
        orders.push((milliseconds(9_000), Order::GoOn));
        orders.into()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, max_shrink_iters: 20, failure_persistence: None, ..ProptestConfig::default() })]

    // For any behaviour of the server and any commands, `outcome` and the simulation check the rest.
    #[test]
    fn every_schedule_with_commands_ends_with_one_version_or_with_an_error(
        server in any_server(), policy in any_policy(), orders in orders(),
    ) {
        let mut simulation = Simulation::new(policy, server);
        simulation.orders = orders;
        outcome(&mut simulation);
    }

    #[test]
    fn without_faults_the_file_is_complete_and_nothing_written_comes_twice(
        length in length(), policy in any_policy(), orders in orders(), slowest in 300_000..2_000_000_u64,
    ) {
        let mut simulation = Simulation::new(policy, Server { rates: (slowest, 2 * slowest), ..Server::of(length) });
        simulation.orders = orders;
        finish(&mut simulation);
        prop_assert_eq!(simulation.disk.written().len(), length);
        prop_assert_eq!(simulation.log.discards, 0);
    }

    #[test]
    fn sources_come_and_go_while_the_file_comes(
        length in 4 * MIB..30 * MIB, policy in any_policy(), orders in orders(),
    ) {
        let policy = Policy { digest_expected: true, ..policy };
        let mut simulation = Simulation::new(policy, Server::of(length));
        simulation.mirrors = vec![Server::of(length), Server::of(length)];
        simulation.orders = orders;
        finish(&mut simulation);
        prop_assert_eq!(simulation.disk.written().len(), length);
    }

    #[test]
    fn a_pipe_can_be_paused_too(
        server in any_server(), policy in any_policy(), orders in orders(), drain in 300_000..9_000_000_u64,
    ) {
        let policy = Policy { window: Some(4 * MIB), in_order: true, may_restart: false, ..policy };
        let mut simulation = Simulation::new(policy, server);
        simulation.drain = drain;
        simulation.orders = orders;
        outcome(&mut simulation);
    }
}

/// Eight connections at a file of 40 MiB that takes some three seconds.
fn running(orders: &[(u64, Order)]) -> Simulation {
    let mut simulation = Simulation::new(policy(8), Server::of(40 * MIB));
    simulation.orders = orders.iter().map(|(at, order)| (milliseconds(*at), *order)).collect();
    simulation
}

#[test]
fn during_a_pause_nothing_comes_and_afterwards_only_what_is_missing() {
    let mut simulation = running(&[(1_000, Order::Pause), (61_000, Order::GoOn)]);
    simulation.run_until(milliseconds(2_000));
    assert!(simulation.transfer.is_at_rest());
    let kept = simulation.disk.written().clone();
    assert!(kept.len() > MIB, "{kept:?}");
    simulation.run_until(milliseconds(60_000));
    assert_eq!(simulation.disk.written(), &kept);
    let before = simulation.log.starts.len();
    finish(&mut simulation);
    for (_, ask) in &simulation.log.starts[before..] {
        assert!(kept.iter().all(|range| range.intersection(ask.wanted).is_empty()), "{ask:?} was there");
    }
    assert!(simulation.now < milliseconds(66_000), "{:?}", simulation.now);
}

#[test]
fn a_pause_does_not_count_as_an_outage_and_clears_the_failures_before_it() {
    let retry = RetryPolicy { attempts: 3, ..RetryPolicy::default() };
    let faults = [None, None].into_iter().chain([Some(Fault::Refused); 3]).collect();
    let server = Server { faults, ..Server::of(9 * MIB) };
    let mut simulation = Simulation::new(Policy { retry, ..policy(2) }, server);
    simulation.orders = [(milliseconds(1_500), Order::Pause), (seconds(3_600), Order::GoOn)].into();
    finish(&mut simulation);
}

#[test]
fn a_part_that_must_not_be_joined_is_fetched_again_after_a_pause_unless_it_has_left() {
    for (may_restart, discards) in [(true, 1), (false, 0)] {
        let server = Server { validator: Validator::Nothing, ..Server::of(9 * MIB) };
        let mut simulation = Simulation::new(Policy { may_restart, ..policy(1) }, server);
        simulation.orders = [(milliseconds(1_000), Order::Pause), (seconds(60), Order::GoOn)].into();
        finish(&mut simulation);
        assert_eq!(simulation.log.discards, discards, "{may_restart}");
        // A pause that would lose bytes is refused.
        assert_eq!(simulation.now < seconds(60), !may_restart);
    }
}

#[test]
fn another_number_of_connections_is_used_at_once() {
    let mut simulation = running(&[(1_000, Order::Allow(2)), (3_000, Order::Allow(6))]);
    simulation.run_until(milliseconds(900));
    assert_eq!(simulation.transfer.attempts().len(), 8);
    simulation.run_until(milliseconds(1_700));
    assert_eq!(simulation.transfer.attempts().len(), 2, "{simulation:?}");
    simulation.run_until(milliseconds(3_500));
    assert_eq!(simulation.transfer.attempts().len(), 6, "{simulation:?}");
    finish(&mut simulation);
}

#[test]
fn a_transfer_that_has_ended_takes_no_command_and_the_last_source_stays() {
    let mut simulation = running(&[]);
    simulation.run_until(milliseconds(500));
    assert_eq!(simulation.transfer.remove_source(0), Err(Refused::LastSource));
    finish(&mut simulation);
    assert_eq!(simulation.transfer.pause(), Err(Refused::Over));
    assert_eq!(simulation.transfer.remove_source(0), Err(Refused::Over));
}

#[test]
fn a_failure_during_a_pause_ends_the_transfer() {
    let mut simulation = running(&[(1_000, Order::Pause)]);
    simulation.run_until(milliseconds(2_000));
    simulation.transfer.fail(Error::new(Kind::Cancelled, "cancelled"));
    assert_eq!(failure(&mut simulation).kind(), Kind::Cancelled);
}
