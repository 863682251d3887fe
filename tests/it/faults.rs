//! Disks that fail half-way: full, broken, or late to report it. The faults are injected by strace, or by a library
//! that is preloaded; without either these tests are skipped.

use crate::crash::strace_works;
use crate::resume::killed_after;
use crate::support::claims::{claimed, claims};
use crate::support::library::library;
use crate::support::*;

const PAYLOAD: Payload = Payload::mib(191, 16);
const FOUR: &[&str] = &["-x", "4", "-k", "1M"];

/// Runs under strace with these faults injected; `only` limits them to calls that concern that file.
fn with_faults(sandbox: &Sandbox, only: Option<&str>, faults: &[&str]) -> Haul {
    let mut wrapper = vec!["strace", "-f", "-qq", "-o", "../trace"];
    // strace compares with the path as the program passes it, and with the one of a descriptor.
    let canonical = sandbox.work().canonicalize().unwrap();
    let paths = only.map(|name| {
        let absolute = canonical.join(name).to_string_lossy().into_owned();
        [name.to_owned(), format!("./{name}"), absolute]
    });
    for path in paths.iter().flatten() {
        wrapper.extend(["-P", path]);
    }
    for fault in faults {
        wrapper.extend(["-e", fault]);
    }
    sandbox.haul().under(wrapper)
}

/// Runs the same command on a healthy disk and server: it must save the right file, and fetch none of the kept bytes.
#[track_caller]
fn assert_goes_on(sandbox: &Sandbox, server: &Server, kept: u64) {
    server.recover();
    server.forget();
    sandbox.haul().args(FOUR).arg(server.url("/file.bin")).run().assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
    server.assert_cost(PAYLOAD.len - kept + MIB);
}

// T092
#[test]
fn a_disk_that_fills_up_half_way_is_no_reason_to_ask_the_server_again() {
    if !strace_works() {
        return;
    }
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    let faults = ["inject=fallocate:error=EOPNOTSUPP", "inject=pwrite64:error=ENOSPC:when=20+"];
    let outcome = with_faults(&sandbox, None, &faults).args(FOUR).arg(server.url("/file.bin")).run();
    outcome.assert_failed(9).assert_says("no space");
    sandbox.assert_kept("file.bin");
    let full = outcome.elapsed;
    let late = server.gets().iter().filter(|get| get.start() > 0).count();
    assert!(late <= 2 * 4, "{late} requests in {full:?}: {}", server.describe());
    let kept = claimed(&sandbox.read("file.bin.haul"));
    assert!(kept > 0, "{outcome}");
    assert_goes_on(&sandbox, &server, kept);
}

// T094
#[test]
fn a_manifest_that_cannot_be_written_anew_leaves_the_old_one_as_it_was() {
    if !strace_works() {
        return;
    }
    for (calls, error) in [
        ("write", "ENOSPC"),
        ("write", "EDQUOT"),
        ("fdatasync", "EIO"),
        ("rename,renameat,renameat2", "EIO"),
        ("rename,renameat,renameat2", "ENOSPC"),
    ] {
        let server = Server::serve(PAYLOAD).start();
        let sandbox = Sandbox::new();
        killed_after(&sandbox, &server, 8 * MIB, FOUR);
        let before = sandbox.read("file.bin.haul");
        // The manifest is rewritten because it has to record the new digest.
        let outcome = with_faults(
            &sandbox,
            Some("file.bin.haul.tmp"),
            &[&format!("trace={calls}"), &format!("inject={calls}:error={error}")],
        )
        .args(FOUR)
        .args(["--sha256", &PAYLOAD.sha256_hex()])
        .arg(server.url("/file.bin"))
        .run();
        outcome.assert_failed(9);
        assert!(sandbox.read("file.bin.haul") == before, "{calls} {error}: the manifest was touched");
        assert_eq!(sandbox.entries(), ["file.bin.haul", "file.bin.part"], "{calls} {error}");
        assert_goes_on(&sandbox, &server, claimed(&before));
    }
}

// T094
#[test]
fn a_manifest_that_cannot_be_added_to_keeps_what_it_said() {
    if !strace_works() {
        return;
    }
    for (calls, error) in [("write,pwrite64", "ENOSPC"), ("write,pwrite64", "EIO"), ("fdatasync", "EIO")] {
        // The first checkpoint takes the manifest over, which rewrites it; a later one appends to it.
        let server = Server::serve(PAYLOAD).rate(4 * MIB).start();
        let sandbox = Sandbox::new();
        killed_after(&sandbox, &server, 8 * MIB, FOUR);
        let before = sandbox.read("file.bin.haul");
        let outcome = with_faults(
            &sandbox,
            Some("file.bin.haul"),
            &[&format!("trace={calls}"), &format!("inject={calls}:error={error}")],
        )
        .args(FOUR)
        .arg(server.url("/file.bin"))
        .run();
        outcome.assert_failed(9);
        let after = sandbox.read("file.bin.haul");
        let left: Vec<_> = claims(&after);
        let lost = claims(&before).into_iter().find(|range| !covers(&left, range));
        assert_eq!(lost, None, "{calls} {error}: what was recorded is gone");
        assert_goes_on(&sandbox, &server, claimed(&before));
    }
}

/// Returns true if these ranges, in any order, cover `wanted`.
fn covers(ranges: &[std::ops::Range<u64>], wanted: &std::ops::Range<u64>) -> bool {
    let mut sorted = ranges.to_vec();
    sorted.sort_by_key(|range| range.start);
    let reached = sorted.iter().fold(wanted.start, |reached, range| {
        if range.start <= reached { reached.max(range.end) } else { reached }
    });
    reached >= wanted.end
}

