//! Files that belong to others or that others may write to, and file systems with owners of their own.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;

use crate::resume::killed_after;
use crate::support::library::library;
use crate::support::*;

const PAYLOAD: Payload = Payload::mib(301, 8);
const STRANGER: u32 = 65_533;

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

/// Gives a file to another user, extended attributes included; returns false, with a note, if only root may.
fn give_away(path: &Path) -> bool {
    let given = chown(path, Some(STRANGER), None).is_ok();
    if !given {
        left_out("only root can give files away");
    }
    given
}

#[test]
fn what_is_noted_at_a_finished_file_counts_only_where_no_other_user_can_have_written_it() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    let run = || sandbox.haul().arg(server.url("/file.bin")).run();
    let path = sandbox.path("file.bin");
    run().assert_ok();
    server.forget();
    run().assert_ok().assert_says("complete already");
    for others in [0o664, 0o646, 0o666] {
        set_mode(&path, others);
        run().assert_failed(10).assert_says("others may write to it");
    }
    set_mode(&path, 0o644);
    fs::hard_link(&path, sandbox.path("second")).unwrap();
    run().assert_failed(10).assert_says("second name");
    fs::remove_file(sandbox.path("second")).unwrap();
    run().assert_ok();
    if give_away(&path) {
        run().assert_failed(10).assert_says("another user's");
    }
    server.assert_cost(0);
    PAYLOAD.assert_file_is(&path);
}

#[test]
fn a_file_with_the_right_digest_that_is_not_ours_is_not_called_complete() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    let path = sandbox.write("file.bin", PAYLOAD.all());
    let sha256 = PAYLOAD.sha256_hex();
    let run = || sandbox.haul().args(["--sha256", &sha256]).arg(server.url("/file.bin")).run();
    run().assert_ok().assert_says("complete already");
    if give_away(&path) {
        run().assert_failed(10).assert_says("another user's");
    }
    assert!(server.requests().is_empty(), "{}", server.describe());
}

#[test]
fn unfinished_files_that_others_may_write_to_are_gone_on_with_only_under_a_digest() {
    let sha256 = PAYLOAD.sha256_hex();
    for name in ["file.bin.part", "file.bin.haul"] {
        for others in [0o660, 0o602] {
            let server = Server::serve(PAYLOAD).start();
            let sandbox = Sandbox::new();
            killed_after(&sandbox, &server, 4 * MIB, &["-x", "1"]);
            set_mode(&sandbox.path(name), others);
            let before = (sandbox.read("file.bin.part"), sandbox.read("file.bin.haul"));
            let outcome = sandbox.haul().arg(server.url("/file.bin")).run();
            outcome.assert_failed(13).assert_says("others may write to").assert_says("--sha256");
            assert!(server.requests().is_empty(), "{}", server.describe());
            assert!(before == (sandbox.read("file.bin.part"), sandbox.read("file.bin.haul")), "{name}");
            sandbox.haul().args(["--sha256", &sha256]).arg(server.url("/file.bin")).run().assert_ok();
            sandbox.assert_ok_file(&PAYLOAD, "file.bin");
            server.assert_cost(PAYLOAD.len - MIB);
        }
    }
}

#[test]
fn an_unfinished_file_of_another_user_is_refused_whatever_it_says() {
    for name in ["file.bin.part", "file.bin.haul"] {
        let server = Server::serve(PAYLOAD).start();
        let sandbox = Sandbox::new();
        killed_after(&sandbox, &server, 4 * MIB, &["-x", "1"]);
        if !give_away(&sandbox.path(name)) {
            return;
        }
        for extra in [&[][..], &["--restart"], &["--sha256", &PAYLOAD.sha256_hex()]] {
            let outcome = sandbox.haul().args(extra).arg(server.url("/file.bin")).run();
            outcome.assert_failed(13).assert_says("another user's");
        }
        sandbox.assert_kept("file.bin");
    }
}

#[test]
fn an_overwrite_keeps_the_mode_of_a_file_of_ours_less_the_umask_and_no_others() {
    let server = Server::serve(PAYLOAD).start();
    for (own, old, new) in [
        (true, 0o600, 0o600),
        (true, 0o640, 0o640),
        (true, 0o666, 0o644),
        (true, 0o777, 0o644),
        (false, 0o666, 0o644),
        (false, 0o600, 0o644),
    ] {
        for small in [false, true] {
            let sandbox = Sandbox::new();
            let path = sandbox.write("file.bin", "old");
            set_mode(&path, old);
            if !own && !give_away(&path) {
                return;
            }
            let payload = if small { Payload::new(302, 1000) } else { PAYLOAD };
            server.replace(payload);
            let outcome = sandbox
                .haul()
                .under(["/bin/sh", "-c", "umask 022; exec \"$0\" \"$@\""])
                .args(["--if-exists", "overwrite"])
                .arg(server.url("/file.bin"))
                .run();
            outcome.assert_ok();
            assert_eq!(format!("{:o}", mode(&path)), format!("{new:o}"), "own: {own}, was {old:o}");
        }
    }
}

#[test]
fn where_all_files_belong_to_one_user_they_are_ours() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    let Some(library) = library("one_owner", sandbox.root()) else {
        return;
    };
    killed_after(&sandbox, &server, 4 * MIB, &["-x", "1"]);
    let run = |args: &[&str]| {
        let haul = sandbox.haul().env("LD_PRELOAD", &library).args(args);
        haul.arg(server.url("/file.bin")).run()
    };
    run(&[]).assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
    server.assert_cost(PAYLOAD.len - MIB);
    server.forget();
    run(&[]).assert_ok().assert_says("complete already");
    run(&["--sha256", &PAYLOAD.sha256_hex()]).assert_ok().assert_says("complete already");
    server.assert_cost(0);
    assert_eq!(sandbox.entries(), ["file.bin"]);
}

#[test]
fn a_complete_file_that_could_not_be_named_is_believed_whatever_the_umask_gives() {
    let sandbox = Sandbox::new();
    let there = sandbox.path("file.bin");
    let appears = there.clone();
    let server = Server::serve(PAYLOAD).gate(&Gate::after(MIB)).start();
    let run = || {
        let haul = sandbox.haul().under(["/bin/sh", "-c", "umask 002; exec \"$0\" \"$@\""]);
        haul.arg("--json").arg(server.url("/file.bin")).spawn()
    };
    let running = run();
    running.wait_for_durable(MIB / 2);
    fs::write(&appears, "the user's").unwrap();
    server.set_gate(None);
    running.wait().assert_failed(10);
    assert_eq!(mode(&sandbox.part("file.bin")) & 0o022, 0);
    fs::remove_file(&there).unwrap();
    server.forget();
    run().wait().assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
    assert_eq!(mode(&there), 0o664);
    server.assert_cost(0);
}
