//! Answers that are odd, dishonest, broken or hostile.

use crate::support::*;

const PAYLOAD: Payload = Payload::mib(31, 16);
const FOUR: &[&str] = &["-x", "4", "-k", "1M"];

/// A server that bends its answer to every ranged GET.
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
    // Other bytes than those of the file: whoever takes them has a wrong file.
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
        // The first one tells the length, so that the others can be asked for.
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
    // The plain answer waits, so that what stands in the part file until then can be looked at.
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

fn chunked(bytes: &[u8], last: &[u8]) -> Vec<u8> {
    let mut coded = Vec::new();
    for piece in bytes.chunks(100_000) {
        coded.extend(format!("{:x}\r\n", piece.len()).into_bytes());
        coded.extend(piece);
        coded.extend(b"\r\n");
    }
    coded.extend(last);
    coded
}

fn send_chunked(exchange: &mut Exchange<'_>, head: &str, bytes: &[u8], last: &[u8]) {
    exchange.send_raw(head.as_bytes());
    exchange.send_raw(b"Transfer-Encoding: chunked\r\nContent-Type: application/octet-stream\r\n\r\n");
    exchange.send_body(&chunked(bytes, last));
    exchange.close();
}

// T027
#[test]
fn a_chunked_answer_of_unknown_length_is_saved_when_it_is_complete() {
    let payload = Payload::new(34, 1_000_003);
    let server = Server::serve(payload)
        .handler(move |request, exchange| {
            if request.is_head() {
                return exchange.send_head(200, &[]);
            }
            send_chunked(exchange, "HTTP/1.1 200 OK\r\n", &payload.all(), b"0\r\n\r\n");
        })
        .start();
    let sandbox = Sandbox::new();
    sandbox.haul().arg(server.url("/file.bin")).run().assert_ok();
    sandbox.assert_ok_file(&payload, "file.bin");
}

// T027
#[test]
fn a_chunked_answer_without_its_last_chunk_is_incomplete() {
    let payload = Payload::new(35, 1_000_003);
    let server = Server::serve(payload)
        .handler(move |request, exchange| {
            if request.is_head() {
                return exchange.send_head(200, &[]);
            }
            send_chunked(exchange, "HTTP/1.1 200 OK\r\n", &payload.all(), b"");
        })
        .start();
    let sandbox = Sandbox::new();
    let outcome = sandbox.haul().args(["--retry", "1"]).arg(server.url("/file.bin")).run();
    outcome.assert_failed(6);
    sandbox.assert_absent("file.bin");
}

// T027
#[test]
fn a_chunked_206_is_used_like_any_other() {
    let payload = Payload::mib(36, 4);
    let server = Server::serve(payload)
        .handler(move |request, exchange| {
            let Some(range) = request.range().and_then(|range| range.within(payload.len)) else {
                return exchange.serve();
            };
            let stated = format!("bytes {}-{}/{}", range.start, range.end - 1, payload.len);
            let head = format!("HTTP/1.1 206 Partial Content\r\nContent-Range: {stated}\r\nETag: \"v1\"\r\n");
            send_chunked(exchange, &head, &payload.bytes(range), b"0\r\n\r\n");
        })
        .start();
    let sandbox = Sandbox::new();
    sandbox.haul().args(FOUR).arg(server.url("/file.bin")).run().assert_ok();
    sandbox.assert_ok_file(&payload, "file.bin");
}

#[test]
fn a_body_that_ends_with_its_connection_and_has_no_length_is_saved_with_care() {
    let payload = Payload::new(37, 300_000);
    let server = Server::serve(payload)
        .handler(move |request, exchange| {
            exchange.send_head(200, &[("Connection", "close")]);
            if request.is_get() {
                exchange.send_payload(0..payload.len);
            }
            exchange.close();
        })
        .start();
    let sandbox = Sandbox::new();
    let outcome = sandbox.haul().args(["--sha256", &payload.sha256_hex()]).arg(server.url("/file.bin")).run();
    outcome.assert_ok();
    sandbox.assert_ok_file(&payload, "file.bin");
}

