//! Reports of a run about its files: their time, their order, and which of them are saved.

use crate::support::*;

const PAYLOAD: Payload = Payload::mib(123, 1);

#[test]
fn the_time_of_a_file_begins_with_its_turn() {
    let server = Server::serve(PAYLOAD)
        .behave(|request, _| if request.path() == "/slow" { Reply::Throttled(MIB) } else { Reply::Normal })
        .start();
    let sandbox = Sandbox::new();
    let outcome =
        sandbox.haul().args(["--json", "-j", "1"]).args([server.url("/slow"), server.url("/fast")]).run();
    outcome.assert_ok();
    let took: Vec<_> =
        outcome.events_named("done").iter().map(|done| done["elapsed"].as_f64().unwrap()).collect();
    assert!(took[0] > 0.3 && took[1] < took[0] / 2.0, "{took:?}");
}

#[test]
fn files_begin_in_the_order_given() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    let urls: Vec<_> = (0..60).map(|number| server.url(&format!("/f{number:02}"))).collect();
    sandbox.haul().args(["-q", "-j", "1", "-x", "1"]).args(&urls).run().assert_ok();
    let mut asked: Vec<_> = server.gets().iter().map(|get| get.path().to_owned()).collect();
    asked.dedup();
    assert_eq!(asked, (0..60).map(|number| format!("/f{number:02}")).collect::<Vec<_>>());
}

#[test]
fn a_file_that_was_there_is_told_apart_from_one_that_was_saved_and_both_say_what_was_verified() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    let digest = ["--sha256".to_owned(), PAYLOAD.sha256_hex()];
    let haul = || sandbox.haul().args(&digest).arg(server.url("/f"));
    haul().run().assert_ok().assert_says("sha256 verified");
    haul().run().assert_ok().assert_says("was there already, sha256 verified");
    let outcome = haul().arg("--json").run();
    assert_eq!(outcome.done_event()["already_there"], true, "{outcome}");
    assert_eq!(outcome.done_event()["digests"].as_array().map(Vec::len), Some(1), "{outcome}");
    assert_eq!(outcome.summary()["already_there"], 1);
    let outcome = sandbox.haul().arg("--json").args([server.url("/f"), server.url("/g")]).run();
    let there = |event: &serde_json::Value| event["already_there"].as_bool();
    let mut told: Vec<_> = outcome.events_named("done").iter().map(there).collect();
    told.sort();
    assert_eq!(told, [Some(false), Some(true)], "{outcome}");
    assert_eq!((&outcome.summary()["ok"], &outcome.summary()["already_there"]), (&2.into(), &1.into()));
    let outcome = sandbox.haul().args([server.url("/f"), server.url("/h")]).run();
    outcome.assert_ok().assert_says("1 file saved, 1 there already, 0 failed");
}
