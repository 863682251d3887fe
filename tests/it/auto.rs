//! The number of connections if no number is given.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::support::*;

const PAYLOAD: Payload = Payload::mib(221, 48);

/// Refuses requests while it serves `most`.
fn serving_at_once(payload: Payload, bytes_per_second: u64, most: usize) -> Server {
    let served = AtomicUsize::new(0);
    Server::serve(payload)
        .rate(bytes_per_second)
        .handler(move |_, exchange| {
            if served.fetch_add(1, Ordering::SeqCst) >= most {
                exchange.status(503);
            } else {
                exchange.serve();
            }
            served.fetch_sub(1, Ordering::SeqCst);
        })
        .start()
}

fn most_at_once(server: &Server) -> usize {
    let gets = server.gets();
    let overlaps = |at: &std::time::Instant| {
        gets.iter().filter(|get| get.at <= *at && get.ended.is_none_or(|ended| ended > *at)).count()
    };
    gets.iter().map(|get| overlaps(&get.at)).max().unwrap_or(0)
}

#[test]
fn a_server_that_holds_each_connection_back_is_asked_on_more_and_more() {
    let server = Server::serve(PAYLOAD).rate(2_000_000).start();
    let sandbox = Sandbox::new();
    let outcome =
        sandbox.haul().args(["--json"]).arg(server.url("/file.bin")).deadline(Duration::from_secs(60)).run();
    outcome.assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
    let most = outcome.done_event()["connections"].as_u64().unwrap();
    assert!((8..=64).contains(&most), "{most} connections: {}", server.describe());
    // Two connections would take 12 s.
    assert!(outcome.elapsed < Duration::from_secs(8), "{outcome}");
    server.assert_cost(PAYLOAD.len + 4 * MIB);
}

// T049
#[test]
fn a_server_that_serves_two_at_once_is_not_asked_for_more_again_and_again() {
    let server = serving_at_once(PAYLOAD, 8_000_000, 2);
    let sandbox = Sandbox::new();
    let outcome = sandbox.haul().arg(server.url("/file.bin")).deadline(Duration::from_secs(60)).run();
    outcome.assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
    let refused = server.log().with_status(503);
    assert!(refused <= 8, "{refused} refusals: {}", server.describe());
}

#[test]
fn a_given_number_is_kept_to() {
    let server = Server::serve(PAYLOAD).rate(20_000_000).start();
    let sandbox = Sandbox::new();
    sandbox.haul().args(["-x", "3"]).arg(server.url("/file.bin")).run().assert_ok();
    assert!(most_at_once(&server) <= 3, "{}", server.describe());
}

// T049
#[test]
fn the_files_of_a_list_wait_for_each_other_where_a_server_serves_one_at_a_time() {
    let payload = Payload::mib(222, 3);
    let server = serving_at_once(payload, 3_000_000, 1);
    let sandbox = Sandbox::new();
    let list: String = (0..6).map(|nth| server.url(&format!("/f{nth}")) + "\n").collect();
    let outcome = sandbox.haul().args(["-i", "-"]).stdin(list).deadline(Duration::from_secs(90)).run();
    outcome.assert_ok();
    (0..6).for_each(|nth| sandbox.assert_ok_file(&payload, &format!("f{nth}")));
    let refused = server.log().with_status(503);
    assert!(refused <= 16, "{refused} refusals: {}", server.describe());
}
