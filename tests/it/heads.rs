//! HEAD requests, and responses to them that are wrong or never come.

use crate::support::*;

const PAYLOAD: Payload = Payload::mib(31, 16);
const FOUR: &[&str] = &["-x", "4", "-k", "1M"];

/// If the server may choose the name, HEAD comes before the first GET; otherwise in parallel with it.
const WITH_HEAD: &[&str] = &["--content-disposition"];

/// The file must arrive, whatever happens to the HEAD before it.
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

#[test]
fn head_goes_beside_the_first_get_and_what_it_said_is_told_to_those_who_ask() {
    let server = Server::serve(PAYLOAD).rate(16 * MIB).start();
    let sandbox = Sandbox::new();
    let outcome = sandbox.haul().arg("-v").arg(server.url("/file.bin")).run();
    outcome.assert_ok().assert_says(&format!("HEAD says {} bytes", PAYLOAD.len));
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
    assert_eq!(server.heads().len(), 1, "{}", server.describe());
    let quiet = sandbox.haul().args(["-o", "again"]).arg(server.url("/file.bin")).run();
    assert!(!quiet.assert_ok().stderr.contains("HEAD"), "{quiet}");
}

#[test]
fn a_head_that_is_refused_silent_slow_or_wrong_changes_nothing_of_a_plain_download() {
    let payload = Payload::mib(45, 6);
    let wrong = |length: u64| {
        let mut answer = Answer::new(200);
        answer.set("Content-Length", length.to_string()).set("ETag", "\"other\"");
        Reply::Answer(answer)
    };
    for reply in [
        Reply::Status(405),
        Reply::Status(403),
        Reply::Status(503),
        Reply::Hangup,
        Reply::Reset,
        Reply::NoAnswer,
        Reply::Raw(b"what?".to_vec()),
        Reply::Redirect(302, "/elsewhere".to_owned()),
        wrong(0),
        wrong(payload.len * 2),
    ] {
        for ranges in [true, false] {
            let mut resource = Resource::of(payload);
            if !ranges {
                resource = resource.ignoring_ranges();
            }
            let said = reply.clone();
            let server = Server::serve(resource)
                .behave(move |request, _| if request.is_head() { said.clone() } else { Reply::Normal })
                .start();
            let sandbox = Sandbox::new();
            let outcome = sandbox.haul().arg(server.url("/file.bin")).run();
            outcome.assert_ok();
            sandbox.assert_ok_file(&payload, "file.bin");
            assert!(server.heads().len() <= 2, "{reply:?}: {}", server.describe());
            assert!(outcome.elapsed.as_millis() < 3_000, "{reply:?}: {outcome}");
            server.assert_cost(payload.len * 5 / 4);
        }
    }
}

#[test]
fn a_200_that_is_shorter_than_head_says_is_asked_for_once_more_without_a_range() {
    // The bytes of the range with status 200, and without a Content-Range.
    let server = Server::serve(PAYLOAD)
        .handler(|request, exchange| {
            let mut answer = exchange.answer();
            if answer.status == 206 && !request.is_head() {
                answer.status = 200;
                answer.remove("Content-Range");
            }
            exchange.send(&answer);
        })
        .start();
    let sandbox = Sandbox::new();
    sandbox.haul().arg(server.url("/file.bin")).run().assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
    assert!(server.heads().len() <= 2, "{}", server.describe());
    server.assert_cost(PAYLOAD.len + 5 * MIB);
}

#[test]
fn a_200_that_states_the_same_length_twice_is_believed_whatever_head_says() {
    let payload = Payload::mib(47, 3);
    for connections in ["1", "4"] {
        let server = Server::serve(Resource::of(payload).ignoring_ranges())
            .handler(move |request, exchange| {
                let mut answer = exchange.answer();
                if request.is_head() {
                    answer.set("Content-Length", (payload.len + 1).to_string());
                }
                exchange.send(&answer);
            })
            .start();
        let sandbox = Sandbox::new();
        sandbox.haul().args(["-x", connections]).arg(server.url("/file.bin")).run().assert_ok();
        sandbox.assert_ok_file(&payload, "file.bin");
        assert!(server.gets().len() <= 2, "{}", server.describe());
    }
}

/// Sends bodies that end with the connection, at the position that the function returns for the number of the GET.
fn ending_with_the_connection(until: impl Fn(usize) -> u64 + Send + Sync + 'static) -> Server {
    Server::serve(PAYLOAD)
        .handler(move |request, exchange| {
            if request.is_head() {
                return exchange.serve();
            }
            exchange.send_head(200, &[("Connection", "close"), ("ETag", "\"v1\"")]);
            exchange.send_payload(0..until(request.n));
            exchange.close();
        })
        .start()
}

#[test]
fn a_body_that_ends_with_its_connection_is_held_against_what_head_says() {
    let half = PAYLOAD.len / 2;
    for connections in ["1", "auto"] {
        let server = ending_with_the_connection(move |n| if n == 0 { half } else { PAYLOAD.len });
        let sandbox = Sandbox::new();
        sandbox.haul().args(["-x", connections]).arg(server.url("/file.bin")).run().assert_ok();
        sandbox.assert_ok_file(&PAYLOAD, "file.bin");

        let server = ending_with_the_connection(move |_| half);
        let sandbox = Sandbox::new();
        let outcome = sandbox.haul().args(["-x", connections]).arg(server.url("/file.bin")).run();
        outcome.assert_failed(6).assert_says(&PAYLOAD.len.to_string());
        sandbox.assert_absent("file.bin");
        // The next run does not mistake the kept bytes for the whole file either.
        sandbox.haul().args(["-x", connections]).arg(server.url("/file.bin")).run().assert_failed(6);
        sandbox.assert_absent("file.bin");
        assert!(server.heads().len() <= 4, "{}", server.describe());
    }
}

