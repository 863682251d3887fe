//! Several sources of one file: they help, and none of them can spoil it.

use crate::resume::killed_after;
use crate::support::*;

const PAYLOAD: Payload = Payload::mib(211, 16);
const FOUR: &[&str] = &["-x", "4", "-k", "1M"];

fn with_mirrors<'a>(
    sandbox: &Sandbox,
    server: &Server,
    mirrors: impl IntoIterator<Item = &'a Server>,
) -> Haul {
    let mut haul = sandbox.haul().arg("--json").args(FOUR).args(["--sha256", &PAYLOAD.sha256_hex()]);
    for mirror in mirrors {
        haul = haul.args(["--mirror", &mirror.url("/copy")]);
    }
    haul.arg(server.url("/file.bin"))
}

/// Returns the dropped sources, with the stated causes.
fn dropped(outcome: &Outcome) -> Vec<(String, String)> {
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let events = outcome.events_named("source").into_iter().filter(|event| event["state"] == "dropped");
    events.map(|event| (text(&event["url"]), text(&event["cause"]))).collect()
}

#[test]
fn a_mirror_helps_and_is_named_among_the_sources() {
    let mirror = Server::serve(Resource::of(PAYLOAD).etag("\"another\"")).rate(20 * MIB).start();
    let server = Server::serve(PAYLOAD).rate(20 * MIB).start();
    let sandbox = Sandbox::new();
    let outcome = with_mirrors(&sandbox, &server, [&mirror]).run();
    outcome.assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
    assert!(mirror.body_bytes() >= 2 * MIB, "{}", mirror.describe());
    assert!(server.body_bytes() + mirror.body_bytes() <= PAYLOAD.len + MIB);
    assert_eq!(outcome.done_event()["sources"].as_array().map(Vec::len), Some(2));
    assert!(dropped(&outcome).is_empty(), "{outcome}");
    // The validator of one server means nothing to another.
    let foreign = |get: &server::Record| get.header("if-range").is_some_and(|tag| tag != "\"another\"");
    assert!(!mirror.gets().iter().any(foreign), "{}", mirror.describe());
}

// T024
#[test]
fn mirrors_that_hold_something_else_are_dropped_by_name_and_leave_no_byte() {
    let longer = Server::serve(Payload::new(211, PAYLOAD.len + 1)).start();
    let other = Server::serve(Resource::of(Payload::mib(212, 16)).etag("\"other\"")).start();
    let server = Server::serve(PAYLOAD).rate(20 * MIB).start();
    let sandbox = Sandbox::new();
    let outcome = with_mirrors(&sandbox, &server, [&longer, &other]).run();
    outcome.assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
    let dropped = dropped(&outcome);
    for bad in [&longer, &other] {
        let named = dropped.iter().filter(|(url, _)| *url == bad.url("/copy")).count();
        assert_eq!(named, 1, "{}: {outcome}", bad.url("/copy"));
        outcome.assert_says(&format!("warning: file.bin: {} is not used any more", bad.url("/copy")));
    }
    assert_eq!(longer.log().with_status(200), 0);
}

// T086
#[test]
fn a_mirror_that_is_added_to_a_resumed_download_gives_only_what_is_missing() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    let kept = killed_after(&sandbox, &server, 8 * MIB, FOUR);
    let mirror = Server::serve(PAYLOAD).start();
    with_mirrors(&sandbox, &server, [&mirror]).run().assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
    let served = server.body_bytes() + mirror.body_bytes();
    assert!(served <= PAYLOAD.len - kept + MIB, "{served} after {kept} were kept");
}

#[test]
fn mirrors_that_fail_cost_little_and_the_file_comes_all_the_same() {
    for failure in
        [Reply::Status(404), Reply::Status(403), Reply::Status(503), Reply::Hangup, Reply::Everything]
    {
        let mirror = {
            let failure = failure.clone();
            Server::serve(PAYLOAD).behave(move |_, _| failure.clone()).start()
        };
        let server = Server::serve(PAYLOAD).rate(20 * MIB).start();
        let sandbox = Sandbox::new();
        let outcome = with_mirrors(&sandbox, &server, [&mirror]).run();
        outcome.assert_ok();
        sandbox.assert_ok_file(&PAYLOAD, "file.bin");
        assert!(mirror.requests().len() <= 12, "{failure:?}: {}", mirror.describe());
        assert!(server.body_bytes() <= PAYLOAD.len + 2 * MIB, "{failure:?}");
    }
}