/// Simulates a failed sync that silently lost its pages: unclaimed bytes become zeros.
fn drop_unclaimed_pages(sandbox: &Sandbox) {
    let claims = claims(&sandbox.read("file.bin.haul"));
    let bytes = sandbox.read("file.bin.part");
    let mut left = vec![0; bytes.len()];
    for range in claims {
        let range = range.start as usize..range.end as usize;
        left[range.clone()].copy_from_slice(&bytes[range]);
    }
    sandbox.write("file.bin.part", left);
}

// T095
#[test]
fn a_sync_that_failed_is_never_tried_again_and_what_it_lost_is_not_claimed() {
    if !strace_works() {
        return;
    }
    for first_run in [true, false] {
        let server = Server::serve(PAYLOAD).start();
        let sandbox = Sandbox::new();
        let before = if first_run {
            Vec::new()
        } else {
            killed_after(&sandbox, &server, 8 * MIB, FOUR);
            sandbox.read("file.bin.haul")
        };
        let faults = ["trace=fdatasync", "inject=fdatasync:error=EIO:when=1"];
        let outcome = with_faults(&sandbox, Some("file.bin.part"), &faults)
            .args(FOUR)
            .arg(server.url("/file.bin"))
            .run();
        outcome.assert_failed(9);
        let trace = std::fs::read_to_string(sandbox.root().join("trace")).unwrap();
        let syncs = trace.lines().filter(|line| line.contains("fdatasync(")).count();
        assert_eq!(syncs, 1, "after the failure nothing is synced again: {trace}");
        // Nothing was made durable in a first run, so it may also have removed its files.
        if sandbox.part("file.bin").exists() {
            let after = sandbox.read("file.bin.haul");
            assert_eq!(claims(&after), claims(&before));
            drop_unclaimed_pages(&sandbox);
        }
        assert_goes_on(&sandbox, &server, claimed(&before));
    }
}

// T096
#[test]
fn short_writes_interrupted_calls_and_reads_of_one_byte_leave_no_gap() {
    let small = Payload::new(192, 300_007);
    // Each byte is a write of its own, and mostly a read of its own at the other end.
    let server = Server::serve(small)
        .handler(|request, exchange| {
            let mut answer = exchange.answer();
            let Body::Payload(payload, range) = std::mem::replace(&mut answer.body, Body::None) else {
                return exchange.send(&answer);
            };
            exchange.send(&answer);
            if request.is_get() {
                payload.bytes(range).iter().for_each(|byte| exchange.send_body(&[*byte]));
            }
        })
        .start();
    let sandbox = Sandbox::new();
    let Some(library) = library("short_io", sandbox.root()) else {
        return;
    };
    let run = |args: &[&str]| {
        let haul = sandbox.haul().env("LD_PRELOAD", &library).args(args);
        haul.arg(server.url("/file.bin")).run()
    };
    run(&["-x", "4", "-k", "64K", "--sha256", &small.sha256_hex()]).assert_ok();
    sandbox.assert_ok_file(&small, "file.bin");
    run(&["-o", "again.bin", "-x", "1"]).assert_ok();
    sandbox.assert_ok_file(&small, "again.bin");
    assert!(sandbox.root().join("work/short_io.was.here").exists(), "the library was not loaded");
    std::fs::remove_file(sandbox.path("short_io.was.here")).unwrap();
}

// T096
#[test]
fn an_interrupted_reservation_is_made_again() {
    if !strace_works() {
        return;
    }
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    let faults = ["inject=fallocate:error=EINTR:when=1..2"];
    let outcome = with_faults(&sandbox, None, &faults).args(FOUR).arg(server.url("/file.bin")).run();
    outcome.assert_ok();
    assert!(!outcome.said().contains("reserve"), "{outcome}");
    let trace = std::fs::read_to_string(sandbox.root().join("trace")).unwrap();
    assert!(trace.contains("EINTR") || !trace.contains("fallocate("), "nothing was interrupted: {trace}");
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
}

// T097
#[test]
fn a_file_system_that_cannot_reserve_space_is_never_filled_with_zeros() {
    if !strace_works() {
        return;
    }
    for error in ["EOPNOTSUPP", "ENOSYS", "EINVAL"] {
        let server = Server::serve(PAYLOAD).start();
        let sandbox = Sandbox::new();
        let inject = format!("inject=fallocate:error={error}");
        let outcome = with_faults(&sandbox, None, &["trace=fallocate,pwrite64,pwritev,ftruncate", &inject])
            .args(FOUR)
            .arg(server.url("/file.bin"))
            .run();
        outcome.assert_ok().assert_says("reserve");
        sandbox.assert_ok_file(&PAYLOAD, "file.bin");
        let trace = std::fs::read_to_string(sandbox.root().join("trace")).unwrap();
        assert!(trace.contains("ftruncate("), "{error}");
        let written: u64 = trace
            .lines()
            .filter(|line| line.contains("pwrite") && !line.contains("<unfinished"))
            .filter_map(|line| line.rsplit(" = ").next()?.split(' ').next()?.parse::<u64>().ok())
            .sum();
        assert!((PAYLOAD.len..=PAYLOAD.len * 105 / 100).contains(&written), "{error}: {written}");
    }
}

// T098
#[test]
fn a_file_that_is_too_large_half_way_is_a_disk_failure_and_keeps_what_came() {
    if !strace_works() {
        return;
    }
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    let faults = ["inject=fallocate:error=EOPNOTSUPP", "inject=pwrite64:error=EFBIG:when=20+"];
    let outcome = with_faults(&sandbox, None, &faults).args(FOUR).arg(server.url("/file.bin")).run();
    outcome.assert_failed(9).assert_says("too large");
    let kept = claimed(&sandbox.read("file.bin.haul"));
    assert!(kept > 0, "{outcome}");
    assert_goes_on(&sandbox, &server, kept);
}
