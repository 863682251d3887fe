//! Is it still the same file? Versions, validators, mirrors.

use std::time::{Duration, SystemTime};

use crate::resume::killed_after;
use crate::support::server::rfc850_date;
use crate::support::*;

const V1: Payload = Payload::mib(21, 16);
const V2: Payload = Payload::mib(22, 16);
const FOUR: &[&str] = &["-x", "4", "-k", "1M"];

fn v2() -> Resource {
    Resource::of(V2).etag("\"v2\"")
}

// T014
#[test]
fn a_file_that_changed_between_two_runs_is_announced_and_fetched_anew() {
    for changed in [V2, Payload::mib(23, 12)] {
        let server = Server::serve(V1).start();
        let sandbox = Sandbox::new();
        killed_after(&sandbox, &server, 10 * MIB, FOUR);
        server.replace(Resource::of(changed).etag("\"v2\""));
        let outcome = sandbox.haul().args(FOUR).arg(server.url("/file.bin")).run();
        outcome.assert_ok();
        outcome.assert_says("changed");
        sandbox.assert_ok_file(&changed, "file.bin");
        server.assert_cost(changed.len + 4 * MIB);
    }
}

// T014
#[test]
fn with_no_restart_a_changed_file_fails_and_nothing_is_touched() {
    let server = Server::serve(V1).start();
    let sandbox = Sandbox::new();
    killed_after(&sandbox, &server, 10 * MIB, FOUR);
    let before = (sandbox.read("file.bin.part"), sandbox.read("file.bin.haul"));
    server.replace(v2());
    let outcome = sandbox.haul().arg("--no-restart").args(FOUR).arg(server.url("/file.bin")).run();
    outcome.assert_failed(8);
    sandbox.assert_absent("file.bin");
    let after = (sandbox.read("file.bin.part"), sandbox.read("file.bin.haul"));
    assert!(before == after, "the part file or the manifest was touched");
}

#[test]
fn a_restart_is_a_notice_among_the_events() {
    let server = Server::serve(V1).start();
    let sandbox = Sandbox::new();
    killed_after(&sandbox, &server, 10 * MIB, FOUR);
    server.replace(v2());
    let outcome = sandbox.haul().arg("--json").args(FOUR).arg(server.url("/file.bin")).run();
    outcome.assert_ok();
    let notices = outcome.events_named("notice");
    assert!(
        notices.iter().any(|notice| notice["message"].as_str().unwrap().contains("changed")),
        "{notices:?}"
    );
}

// T015
#[test]
fn a_file_that_changes_while_it_is_fetched_is_fetched_anew_once() {
    let gate = Gate::after(8 * MIB);
    let server = Server::serve(V1).gate(&gate).start();
    let sandbox = Sandbox::new();
    let running = sandbox.haul().arg("--json").args(FOUR).arg(server.url("/file.bin")).spawn();
    server.wait_for_body_bytes(8 * MIB);
    server.replace(v2());
    server.hang_up();
    gate.open();
    let outcome = running.wait();
    outcome.assert_ok();
    outcome.assert_says("changed");
    let done = outcome.done_event();
    let (fetched, wasted) = (done["fetched"].as_u64().unwrap(), done["wasted"].as_u64().unwrap());
    assert!(wasted > 0 && fetched == V2.len + wasted, "{done}");
    sandbox.assert_ok_file(&V2, "file.bin");
    server.assert_cost(V1.len * 17 / 10 + 2 * MIB);
}

#[test]
fn a_file_that_changes_twice_in_one_run_comes_in_one_answer_and_is_one_version() {
    let server = Server::serve(V1).start();
    let gate = Gate::after(4 * MIB);
    server.set_gate(Some(&gate));
    let sandbox = Sandbox::new();
    let running = sandbox.haul().args(FOUR).arg(server.url("/file.bin")).spawn();
    server.wait_for_body_bytes(4 * MIB);
    server.replace(v2());
    server.hang_up();
    gate.allow(4 * MIB);
    // Bytes held back on the closed connections still count for the gate.
    server.wait_for_body_bytes(7 * MIB);
    let v3 = Payload::mib(24, 16);
    server.replace(Resource::of(v3).etag("\"v3\""));
    server.hang_up();
    gate.open();
    running.wait().assert_ok().assert_says("do not agree");
    sandbox.assert_ok_file(&v3, "file.bin");
    assert!(server.gets().iter().any(|get| get.body == v3.len && !get.has("range")), "{}", server.describe());
}