// T029
#[test]
fn a_head_that_could_be_read_in_two_ways_never_gives_a_wrong_file() {
    let body = Payload::new(38, 1000).all();
    let whole = "HTTP/1.1 200 OK\r\n";
    // Whether the RFC leaves no choice, so that nothing may be saved.
    let table = [
        (true, format!("{whole}Content-Length: 5, 6\r\n\r\n")),
        (true, format!("{whole}Content-Length: +1000\r\n\r\n")),
        (true, format!("{whole}Content-Length: -1\r\n\r\n")),
        (true, format!("{whole}Content-Length: 0x10\r\n\r\n")),
        (true, format!("{whole}Content-Length: 1000\r\nContent-Length: 5\r\n\r\n")),
        (false, format!("{whole}Content-Length: 1000, 1000\r\n\r\n")),
        (false, format!("{whole}Content-Length: 1000\r\nTransfer-Encoding: chunked\r\n\r\n")),
        (true, format!("{whole}Transfer-Encoding: gzip, chunked\r\n\r\n")),
        (true, format!("{whole}Content-Length : 5\r\n\r\n")),
        (false, format!("{whole}X: a\rContent-Length: 5\r\n\r\n")),
        (true, format!("{whole}X: a\0b\r\nContent-Length: 5\r\n\r\n")),
        (false, format!("{whole}X: a\r\n folded\r\nContent-Length: 1000\r\n\r\n")),
        (true, format!("{whole} Leading: space\r\nContent-Length: 5\r\n\r\n")),
        (true, "HTTP/1.1 2OO OK\r\nContent-Length: 5\r\n\r\n".into()),
        (true, "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".into()),
        (true, "HTTP/9.9 200 OK\r\nContent-Length: 5\r\n\r\n".into()),
        (true, "ICY 200 OK\r\n\r\n".into()),
        (true, "SSH-2.0-OpenSSH_9.6\r\n".into()),
        (true, "\0\0\0\0\0\0\0\0\r\n\r\n".into()),
    ];
    for (must_fail, head) in table {
        let raw = [head.as_bytes(), &body].concat();
        let server =
            Server::serve(Payload::new(38, 1000)).behave(move |_, _| Reply::Raw(raw.clone())).start();
        let sandbox = Sandbox::new();
        let outcome = sandbox
            .haul()
            .args(["--retry", "0", "--first-byte-timeout", "2s", "--stall-timeout", "2s"])
            .arg(server.url("/file.bin"))
            .run();
        if outcome.code == Some(0) {
            assert!(!must_fail, "{head:?} was taken: {outcome}");
            assert!(sandbox.read("file.bin") == body, "{head:?} gave a wrong file");
        } else {
            outcome.assert_failed(5);
            sandbox.assert_absent("file.bin");
        }
    }
}

// T030
#[test]
fn a_hostile_chunk_head_or_trailer_is_refused() {
    let table: [(&str, Vec<u8>); 6] = [
        ("17 digits", b"11111111111111111\r\nabc".to_vec()),
        ("negative", b"-1\r\nabc\r\n0\r\n\r\n".to_vec()),
        ("blank inside", b"1 0\r\nabc\r\n0\r\n\r\n".to_vec()),
        (
            "endless extension",
            [b"3;x=".to_vec(), vec![b'a'; MIB as usize], b"\r\nabc\r\n0\r\n\r\n".to_vec()].concat(),
        ),
        (
            "many trailers",
            [b"3\r\nabc\r\n0\r\n".to_vec(), b"X-T: y\r\n".repeat(100_000), b"\r\n".to_vec()].concat(),
        ),
        (
            "trailer with metadata",
            b"3\r\nabc\r\n0\r\nETag: \"evil\"\r\nContent-Range: bytes 0-0/1\r\n\r\n".to_vec(),
        ),
    ];
    for (what, body) in table {
        let raw = [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec(), body].concat();
        let server = Server::serve(Payload::new(1, 3))
            .behave(
                move |request, _| {
                    if request.is_head() { Reply::Status(405) } else { Reply::Raw(raw.clone()) }
                },
            )
            .start();
        let sandbox = Sandbox::new();
        let outcome = sandbox.haul().args(["--retry", "0"]).arg(server.url("/file.bin")).run();
        if what == "trailer with metadata" {
            outcome.assert_ok();
            assert_eq!(sandbox.read("file.bin"), b"abc");
        } else {
            outcome.assert_failed_as_one_of(&[5, 6]);
            sandbox.assert_absent("file.bin");
        }
    }
}

// T030
#[test]
fn a_short_chunk_extension_is_legal() {
    let raw = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\n\r\n".to_vec();
    let server = Server::serve(Payload::new(1, 3)).behave(move |_, _| Reply::Raw(raw.clone())).start();
    let sandbox = Sandbox::new();
    sandbox.haul().arg(server.url("/file.bin")).run().assert_ok();
    assert_eq!(sandbox.read("file.bin"), b"abc");
}

// T031
#[test]
fn a_coded_answer_is_refused_and_its_coding_is_named() {
    let server = Server::serve(Resource::of(PAYLOAD).header("Content-Encoding", "gzip")).start();
    let sandbox = Sandbox::new();
    let outcome = sandbox.haul().args(FOUR).args(["--retry", "1"]).arg(server.url("/file.bin")).run();
    outcome.assert_failed(5);
    outcome.assert_says("gzip");
    sandbox.assert_empty();
    assert!(server.requests().iter().all(|record| record.all_headers("accept-encoding") == ["identity"]));
}

