//! Servers that stall, crawl, or limit their clients.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use crate::resume::killed_after;
use crate::support::server::{asctime_date, http_date, rfc850_date};
use crate::support::*;

const PAYLOAD: Payload = Payload::mib(161, 16);
const FOUR: &[&str] = &["-x", "4", "-k", "1M"];

fn busy(status: u16, retry_after: &str) -> Answer {
    let mut answer = Answer::text(status, "busy");
    answer.set("Retry-After", retry_after);
    answer
}

/// Refuses the first GET; HEAD is answered normally, since nothing has to wait for it.
fn refusing_the_first_get(payload: Payload, refusal: impl Fn() -> Answer + Send + Sync + 'static) -> Server {
    let refused = AtomicBool::new(false);
    Server::serve(payload)
        .behave(move |request, _| {
            if request.is_get() && !refused.swap(true, Ordering::SeqCst) {
                Reply::Answer(refusal())
            } else {
                Reply::Normal
            }
        })
        .start()
}

/// Returns the time from the refusal of the first GET to the next one.
fn pause_after_the_refusal(server: &Server) -> Duration {
    let gets = server.gets();
    gets[1].at - gets[0].answered.unwrap()
}

// T044
#[test]
fn a_connection_that_stalls_is_replaced_and_only_its_rest_is_asked_again() {
    let server = Server::serve(PAYLOAD)
        .behave(|request, _| {
            if request.is_get() && request.start() == 0 {
                Reply::Ends(Ending::Stall(300_000))
            } else {
                Reply::Normal
            }
        })
        .start();
    let sandbox = Sandbox::new();
    let outcome =
        sandbox.haul().args(FOUR).args(["--stall-timeout", "1s"]).arg(server.url("/file.bin")).run();
    outcome.assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
    assert!(outcome.elapsed < Duration::from_secs(12), "{outcome}");
    server.assert_cost(PAYLOAD.len + 4 * MIB);
    assert!(server.gets().iter().any(|get| get.start() == 300_000), "{}", server.describe());
}

#[test]
fn a_server_that_stalls_on_everything_is_given_up_and_what_came_is_kept() {
    let server = Server::serve(PAYLOAD)
        .behave(|request, _| Reply::Ends(Ending::Stall(if request.start() == 0 { 2 * MIB } else { 0 })))
        .start();
    let sandbox = Sandbox::new();
    let outcome = sandbox
        .haul()
        .args(["-x", "1", "--retry", "1", "--stall-timeout", "500ms", "--first-byte-timeout", "1s"])
        .arg(server.url("/file.bin"))
        .run();
    outcome.assert_failed(6);
    sandbox.assert_kept("file.bin");
    server.recover();
    server.forget();
    sandbox.haul().args(FOUR).arg(server.url("/file.bin")).run().assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
    server.assert_cost(PAYLOAD.len - 2 * MIB + MIB);
}

// T045
#[test]
fn a_head_that_crawls_is_given_up_in_time() {
    let server = Server::serve(PAYLOAD)
        .handler(|_, exchange| {
            exchange.throttle(4);
            exchange.send_crawling(format!("HTTP/1.1 200 OK\r\nX-Long: {}", "a".repeat(1000)).as_bytes());
        })
        .start();
    let sandbox = Sandbox::new();
    let outcome = sandbox
        .haul()
        .args(["--retry", "0", "--first-byte-timeout", "1s"])
        .arg(server.url("/file.bin"))
        .run();
    outcome.assert_failed(6);
    assert!(outcome.elapsed < Duration::from_secs(10), "{outcome}");
    sandbox.assert_empty();
}

// T045
#[test]
fn a_head_or_a_chunk_extension_that_crawls_is_given_up_and_asked_for_again() {
    let payload = Payload::mib(166, 2);
    for chunked in [false, true] {
        let crawled = AtomicBool::new(false);
        let server = Server::serve(payload)
            .handler(move |_, exchange| {
                if crawled.swap(true, Ordering::SeqCst) {
                    return exchange.serve();
                }
                exchange.throttle(4);
                let long = "a".repeat(1000);
                if chunked {
                    exchange
                        .send_raw(b"HTTP/1.1 200 OK\r\nETag: \"v1\"\r\nTransfer-Encoding: chunked\r\n\r\n");
                    exchange.send_crawling(format!("3;x={long}").as_bytes());
                } else {
                    exchange.send_crawling(format!("HTTP/1.1 200 OK\r\nX-Long: {long}").as_bytes());
                }
            })
            .start();
        let sandbox = Sandbox::new();
        let limits = ["--first-byte-timeout", "1s", "--stall-timeout", "1s"];
        let outcome = sandbox.haul().args(limits).arg(server.url("/file.bin")).run();
        outcome.assert_ok();
        sandbox.assert_ok_file(&payload, "file.bin");
        assert!(outcome.elapsed < Duration::from_secs(20), "{outcome}");
    }
}

