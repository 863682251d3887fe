//! HEAD requests, and answers to them that are wrong or never come.

use crate::support::*;

const PAYLOAD: Payload = Payload::mib(31, 16);
const FOUR: &[&str] = &["-x", "4", "-k", "1M"];

/// A plain download asks with GET alone. Where the name is the server's to say, HEAD is asked first.
const WITH_HEAD: &[&str] = &["--content-disposition"];

/// The file comes, whatever becomes of the HEAD that is asked first.
#[track_caller]
fn assert_fetched(server: &Server, payload: &Payload) -> Outcome {
    let sandbox = Sandbox::new();
    let outcome = sandbox.haul().args(FOUR).args(WITH_HEAD).arg(server.url("/file.bin")).run();
    outcome.assert_ok();
    sandbox.assert_ok_file(payload, "file.bin");
    assert!(!server.heads().is_empty());
    outcome
}

// T035
#[test]
fn a_head_that_is_refused_decides_nothing() {
    for status in [405, 501, 403, 400, 404] {
        let server = Server::serve(PAYLOAD)
            .rate(8 * MIB)
            .behave(move |request, _| if request.is_head() { Reply::Status(status) } else { Reply::Normal })
            .start();
        let sandbox = Sandbox::new();
        sandbox.haul().args(FOUR).args(WITH_HEAD).arg(server.url("/file.bin")).run().assert_ok();
        sandbox.assert_ok_file(&PAYLOAD, "file.bin");
        assert!((1..=2).contains(&server.heads().len()), "{}", server.describe());
        let carriers: std::collections::HashSet<_> =
            server.gets().iter().filter(|get| get.body > 0).map(|get| get.connection).collect();
        assert!(carriers.len() >= 2, "{}", server.describe());
        server.assert_cost(PAYLOAD.len + 4 * MIB);
    }
}

// T035
#[test]
fn a_head_that_gets_no_reply_decides_nothing() {
    let payload = Payload::mib(41, 4);
    for reply in [Reply::Hangup, Reply::Reset] {
        let server = Server::serve(payload)
            .behave(move |request, _| if request.is_head() { reply.clone() } else { Reply::Normal })
            .start();
        assert_fetched(&server, &payload);
    }
}

// T036
#[test]
fn a_head_that_is_never_answered_holds_nothing_up_for_long() {
    let payload = Payload::mib(42, 4);
    let server = Server::serve(payload)
        .behave(|request, _| if request.is_head() { Reply::NoAnswer } else { Reply::Normal })
        .start();
    let outcome = assert_fetched(&server, &payload);
    assert!(outcome.elapsed.as_secs() < 12, "{outcome}");
}

#[test]
fn a_head_that_is_wrong_about_the_length_decides_nothing() {
    let payload = Payload::mib(43, 4);
    for stated in [0, 17, payload.len + 1, payload.len * 2] {
        let server = Server::serve(payload)
            .handler(move |request, exchange| {
                let mut answer = exchange.answer();
                if request.is_head() {
                    answer.set("Content-Length", stated.to_string());
                }
                exchange.send(&answer);
            })
            .start();
        assert_fetched(&server, &payload);
    }
}

// T038
#[test]
fn the_length_of_a_redirect_is_not_the_length_of_the_file() {
    let payload = Payload::mib(44, 4);
    let server = Server::serve(payload)
        .handler(|request, exchange| match request.path() {
            "/file.bin" => {
                let mut answer = Answer::text(302, &"x".repeat(154));
                answer.set("Location", "/real");
                exchange.send(&answer);
            }
            _ => exchange.serve(),
        })
        .start();
    let sandbox = Sandbox::new();
    let outcome = sandbox.haul().arg("--json").args(FOUR).arg(server.url("/file.bin")).run();
    outcome.assert_ok();
    sandbox.assert_ok_file(&payload, "file.bin");
    assert_eq!(outcome.done_event()["size"].as_u64(), Some(payload.len));
    assert_eq!(sandbox.entries(), ["file.bin"]);
}
