//! Range responses that are odd, dishonest, broken or hostile.

use crate::support::*;

const PAYLOAD: Payload = Payload::mib(31, 16);
const FOUR: &[&str] = &["-x", "4", "-k", "1M"];

/// A server that alters its response to every ranged GET.
fn bending(
    resource: impl Into<Resource>,
    bend: impl Fn(&Request, &mut Answer) + Send + Sync + 'static,
) -> Server {
    Server::serve(resource)
        .handler(move |request, exchange| {
            let mut answer = exchange.answer();
            if answer.status == 206 {
                bend(request, &mut answer);
            }
            exchange.send(&answer);
        })
        .start()
}

// T001
#[test]
fn a_server_that_ignores_ranges_sends_the_file_once() {
    let server = Server::serve(Resource::of(PAYLOAD))
        .handler(|request, exchange| {
            let mut answer = exchange.answer();
            if request.is_get() {
                answer = exchange.resource().ignoring_ranges().answer(request);
                answer.set("Accept-Ranges", "bytes");
            }
            exchange.send(&answer);
        })
        .start();
    let sandbox = Sandbox::new();
    let outcome = sandbox.haul().arg("--json").args(["-x", "8"]).arg(server.url("/file.bin")).run();
    outcome.assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
    server.assert_cost(PAYLOAD.len * 5 / 4);
    outcome.assert_says("range");
}

// T004
#[test]
fn a_206_that_starts_earlier_than_asked_is_trimmed() {
    let server = bending(PAYLOAD, |request, answer| {
        let Body::Payload(payload, range) = answer.body.clone() else {
            return;
        };
        let start = request.start() / 1_000_003 * 1_000_003;
        answer.payload(payload, start..range.end);
        answer.set("Content-Range", format!("bytes {start}-{}/{}", range.end - 1, payload.len));
    });
    let sandbox = Sandbox::new();
    sandbox.haul().args(["-x", "4", "-k", "4M"]).arg(server.url("/file.bin")).run().assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
    server.assert_cost(PAYLOAD.len + server.gets().len() as u64 * 1_000_003 + 2 * MIB);
}

#[test]
fn a_206_that_ends_earlier_than_asked_is_progress() {
    let server = bending(PAYLOAD, |_, answer| {
        let Body::Payload(payload, range) = answer.body.clone() else {
            return;
        };
        let end = range.end.min(range.start + 700_001);
        answer.payload(payload, range.start..end);
        answer.set("Content-Range", format!("bytes {}-{}/{}", range.start, end - 1, payload.len));
    });
    let sandbox = Sandbox::new();
    sandbox.haul().args(FOUR).arg(server.url("/file.bin")).run().assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
    server.assert_cost(PAYLOAD.len + 4 * MIB);
}

#[test]
fn a_206_that_goes_on_to_the_end_of_the_file_does_no_harm() {
    let payload = Payload::mib(32, 8);
    let server = bending(payload, |_, answer| {
        let Body::Payload(payload, range) = answer.body.clone() else {
            return;
        };
        answer.payload(payload, range.start..payload.len);
        answer.set("Content-Range", format!("bytes {}-{}/{}", range.start, payload.len - 1, payload.len));
    });
    let sandbox = Sandbox::new();
    sandbox.haul().args(FOUR).arg(server.url("/file.bin")).run().assert_ok();
    sandbox.assert_ok_file(&payload, "file.bin");
}

// T006
#[test]
fn a_206_that_does_not_say_what_it_holds_is_not_used_and_a_plain_get_is() {
    // Bytes unlike those of the file: a client that used them would save a wrong file.
    let server = bending(PAYLOAD, |_, answer| {
        answer.remove("Content-Range");
        answer.payload(Payload::mib(46, 16), 0..answer.body.len());
    });
    let sandbox = Sandbox::new();
    sandbox.haul().args(FOUR).arg(server.url("/file.bin")).run().assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
    server.assert_cost(PAYLOAD.len * 5 / 4 + 4 * MIB);
}

