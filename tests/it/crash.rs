//! The program is killed at chosen system calls. Needs strace; without it these tests have nothing to say.

use crate::support::*;

const PAYLOAD: Payload = Payload::mib(171, 4);

pub(crate) fn strace_works() -> bool {
    let tried = std::process::Command::new("strace").args(["-qq", "-o", "/dev/null", "true"]).status();
    let works = tried.is_ok_and(|status| status.success());
    if !works {
        eprintln!("skipped: strace cannot be used here");
    }
    works
}

/// Kills the program with its nth call of one of these; false if it ended before that.
fn killed_at(sandbox: &Sandbox, server: &Server, calls: &str, n: usize) -> bool {
    let trace = format!("trace={calls}");
    let inject = format!("inject={calls}:signal=KILL:when={n}");
    let outcome = sandbox
        .haul()
        .under(["strace", "-f", "-qq", "-o", "/dev/null", "-e", &trace, "-e", &inject])
        .args(["-x", "4", "-k", "256K"])
        .arg(server.url("/file.bin"))
        .run();
    outcome.code != Some(0)
}

#[track_caller]
fn survives_kills_at(calls: &str, nths: impl IntoIterator<Item = usize>) {
    if !strace_works() {
        return;
    }
    for n in nths {
        let server = Server::serve(PAYLOAD).start();
        let sandbox = Sandbox::new();
        let killed = killed_at(&sandbox, &server, calls, n);
        if killed && sandbox.path("file.bin").exists() {
            PAYLOAD.assert_file_is(&sandbox.path("file.bin"));
        }
        let outcome =
            sandbox.haul().args(["--sha256", &PAYLOAD.sha256_hex()]).arg(server.url("/file.bin")).run();
        assert!(outcome.code == Some(0), "killed at {calls} number {n}: {outcome}");
        sandbox.assert_ok_file(&PAYLOAD, "file.bin");
        if !killed {
            break;
        }
    }
}

// T087
#[test]
fn a_kill_at_any_rename_is_survived() {
    survives_kills_at("rename,renameat,renameat2", 1..12);
}

// T087
#[test]
fn a_kill_at_any_sync_is_survived() {
    survives_kills_at("fsync,fdatasync", 1..16);
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