// T017
#[test]
fn a_silent_change_is_found_by_the_digest_and_healed_by_the_next_run() {
    let resource = Resource::of(V1);
    let server = Server::serve(resource.clone()).start();
    let sandbox = Sandbox::new();
    killed_after(&sandbox, &server, 10 * MIB, FOUR);
    server.replace(resource.with_payload(V2));
    let run = || {
        server.forget();
        sandbox.haul().args(FOUR).args(["--sha256", &V2.sha256_hex()]).arg(server.url("/file.bin")).run()
    };
    run().assert_failed(12);
    sandbox.assert_absent("file.bin");
    run().assert_ok();
    sandbox.assert_ok_file(&V2, "file.bin");
    server.assert_cost(V2.len + MIB);
}

/// The probe requests a range and learns that ranges must not be joined; then one response serves everything. Only the
/// bytes that the server had put into the socket for the probe by then are lost.
#[track_caller]
fn assert_one_stream(server: &Server) {
    let gets = server.gets();
    assert!(gets.len() <= 2, "{}", server.describe());
    assert_eq!(
        gets.last().map(|get| (get.has("range"), get.body)),
        Some((false, V1.len)),
        "{}",
        server.describe()
    );
    server.assert_cost(V1.len + MIB);
}

// T018
#[test]
fn a_weak_tag_allows_one_connection_and_no_if_range() {
    let server = Server::serve(Resource::of(V1).etag("W/\"1\"")).start();
    let sandbox = Sandbox::new();
    sandbox.haul().args(FOUR).arg(server.url("/file.bin")).run().assert_ok();
    sandbox.assert_ok_file(&V1, "file.bin");
    assert!(server.requests().iter().all(|record| !record.has("if-range")));
    assert_one_stream(&server);
}

// T018
#[test]
fn what_was_kept_under_a_weak_tag_is_begun_again_with_a_reason() {
    let server = Server::serve(Resource::of(V1).etag("W/\"1\"")).start();
    let sandbox = Sandbox::new();
    killed_after(&sandbox, &server, 10 * MIB, &["-x", "1"]);
    let outcome = sandbox.haul().arg(server.url("/file.bin")).run();
    outcome.assert_ok();
    outcome.assert_says("validator");
    sandbox.assert_ok_file(&V1, "file.bin");
    assert!(server.gets().iter().all(|get| !get.has("if-range")), "{}", server.describe());
    assert!(server.body_bytes() >= V1.len, "two answers were joined: {}", server.describe());
}

// T018
#[test]
fn a_digest_makes_a_weak_tag_good_enough() {
    let server = Server::serve(Resource::of(V1).etag("W/\"1\"")).rate(8 * MIB).start();
    let sandbox = Sandbox::new();
    let outcome =
        sandbox.haul().args(FOUR).args(["--sha256", &V1.sha256_hex()]).arg(server.url("/file.bin")).run();
    outcome.assert_ok();
    sandbox.assert_ok_file(&V1, "file.bin");
    assert!(server.log().most_in_flight > 1, "{}", server.describe());
    assert!(server.requests().iter().all(|record| !record.has("if-range")));
}

// T020
#[test]
fn a_date_that_may_hide_a_change_is_no_validator() {
    let server = Server::serve(Resource::of(V1).no_etag().modified(Modified::SameAsDate)).start();
    let sandbox = Sandbox::new();
    sandbox.haul().args(FOUR).arg(server.url("/file.bin")).run().assert_ok();
    sandbox.assert_ok_file(&V1, "file.bin");
    assert!(server.requests().iter().all(|record| !record.has("if-range")));
    assert_one_stream(&server);
}

