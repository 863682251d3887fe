//! Two programs, one file.

use std::time::Duration;

use crate::support::*;

const PAYLOAD: Payload = Payload::mib(141, 8);

// T079
#[test]
fn the_second_program_on_the_same_file_is_sent_away_at_once() {
    let gate = Gate::after(2 * MIB);
    let server = Server::serve(PAYLOAD).gate(&gate).start();
    let sandbox = Sandbox::new();
    let first = sandbox.haul().arg("--json").arg(server.url("/file.bin")).spawn();
    first.wait_for_durable(MIB);
    let served = server.body_bytes();
    for extra in [&[][..], &["--restart"], &["--if-exists", "overwrite"]] {
        let second = sandbox.haul().args(extra).arg(server.url("/file.bin")).run();
        second.assert_failed(11);
        assert!(second.elapsed < Duration::from_secs(2), "{second}");
    }
    assert_eq!(server.body_bytes(), served);
    gate.open();
    first.wait().assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
}

// T079
#[test]
fn a_lock_dies_with_the_program_that_held_it() {
    let gate = Gate::after(2 * MIB);
    let server = Server::serve(PAYLOAD).gate(&gate).start();
    let sandbox = Sandbox::new();
    let first = sandbox.haul().arg("--json").arg(server.url("/file.bin")).spawn();
    first.wait_for_durable(MIB);
    first.kill();
    gate.open();
    sandbox.haul().arg(server.url("/file.bin")).run().assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
}

#[test]
fn two_programs_that_start_together_end_with_one_right_file() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    let both: Vec<Running> = (0..2).map(|_| sandbox.haul().arg(server.url("/file.bin")).spawn()).collect();
    let codes: Vec<Option<i32>> = both.into_iter().map(|running| running.wait().code).collect();
    assert!(codes.contains(&Some(0)), "{codes:?}");
    assert!(codes.iter().all(|code| matches!(code, Some(0 | 10 | 11))), "{codes:?}");
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
}

#[test]
fn other_files_in_the_same_directory_are_not_locked() {
    let gate = Gate::after(2 * MIB);
    let server = Server::serve(PAYLOAD).gate(&gate).start();
    let free = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    let first = sandbox.haul().arg("--json").arg(server.url("/file.bin")).spawn();
    first.wait_for_durable(MIB);
    sandbox.haul().arg(free.url("/other.bin")).run().assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "other.bin");
    gate.open();
    first.wait().assert_ok();
}

#[test]
fn a_file_that_another_program_finishes_before_the_lock_is_not_fetched_again() {
    let sandbox = Sandbox::new();
    let there = sandbox.path("file.bin");
    // Somebody else is done after this program has looked, and before it has anything.
    let server = Server::serve(PAYLOAD)
        .behave(move |_, _| {
            std::fs::write(&there, PAYLOAD.all()).unwrap();
            Reply::Normal
        })
        .start();
    let outcome = sandbox.haul().arg(server.url("/file.bin")).run();
    outcome.assert_failed(10).assert_says("meanwhile");
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
    server.assert_cost(2 * MIB);
}
