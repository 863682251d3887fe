//! Servers that refuse ranges, serve a link once, disagree about the version, or label their responses oddly.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::support::*;

const PAYLOAD: Payload = Payload::mib(181, 12);
const FOUR: &[&str] = &["-x", "4", "-k", "1M"];

#[test]
fn a_refusal_of_the_first_range_is_asked_once_more_without_it() {
    let statuses = [403, 404, 410, 416, 429, 503].map(Reply::Status);
    for refusal in statuses.into_iter().chain([Reply::Reset, Reply::Hangup]) {
        let answer = refusal.clone();
        let server = Server::serve(PAYLOAD)
            .behave(move |request, _| if request.has("range") { answer.clone() } else { Reply::Normal })
            .start();
        let sandbox = Sandbox::new();
        sandbox.haul().args(["--retry", "2"]).arg(server.url("/file.bin")).run().assert_ok();
        sandbox.assert_ok_file(&PAYLOAD, "file.bin");
        // After a hang-up on a reused connection the request is repeated on a new one.
        assert!(server.gets().len() <= 4, "{refusal:?}: {}", server.describe());
    }
}

#[test]
fn a_range_that_an_earlier_run_left_missing_is_asked_for_without_a_range_as_well() {
    let server = Server::serve(PAYLOAD)
        .behave(|request, n| match request.is_get() && n == 0 {
            true => Reply::Ends(Ending::Close(3 * MIB)),
            false => Reply::Status(503),
        })
        .start();
    let sandbox = Sandbox::new();
    sandbox
        .haul()
        .args(FOUR)
        .args(["--retry", "0"])
        .arg(server.url("/file.bin"))
        .run()
        .assert_failed_as_one_of(&[5, 6]);
    sandbox.assert_kept("file.bin");
    server.behave_with(|request, _| if request.has("range") { Reply::Status(403) } else { Reply::Normal });
    sandbox.haul().args(FOUR).arg(server.url("/file.bin")).run().assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
}

#[test]
fn a_refusal_of_long_ranges_leads_to_shorter_ones() {
    for status in [403, 404, 400, 416] {
        let server = Server::serve(PAYLOAD)
            .behave(move |request, _| {
                let asked = request.range().and_then(|range| range.within(PAYLOAD.len));
                let long = asked.is_some_and(|asked| asked.start > 0 && asked.end - asked.start > MIB);
                if long { Reply::Status(status) } else { Reply::Normal }
            })
            .start();
        let sandbox = Sandbox::new();
        let outcome = sandbox.haul().arg(server.url("/file.bin")).run();
        outcome.assert_ok();
        assert!(!outcome.stderr.contains("credentials"), "{outcome}");
        sandbox.assert_ok_file(&PAYLOAD, "file.bin");
        server.assert_cost(PAYLOAD.len + 6 * MIB);
    }
}

#[test]
fn a_refusal_of_all_further_ranges_leads_to_the_rest_in_one_answer() {
    for status in [403, 404, 410, 400, 416] {
        let server = Server::serve(PAYLOAD)
            .behave(move |request, _| if request.start() > 0 { Reply::Status(status) } else { Reply::Normal })
            .start();
        let sandbox = Sandbox::new();
        let outcome = sandbox.haul().args(FOUR).arg(server.url("/file.bin")).run();
        outcome.assert_ok();
        assert!(!outcome.stderr.contains("credentials"), "{outcome}");
        sandbox.assert_ok_file(&PAYLOAD, "file.bin");
        server.assert_cost(PAYLOAD.len * 2 + MIB);
    }
}

/// Serves the first GET, whatever it requests, and refuses every other.
fn good_for_one(status: u16) -> Server {
    let served = AtomicUsize::new(0);
    Server::serve(PAYLOAD)
        .behave(move |request, _| {
            let first = request.is_get() && served.fetch_add(1, Ordering::SeqCst) == 0;
            if first { Reply::Normal } else { Reply::Status(status) }
        })
        .start()
}

#[test]
fn a_link_that_is_good_for_one_request_is_fetched_by_one_connection_and_else_said_to_be_one() {
    for (status, code) in [(403, 4), (404, 3), (410, 3)] {
        let server = good_for_one(status);
        let sandbox = Sandbox::new();
        sandbox.haul().args(["-x", "1"]).arg(server.url("/file.bin")).run().assert_ok();
        sandbox.assert_ok_file(&PAYLOAD, "file.bin");
        assert_eq!(server.requests().len(), 1, "{}", server.describe());

        let server = good_for_one(status);
        let sandbox = Sandbox::new();
        let outcome = sandbox.haul().args(FOUR).arg(server.url("/file.bin")).run();
        outcome.assert_failed(code).assert_says("good for one request").assert_says("-x 1");
        assert!(!outcome.stderr.contains("credentials"), "{outcome}");
        sandbox.assert_kept("file.bin");
    }
}

