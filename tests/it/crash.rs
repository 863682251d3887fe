//! Kills the program at random moments and at chosen system calls (which needs strace), and cuts its power (which needs
//! root and loop devices). Tests that cannot run here are reported and skipped. `HAUL_EXHAUSTIVE=1` selects the long
//! runs, which print their results.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::claims::{claimed, untrue_claims};
use crate::support::loop_disk::LoopDisk;
use crate::support::*;

const PAYLOAD: Payload = Payload::mib(171, 4);

pub(crate) fn strace_works() -> bool {
    let tried = std::process::Command::new("strace").args(["-qq", "-o", "/dev/null", "true"]).status();
    let works = tried.is_ok_and(|status| status.success());
    if !works {
        left_out("strace cannot be used here");
    }
    works
}

/// Kills the program at its nth call of one of these; returns false if it ended before that.
fn killed_at(sandbox: &Sandbox, server: &Server, calls: &str, n: usize) -> bool {
    let trace = format!("trace={calls}");
    let inject = format!("inject={calls}:signal=KILL:when={n}");
    let outcome = sandbox
        .haul()
        .under(["strace", "-f", "-qq", "-o", "/dev/null", "-e", &trace, "-e", &inject])
        .args(["-x", "4", "-k", "256K"])
        .arg(server.url("/file.bin"))
        .run();
    if outcome.signal == Some(9) || outcome.code == Some(137) {
        return true;
    }
    // Any other outcome would mean that the calls were never made, or that strace failed.
    outcome.assert_ok();
    false
}

/// Kills at each of these calls, or, in the long run, at every one there is, and resumes each time.
#[track_caller]
fn survives_kills_at(calls: &str, nths: impl IntoIterator<Item = usize>) {
    if !strace_works() {
        return;
    }
    let nths: Box<dyn Iterator<Item = usize>> =
        if exhaustive() { Box::new(1..) } else { Box::new(nths.into_iter()) };
    let mut kills = 0;
    for n in nths {
        let slack = 2 * MIB;
        let server = Server::serve(PAYLOAD).start();
        let sandbox = Sandbox::new();
        let killed = killed_at(&sandbox, &server, calls, n);
        if killed && sandbox.path("file.bin").exists() {
            PAYLOAD.assert_file_is(&sandbox.path("file.bin"));
        }
        let untrue = untrue_claims(&sandbox.path("file.bin"), &PAYLOAD);
        assert_eq!(untrue, 0, "killed at {calls} number {n}: bytes are claimed that are not there");
        let outcome =
            sandbox.haul().args(["--sha256", &PAYLOAD.sha256_hex()]).arg(server.url("/file.bin")).run();
        assert!(outcome.code == Some(0), "killed at {calls} number {n}: {outcome}");
        sandbox.assert_ok_file(&PAYLOAD, "file.bin");
        server.assert_cost(2 * PAYLOAD.len + slack);
        if !killed {
            break;
        }
        kills += 1;
    }
    assert!(kills > 0, "{calls}: nothing was killed");
    if exhaustive() {
        eprintln!("{calls}: killed at each of {kills} calls, 0 wrong files, 0 untrue claims");
    }
}

// T087
#[test]
fn a_kill_at_any_rename_is_survived() {
    // strace counts for each thread, so each kind of call gets a count of its own: the manifest's name, and the final
    // one.
    for call in ["renameat", "renameat2"] {
        survives_kills_at(call, 1..12);
    }
}

// T087
#[test]
fn a_kill_at_any_sync_is_survived() {
    for call in ["fsync", "fdatasync"] {
        survives_kills_at(call, 1..16);
    }
}

// T087
#[test]
fn a_kill_at_any_removal_is_survived() {
    survives_kills_at("unlink,unlinkat", 1..8);
}

// T087
#[test]
fn a_kill_at_a_write_is_survived() {
    survives_kills_at("pwrite64,pwritev", [1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144]);
}

// T087
#[test]
fn a_kill_at_the_opening_of_a_file_is_survived() {
    survives_kills_at("openat", [8, 16, 24, 28, 30, 32, 34, 36]);
}

/// Pseudo-random number that depends on the seed alone.
fn random(seed: u64) -> u64 {
    let word = Payload::new(seed, 8).all();
    u64::from_le_bytes(word.try_into().unwrap())
}