// T020
#[test]
fn a_date_is_echoed_byte_for_byte_as_the_server_wrote_it() {
    let date = rfc850_date(SystemTime::now() - Duration::from_secs(3601));
    let server = Server::serve(Resource::of(V1).no_etag().modified(Modified::Text(date.clone()))).start();
    let sandbox = Sandbox::new();
    let kept = killed_after(&sandbox, &server, 10 * MIB, FOUR);
    sandbox.haul().args(FOUR).arg(server.url("/file.bin")).run().assert_ok();
    sandbox.assert_ok_file(&V1, "file.bin");
    assert!(server.gets().iter().all(|get| get.header("if-range") == Some(&date)), "{}", server.describe());
    server.assert_cost(V1.len - kept + MIB);
}

#[test]
fn without_any_validator_there_is_one_connection_and_a_right_file() {
    let server = Server::serve(Resource::of(V1).no_validator()).start();
    let sandbox = Sandbox::new();
    sandbox.haul().args(FOUR).arg(server.url("/file.bin")).run().assert_ok();
    sandbox.assert_ok_file(&V1, "file.bin");
    assert_one_stream(&server);
}

/// Redirects requests to `/n1` and `/n2` of the nodes in turn.
fn balancing(nodes: &Server) -> Server {
    let urls = [nodes.url("/n1"), nodes.url("/n2")];
    Server::serve(V1).behave(move |_, n| Reply::Redirect(302, urls[n % 2].clone())).start()
}

// T022
#[test]
fn nodes_that_disagree_about_the_tag_alone_cost_little() {
    let nodes = Server::serve(V1)
        .file("/n1", Resource::of(V1).etag("\"n1\""))
        .file("/n2", Resource::of(V1).etag("\"n2\""))
        .start();
    let origin = balancing(&nodes);
    let sandbox = Sandbox::new();
    sandbox.haul().args(FOUR).arg(origin.url("/file.bin")).run().assert_ok();
    sandbox.assert_ok_file(&V1, "file.bin");
    nodes.assert_cost(V1.len * 5 / 4);
}

// T022
#[test]
fn nodes_that_hold_different_files_are_never_mixed() {
    let nodes = Server::serve(V1).file("/n1", V1).file("/n2", v2()).start();
    let origin = balancing(&nodes);
    let sandbox = Sandbox::new();
    let outcome = sandbox.haul().args(FOUR).arg(origin.url("/file.bin")).run();
    if outcome.code == Some(0) {
        let bytes = sandbox.read("file.bin");
        assert!(V1.compare(&bytes[..]).is_ok() || V2.compare(&bytes[..]).is_ok(), "the file is a mixture");
    } else {
        outcome.assert_failed(8);
        sandbox.assert_absent("file.bin");
    }
}

#[test]
fn a_server_that_dislikes_if_range_is_asked_without_it() {
    let server = Server::serve(V1)
        .behave(|request, _| if request.has("if-range") { Reply::Everything } else { Reply::Normal })
        .start();
    let sandbox = Sandbox::new();
    let kept = killed_after(&sandbox, &server, 10 * MIB, FOUR);
    sandbox.haul().args(FOUR).arg(server.url("/file.bin")).run().assert_ok();
    sandbox.assert_ok_file(&V1, "file.bin");
    server.assert_cost(V1.len - kept + 6 * MIB);
}

#[test]
fn a_login_page_in_place_of_the_file_keeps_what_was_there() {
    let server = Server::serve(V1).start();
    let sandbox = Sandbox::new();
    let kept = killed_after(&sandbox, &server, 10 * MIB, FOUR);
    server.handle_with(|_, exchange| exchange.send(&Answer::text(200, "<html>please log in</html>")));
    let outcome = sandbox.haul().args(FOUR).args(["--retry", "1"]).arg(server.url("/file.bin")).run();
    outcome.assert_failed_as_one_of(&[5, 8]);
    sandbox.assert_kept("file.bin");
    server.recover();
    server.forget();
    sandbox.haul().args(FOUR).arg(server.url("/file.bin")).run().assert_ok();
    sandbox.assert_ok_file(&V1, "file.bin");
    server.assert_cost(V1.len - kept + MIB);
}