#[test]
fn a_body_that_ends_with_its_connection_is_published_where_head_says_nothing() {
    let server = Server::serve(PAYLOAD)
        .handler(|request, exchange| {
            if request.is_head() {
                return exchange.status(405);
            }
            exchange.send_head(200, &[("Connection", "close")]);
            exchange.send_payload(0..PAYLOAD.len);
            exchange.close();
        })
        .start();
    let sandbox = Sandbox::new();
    sandbox.haul().arg(server.url("/file.bin")).run().assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
}

#[test]
fn a_list_of_small_files_is_not_asked_for_twice() {
    let small = Payload::new(48, 5_000);
    for ranges in [true, false] {
        let resource = Resource::of(small);
        let server = Server::serve(if ranges { resource } else { resource.ignoring_ranges() }).start();
        let sandbox = Sandbox::new();
        let list: String = (0..100).map(|nth| server.url(&format!("/f{nth}")) + "\n").collect();
        sandbox.haul().args(["-i", "-"]).stdin(list).run().assert_ok();
        assert!(server.heads().len() <= 16, "{}", server.describe());
        assert_eq!(server.gets().len(), 100);
    }
}

#[test]
fn info_tells_the_length_that_get_states_and_what_head_said_and_waits_for_neither_long() {
    let payload = Payload::mib(49, 4);
    let wrong = {
        let mut answer = Answer::new(200);
        answer.set("Content-Length", "17");
        Reply::Answer(answer)
    };
    for (reply, said) in [
        (Reply::Normal, format!("HEAD says {} bytes", payload.len)),
        (wrong, "HEAD says 17 bytes".to_owned()),
        (Reply::Status(405), "405".to_owned()),
        (Reply::NoAnswer, "ranges".to_owned()),
    ] {
        let server = Server::serve(payload)
            .behave(move |request, _| if request.is_head() { reply.clone() } else { Reply::Normal })
            .start();
        for arguments in [&["info"][..], &["--dry-run"]] {
            let outcome = Sandbox::new().haul().args(arguments).arg(server.url("/file.bin")).run();
            outcome.assert_ok().assert_says(&format!("{} bytes", payload.len)).assert_says(&said);
            assert!(outcome.elapsed.as_millis() < 2_500, "{outcome}");
        }
    }
    server_of_no_ranges_is_told_of_as_one();
}

fn server_of_no_ranges_is_told_of_as_one() {
    for status in [403, 404, 503] {
        let server = Server::serve(PAYLOAD)
            .behave(
                move |request, _| if request.has("range") { Reply::Status(status) } else { Reply::Normal },
            )
            .start();
        let outcome = Sandbox::new().haul().arg("info").arg(server.url("/file.bin")).run();
        outcome
            .assert_ok()
            .assert_says("although they are promised: one connection")
            .assert_says(&format!("{} bytes", PAYLOAD.len));
    }
    let weak = Server::serve(Resource::of(PAYLOAD).etag("W/\"v1\"")).start();
    let outcome = Sandbox::new().haul().arg("info").arg(weak.url("/file.bin")).run();
    outcome.assert_ok().assert_says("yes, but nothing shows which version");
}

#[test]
fn an_answer_without_bytes_is_held_against_what_head_says_too() {
    let payload = Payload::mib(50, 2);
    for etag in [None, Some("\"v1\"")] {
        let server = Server::serve(payload)
            .handler(move |request, exchange| {
                if request.is_head() || !request.has("range") {
                    return exchange.serve();
                }
                let mut answer = Answer::new(200);
                answer.set("Content-Length", "0");
                if let Some(etag) = etag {
                    answer.set("ETag", etag);
                }
                exchange.send(&answer);
            })
            .start();
        let sandbox = Sandbox::new();
        sandbox.haul().arg(server.url("/file.bin")).run().assert_ok();
        sandbox.assert_ok_file(&payload, "file.bin");
        let outcome = sandbox.haul().args(["-o", "-"]).arg(server.url("/again.bin")).run();
        assert_eq!(outcome.assert_ok().stdout.len() as u64, payload.len);
    }
}

#[test]
fn hundreds_of_header_fields_are_no_obstacle_and_thousands_are_told_as_such_at_once() {
    for (fields, code) in [(300, 0), (990, 0), (1100, 5)] {
        let payload = Payload::new(43, 70_000);
        let server = Server::serve(payload)
            .handler(move |_, exchange| {
                let mut answer = exchange.answer();
                (0..fields).for_each(|number| {
                    answer.add(&format!("X-Field-{number}"), "a");
                });
                exchange.send(&answer);
            })
            .start();
        let sandbox = Sandbox::new();
        let outcome = sandbox.haul().arg(server.url("/file.bin")).run();
        assert_eq!(outcome.code, Some(code), "{fields}: {outcome}");
        match code {
            0 => sandbox.assert_ok_file(&payload, "file.bin"),
            _ => {
                outcome.assert_says("more than 1000 header fields");
                assert!(server.gets().len() <= 2, "{}", server.describe());
            }
        }
    }
}