#[test]
fn a_mirror_takes_over_when_the_url_itself_is_gone_from_the_start_or_half_way() {
    let mirror = Server::serve(PAYLOAD).start();
    let gone = Server::serve(PAYLOAD).behave(|_, _| Reply::Status(404)).start();
    let sandbox = Sandbox::new();
    let outcome = with_mirrors(&sandbox, &gone, [&mirror]).run();
    outcome.assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
    assert_eq!(dropped(&outcome).len(), 1, "{outcome}");

    let server = Server::serve(PAYLOAD).start();
    let gate = Gate::after(4 * MIB);
    server.set_gate(Some(&gate));
    let sandbox = Sandbox::new();
    // The last byte of the mirror waits until the server was dropped: the run cannot end before.
    let end = Gate::at_offset(PAYLOAD.len - 1);
    let slow = Server::serve(PAYLOAD).rate(4 * MIB).gate(&end).start();
    let running = with_mirrors(&sandbox, &server, [&slow]).spawn();
    server.wait_for_body_bytes(4 * MIB);
    server.behave_with(|_, _| Reply::Status(410));
    server.hang_up();
    gate.open();
    running.wait_for_event("that the server is dropped", |event| {
        event["event"] == "source" && event["url"] == server.url("/file.bin")
    });
    end.open();
    let outcome = running.wait();
    outcome.assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
    assert_eq!(dropped(&outcome).len(), 1, "{outcome}");
    // Bytes from the mirror do not excuse the server: a server that has said so is not asked again.
    assert!(server.log().with_status(410) <= 3, "{}", server.describe());
}

#[test]
fn a_url_that_does_not_answer_at_first_does_not_keep_its_mirror_waiting() {
    for failure in [Reply::Status(500), Reply::Status(503), Reply::Hangup] {
        let mirror = Server::serve(PAYLOAD).start();
        let server = {
            let failure = failure.clone();
            Server::serve(PAYLOAD).behave(move |_, _| failure.clone()).start()
        };
        let sandbox = Sandbox::new();
        let outcome = with_mirrors(&sandbox, &server, [&mirror]).run();
        outcome.assert_ok();
        sandbox.assert_ok_file(&PAYLOAD, "file.bin");
        assert!(outcome.elapsed.as_secs() < 10, "{failure:?}: {outcome}");
        assert!(server.requests().len() <= 6, "{failure:?}: {}", server.describe());
    }
}

/// Returns true if the source is reported as resting or dropped.
fn names(outcome: &Outcome, url: &str) -> bool {
    let rests = |event: &serde_json::Value| event["cause"].as_str().is_some_and(|cause| cause.contains(url));
    outcome.events_named("retry").iter().any(rests)
        || dropped(outcome).iter().any(|(dropped, _)| dropped == url)
}

#[test]
fn a_source_that_accepts_and_stays_silent_is_left_alone_whichever_it_is() {
    for silent_before in [0, 1, 2] {
        for first in [true, false] {
            let bad = Server::serve(PAYLOAD)
                .rate(8 * MIB)
                .behave(move |_, n| if n < silent_before { Reply::Normal } else { Reply::NoAnswer })
                .start();
            let good = Server::serve(PAYLOAD).rate(8 * MIB).start();
            let sandbox = Sandbox::new();
            let (url, mirror) = if first { (&bad, &good) } else { (&good, &bad) };
            let outcome = with_mirrors(&sandbox, url, [mirror]).run();
            outcome.assert_ok();
            sandbox.assert_ok_file(&PAYLOAD, "file.bin");
            assert!(outcome.elapsed.as_secs() < 8, "{outcome}");
            let named = bad.url(if first { "/file.bin" } else { "/copy" });
            assert!(names(&outcome, &named), "{outcome}");
            let attempts = outcome.events_named("retry").into_iter().map(|retry| retry["attempt"].as_u64());
            assert!(attempts.flatten().all(|attempt| attempt > 0), "counted from 1: {outcome}");
            assert!(good.body_bytes() <= PAYLOAD.len + MIB, "{}", good.describe());
        }
    }
}

#[test]
fn a_source_that_dies_half_way_costs_little_whichever_it_is() {
    for ending in [Ending::Stall(MIB), Ending::Close(MIB), Ending::Reset(MIB)] {
        for first in [true, false] {
            let dies = move |n| if n == 0 { Reply::Ends(ending) } else { Reply::Hangup };
            let bad = Server::serve(PAYLOAD).rate(8 * MIB).behave(move |_, n| dies(n)).start();
            let good = Server::serve(PAYLOAD).rate(8 * MIB).start();
            let sandbox = Sandbox::new();
            let (url, mirror) = if first { (&bad, &good) } else { (&good, &bad) };
            let outcome = with_mirrors(&sandbox, url, [mirror]).run();
            outcome.assert_ok();
            sandbox.assert_ok_file(&PAYLOAD, "file.bin");
            assert!(outcome.elapsed.as_secs() < 8, "{ending:?}: {outcome}");
            assert!(bad.requests().len() <= 12, "{ending:?}: {}", bad.describe());
        }
    }
}