#[test]
fn one_connection_that_breaks_goes_on_where_it_was_and_asks_for_all_the_rest_at_once() {
    let server = Server::serve(PAYLOAD)
        .behave(|request, n| {
            if request.is_get() && n == 0 { Reply::Ends(Ending::Close(5 * MIB + 3)) } else { Reply::Normal }
        })
        .start();
    let sandbox = Sandbox::new();
    sandbox.haul().args(["-x", "1"]).arg(server.url("/file.bin")).run().assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
    let ranges: Vec<_> = server.gets().iter().map(|get| get.header("range").map(str::to_owned)).collect();
    let rest = format!("bytes={}-{}", 5 * MIB + 3, PAYLOAD.len - 1);
    assert_eq!(ranges, [None, Some(rest)]);
    server.assert_cost(PAYLOAD.len);
}

/// Each connection ends at another server with a tag of its own for the same bytes.
fn balanced() -> Server {
    Server::serve(PAYLOAD)
        .rate(16 * MIB)
        .handler(|request, exchange| {
            let tag = format!("\"node{}\"", request.connection % 3);
            exchange.serve_resource(&exchange.resource().etag(&tag));
        })
        .start()
}

#[test]
fn several_tags_for_one_name_are_never_joined_and_one_whole_answer_is_one_version() {
    let server = balanced();
    let sandbox = Sandbox::new();
    let outcome = sandbox.haul().args(FOUR).arg(server.url("/file.bin")).run();
    outcome.assert_ok().assert_says("one connection");
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
    assert!(
        server.gets().iter().any(|get| get.body == PAYLOAD.len && !get.has("range")),
        "{}",
        server.describe()
    );
}

#[test]
fn several_tags_for_one_name_are_joined_where_a_digest_proves_the_bytes() {
    let server = balanced();
    let sandbox = Sandbox::new();
    let outcome = sandbox
        .haul()
        .args(FOUR)
        .args(["--sha256", &PAYLOAD.sha256_hex()])
        .arg(server.url("/file.bin"))
        .run();
    outcome.assert_ok();
    assert!(!outcome.stderr.contains("starting over"), "{outcome}");
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
    server.assert_cost(PAYLOAD.len + 6 * MIB);
}

#[test]
fn a_200_that_states_a_part_is_asked_for_once_more_and_a_part_is_never_published() {
    for everything in [true, false] {
        let server = Server::serve(PAYLOAD)
            .handler(move |request, exchange| {
                let mut answer = exchange.answer();
                answer.status = 200;
                if !everything && request.is_get() && !request.has("range") {
                    answer.payload(PAYLOAD, 0..MIB);
                    answer.set("Content-Range", format!("bytes 0-{}/{}", MIB - 1, PAYLOAD.len));
                }
                exchange.send(&answer);
            })
            .start();
        let sandbox = Sandbox::new();
        let outcome = sandbox.haul().arg(server.url("/file.bin")).run();
        if everything {
            outcome.assert_ok();
            sandbox.assert_ok_file(&PAYLOAD, "file.bin");
        } else {
            outcome.assert_failed(6).assert_says("a part of the file");
            sandbox.assert_absent("file.bin");
        }
    }
}

#[test]
fn a_packed_file_that_is_labelled_with_its_own_coding_is_saved_as_it_is() {
    let payload = Payload::new(182, 300_001);
    for (name, media, coding) in [
        ("lib-1.0.tar.gz", "application/octet-stream", "x-gzip"),
        ("lib.tgz", "text/plain", "gzip"),
        ("plan.svgz", "image/svg+xml", "gzip"),
        ("lib.tar.zst", "application/octet-stream", "zstd"),
        ("download", "application/gzip", "gzip"),
    ] {
        let resource = Resource::of(payload).content_type(media).header("Content-Encoding", coding);
        let server = Server::serve(resource).start();
        let sandbox = Sandbox::new();
        sandbox.haul().arg(server.url(&format!("/{name}"))).run().assert_ok();
        sandbox.assert_ok_file(&payload, name);
    }
    let resource = Resource::of(payload).content_type("text/plain").header("Content-Encoding", "gzip");
    let server = Server::serve(resource).start();
    let sandbox = Sandbox::new();
    sandbox.haul().arg(server.url("/notes.txt")).run().assert_failed(5).assert_says("gzip");
    let proven = sandbox.haul().args(["--sha256", &payload.sha256_hex()]).arg(server.url("/notes.txt")).run();
    proven.assert_ok();
    sandbox.assert_ok_file(&payload, "notes.txt");
}

