//! The main path: a well-behaved server and nothing in the way.

use std::collections::HashSet;
use std::time::Duration;

use crate::support::*;

const PAYLOAD: Payload = Payload::mib(1, 16);

#[test]
fn a_file_comes_over_several_connections_and_every_byte_comes_once() {
    let server = Server::serve(PAYLOAD).rate(8 * MIB).start();
    let sandbox = Sandbox::new();
    let outcome = sandbox.haul().args(["-x", "4", "-k", "1M"]).arg(server.url("/file.bin")).run();
    outcome.assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
    assert_eq!(sandbox.entries(), ["file.bin"]);
    let used: HashSet<usize> =
        server.gets().iter().filter(|get| get.body > 0).map(|get| get.connection).collect();
    assert!(
        (2..=4).contains(&used.len()),
        "{} connections carried payload; {}",
        used.len(),
        server.describe()
    );
    server.assert_cost(PAYLOAD.len + 4 * MIB);
}

#[test]
fn one_connection_is_enough_when_one_is_asked_for() {
    let payload = Payload::mib(2, 4);
    let server = Server::serve(payload).start();
    let sandbox = Sandbox::new();
    sandbox.haul().args(["-x", "1"]).arg(server.url("/file.bin")).run().assert_ok();
    sandbox.assert_ok_file(&payload, "file.bin");
    server.assert_cost(payload.len + MIB);
    let at_once = server.log().most_in_flight;
    assert_eq!(at_once, 1, "{}", server.describe());
}

#[test]
fn the_default_number_of_connections_works_without_any_flag() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    sandbox.haul().arg(server.url("/file.bin")).run().assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
    server.assert_cost(PAYLOAD.len + 8 * MIB);
}

#[test]
fn a_request_asks_for_the_bytes_as_they_are_and_for_the_version_it_knows() {
    let server = Server::serve(PAYLOAD).rate(8 * MIB).start();
    let sandbox = Sandbox::new();
    sandbox.haul().args(["-x", "4", "-k", "1M"]).arg(server.url("/file.bin")).run().assert_ok();
    let first_answer = server.requests().iter().filter_map(|record| record.answered).min().unwrap();
    for record in server.requests() {
        assert_eq!(record.all_headers("accept-encoding"), ["identity"], "{}", server.describe());
        assert_eq!(record.all_headers("host").len(), 1);
        assert!(record.header("user-agent").is_some_and(|agent| agent.starts_with("haul")));
        assert!(!record.has("referer"));
        if record.is_get() {
            assert!(record.range().is_some(), "a GET without Range: {}", server.describe());
        }
        if record.is_get() && record.at > first_answer {
            assert_eq!(record.header("if-range"), Some("\"v1\""), "{}", server.describe());
        }
    }
}

// T040
#[test]
fn files_of_every_small_size_are_split_without_a_gap_or_an_overlap() {
    const SPLIT: u64 = 64 * KIB;
    let around = |size: u64| [size - 1, size, size + 1];
    let sizes =
        [1, 2, 7, 8, 9].into_iter().chain(around(SPLIT)).chain(around(8 * SPLIT)).chain(around(16 * SPLIT));
    let sandbox = Sandbox::new();
    for size in sizes {
        let payload = Payload::new(size, size);
        let server = Server::serve(payload).start();
        for connections in ["1", "8", "16"] {
            server.forget();
            let name = format!("{size}-{connections}");
            let outcome = sandbox
                .haul()
                .args(["-k", "64K", "-x", connections])
                .arg(server.url(&format!("/{name}")))
                .run();
            outcome.assert_ok();
            sandbox.assert_ok_file(&payload, &name);
            assert_asked_ranges_cover(&server, size);
        }
    }
}

#[track_caller]
fn assert_asked_ranges_cover(server: &Server, size: u64) {
    let mut asked: Vec<_> = server
        .gets()
        .iter()
        .map(|get| {
            let Some(value) = get.header("range") else {
                return 0..size;
            };
            let range = get.range().and_then(|range| range.within(size));
            range.unwrap_or_else(|| panic!("{value} is no range of a file of {size}; {}", server.describe()))
        })
        .collect();
    asked.sort_by_key(|range| range.start);
    let mut covered = 0;
    for range in asked {
        assert!(range.start <= covered, "nobody asked for {covered}..{}; {}", range.start, server.describe());
        covered = covered.max(range.end);
    }
    assert_eq!(covered, size);
    // The first response is cut down to a share once its head has told the length; bytes that its server had put into
    // the socket by then are lost.
    server.assert_cost(size + if size > 64 * KIB { MIB } else { 0 });
}

// T039
#[test]
fn an_empty_file_arrives_as_an_empty_file() {
    let empty = Payload::new(1, 0);
    let digest = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    for extra in [&[][..], &["--sha256", digest][..]] {
        let server = Server::serve(empty).start();
        let sandbox = Sandbox::new();
        sandbox.haul().args(extra).arg(server.url("/empty")).run().assert_ok();
        assert_eq!(sandbox.read("empty"), b"");
        assert_eq!(sandbox.entries(), ["empty"]);
        assert!(server.requests().len() <= 3, "{}", server.describe());
    }
}

