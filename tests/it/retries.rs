//! Retries, final failures, and back-off.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use crate::support::server::http_date;
use crate::support::*;

const SMALL: Payload = Payload::new(171, 300_000);
const PAYLOAD: Payload = Payload::mib(172, 8);
const YEARS: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// Refuses the first GET; HEAD is answered normally and has no effect.
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
        // One request with a range, and one without.
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

/// A redirect with a Retry-After.
fn waiting_redirect(location: &str, retry_after: &str) -> Reply {
    let mut answer = Answer::new(302);
    answer.set("Location", location).set("Retry-After", retry_after).set("Content-Length", "0");
    Reply::Answer(answer)
}

#[test]
fn a_pause_that_a_redirect_asks_for_is_made_and_said() {
    let server = Server::serve(SMALL)
        .behave(|request, _| match request.path() {
            "/file.bin" => waiting_redirect("/real", "1"),
            _ => Reply::Normal,
        })
        .start();
    let sandbox = Sandbox::new();
    let outcome = sandbox.haul().args(["--json", "-o", "file.bin"]).arg(server.url("/file.bin")).run();
    outcome.assert_ok();
    sandbox.assert_ok_file(&SMALL, "file.bin");
    let told = outcome.event("retry");
    assert_eq!(
        (told["status"].as_u64(), told["wait"].as_f64(), told["attempt"].as_u64()),
        (Some(302), Some(1.0), Some(1))
    );
    assert!(told["cause"].as_str().unwrap().contains("redirect"), "{told}");
}

#[test]
fn the_pauses_of_redirects_are_bounded_in_sum_and_by_the_limit_on_trying_again() {
    for (each, flags) in
        [("1", &["--retry-max-time", "2s"][..]), ("150", &["--retry-max-time", "100s"]), ("301", &[])]
    {
        let server = Server::serve(SMALL)
            .behave(move |request, _| waiting_redirect(&format!("{}x", request.target), each))
            .start();
        let outcome = Sandbox::new().haul().args(flags).arg(server.url("/file.bin")).run();
        outcome.assert_failed(5).assert_says("a redirect asks to wait");
        assert!(outcome.elapsed < Duration::from_secs(5), "{outcome}");
        assert!(server.gets().len() <= 3, "{}", server.describe());
    }
}

#[test]
fn the_limit_on_trying_again_bounds_the_waits_that_a_server_asks_for() {
    for status in [429, 503, 403] {
        let server = Server::serve(SMALL)
            .behave(move |_, _| {
                let mut answer = Answer::new(status);
                answer.set("Retry-After", "100").set("Content-Length", "0");
                Reply::Answer(answer)
            })
            .start();
        let outcome =
            Sandbox::new().haul().args(["--retry-max-time", "20s"]).arg(server.url("/file.bin")).run();
        outcome.assert_failed(5).assert_says("100 s");
        assert!(outcome.elapsed < Duration::from_secs(5), "{outcome}");
    }
}

#[test]
fn attempts_are_counted_from_one() {
    let server = refusing_once(SMALL, || Answer::new(503));
    let sandbox = Sandbox::new();
    let outcome = sandbox.haul().arg("--json").arg(server.url("/file.bin")).run();
    outcome.assert_ok();
    let attempts: Vec<_> =
        outcome.events_named("retry").iter().map(|retry| retry["attempt"].as_u64()).collect();
    assert_eq!(attempts, [Some(1)]);
}

#[test]
fn a_name_that_does_not_exist_is_given_up_soon() {
    let outcome = Sandbox::new().haul().arg("http://no-such-host.invalid/file.bin").run();
    outcome.assert_failed(6).assert_says("no-such-host.invalid");
    // A resolver that cannot be reached gives no certain answer.
    let certain = outcome.stderr.contains("not known");
    assert!(!certain || outcome.elapsed < Duration::from_secs(8), "{outcome}");
    assert!(!certain || outcome.stderr.contains("check how the host is written"), "{outcome}");
}

#[test]
fn nothing_is_asked_in_a_pause_that_the_server_wants() {
    for (status, name, value) in [(429, "Retry-After", "1"), (403, "X-RateLimit-Reset", "1")] {
        let server = refusing_once(SMALL, move || {
            let mut answer = Answer::new(status);
            answer.set("X-RateLimit-Remaining", "0").set(name, value).set("Content-Length", "0");
            answer
        });
        let sandbox = Sandbox::new();
        sandbox.haul().arg(server.url("/file.bin")).run().assert_ok();
        sandbox.assert_ok_file(&SMALL, "file.bin");
        let requests = server.requests();
        let pause = requests[1].at - requests[0].answered.unwrap();
        assert!(pause >= Duration::from_millis(990), "{}", server.describe());
    }
}