// T007
#[test]
fn a_206_with_an_impossible_content_range_is_not_used() {
    let size = PAYLOAD.len;
    let table = [
        format!("bytes 10-5/{size}"),
        "bytes 0-9/5".into(),
        format!("items 0-9/{size}"),
        format!("bytes */{size}"),
        format!("bytes -5/{size}"),
        format!("bytes 0-{}/{}", "9".repeat(30), "9".repeat(30)),
        format!("bytes 0-{}/{size} and more", size - 1),
        format!("bytes {}-{}/{size}", size - 5, size - 1),
        "bytes".into(),
        String::new(),
    ];
    for stated in table {
        let broken = stated.clone();
        let server = Server::serve(PAYLOAD)
            .handler(move |request, exchange| match request.range() {
                None if request.is_get() => exchange.status(400),
                None => exchange.serve(),
                Some(_) => {
                    let mut answer = exchange.answer();
                    answer.set("Content-Range", &broken);
                    exchange.send(&answer);
                }
            })
            .start();
        let sandbox = Sandbox::new();
        let outcome = sandbox.haul().args(FOUR).args(["--retry", "1"]).arg(server.url("/file.bin")).run();
        outcome.assert_failed_as_one_of(&[5, 8]);
        assert!(outcome.elapsed.as_secs() < 10, "{stated}: {outcome}");
        sandbox.assert_absent("file.bin");
    }
}

// T007
#[test]
fn a_206_with_two_content_ranges_is_not_used() {
    let server = Server::serve(PAYLOAD)
        .handler(|request, exchange| match request.range() {
            None => exchange.status(400),
            Some(_) => {
                let mut answer = exchange.answer();
                answer.add("Content-Range", "bytes 0-0/1");
                exchange.send(&answer);
            }
        })
        .start();
    let sandbox = Sandbox::new();
    let outcome = sandbox.haul().args(FOUR).args(["--retry", "1"]).arg(server.url("/file.bin")).run();
    outcome.assert_failed(5);
    sandbox.assert_empty();
}

// T007
#[test]
fn a_206_of_unknown_total_is_used() {
    let server = bending(PAYLOAD, |_, answer| {
        let Body::Payload(_, range) = answer.body.clone() else {
            return;
        };
        // The first response states the length, so that the other ranges can be requested.
        let total = if range.start == 0 { PAYLOAD.len.to_string() } else { "*".to_owned() };
        answer.set("Content-Range", format!("bytes {}-{}/{total}", range.start, range.end - 1));
    });
    let sandbox = Sandbox::new();
    sandbox.haul().args(FOUR).arg(server.url("/file.bin")).run().assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
    assert!(
        server.gets().len() > 1 && server.gets().iter().all(|get| get.has("range")),
        "{}",
        server.describe()
    );
}

// T008
#[test]
fn parts_that_disagree_about_the_length_are_not_joined() {
    let server = Server::serve(PAYLOAD)
        .handler(|request, exchange| {
            if request.is_get() && !request.has("range") {
                return exchange.status(403);
            }
            let mut answer = exchange.answer();
            if answer.status == 206 && request.start() >= PAYLOAD.len / 2 {
                let Body::Payload(_, range) = answer.body.clone() else {
                    return;
                };
                answer.set(
                    "Content-Range",
                    format!("bytes {}-{}/{}", range.start, range.end - 1, PAYLOAD.len + 1),
                );
            }
            exchange.send(&answer);
        })
        .start();
    let sandbox = Sandbox::new();
    let outcome = sandbox.haul().args(FOUR).args(["--retry", "2"]).arg(server.url("/file.bin")).run();
    outcome.assert_failed(8);
    sandbox.assert_absent("file.bin");
    server.assert_cost(PAYLOAD.len * 21 / 10);
}

// T010
#[test]
fn a_range_in_several_parts_is_not_used_and_a_plain_get_is() {
    let server = bending(PAYLOAD, |_, answer| {
        let Body::Payload(payload, range) = answer.body.clone() else {
            return;
        };
        let stated = format!("bytes {}-{}/{}", range.start, range.end - 1, payload.len);
        let mut body = format!("--BOUNDARY\r\nContent-Range: {stated}\r\n\r\n").into_bytes();
        body.extend(payload.bytes(range));
        body.extend(b"\r\n--BOUNDARY--\r\n");
        answer.remove("Content-Range");
        answer.set("Content-Type", "multipart/byteranges; boundary=BOUNDARY");
        answer.bytes(&body);
    });
    // The plain response waits, so that the content of the part file can be checked until then.
    let gate = Gate::at_offset(0);
    let sandbox = Sandbox::new();
    server.set_gate(Some(&gate));
    let running = sandbox.haul().args(FOUR).arg(server.url("/file.bin")).spawn();
    gate.wait_for_waiting(1);
    let part = std::fs::read(sandbox.part("file.bin")).unwrap_or_default();
    assert!(!part.windows(8).any(|window| window == b"BOUNDARY"), "a boundary line stands in the part file");
    gate.open();
    running.wait().assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
}