#[test]
fn an_empty_file_arrives_also_when_head_is_refused() {
    let server = Server::serve(Payload::new(1, 0))
        .behave(|request, _| if request.is_head() { Reply::Status(405) } else { Reply::Normal })
        .start();
    let sandbox = Sandbox::new();
    sandbox.haul().arg(server.url("/empty")).run().assert_ok();
    assert_eq!(sandbox.read("empty"), b"");
}

#[test]
fn the_output_goes_where_it_is_told_to_go() {
    let payload = Payload::new(4, 100_000);
    let server = Server::serve(payload).start();
    let sandbox = Sandbox::new();
    sandbox.haul().args(["-o", "other.bin"]).arg(server.url("/file.bin")).run().assert_ok();
    sandbox.haul().args(["-d", "new/deep"]).arg(server.url("/file.bin")).run().assert_ok();
    let absolute = sandbox.root().join("absolute.bin");
    sandbox.haul().arg("-o").arg(&absolute).arg(server.url("/file.bin")).run().assert_ok();
    for path in [sandbox.path("other.bin"), sandbox.path("new/deep/file.bin"), absolute] {
        payload.assert_file_is(&path);
    }
    assert_eq!(sandbox.entries(), ["new", "other.bin"]);
}

#[test]
fn a_dry_run_writes_nothing_and_fetches_nothing() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    let outcome = sandbox.haul().arg("--dry-run").arg(server.url("/file.bin")).run();
    outcome.assert_ok();
    sandbox.assert_empty();
    outcome.assert_says("file.bin");
    server.assert_cost(MIB);
}

#[test]
fn a_server_time_is_kept_only_when_asked_for() {
    let payload = Payload::new(6, 5000);
    let server =
        Server::serve(Resource::of(payload).modified(Modified::Text("Sun, 06 Nov 1994 08:49:37 GMT".into())))
            .start();
    let sandbox = Sandbox::new();
    sandbox.haul().args(["--remote-time", "-o", "then"]).arg(server.url("/file.bin")).run().assert_ok();
    sandbox.haul().args(["-o", "now"]).arg(server.url("/file.bin")).run().assert_ok();
    let modified = |name: &str| std::fs::metadata(sandbox.path(name)).unwrap().modified().unwrap();
    let since = |name| modified(name).duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    assert_eq!(since("then"), 784_111_777);
    assert!(since("now") > 1_600_000_000);
}

// T048
#[test]
fn a_connection_that_is_closed_after_each_answer_costs_nothing_but_new_connections() {
    let server = Server::serve(Resource::of(PAYLOAD).header("Connection", "close")).start();
    let sandbox = Sandbox::new();
    sandbox
        .haul()
        .args(["-x", "4", "-k", "1M", "--retry", "0"])
        .arg(server.url("/file.bin"))
        .run()
        .assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
    server.assert_cost(PAYLOAD.len + 4 * MIB);
}

// T048
#[test]
fn a_kept_alive_connection_that_dies_as_the_next_request_arrives_is_no_failure() {
    let payload = Payload::mib(7, 8);
    let server = Server::serve(payload)
        .behave(|request, _| if request.nth_on_connection > 0 { Reply::Hangup } else { Reply::Normal })
        .start();
    let sandbox = Sandbox::new();
    sandbox
        .haul()
        .args(["-x", "4", "-k", "1M", "--retry", "0"])
        .arg(server.url("/file.bin"))
        .run()
        .assert_ok();
    sandbox.assert_ok_file(&payload, "file.bin");
    assert!(server.requests().iter().any(|record| record.nth_on_connection > 0), "{}", server.describe());
}

// T041
#[test]
fn a_file_beyond_four_gibibytes_is_resumed_across_the_32_bit_line() {
    if !exhaustive() {
        eprintln!("DID NOT RUN: 5 GiB are downloaded with HAUL_EXHAUSTIVE=1 only");
        return;
    }
    let payload = Payload::new(8, 5 * 1024 * MIB);
    let server = Server::serve(payload).start();
    let sandbox = Sandbox::new();
    let kept = crate::resume::killed_after(&sandbox, &server, 4 * 1024 * MIB + 100 * MIB, &["-x", "4"]);
    let outcome = sandbox
        .haul()
        .deadline(Duration::from_secs(600))
        .args(["-x", "4"])
        .arg(server.url("/file.bin"))
        .run();
    outcome.assert_ok();
    sandbox.assert_ok_file(&payload, "file.bin");
    server.assert_cost(payload.len - kept + 512 * MIB);
}

// T041
#[test]
fn sizes_around_the_32_bit_line_are_fetched_whole() {
    if !exhaustive() {
        eprintln!("DID NOT RUN: files of 4 GiB are downloaded with HAUL_EXHAUSTIVE=1 only");
        return;
    }
    for size in [(1 << 32) - 1, 1 << 32, (1 << 32) + 1] {
        let payload = Payload::new(9, size);
        let server = Server::serve(payload).start();
        let sandbox = Sandbox::new();
        let haul = sandbox.haul().deadline(Duration::from_secs(600)).args(["-x", "4"]);
        haul.arg(server.url("/file.bin")).run().assert_ok();
        sandbox.assert_ok_file(&payload, "file.bin");
    }
}
