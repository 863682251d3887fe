//! Heads and bodies of responses: chunks, lengths, codings, trailers, and ambiguous framing.

use crate::support::*;

const PAYLOAD: Payload = Payload::mib(31, 16);
const FOUR: &[&str] = &["-x", "4", "-k", "1M"];

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
    let server = Server::serve(payload).ending_with_its_connection(payload.len).start();
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
    // True if the RFC leaves no choice, so that nothing may be saved.
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
    outcome.assert_says("NAME.gz");
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
                // 64 MiB are more than any client should read, and bound the test.
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
        // Bytes that were read, and those in the sockets.
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

// RFC 9112 §6.1
#[test]
fn a_connection_on_which_an_answer_could_end_in_two_places_is_not_used_again() {
    let payload = Payload::new(38, 5000);
    let table = [("", true), ("Content-Length: 5\r\n", false), ("Content-Length: 5000\r\n", false)];
    for (field, reused) in table {
        let server = Server::serve(payload)
            .handler(move |request, exchange| {
                if request.is_head() {
                    return exchange.send_head(200, &[]);
                }
                exchange.note_status(200);
                let head = format!("HTTP/1.1 200 OK\r\n{field}Transfer-Encoding: chunked\r\n\r\n");
                exchange.send_raw(head.as_bytes());
                exchange.send_body(&chunked(&payload.all(), b"0\r\n\r\n"));
            })
            .start();
        let sandbox = Sandbox::new();
        let urls = ["/a", "/b", "/c"].map(|path| server.url(path));
        sandbox.haul().args(["-j", "1"]).args(&urls).run().assert_ok();
        for name in ["a", "b", "c"] {
            sandbox.assert_ok_file(&payload, name);
        }
        let requests = server.requests();
        let after_a_body = requests.iter().filter(|record| {
            requests.iter().any(|other| {
                let earlier = other.nth_on_connection < record.nth_on_connection;
                other.connection == record.connection && earlier && other.is_get()
            })
        });
        assert_eq!(after_a_body.count() > 0, reused, "{field:?}: {}", server.describe());
    }
}