#[test]
fn a_url_that_asks_for_too_long_a_wait_is_not_waited_for_when_its_mirror_is_gone_too() {
    let server = Server::serve(PAYLOAD)
        .handler(|_, exchange| exchange.send_head(503, &[("Retry-After", "999999"), ("Content-Length", "0")]))
        .start();
    let mirror = Server::serve(PAYLOAD).behave(|_, _| Reply::Status(404)).start();
    let sandbox = Sandbox::new();
    let outcome = with_mirrors(&sandbox, &server, [&mirror]).run();
    outcome.assert_failed_as_one_of(&[3, 5]);
    assert!(outcome.elapsed.as_secs() < 10, "{outcome}");
    sandbox.assert_empty();
}

#[test]
fn what_a_mirror_began_is_gone_on_with_when_the_url_is_back() {
    let server = Server::serve(PAYLOAD).behave(|_, _| Reply::Status(500)).start();
    let mirror = Server::serve(Resource::of(PAYLOAD).etag("\"another\"")).start();
    let gate = Gate::after(8 * MIB);
    mirror.set_gate(Some(&gate));
    let sandbox = Sandbox::new();
    let running = with_mirrors(&sandbox, &server, [&mirror]).spawn();
    running.wait_for_durable(4 * MIB);
    running.kill();
    for source in [&server, &mirror] {
        source.recover();
        source.forget();
    }
    let outcome = with_mirrors(&sandbox, &server, [&mirror]).run();
    outcome.assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
    let served = server.body_bytes() + mirror.body_bytes();
    assert!(served <= PAYLOAD.len - 3 * MIB, "{served}: {outcome}");
}

#[test]
fn where_no_source_answers_all_are_given_up() {
    let down = || Server::serve(PAYLOAD).behave(|_, _| Reply::Status(500)).start();
    let (server, mirror) = (down(), down());
    let sandbox = Sandbox::new();
    let outcome = with_mirrors(&sandbox, &server, [&mirror]).args(["--retry", "2"]).run();
    outcome.assert_failed(5);
    assert!(
        server.requests().len() <= 8 && mirror.requests().len() <= 8,
        "{} {}",
        server.describe(),
        mirror.describe()
    );
    sandbox.assert_empty();
}

#[test]
fn when_every_source_is_gone_it_fails_as_the_last_one_did() {
    let gone = || Server::serve(PAYLOAD).behave(|_, _| Reply::Status(404)).start();
    let (server, mirror) = (gone(), gone());
    let sandbox = Sandbox::new();
    let outcome = with_mirrors(&sandbox, &server, [&mirror]).run();
    outcome.assert_failed(3);
    assert!(outcome.cause_lines()[0].contains(&mirror.url("/copy")), "the wrong one is blamed: {outcome}");
    sandbox.assert_empty();
}

#[test]
fn secrets_for_the_url_do_not_reach_its_mirrors_and_a_mirror_may_have_its_own() {
    let mirror = Server::serve(PAYLOAD).rate(20 * MIB).start();
    let server = Server::serve(PAYLOAD).rate(20 * MIB).start();
    let sandbox = Sandbox::new();
    let own = mirror.url("/copy").replace("http://", "http://m:pw@");
    let haul = sandbox.haul().args(FOUR).args(["--sha256", &PAYLOAD.sha256_hex(), "--mirror", &own]);
    let haul = haul.args(["-u", "me:S3CR", "-H", "X-Key: S3CR"]);
    haul.arg(server.url("/file.bin")).run().assert_ok();
    assert!(!mirror.gets().is_empty());
    for get in mirror.gets() {
        assert_eq!(get.header("authorization"), Some("Basic bTpwdw=="), "{}", mirror.describe());
        assert!(!get.has("x-key"));
    }
    assert!(server.gets().iter().all(|get| get.has("x-key")));
}

