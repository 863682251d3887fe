//! File systems with missing capabilities: the file is what counts, and the rest is a note.

use crate::crash::strace_works;
use crate::support::haul::names_in;
use crate::support::loop_disk::LoopDisk;
use crate::support::*;

const LARGE: Payload = Payload::mib(311, 4);
const SMALL: Payload = Payload::new(312, 70_000);
const REFUSALS: [&str; 4] = ["EPERM", "EOPNOTSUPP", "ENOSYS", "EINVAL"];

fn dated(payload: Payload) -> Resource {
    Resource::of(payload).modified(Modified::Text("Sun, 06 Nov 1994 08:49:37 GMT".into()))
}

/// Downloads with these calls failing, either everywhere or on the directory alone.
fn downloaded(payload: Payload, calls: &str, error: &str, on_directory: bool) -> (Sandbox, Outcome) {
    let server = Server::serve(dated(payload)).start();
    let sandbox = Sandbox::new();
    let directory = sandbox.work().canonicalize().unwrap().to_str().unwrap().to_owned();
    let (trace, inject) = (format!("trace={calls}"), format!("inject={calls}:error={error}"));
    let mut strace = vec!["strace", "-f", "-qq", "-o", "../trace", "-e", &trace, "-e", &inject];
    if on_directory {
        strace.extend(["-P", &directory]);
    }
    let haul = sandbox.haul().under(strace).args(["--remote-time", "-d", &directory]);
    let outcome = haul.arg(server.url("/file.bin")).run();
    (sandbox, outcome)
}

#[test]
fn what_a_file_system_refuses_is_a_note_and_the_file_is_published() {
    if !strace_works() {
        return;
    }
    let all = "fchmod,fchmodat,fsetxattr,utimensat";
    for payload in [LARGE, SMALL] {
        for error in REFUSALS {
            let (sandbox, outcome) = downloaded(payload, all, error, false);
            outcome.assert_ok().assert_says("on this file system");
            outcome.assert_says("the time of files cannot be set").assert_says("nothing can be noted");
            assert_eq!(outcome.stderr.matches("on this file system").count(), 1, "{outcome}");
            sandbox.assert_ok_file(&payload, "file.bin");
        }
    }
}

#[test]
fn each_refusal_alone_is_one_that_harms_nothing() {
    if !strace_works() {
        return;
    }
    for (calls, said) in [
        ("fchmod,fchmodat", "the mode of files cannot be set"),
        ("utimensat", "the time of files cannot be set"),
        ("fsetxattr", "nothing can be noted"),
        ("flock", ""),
        ("fallocate", "cannot reserve"),
        ("fadvise64", ""),
    ] {
        for error in REFUSALS.iter().filter(|error| !(calls == "fallocate" && **error == "EPERM")) {
            let (sandbox, outcome) = downloaded(LARGE, calls, error, false);
            outcome.assert_ok().assert_says(said);
            sandbox.assert_ok_file(&LARGE, "file.bin");
        }
    }
}

#[test]
fn a_directory_that_cannot_be_synced_is_a_note_and_one_that_fails_is_a_failure() {
    if !strace_works() {
        return;
    }
    for payload in [LARGE, SMALL] {
        for error in ["EOPNOTSUPP", "EINVAL", "ENOSYS"] {
            let (sandbox, outcome) = downloaded(payload, "fsync,fdatasync", error, true);
            outcome.assert_ok().assert_says("directories cannot be synced");
            sandbox.assert_ok_file(&payload, "file.bin");
        }
        let (_, outcome) = downloaded(payload, "fsync,fdatasync", "EIO", true);
        outcome.assert_failed(9);
    }
}

#[test]
fn a_file_system_that_can_neither_rename_without_replacing_nor_link_publishes_all_the_same() {
    if !strace_works() {
        return;
    }
    for error in ["EINVAL", "ENOSYS", "EOPNOTSUPP"] {
        let server = Server::serve(LARGE).start();
        let sandbox = Sandbox::new();
        let inject = format!("inject=renameat2,linkat:error={error}");
        let strace = ["strace", "-f", "-qq", "-o", "../trace", "-e", "trace=renameat2,linkat", "-e", &inject];
        for (payload, name) in [(LARGE, "large.bin"), (SMALL, "small.bin")] {
            server.replace(payload);
            sandbox.haul().under(strace).arg(server.url(&format!("/{name}"))).run().assert_ok();
            sandbox.assert_ok_file(&payload, name);
        }
    }
}

#[test]
fn memory_cards_hold_files_as_well() {
    for kind in ["vfat", "exfat"] {
        let Some(disk) = LoopDisk::make(kind, 64) else {
            continue;
        };
        let server = Server::serve(dated(LARGE)).start();
        for (payload, name) in [(LARGE, "large.bin"), (SMALL, "small.bin")] {
            server.replace(dated(payload));
            disk.haul().arg("--remote-time").arg(server.url(&format!("/{name}"))).run().assert_ok();
            payload.assert_file_is(&disk.path(name));
            let sha256 = payload.sha256_hex();
            let again = disk.haul().args(["--sha256", &sha256]).arg(server.url(&format!("/{name}"))).run();
            again.assert_ok().assert_says("complete already");
        }
        let gate = Gate::after(2 * MIB);
        server.replace(LARGE);
        server.set_gate(Some(&gate));
        let running = disk.haul().args(["--json", "-x", "1"]).arg(server.url("/killed.bin")).spawn();
        running.wait_for_durable(MIB);
        running.kill();
        server.set_gate(None);
        server.forget();
        disk.haul().arg(server.url("/killed.bin")).run().assert_ok();
        LARGE.assert_file_is(&disk.path("killed.bin"));
        server.assert_cost(LARGE.len - MIB);
        assert_eq!(names_in(&disk.root()), ["killed.bin", "large.bin", "small.bin"], "{kind}");
    }
}

#[test]
fn a_name_that_a_memory_card_refuses_is_another_one_there() {
    for kind in ["vfat", "exfat"] {
        let Some(disk) = LoopDisk::make(kind, 64) else {
            continue;
        };
        for (payload, name, saved) in [(LARGE, "a%3Fb:c.bin", "a_b_c.bin"), (SMALL, "d%2Ae.bin", "d_e.bin")] {
            let server = Server::serve(payload).start();
            let url = server.url(&format!("/{name}"));
            disk.haul().arg(&url).run().assert_ok().assert_says(&format!("is saved as {saved}"));
            payload.assert_file_is(&disk.path(saved));
            disk.haul().arg(&url).run().assert_failed(10);
            server.forget();
            let outcome = disk.haul().args(["-o", "x?y.bin"]).arg(&url).run();
            outcome.assert_failed(9).assert_says("'?' is not allowed").assert_says("x_y.bin");
            assert!(server.requests().is_empty(), "{kind}");
        }
        assert_eq!(names_in(&disk.root()), ["a_b_c.bin", "d_e.bin"], "{kind}");
    }
}