// T045
#[test]
fn when_every_connection_only_drips_it_is_given_up_and_what_came_is_kept() {
    let server = Server::serve(PAYLOAD).start();
    let gate = Gate::after(4 * MIB);
    server.set_gate(Some(&gate));
    let sandbox = Sandbox::new();
    let running = sandbox
        .haul()
        .args(["--json", "-x", "2", "-k", "1M", "--stall-timeout", "1s", "--retry", "1"])
        .arg(server.url("/file.bin"))
        .spawn();
    running.wait_for_durable(2 * MIB);
    server.behave_with(|_, _| Reply::Throttled(10));
    server.hang_up();
    gate.open();
    let outcome = running.wait();
    outcome.assert_failed(6);
    assert!(outcome.elapsed < Duration::from_secs(30), "{outcome}");
    let kept = outcome.error_event()["kept"].as_u64().unwrap();
    sandbox.assert_kept("file.bin");
    server.recover();
    server.forget();
    sandbox.haul().args(FOUR).arg(server.url("/file.bin")).run().assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
    server.assert_cost(PAYLOAD.len - kept + MIB);
}

// T045
#[test]
fn a_body_that_crawls_is_taken_over_by_the_others() {
    let server =
        Server::serve(PAYLOAD)
            .behave(|request, _| {
                if request.is_get() && request.start() == 0 { Reply::Throttled(2000) } else { Reply::Normal }
            })
            .start();
    let sandbox = Sandbox::new();
    let outcome = sandbox.haul().args(FOUR).arg(server.url("/file.bin")).run();
    outcome.assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
    server.assert_cost(PAYLOAD.len + 4 * MIB);
}

// T049
#[test]
fn a_server_that_allows_few_connections_gets_few() {
    let server = Server::serve(PAYLOAD).rate(4 * MIB).start();
    let active = AtomicUsize::new(0);
    server.handle_with(move |_, exchange| {
        if active.fetch_add(1, Ordering::SeqCst) >= 3 {
            exchange.send(&busy(503, "1"));
        } else {
            exchange.serve();
        }
        active.fetch_sub(1, Ordering::SeqCst);
    });
    let sandbox = Sandbox::new();
    let outcome = sandbox.haul().args(["-x", "8", "-k", "1M"]).arg(server.url("/file.bin")).run();
    outcome.assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
    let refused = server.log().with_status(503);
    assert!((1..=15).contains(&refused), "{refused} refusals; {}", server.describe());
    server.assert_cost(PAYLOAD.len + 4 * MIB);
}

// T050
#[test]
fn a_wait_that_the_server_asks_for_is_kept() {
    let soon = || SystemTime::now() + Duration::from_secs(2);
    let forms: Vec<Box<dyn Fn() -> String + Send + Sync>> = vec![
        Box::new(|| "1".into()),
        Box::new(move || http_date(soon())),
        Box::new(move || rfc850_date(soon())),
        Box::new(move || asctime_date(soon())),
    ];
    for (form, status) in forms.into_iter().zip([429, 503, 503, 429]) {
        let server = refusing_the_first_get(Payload::new(162, 100_000), move || busy(status, &form()));
        let sandbox = Sandbox::new();
        sandbox.haul().args(["-x", "1"]).arg(server.url("/file.bin")).run().assert_ok();
        let waited = pause_after_the_refusal(&server);
        assert!(waited > Duration::from_millis(900) && waited < Duration::from_millis(3500), "{waited:?}");
    }
}

// T050
#[test]
fn a_wait_that_makes_no_sense_is_replaced_by_our_own() {
    let past = http_date(SystemTime::now() - Duration::from_secs(3600));
    for value in ["-1", "abc", "", "1.5", "5, 6", "0", &past] {
        let value = value.to_owned();
        let server = refusing_the_first_get(Payload::new(163, 100_000), move || busy(503, &value));
        let sandbox = Sandbox::new();
        sandbox.haul().args(["-x", "1"]).arg(server.url("/file.bin")).run().assert_ok();
        let waited = pause_after_the_refusal(&server);
        assert!(waited >= Duration::from_millis(90) && waited < Duration::from_secs(10), "{waited:?}");
    }
}

// T050
#[test]
fn a_wait_beyond_the_cap_is_a_failure_that_names_the_time() {
    for value in ["86400", "999999999999999999999"] {
        let server = Server::serve(PAYLOAD).start();
        let sandbox = Sandbox::new();
        let kept = killed_after(&sandbox, &server, 8 * MIB, FOUR);
        server.behave_with(move |_, _| Reply::Answer(busy(503, value)));
        let asked = Instant::now();
        let outcome = sandbox.haul().args(FOUR).arg(server.url("/file.bin")).run();
        outcome.assert_failed(5).assert_says(if value == "86400" {
            "86400 s"
        } else {
            "longer than haul waits"
        });
        assert!(asked.elapsed() < Duration::from_secs(10), "{outcome}");
        server.recover();
        server.forget();
        sandbox.haul().args(FOUR).arg(server.url("/file.bin")).run().assert_ok();
        sandbox.assert_ok_file(&PAYLOAD, "file.bin");
        server.assert_cost(PAYLOAD.len - kept + MIB);
    }
}