#[test]
fn a_signed_url_is_asked_without_if_range_and_the_version_of_each_answer_is_judged() {
    for path in ["/file.bin?X-Amz-Signature=abcdef", "/plain"] {
        let server = Server::serve(PAYLOAD)
            .handler(|request, exchange| match request.path() {
                "/plain" => exchange.redirect(302, "/file.bin?Expires=1&Signature=abcdef"),
                _ if request.has("if-range") => exchange.status(403),
                _ => exchange.serve(),
            })
            .start();
        let sandbox = Sandbox::new();
        let outcome = sandbox.haul().args(FOUR).args(["-o", "file.bin"]).arg(server.url(path)).run();
        outcome.assert_ok();
        sandbox.assert_ok_file(&PAYLOAD, "file.bin");
        assert!(server.gets().iter().filter(|get| get.start() > 0).count() >= 2, "{}", server.describe());

        // A new version in mid-download is noticed without the field, too.
        let changed = AtomicBool::new(false);
        server.handle_with(move |request, exchange| {
            changed.fetch_or(request.start() > 0, Ordering::SeqCst);
            match request.path() {
                "/plain" => exchange.redirect(302, "/file.bin?Expires=1&Signature=abcdef"),
                _ if changed.load(Ordering::SeqCst) => {
                    exchange.serve_resource(&Resource::of(Payload::mib(183, 12)).etag("\"v2\""));
                }
                _ => exchange.serve(),
            }
        });
        let sandbox = Sandbox::new();
        let outcome = sandbox.haul().args(FOUR).args(["-o", "file.bin"]).arg(server.url(path)).run();
        outcome.assert_ok();
        sandbox.assert_ok_file(&Payload::mib(183, 12), "file.bin");
    }
}

#[test]
fn a_web_page_under_the_name_of_something_else_is_told_and_others_are_not() {
    for (path, media, told) in [
        ("/disk.iso", "text/html; charset=utf-8", true),
        ("/disk.iso", "application/octet-stream", false),
        ("/index.html", "text/html", false),
        ("/download", "text/html", false),
    ] {
        let server = Server::serve(Resource::of(Payload::new(184, 983)).content_type(media)).start();
        let sandbox = Sandbox::new();
        let outcome = sandbox.haul().arg(server.url(path)).run();
        outcome.assert_ok();
        assert_eq!(outcome.stderr.contains("web page"), told, "{path}, {media}: {outcome}");
    }
}

#[test]
fn a_403_says_what_may_be_behind_it() {
    let server = Server::serve(PAYLOAD).behave(|_, _| Reply::Status(403)).start();
    let outcome = Sandbox::new().haul().arg(server.url("/file.bin")).run();
    outcome.assert_failed(4).assert_says("User-Agent").assert_says("credentials");
}

#[test]
fn a_version_that_is_replaced_in_mid_download_is_fetched_anew_where_the_digest_is_that_of_the_new_one() {
    let new = Payload::mib(185, 12);
    let changed = AtomicBool::new(false);
    let server = Server::serve(PAYLOAD)
        .rate(16 * MIB)
        .handler(move |request, exchange| {
            changed.fetch_or(request.start() > 3 * MIB, Ordering::SeqCst);
            match changed.load(Ordering::SeqCst) {
                true => exchange.serve_resource(&Resource::of(new).etag("\"v2\"")),
                false => exchange.serve(),
            }
        })
        .start();
    let sandbox = Sandbox::new();
    let outcome =
        sandbox.haul().args(FOUR).args(["--sha256", &new.sha256_hex()]).arg(server.url("/file.bin")).run();
    outcome.assert_ok();
    sandbox.assert_ok_file(&new, "file.bin");
}

#[test]
fn a_server_that_says_its_version_on_some_answers_only_is_not_joined_with_others() {
    let server = Server::serve(PAYLOAD)
        .rate(16 * MIB)
        .handler(|request, exchange| match request.connection % 3 {
            0 => exchange.serve_resource(&Resource::of(PAYLOAD).no_etag().ignoring_ranges()),
            _ => exchange.serve(),
        })
        .start();
    let sandbox = Sandbox::new();
    sandbox.haul().args(FOUR).arg(server.url("/file.bin")).run().assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
}

#[test]
fn ranges_that_a_server_is_always_too_busy_for_are_asked_for_in_one_answer_before_it_fails() {
    for status in [429, 503] {
        let server = Server::serve(PAYLOAD)
            .behave(move |request, _| if request.start() > 0 { Reply::Status(status) } else { Reply::Normal })
            .start();
        let sandbox = Sandbox::new();
        sandbox.haul().args(["--retry", "2"]).arg(server.url("/file.bin")).run().assert_ok();
        sandbox.assert_ok_file(&PAYLOAD, "file.bin");
    }
}
