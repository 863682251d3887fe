//! What is tried again, what is final, and how long is waited.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use crate::support::server::http_date;
use crate::support::*;

const SMALL: Payload = Payload::new(171, 300_000);
const PAYLOAD: Payload = Payload::mib(172, 8);
const YEARS: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// Refuses the first GET; what HEAD says is left alone.
fn refusing_once(payload: Payload, refusal: impl Fn() -> Answer + Send + Sync + 'static) -> Server {
    let refused = AtomicBool::new(false);
    Server::serve(payload)
        .behave(move |request, _| match request.is_get() && !refused.swap(true, Ordering::SeqCst) {
            true => Reply::Answer(refusal()),
            false => Reply::Normal,
        })
        .start()
}

fn waited(server: &Server) -> Duration {
    let gets = server.gets();
    gets[1].at - gets[0].answered.unwrap()
}

#[test]
fn a_refusal_that_asking_again_does_not_change_is_final() {
    let may_pass = [408, 425, 429];
    for status in
        (400..=451).filter(|status| !may_pass.contains(status)).chain([202, 203, 204, 226, 501, 505])
    {
        let server = Server::serve(SMALL).behave(move |_, _| Reply::Status(status)).start();
        let sandbox = Sandbox::new();
        let outcome = sandbox.haul().arg(server.url("/file.bin")).run();
        outcome.assert_failed_as_one_of(&[3, 4, 5]).assert_says(&status.to_string());
        // Once for a range, and once without.
        assert!(server.gets().len() <= 2, "{status}: {}", server.describe());
        assert!(outcome.elapsed < Duration::from_secs(3), "{outcome}");
        sandbox.assert_empty();
    }
}

#[test]
fn a_refusal_that_may_pass_is_tried_again() {
    for status in [408, 425, 429, 500, 502, 503, 504, 507, 520, 529] {
        let server = refusing_once(SMALL, move || Answer::new(status));
        let sandbox = Sandbox::new();
        sandbox.haul().arg(server.url("/file.bin")).run().assert_ok();
        sandbox.assert_ok_file(&SMALL, "file.bin");
    }
}

#[test]
fn a_403_that_limits_the_rate_is_waited_for_and_no_lack_of_credentials() {
    for (name, value) in [("Retry-After", "1"), ("X-RateLimit-Remaining", "0")] {
        let server = refusing_once(SMALL, move || {
            let mut answer = Answer::new(403);
            answer.set(name, value).set("Content-Length", "0");
            answer
        });
        let sandbox = Sandbox::new();
        let outcome = sandbox.haul().arg(server.url("/file.bin")).run();
        outcome.assert_ok();
        sandbox.assert_ok_file(&SMALL, "file.bin");
        let least = if name == "Retry-After" { 1000 } else { 100 };
        assert!(waited(&server) >= Duration::from_millis(least), "{}", server.describe());
    }
}

#[test]
fn a_date_to_wait_for_is_measured_by_the_clock_that_it_is_from() {
    for ahead in [true, false] {
        let theirs = move || if ahead { SystemTime::now() + YEARS } else { SystemTime::now() - YEARS };
        let server = refusing_once(SMALL, move || {
            let mut answer = Answer::new(503);
            let date = theirs();
            answer.set("Date", http_date(date)).set("Content-Length", "0");
            answer.set("Retry-After", http_date(date + Duration::from_secs(2)));
            answer
        });
        let sandbox = Sandbox::new();
        sandbox.haul().arg(server.url("/file.bin")).run().assert_ok();
        sandbox.assert_ok_file(&SMALL, "file.bin");
        let waited = waited(&server);
        assert!((1900..4000).contains(&waited.as_millis()), "{waited:?}");
    }
}

#[test]
fn ranges_are_joined_by_a_last_modified_without_a_date() {
    let server = Server::serve(Resource::of(PAYLOAD).no_etag())
        .handler(|_, exchange| {
            let mut answer = exchange.answer();
            answer.remove("Date");
            exchange.send(&answer);
        })
        .start();
    let sandbox = Sandbox::new();
    sandbox.haul().args(["-x", "4", "-k", "1M"]).arg(server.url("/file.bin")).run().assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
    assert!(server.gets().iter().filter(|get| get.start() > 0).count() >= 2, "{}", server.describe());
}