// T025
#[test]
fn a_body_that_ends_early_goes_on_at_the_exact_byte() {
    let server = Server::serve(PAYLOAD)
        .handler(|request, exchange| {
            let mut answer = exchange.answer();
            if request.is_get() && request.nth_on_connection == 0 && request.connection < 6 {
                let Body::Payload(_, range) = answer.body.clone() else {
                    return;
                };
                answer.ending = Ending::Close((range.end - range.start) / 2);
            }
            exchange.send(&answer);
        })
        .start();
    let sandbox = Sandbox::new();
    sandbox.haul().args(FOUR).arg(server.url("/file.bin")).run().assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
    server.assert_cost(PAYLOAD.len + 4 * MIB);
}

#[test]
fn after_a_cut_the_next_request_names_the_byte_that_is_missing() {
    let payload = Payload::mib(33, 4);
    let server = Server::serve(payload)
        .behave(|request, _| match request.start() {
            0 if request.is_get() => Reply::Ends(Ending::Close(1_234_567)),
            _ => Reply::Normal,
        })
        .start();
    let sandbox = Sandbox::new();
    sandbox.haul().args(["-x", "1"]).arg(server.url("/file.bin")).run().assert_ok();
    sandbox.assert_ok_file(&payload, "file.bin");
    let starts: Vec<u64> = server.gets().iter().filter(|get| get.body > 0).map(|get| get.start()).collect();
    assert!(starts.contains(&1_234_567), "{starts:?}");
    server.assert_cost(payload.len);
}

// T026
#[test]
fn resets_all_along_the_way_end_in_the_right_file() {
    for seed in 1..=if exhaustive() { 20 } else { 3_u64 } {
        let server = Server::serve(PAYLOAD)
            .handler(move |request, exchange| {
                let mut answer = exchange.answer();
                let point = (request.n as u64 + seed).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
                if request.is_get() && point.is_multiple_of(2) {
                    answer.ending = Ending::Reset(point % (2 * MIB));
                }
                exchange.send(&answer);
            })
            .start();
        let sandbox = Sandbox::new();
        sandbox.haul().args(FOUR).arg(server.url("/file.bin")).run().assert_ok();
        sandbox.assert_ok_file(&PAYLOAD, "file.bin");
        server.assert_cost(PAYLOAD.len * 3 / 2);
    }
}

#[test]
fn an_answer_that_always_ends_before_what_is_missing_is_not_taken_again_and_again() {
    let payload = Payload::mib(39, 16);
    let server = Server::serve(payload)
        .handler(|request, exchange| {
            if request.range().is_some() && request.start() < 8 * MIB {
                return exchange.serve();
            }
            // From here on the response has everything up to three quarters, without a length.
            exchange.send_head(200, &[("ETag", "\"v1\""), ("Connection", "close")]);
            exchange.send_payload(0..12 * MIB);
            exchange.close();
        })
        .start();
    let sandbox = Sandbox::new();
    let outcome = sandbox.haul().args(["-x", "2", "-k", "1M"]).arg(server.url("/file.bin")).run();
    outcome.assert_failed_as_one_of(&[5, 6]);
    sandbox.assert_absent("file.bin");
    server.assert_cost(5 * payload.len);
}

#[test]
fn an_empty_file_is_no_reason_to_speak_of_ranges() {
    let server = Server::serve(Payload::new(40, 0)).start();
    let sandbox = Sandbox::new();
    let outcome = sandbox.haul().arg(server.url("/empty")).run();
    outcome.assert_ok();
    assert!(!outcome.stderr.contains("ranges"), "{outcome}");
}
