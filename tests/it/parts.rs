//! `--range`: a part of a file, judged and resumed as a file is.

use crate::support::*;
use std::fs;

const PAYLOAD: Payload = Payload::mib(331, 8);

#[test]
fn a_part_has_the_bytes_of_its_place() {
    let length = PAYLOAD.len;
    for (range, start, end) in [
        ("0-499", 0, 500),
        ("1M-3M", MIB, 3 * MIB + 1),
        ("7M-", 7 * MIB, length),
        ("-5000", length - 5000, length),
        ("8388600-99999999", 8_388_600, length),
        ("-1T", 0, length),
    ] {
        for connections in ["1", "4", "auto"] {
            let server = Server::serve(PAYLOAD).start();
            let sandbox = Sandbox::new();
            let outcome = sandbox
                .haul()
                .args(["--range", range, "-x", connections, "-k", "64K", "-o", "part.bin"])
                .arg(server.url("/file.bin"))
                .run();
            outcome.assert_ok();
            let expected = PAYLOAD.bytes(start..end);
            assert!(sandbox.read("part.bin") == expected, "{range} with {connections}: {outcome}");
            assert_eq!(sandbox.entries(), ["part.bin"]);
            for request in server.requests().iter().filter(|request| request.is_get()) {
                let asked = request.range().and_then(|range| range.within(length)).unwrap();
                assert!(asked.start >= start && asked.end <= end, "{range}: {}", server.describe());
            }
        }
    }
}

#[test]
fn a_part_goes_into_a_pipe() {
    let server = Server::serve(PAYLOAD).start();
    let outcome =
        Sandbox::new().haul().args(["--range", "5-104", "-o", "-"]).arg(server.url("/file.bin")).run();
    outcome.assert_ok();
    assert_eq!(outcome.stdout, PAYLOAD.bytes(5..105));
}

#[test]
fn a_part_resumes_as_itself_and_as_nothing_else() {
    let gate = Gate::after(MIB);
    let server = Server::serve(PAYLOAD).gate(&gate).start();
    let sandbox = Sandbox::new();
    let url = server.url("/file.bin");
    let part = |range: &'static str| {
        sandbox.haul().args(["--json", "-x", "1", "--range", range, "-o", "part.bin"]).arg(&url)
    };
    let running = part("1M-5M").spawn();
    running.wait_for_durable(1);
    running.signal("TERM");
    running.wait();
    server.recover();
    // Another part, and the whole file, do not continue it.
    part("2M-5M").run().assert_failed(8);
    sandbox.haul().args(["-o", "part.bin"]).arg(&url).run().assert_failed(8);
    let kept = fs::metadata(sandbox.manifest("part.bin")).is_ok();
    assert!(kept);
    let outcome = sandbox.haul().args(["resume", "--json"]).run();
    outcome.assert_ok();
    assert!(outcome.start_event()["resumed"].as_u64().unwrap() > 0, "{outcome}");
    assert!(sandbox.read("part.bin") == PAYLOAD.bytes(MIB..5 * MIB + 1));
}

#[test]
fn a_server_without_ranges_and_a_part_beyond_the_end_are_told() {
    let server = Server::serve(Resource::of(PAYLOAD).ignoring_ranges()).start();
    let sandbox = Sandbox::new();
    let outcome =
        sandbox.haul().args(["--range", "5-9", "-o", "part.bin"]).arg(server.url("/file.bin")).run();
    outcome.assert_failed(5).assert_says("no ranges");
    sandbox.assert_empty();
    let server = Server::serve(PAYLOAD).start();
    let outcome =
        sandbox.haul().args(["--range", "9M-", "-o", "part.bin"]).arg(server.url("/file.bin")).run();
    outcome.assert_failed(2).assert_says("8388608 bytes");
    sandbox.assert_empty();
}

#[test]
fn a_part_needs_a_name_and_a_form() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    let url = server.url("/file.bin");
    sandbox.haul().args(["--range", "5-9"]).arg(&url).run().assert_failed(2).assert_says("-o");
    for range in ["9-5", "x", "5", "-", "bytes=5-9"] {
        let outcome = sandbox.haul().args(["-o", "p", "--range", range]).arg(&url).run();
        outcome.assert_failed(2).assert_says("A-B");
    }
    assert!(server.requests().is_empty());
}

#[test]
fn a_digest_is_that_of_the_part_and_the_servers_is_that_of_the_whole() {
    let stated = format!("sha-256=:{}:", "A".repeat(43) + "=");
    let server = Server::serve(Resource::of(PAYLOAD).header("Repr-Digest", &stated)).start();
    let sandbox = Sandbox::new();
    let url = server.url("/file.bin");
    let all = Payload::new(PAYLOAD.seed, 70_000);
    for (digest, code) in [(all.sha256_hex(), 0), (PAYLOAD.sha256_hex(), 12)] {
        let outcome = sandbox
            .haul()
            .args(["--range", "0-69999", "--if-exists", "overwrite", "-o", "p", "--sha256", &digest])
            .arg(&url)
            .run();
        assert_eq!(outcome.code, Some(code), "{outcome}");
    }
    sandbox.haul().args(["--range", "0-69999", "-o", "q"]).arg(&url).run().assert_ok();
}