#[test]
fn a_digest_of_any_algorithm_counts_for_mirrors() {
    let payload = Payload::new(216, 300_000);
    let (server, mirror) = (Server::serve(payload).start(), Server::serve(payload).start());
    for algorithm in ["md5", "sha1", "sha512"] {
        let sandbox = Sandbox::new();
        let wrong = format!(
            "{algorithm}:{}",
            "0".repeat(if algorithm == "md5" {
                32
            } else if algorithm == "sha1" {
                40
            } else {
                128
            })
        );
        let haul = sandbox.haul().args(["--mirror", &mirror.url("/copy"), "--checksum", &wrong]);
        haul.arg(server.url("/file.bin")).run().assert_failed(12);
    }
}

#[test]
fn mirrors_without_a_proof_are_a_usage_error() {
    let (server, mirror) = (Server::serve(PAYLOAD).start(), Server::serve(PAYLOAD).start());
    let sandbox = Sandbox::new();
    let (url, copy, sha256) = (server.url("/file.bin"), mirror.url("/copy"), PAYLOAD.sha256_hex());
    let refused = |args: &[&str], said: &str| {
        sandbox.haul().args(["--mirror", &copy]).args(args).run().assert_failed(2).assert_says(said);
    };
    refused(&[&url], "digest");
    refused(&[&url], "--checksum");
    refused(&[&url, "--sha256", &sha256, "-o", "-"], "a pipe");
    refused(&[&url, &copy], "one file");
    assert!(server.requests().is_empty() && mirror.requests().is_empty());
    sandbox.assert_empty();
}

/// Returns the numbers of the dropped ones among `servers`.
pub(crate) fn blamed(outcome: &Outcome, servers: &[&Server]) -> Vec<usize> {
    let dropped = dropped(outcome);
    let named = |server: &Server| {
        let port = format!(":{}/", server.port());
        dropped.iter().any(|(url, _)| url.contains(&port))
    };
    (0..servers.len()).filter(|number| named(servers[*number])).collect()
}

/// A server of the file with one byte changed.
fn with_one_wrong_byte(at: u64) -> server::Builder {
    changed_at(PAYLOAD, at, || true)
}

/// A server of the payload with a byte changed in each response that holds it, if it is to be changed.
pub(crate) fn changed_at(
    payload: Payload,
    at: u64,
    is_changed: impl Fn() -> bool + Send + Sync + 'static,
) -> server::Builder {
    Server::serve(payload).handler(move |_, exchange| {
        let mut answer = exchange.answer();
        if let Body::Payload(payload, range) = answer.body.clone() {
            let mut bytes = vec![0; (range.end - range.start) as usize];
            payload.fill(range.start, &mut bytes);
            if range.contains(&at) && is_changed() {
                bytes[(at - range.start) as usize] ^= 1;
            }
            answer.body = Body::Bytes(bytes);
        }
        exchange.send(&answer);
    })
}

#[test]
fn whichever_source_lies_the_file_comes_and_that_one_alone_is_blamed() {
    for count in [2, 3] {
        for liar in 0..count {
            let lies = Resource::of(Payload::mib(212, 16)).etag("\"other\"");
            let servers: Vec<_> = (0..count)
                .map(|number| if number == liar { lies.clone() } else { Resource::of(PAYLOAD) })
                .map(|resource| Server::serve(resource).rate(8 * MIB).start())
                .collect();
            let sandbox = Sandbox::new();
            let all: Vec<_> = servers.iter().collect();
            let outcome = with_mirrors(&sandbox, &servers[0], servers[1..].iter()).run();
            outcome.assert_ok();
            sandbox.assert_ok_file(&PAYLOAD, "file.bin");
            assert_eq!(blamed(&outcome, &all), [liar], "{liar} of {count} lies: {outcome}");
            // The bytes of the lying server are fetched again from the others, and a few samples.
            let honest: u64 =
                all.iter().enumerate().filter(|(n, _)| *n != liar).map(|(_, s)| s.body_bytes()).sum();
            assert!(
                honest <= PAYLOAD.len + 2 * MIB,
                "{liar} of {count}: {honest} bytes of honest ones: {outcome}"
            );
            assert!(all[liar].body_bytes() <= PAYLOAD.len + MIB, "{}", all[liar].describe());
        }
    }
}

#[test]
fn one_wrong_byte_of_a_source_is_found_by_trying_each_alone() {
    for liar in 0..3 {
        let servers: Vec<_> = (0..3)
            .map(
                |number| {
                    if number == liar { with_one_wrong_byte(9 * MIB + 7) } else { Server::serve(PAYLOAD) }
                },
            )
            .map(|server| server.rate(8 * MIB).start())
            .collect();
        let all: Vec<_> = servers.iter().collect();
        let sandbox = Sandbox::new();
        let outcome = with_mirrors(&sandbox, &servers[0], servers[1..].iter()).run();
        outcome.assert_ok();
        sandbox.assert_ok_file(&PAYLOAD, "file.bin");
        assert!(blamed(&outcome, &all).iter().all(|blamed| *blamed == liar), "{liar} lies: {outcome}");
        let served: u64 = all.iter().map(|server| server.body_bytes()).sum();
        assert!(served <= 3 * PAYLOAD.len + 2 * MIB, "{served} bytes: {outcome}");
    }
}