/// Kills a download at a random moment and resumes it; returns the number of bytes sent twice.
fn killed_at_random(payload: Payload, rate: u64, seed: u64) -> u64 {
    let server = Server::serve(payload).rate(rate).start();
    let sandbox = Sandbox::new();
    let haul = |sandbox: &Sandbox| sandbox.haul().args(["-x", "8", "-k", "1M"]).arg(server.url("/file.bin"));
    let running = haul(&sandbox).spawn();
    server.wait_for_body_bytes(payload.len / 20 + random(seed) % (payload.len / 10 * 9));
    running.kill();
    server.hang_up();
    let untrue = untrue_claims(&sandbox.path("file.bin"), &payload);
    assert_eq!(untrue, 0, "seed {seed}: bytes are claimed that are not there");
    sandbox.assert_absent("file.bin");
    haul(&sandbox).run().assert_ok();
    sandbox.assert_ok_file(&payload, "file.bin");
    server.body_bytes() - payload.len
}

// T087
#[test]
fn a_kill_at_a_random_moment_is_survived_and_costs_little() {
    let (payload, rate, kills) = if exhaustive() {
        (Payload::mib(172, 1024), 12_500_000, 200)
    } else {
        (Payload::mib(172, 12), 512 * KIB, 6)
    };
    let next = AtomicUsize::new(0);
    let again = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= kills {
                        return;
                    }
                    let bytes = killed_at_random(payload, rate, 1000 + seed as u64);
                    again.lock().unwrap().push(bytes);
                }
            });
        }
    });
    let mut again = again.into_inner().unwrap();
    assert_eq!(again.len(), kills, "a kill was not survived");
    again.sort_unstable();
    let (median, worst) = (again[kills / 2], again[kills - 1]);
    let share = |bytes: u64| 100.0 * bytes as f64 / payload.len as f64;
    if exhaustive() {
        eprintln!(
            "{kills} kills: 0 wrong files, 0 untrue claims; fetched again of {} MiB: median {:.2} %, worst {:.2} %",
            payload.len / MIB,
            share(median),
            share(worst)
        );
    }
    // Payload of two seconds, and the content of the sockets.
    assert!(worst <= 2 * 8 * rate + 2 * MIB, "{worst} bytes were sent twice");
}

/// Downloads to a disk of its own whose power fails at random instants, and resumes from a copy of the disk each time.
fn power_cuts(kind: &'static str) {
    let payload = Payload::mib(173, 32);
    let (instants, mut claimed_bytes, mut written_bytes) = (if exhaustive() { 50 } else { 4 }, 0, 0);
    for instant in 0..instants {
        let Some(disk) = LoopDisk::make(kind, 400) else {
            return;
        };
        let server = Server::serve(payload).rate(2 * MIB).start();
        let haul = |disk: &LoopDisk| disk.haul().args(["-x", "8", "-k", "1M"]).arg(server.url("/file.bin"));
        let running = haul(&disk).spawn();
        server.wait_for_body_bytes(payload.len / 10 + random(2000 + instant) % (payload.len / 10 * 8));
        running.signal("STOP");
        written_bytes += server.body_bytes();
        let image = disk.as_it_stands();
        running.kill();
        server.hang_up();
        drop(disk);
        let copy = image.mounted();
        let untrue = untrue_claims(&copy.path("file.bin"), &payload);
        assert_eq!(untrue, 0, "{kind}, instant {instant}: bytes are claimed that are not on the disk");
        assert!(!copy.path("file.bin").exists());
        let kept = std::fs::read(copy.path("file.bin.haul")).map_or(0, |manifest| claimed(&manifest));
        claimed_bytes += kept;
        server.forget();
        haul(&copy).run().assert_ok();
        payload.assert_file_is(&copy.path("file.bin"));
        server.assert_cost(payload.len - kept + 8 * MIB);
    }
    // A program without checkpoints would keep nothing.
    assert!(claimed_bytes * 4 >= written_bytes, "{kind}: {claimed_bytes} of {written_bytes} bytes were kept");
    if exhaustive() {
        eprintln!(
            "{kind}: {instants} power cuts, 0 untrue claims, {:.0} % of what had been sent was kept",
            100.0 * claimed_bytes as f64 / written_bytes as f64
        );
    }
}

// T088
#[test]
fn a_power_cut_on_ext4_leaves_nothing_claimed_that_is_not_there() {
    power_cuts("ext4");
}

// T088
#[test]
fn a_power_cut_on_xfs_leaves_nothing_claimed_that_is_not_there() {
    power_cuts("xfs");
}

// T088
#[test]
fn a_power_cut_on_btrfs_leaves_nothing_claimed_that_is_not_there() {
    power_cuts("btrfs");
}

// T085
#[test]
fn a_complete_download_that_was_killed_before_its_name_was_given_costs_no_payload() {
    if !strace_works() {
        return;
    }
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    // Only the final name is given with this call: it must not replace anything.
    assert!(killed_at(&sandbox, &server, "renameat2", 1));
    server.forget();
    sandbox.haul().arg(server.url("/file.bin")).run().assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
    server.assert_cost(0);
}
