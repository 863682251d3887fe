//! The last piece, requested twice: the first connection to deliver a byte writes it.

use std::time::Duration;

use crate::support::*;

const PAYLOAD: Payload = Payload::mib(171, 32);
const FOUR: &[&str] = &["--json", "-x", "4", "-k", "1M"];
/// Length of the last piece: less than may be fetched twice.
const LAST: u64 = 100_000;
const RATE: u64 = 8_000_000;

/// Returns true for a request for the last piece.
fn is_hedge(request: &Request) -> bool {
    request.is_get() && request.start() >= PAYLOAD.len - LAST
}

/// Returns the number of wasted bytes that the program reports.
#[track_caller]
fn assert_little_wasted(outcome: &Outcome) -> u64 {
    let done = outcome.done_event();
    let (fetched, wasted) = (done["fetched"].as_u64().unwrap(), done["wasted"].as_u64().unwrap());
    assert_eq!(fetched, PAYLOAD.len + wasted, "{done}");
    assert!(wasted <= PAYLOAD.len / 200, "{done}");
    wasted
}

#[test]
fn a_last_piece_that_does_not_come_is_brought_by_another_connection() {
    let server = Server::serve(PAYLOAD)
        .rate(RATE)
        .behave(|request, _| {
            let range = request.range().and_then(|range| range.within(PAYLOAD.len));
            match range {
                Some(range) if range.end == PAYLOAD.len && !is_hedge(request) => {
                    Reply::Ends(Ending::Stall(PAYLOAD.len - LAST - range.start))
                }
                _ => Reply::Normal,
            }
        })
        .start();
    let sandbox = Sandbox::new();
    let outcome = sandbox.haul().args(FOUR).arg(server.url("/file.bin")).run();
    outcome.assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
    assert!(outcome.elapsed < Duration::from_secs(4), "{outcome}");
    assert_little_wasted(&outcome);
    assert!(outcome.events_named("retry").is_empty(), "{outcome}");
}

/// A server that holds the last piece back until its second request, which gets `reply`.
fn held_until_the_hedge(reply: impl Fn() -> Reply + Send + Sync + 'static) -> Server {
    let gate = Gate::at_offset(PAYLOAD.len - LAST);
    let opener = gate.clone();
    Server::serve(PAYLOAD)
        .rate(RATE)
        .gate(&gate)
        .behave(move |request, _| {
            if !is_hedge(request) {
                return Reply::Normal;
            }
            opener.open();
            reply()
        })
        .start()
}

/// Fetches the file, and returns the number of wasted bytes.
#[track_caller]
fn assert_hedged_once(server: &Server, args: &[&str]) -> (Outcome, u64) {
    let sandbox = Sandbox::new();
    let outcome = sandbox.haul().args(FOUR).args(args).arg(server.url("/file.bin")).run();
    outcome.assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
    let hedges = server.gets().iter().filter(|get| is_hedge(&get.request)).count();
    assert_eq!(hedges, 1, "{}", server.describe());
    let wasted = assert_little_wasted(&outcome);
    (outcome, wasted)
}

#[test]
fn the_first_one_may_still_be_the_one_that_brings_it() {
    // The second request never gets a byte, and the first goes on.
    let server = held_until_the_hedge(|| Reply::Ends(Ending::Stall(0)));
    let (outcome, wasted) = assert_hedged_once(&server, &[]);
    assert!(outcome.elapsed < Duration::from_secs(4), "{outcome}");
    assert_eq!(wasted, 0, "{outcome}");
}

#[test]
fn two_that_bring_the_last_piece_at_the_same_time_write_each_byte_once() {
    let server = held_until_the_hedge(|| Reply::Throttled(RATE / 4));
    // The manifest takes each byte exactly once, and the digest vouches for the bytes written.
    assert_hedged_once(&server, &["--sha256", &PAYLOAD.sha256_hex()]);
}

#[test]
fn a_hedge_that_is_refused_costs_nothing() {
    for status in [404, 403, 416, 503] {
        assert_hedged_once(&held_until_the_hedge(move || Reply::Status(status)), &[]);
    }
    assert_hedged_once(&held_until_the_hedge(|| Reply::Everything), &[]);
}