#[test]
fn a_first_url_that_has_a_file_of_another_length_or_no_ranges_gives_way_to_an_honest_mirror() {
    let shorter = Resource::of(Payload::new(211, PAYLOAD.len - 1));
    let whole = Resource::of(Payload::mib(212, 16)).ignoring_ranges();
    for lies in [shorter, whole] {
        let liar = Server::serve(lies).start();
        let honest = Server::serve(PAYLOAD).start();
        let sandbox = Sandbox::new();
        let outcome = with_mirrors(&sandbox, &liar, [&honest]).run();
        outcome.assert_ok();
        sandbox.assert_ok_file(&PAYLOAD, "file.bin");
        assert!(blamed(&outcome, &[&liar, &honest]).contains(&0), "{outcome}");
        assert!(honest.body_bytes() <= PAYLOAD.len + MIB, "{}", honest.describe());
    }
}

#[test]
fn a_small_file_is_fetched_from_another_source_too_where_the_first_one_lies() {
    let payload = Payload::new(214, 100_000);
    let liar = Server::serve(Payload::new(215, 100_000)).start();
    let honest = Server::serve(payload).start();
    let sandbox = Sandbox::new();
    let haul = sandbox.haul().args(["--sha256", &payload.sha256_hex(), "--mirror", &honest.url("/copy")]);
    haul.arg(liar.url("/file.bin")).run().assert_ok();
    sandbox.assert_ok_file(&payload, "file.bin");
}

#[test]
fn a_digest_of_another_file_costs_the_file_once_more_and_blames_none_of_those_that_agree() {
    let servers: Vec<_> = (0..4).map(|_| Server::serve(PAYLOAD).start()).collect();
    let all: Vec<_> = servers.iter().collect();
    let sandbox = Sandbox::new();
    let digest = Payload::mib(213, 16).sha256_hex();
    let mut haul = sandbox.haul().arg("--json").args(FOUR).args(["--sha256", &digest]);
    for mirror in &servers[1..] {
        haul = haul.args(["--mirror", &mirror.url("/copy")]);
    }
    let outcome = haul.arg(servers[0].url("/file.bin")).run();
    outcome.assert_failed(12);
    assert!(blamed(&outcome, &all).is_empty(), "{outcome}");
    let served: u64 = all.iter().map(|server| server.body_bytes()).sum();
    assert!(served <= 3 * PAYLOAD.len + 2 * MIB, "{served} bytes: {outcome}");
}

#[test]
fn haul_resume_keeps_the_mirrors_and_tells_them_no_secrets() {
    let server = Server::serve(PAYLOAD).start();
    let mirror = Server::serve(PAYLOAD).start();
    let signed = Server::serve(PAYLOAD).start();
    let gate = Gate::after(4 * MIB);
    for source in [&server, &mirror, &signed] {
        source.set_gate(Some(&gate));
    }
    let sandbox = Sandbox::new();
    let secret = signed.url("/copy?token=S3CR");
    let own = mirror.url("/copy").replace("http://", "http://m:S3CR@");
    let running = with_mirrors(&sandbox, &server, []).args(["--mirror", &own, "--mirror", &secret]).spawn();
    running.wait_for_durable(2 * MIB);
    running.kill();
    let manifest = std::fs::read_to_string(sandbox.path("file.bin.haul")).unwrap();
    assert!(manifest.contains(&mirror.url("/copy")) && !manifest.contains("S3CR"), "{manifest}");
    gate.open();
    // The URL itself is gone: only a mirror can give the rest.
    server.behave_with(|_, _| Reply::Status(404));
    [&mirror, &signed].iter().for_each(|source| source.forget());
    let haul = sandbox.haul().args(["resume", "--json", "-H", "X-Key: S3CR", "-u", "me:S3CR", "."]);
    haul.run().assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
    assert!(signed.requests().is_empty(), "{}", signed.describe());
    assert!(!mirror.gets().is_empty());
    for get in mirror.requests() {
        assert!(!get.has("authorization") && !get.has("x-key"), "{}", mirror.describe());
    }
}