// T033
#[test]
fn a_whole_file_that_comes_coded_is_refused_and_a_packed_file_is_saved_as_it_is() {
    for coding in ["gzip", &["gzip"; 50].join(", "), "br", "zstd"] {
        let resource =
            Resource::of(Payload::new(39, 65_536)).header("Content-Encoding", coding).ignoring_ranges();
        let server = Server::serve(resource).start();
        let sandbox = Sandbox::new();
        sandbox.haul().args(["--retry", "0"]).arg(server.url("/file.bin")).run().assert_failed(5);
        sandbox.assert_empty();
    }
    let payload = Payload::new(40, 65_536);
    let server = Server::serve(Resource::of(payload).content_type("application/gzip")).start();
    let sandbox = Sandbox::new();
    sandbox.haul().arg(server.url("/file.tar.gz")).run().assert_ok();
    sandbox.assert_ok_file(&payload, "file.tar.gz");
}

/// A plain download asks with GET alone. Where the name is the server's to say, HEAD is asked first.
const WITH_HEAD: &[&str] = &["--content-disposition"];

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
        let sandbox = Sandbox::new();
        sandbox.haul().args(FOUR).args(WITH_HEAD).arg(server.url("/file.bin")).run().assert_ok();
        sandbox.assert_ok_file(&payload, "file.bin");
        assert!(!server.heads().is_empty());
    }
}

// T036
#[test]
fn a_head_that_is_never_answered_holds_nothing_up_for_long() {
    let payload = Payload::mib(42, 4);
    let server = Server::serve(payload)
        .behave(|request, _| if request.is_head() { Reply::NoAnswer } else { Reply::Normal })
        .start();
    let sandbox = Sandbox::new();
    let outcome = sandbox.haul().args(FOUR).args(WITH_HEAD).arg(server.url("/file.bin")).run();
    outcome.assert_ok();
    sandbox.assert_ok_file(&payload, "file.bin");
    assert!(!server.heads().is_empty());
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
        let sandbox = Sandbox::new();
        sandbox.haul().args(FOUR).args(WITH_HEAD).arg(server.url("/file.bin")).run().assert_ok();
        sandbox.assert_ok_file(&payload, "file.bin");
        assert!(!server.heads().is_empty());
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

// T076
#[test]
fn an_endless_head_is_given_up_soon() {
    let kinds: [fn(u64) -> Vec<u8>; 4] = [
        |n| format!("X-{n}: {}\r\n", "y".repeat(8000)).into_bytes(),
        |n| format!("X-{n}: y\r\n").into_bytes(),
        |_| vec![b'z'; 8192],
        |n| format!("Set-Cookie: c{n}=v\r\n").into_bytes(),
    ];
    for line in kinds {
        let most = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
        let seen = most.clone();
        let server = Server::serve(PAYLOAD)
            .handler(move |_, exchange| {
                exchange.send_raw(b"HTTP/1.1 200 OK\r\n");
                // 64 MiB are more than anybody should read, and an end if somebody does.
                let mut sent = 0;
                for n in 0.. {
                    let piece = line(n);
                    exchange.send_raw(&piece);
                    sent += piece.len() as u64;
                    seen.store(sent, std::sync::atomic::Ordering::SeqCst);
                    if sent > 64 * MIB || (n % 256 == 0 && exchange.client_is_gone()) {
                        break;
                    }
                }
                exchange.close();
            })
            .start();
        let sandbox = Sandbox::new();
        let outcome = sandbox.haul().args(["--retry", "0"]).arg(server.url("/file.bin")).run();
        outcome.assert_failed(5);
        assert!(outcome.elapsed.as_secs() < 10, "{outcome}");
        // What was read, and what lay in the sockets.
        let sent = most.load(std::sync::atomic::Ordering::SeqCst);
        assert!(sent <= 8 * MIB, "{sent} bytes of a head were taken");
        sandbox.assert_empty();
    }
}

// T076
#[test]
fn endless_interim_answers_are_given_up_soon() {
    let server = Server::serve(PAYLOAD)
        .handler(|_, exchange| {
            while !exchange.client_is_gone() {
                exchange.send_raw(&b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n".repeat(100));
            }
        })
        .start();
    let sandbox = Sandbox::new();
    let outcome = sandbox.haul().args(["--retry", "0"]).arg(server.url("/file.bin")).run();
    outcome.assert_failed(5);
    assert!(outcome.elapsed.as_secs() < 10, "{outcome}");
}

#[test]
fn a_few_interim_answers_do_no_harm() {
    let payload = Payload::new(45, 100_000);
    let server = Server::serve(payload)
        .handler(|_, exchange| {
            exchange
                .send_raw(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n");
            exchange.serve();
        })
        .start();
    let sandbox = Sandbox::new();
    sandbox.haul().arg(server.url("/file.bin")).run().assert_ok();
    sandbox.assert_ok_file(&payload, "file.bin");
}

#[test]
fn an_answer_that_always_ends_before_what_is_missing_is_not_taken_again_and_again() {
    let payload = Payload::mib(39, 16);
    let server = Server::serve(payload)
        .handler(|request, exchange| {
            if request.range().is_some() && request.start() < 8 * MIB {
                return exchange.serve();
            }
            // From here on everything, with no length, up to three quarters.
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