// T050
#[test]
fn a_redirect_that_asks_for_a_pause_gets_it_and_one_that_asks_for_too_much_is_refused() {
    let payload = Payload::new(167, 100_000);
    let to_real = |wait: &'static str| {
        Server::serve(payload)
            .behave(move |request, _| {
                if request.path() == "/real" {
                    return Reply::Normal;
                }
                let mut answer = busy(302, wait);
                answer.set("Location", "/real");
                Reply::Answer(answer)
            })
            .start()
    };
    let server = to_real("1");
    let sandbox = Sandbox::new();
    sandbox.haul().args(["-o", "file.bin"]).arg(server.url("/file.bin")).run().assert_ok();
    sandbox.assert_ok_file(&payload, "file.bin");
    let waited = pause_after_the_refusal(&server);
    assert!(waited >= Duration::from_millis(900) && waited < Duration::from_millis(3000), "{waited:?}");
    let server = to_real("86400");
    let outcome = Sandbox::new().haul().arg(server.url("/file.bin")).run();
    outcome.assert_failed(5).assert_says("86400 s");
}

// T052
#[test]
fn two_failures_of_the_server_are_forgiven() {
    for status in [500, 502, 503, 504, 408, 429] {
        let server = Server::serve(Payload::mib(164, 2))
            .behave(move |_, n| if n < 2 { Reply::Status(status) } else { Reply::Normal })
            .start();
        let sandbox = Sandbox::new();
        sandbox.haul().args(FOUR).arg(server.url("/file.bin")).run().assert_ok();
        sandbox.assert_ok_file(&Payload::mib(164, 2), "file.bin");
    }
}

#[test]
fn a_limit_on_the_time_for_retries_is_kept() {
    let server = Server::serve(PAYLOAD).behave(|_, _| Reply::Answer(busy(503, "1"))).start();
    let sandbox = Sandbox::new();
    let outcome =
        sandbox.haul().args(["--retry", "100", "--retry-max-time", "2s"]).arg(server.url("/file.bin")).run();
    outcome.assert_failed(5);
    assert!(outcome.elapsed < Duration::from_secs(8), "{outcome}");
}

#[test]
fn progress_between_failures_starts_the_count_of_attempts_again() {
    let payload = Payload::mib(165, 2);
    let server = Server::serve(payload).behave(|_, _| Reply::Ends(Ending::Close(256 * KIB))).start();
    let sandbox = Sandbox::new();
    let outcome = sandbox.haul().args(["-x", "1", "--retry", "2"]).arg(server.url("/file.bin")).run();
    outcome.assert_ok();
    sandbox.assert_ok_file(&payload, "file.bin");
    server.assert_cost(payload.len + MIB);
}

#[test]
fn a_silent_server_is_waited_for_once_even_on_a_connection_that_was_used_before() {
    let payload = Payload::new(168, 20_000);
    let server = Server::serve(payload)
        .handler(|request, exchange| {
            if request.path() == "/ok" {
                return exchange.serve();
            }
            exchange.throttle(4);
            exchange.send_crawling(format!("HTTP/1.1 200 OK\r\nX-Long: {}", "a".repeat(1000)).as_bytes());
        })
        .start();
    let sandbox = Sandbox::new();
    let list = format!("{}\n{}\n", server.url("/ok"), server.url("/silent"));
    let outcome = sandbox
        .haul()
        .args(["-j", "1", "--retry", "0", "--first-byte-timeout", "1s", "-i", "-"])
        .stdin(list)
        .run();
    outcome.assert_failed(6);
    sandbox.assert_ok_file(&payload, "ok");
    let asked = server.gets().iter().filter(|get| get.target == "/silent").count();
    assert_eq!(asked, 1, "{}", server.describe());
}

/// A server that serves the first request and refuses all others with `status` while it serves the first.
#[track_caller]
fn assert_the_first_one_is_kept(status: u16) {
    let gate = Gate::at_offset(MIB);
    let opener = gate.clone();
    let refused = AtomicUsize::new(0);
    let server = Server::serve(PAYLOAD)
        .gate(&gate)
        .behave(move |request, _| {
            if !request.is_get() || request.start() == 0 {
                return Reply::Normal;
            }
            match refused.fetch_add(1, Ordering::SeqCst) {
                0..2 => Reply::Status(status),
                // After this the first request is completed, and the others are served.
                2 => {
                    opener.open();
                    Reply::Status(status)
                }
                _ => Reply::Normal,
            }
        })
        .start();
    let sandbox = Sandbox::new();
    let outcome = sandbox.haul().args(FOUR).arg(server.url("/file.bin")).run();
    outcome.assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
    let from_the_start = server.gets().iter().filter(|get| get.start() < MIB).count();
    assert_eq!(from_the_start, 1, "{status}: {}", server.describe());
}

#[test]
fn one_that_is_served_goes_on_whatever_the_others_are_refused_with() {
    for status in [403, 404, 429, 503] {
        assert_the_first_one_is_kept(status);
    }
}
