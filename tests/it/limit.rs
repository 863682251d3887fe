//! A limit on the rate, shared by all files of a run.

use std::time::Duration;

use crate::support::*;

const RATE: u64 = 2 << 20;
/// Bytes that may be ahead of the rate: the saved-up allowance, and the last read.
const SLACK: u64 = RATE / 5;

/// Checks that the download was no faster than the limit, and not much slower.
#[track_caller]
fn assert_kept(outcome: &Outcome, bytes: u64) {
    let due = |bytes: u64| Duration::from_secs_f64(bytes as f64 / RATE as f64);
    assert!(outcome.elapsed >= due(bytes - SLACK), "{outcome}");
    assert!(outcome.elapsed <= due(bytes) * 2 + Duration::from_secs(2), "{outcome}");
}

#[test]
fn a_limit_is_kept_and_does_not_look_like_a_server_that_stalls() {
    let payload = Payload::mib(181, 4);
    let server = Server::serve(payload).start();
    for connections in ["auto", "8"] {
        let sandbox = Sandbox::new();
        let outcome = sandbox
            .haul()
            .args(["--json", "--limit-rate", "2M", "-k", "64K", "--stall-timeout", "1s", "-x", connections])
            .arg(server.url("/file.bin"))
            .run();
        outcome.assert_ok();
        sandbox.assert_ok_file(&payload, "file.bin");
        assert_kept(&outcome, payload.len);
        assert!(outcome.events_named("retry").is_empty(), "{outcome}");
    }
}

#[test]
fn files_of_one_run_keep_the_limit_together() {
    let payload = Payload::mib(182, 1);
    let server = Server::serve(payload).start();
    let sandbox = Sandbox::new();
    let urls = ["/a.bin", "/b.bin", "/c.bin", "/d.bin"].map(|path| server.url(path));
    let outcome = sandbox.haul().args(["--limit-rate", "2M"]).args(urls).run();
    outcome.assert_ok();
    assert_kept(&outcome, 4 * payload.len);
}

#[test]
fn a_pipe_keeps_the_limit_too_and_so_does_the_environment() {
    let payload = Payload::mib(183, 3);
    let server = Server::serve(payload).start();
    let sandbox = Sandbox::new();
    let outcome =
        sandbox.haul().env("HAUL_LIMIT_RATE", "2M").args(["-o", "-"]).arg(server.url("/file.bin")).run();
    outcome.assert_ok();
    assert_eq!(outcome.stdout.len() as u64, payload.len);
    assert_kept(&outcome, payload.len);
}

#[test]
fn no_limit_is_a_limit_of_nothing_and_nonsense_is_refused() {
    let payload = Payload::mib(184, 1);
    let server = Server::serve(payload).start();
    let sandbox = Sandbox::new();
    sandbox.haul().args(["--limit-rate", "0"]).arg(server.url("/file.bin")).run().assert_ok();
    let outcome = sandbox.haul().args(["--limit-rate", "fast"]).arg(server.url("/file.bin")).run();
    assert_eq!(outcome.code, Some(2), "{outcome}");
}

#[test]
fn connections_that_only_wait_for_each_other_are_not_taken_for_slow() {
    let payload = Payload::mib(222, 2);
    let server = Server::serve(payload).start();
    let sandbox = Sandbox::new();
    let outcome = sandbox
        .haul()
        .args(["--json", "-x", "16", "-k", "64K", "--limit-rate", "1M"])
        .arg(server.url("/file.bin"))
        .run();
    outcome.assert_ok();
    let wasted = outcome.done_event()["wasted"].as_u64().unwrap();
    assert!(wasted <= payload.len / 20, "{outcome}");
    assert!(server.gets().len() <= 40, "{}", server.describe());
}