/// A response that only says that there is none.
fn error_page() -> Answer {
    let mut page = Answer::text(200, "{\"error\":\"too many\"}");
    page.set("Content-Type", "application/json");
    page
}

#[test]
fn an_error_page_with_the_status_of_success_is_no_new_version() {
    let server = Server::serve(V1)
        .behave(|_, nth| if nth > 0 { Reply::Answer(error_page()) } else { Reply::Normal })
        .start();
    let sandbox = Sandbox::new();
    sandbox.haul().args(FOUR).arg(server.url("/file.bin")).run().assert_failed(5);
    sandbox.assert_kept("file.bin");
    server.recover();
    sandbox.haul().args(FOUR).arg(server.url("/file.bin")).run().assert_ok();
    sandbox.assert_ok_file(&V1, "file.bin");
}

#[test]
fn odd_answers_on_further_connections_do_not_end_the_one_that_is_served() {
    let mut packed = error_page();
    packed.set("Content-Encoding", "gzip");
    let pages = [error_page(), packed].map(Reply::Answer);
    for odd in pages.into_iter().chain([400, 416, 509].map(Reply::Status)) {
        let gate = Gate::after(MIB);
        let answer = odd.clone();
        let server = Server::serve(V1)
            .behave(move |_, nth| if (1..4).contains(&nth) { answer.clone() } else { Reply::Normal })
            .gate(&gate)
            .start();
        let sandbox = Sandbox::new();
        let running = sandbox.haul().args(FOUR).arg(server.url("/file.bin")).spawn();
        server.wait_until("three more were asked", |log| log.total_requests >= 4);
        gate.open();
        let outcome = running.wait();
        outcome.assert_ok();
        assert!(!outcome.stderr.contains("starting over"), "{odd:?}: {outcome}");
        sandbox.assert_ok_file(&V1, "file.bin");
        server.assert_cost(V1.len + MIB);
    }
}

#[test]
fn a_server_that_gives_one_tag_to_two_lengths_is_not_believed_and_nothing_is_given_up() {
    let server = Server::serve(V1).start();
    let sandbox = Sandbox::new();
    let kept = killed_after(&sandbox, &server, 10 * MIB, FOUR);
    let before = (sandbox.read("file.bin.part"), sandbox.read("file.bin.haul"));
    server.replace(Resource::of(Payload::mib(21, 8)).ignoring_ranges());
    let outcome = sandbox.haul().args(FOUR).arg(server.url("/file.bin")).run();
    outcome.assert_failed(8).assert_says("contradicts itself");
    sandbox.assert_absent("file.bin");
    assert!(before == (sandbox.read("file.bin.part"), sandbox.read("file.bin.haul")), "{outcome}");
    server.replace(V1);
    server.forget();
    sandbox.haul().args(FOUR).arg(server.url("/file.bin")).run().assert_ok();
    server.assert_cost(V1.len - kept + MIB);
}

#[test]
fn what_cannot_be_continued_is_not_said_to_be() {
    for resource in [Resource::of(V1).etag("W/\"1\""), Resource::of(V1).no_validator()] {
        let server = Server::serve(resource).start();
        let gate = Gate::after(8 * MIB);
        server.set_gate(Some(&gate));
        let sandbox = Sandbox::new();
        let running = sandbox.haul().arg("--json").arg(server.url("/file.bin")).spawn();
        running.wait_for_durable(MIB);
        running.signal("INT");
        let outcome = running.wait();
        assert!(!outcome.stderr.contains("resumes from there"), "{outcome}");
        outcome.assert_says("starts over");
        assert_eq!(outcome.error_event()["resumable"], false);
    }
}

#[test]
fn a_finished_file_without_a_validator_is_not_said_to_have_changed() {
    let server = Server::serve(Resource::of(V1).no_validator()).start();
    let sandbox = Sandbox::new();
    sandbox.haul().arg(server.url("/file.bin")).run().assert_ok();
    let outcome = sandbox.haul().arg(server.url("/file.bin")).run();
    outcome.assert_failed(10).assert_says("nothing shows");
    assert!(!outcome.stderr.contains("another version"), "{outcome}");
}
