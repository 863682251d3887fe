//! Limits that nginx can impose on a client, and its log of haul's requests.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::client::{haul, haul_as_it_is, haul_over, run};
use crate::interruption::kill_when_durable;
use crate::payload::{SIZE, bytes, sha256};
use crate::relay::Relay;
use crate::server::{Kind, Server};
use crate::site::{NAME, Site};

/// At 2 MiB/s a connection this takes one connection three seconds.
const SMALL: usize = 6 << 20;

#[test]
fn a_server_that_limits_each_connection_is_asked_over_several_at_once() {
    let payload = bytes(3, SMALL);
    let site = Site::publishing(&payload);
    let Some(server) = Server::start(Kind::Nginx, &site) else {
        return;
    };
    run(&mut haul(&server.url("/slow/"), &site.target())).assert_code(0);
    site.assert_saved(&payload);

    let mut carried = BTreeMap::<u64, u64>::new();
    for request in server.requests() {
        let connection = request["connection"].as_u64().expect("nginx numbers its connections");
        *carried.entry(connection).or_default() += body_bytes(&request);
    }
    let busy = carried.values().filter(|&&bytes| bytes >= 512 << 10).count();
    assert!(busy >= 3, "bytes by connection: {carried:?}");
}

#[test]
fn a_server_that_sends_in_bursts_is_asked_over_several_connections_and_not_given_up() {
    let payload = bytes(9, 4 * SMALL);
    let site = Site::publishing(&payload);
    let Some(server) = Server::start(Kind::Nginx, &site) else {
        return;
    };
    let ended = run(haul_as_it_is(&server.url("/in-bursts/"), &site.target()).args([
        "--json",
        "--sha256",
        &sha256(&payload),
    ]));
    ended.assert_code(0);
    site.assert_saved(&payload);
    let elapsed = ended.field("done", "elapsed").as_f64().expect("a time");
    let of_one = payload.len() as f64 / f64::from(1 << 20);
    assert!(elapsed < of_one / 4.0, "{elapsed} s, where one connection takes {of_one} s");
}

#[test]
fn a_server_that_answers_503_to_the_third_request_still_gives_the_file() {
    let payload = bytes(4, SMALL);
    let site = Site::publishing(&payload);
    let Some(server) = Server::start(Kind::Nginx, &site) else {
        return;
    };
    let mut command = haul_over(6, &server.url("/two-at-once/"), &site.target());
    run(command.args(["--sha256", &sha256(&payload)])).assert_code(0);
    site.assert_saved(&payload);

    let requests = server.requests();
    let refused = requests.iter().filter(|request| request["status"] == 503).count();
    assert!(refused > 0, "the limit was never met, so this test showed nothing");
    assert!(refused < 50, "{refused} refused requests are a storm");
}

#[test]
fn every_range_request_after_the_first_carries_the_etag_that_nginx_gave() {
    let payload = bytes(5, SIZE);
    let site = Site::publishing(&payload);
    let Some(server) = Server::start(Kind::Nginx, &site) else {
        return;
    };
    run(&mut haul(&server.url("/"), &site.target())).assert_code(0);

    // nginx's ETag: the modification time and the size, in hex.
    let etag = format!("\"{:x}-{:x}\"", 1_577_836_800, payload.len());
    let requests = server.requests();
    let ranged: Vec<_> =
        requests.iter().filter(|request| request["method"] == "GET" && request["range"] != "").collect();
    let without: Vec<_> = ranged.iter().filter(|request| request["if_range"] != etag.as_str()).collect();
    assert!(ranged.len() >= 2, "the file was not asked for in ranges: {requests:?}");
    assert!(without.len() <= 1, "If-Range was not {etag} in {without:?}");
}

#[test]
fn a_file_that_changed_on_the_server_between_two_runs_is_never_joined() {
    let old = bytes(6, SIZE);
    let site = Site::publishing(&old);
    let Some(server) = Server::start(Kind::Nginx, &site) else {
        return;
    };
    let size = old.len() as u64;
    let relay = Relay::start(server.port(), size / 2);
    let url = format!("http://127.0.0.1:{}/{NAME}", relay.port());
    kill_when_durable(haul(&url, &site.target()).arg("--json"), size * 3 / 8);

    let new = bytes(7, SIZE);
    site.publish(&new, 1);
    relay.open();
    let ended = run(&mut haul(&url, &site.target()));

    ended.assert_code(0);
    site.assert_saved(&new);
    assert!(!ended.stderr.is_empty(), "what is thrown away is announced");
}

#[test]
fn a_wrong_digest_leaves_no_file_under_the_final_name() {
    let site = Site::publishing(&bytes(8, SMALL));
    let Some(server) = Server::start(Kind::Nginx, &site) else {
        return;
    };
    let wrong = sha256(b"something else");
    run(haul(&server.url("/"), &site.target()).args(["--sha256", &wrong])).assert_code(12);
    assert!(!site.target().exists());
}

#[test]
fn a_file_that_nginx_does_not_have_is_exit_3_and_leaves_nothing() {
    let site = Site::publishing(b"");
    let Some(server) = Server::start(Kind::Nginx, &site) else {
        return;
    };
    let missing = server.url("/").replace(NAME, "missing.bin");
    run(&mut haul(&missing, &site.target())).assert_code(3);
    assert_eq!(site.saved(), [""; 0]);
}

fn body_bytes(request: &Value) -> u64 {
    request["body_bytes"].as_u64().expect("nginx counts what it sends")
}
