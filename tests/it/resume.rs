//! Runs that end too early, and the runs after them.

use std::fs;

use crate::support::claims::claims;
use crate::support::*;

const PAYLOAD: Payload = Payload::mib(11, 16);
const FOUR: &[&str] = &["-x", "4", "-k", "1M"];

/// Lets `bytes` more payload bytes through, waits until at least half of them are durable, and kills the program with
/// SIGKILL. Returns the number of bytes reported as durable. The server then has no gate and an empty log.
#[track_caller]
pub(crate) fn killed_after(sandbox: &Sandbox, server: &Server, bytes: u64, args: &[&str]) -> u64 {
    let gate = Gate::after(bytes);
    server.set_gate(Some(&gate));
    let running = sandbox.haul().arg("--json").args(args).arg(server.url("/file.bin")).spawn();
    let resumed = running.wait_for_start()["resumed"].as_u64().unwrap();
    running.wait_for_durable(resumed + bytes / 2);
    let outcome = running.kill();
    server.set_gate(None);
    server.forget();
    sandbox.assert_kept("file.bin");
    outcome.durable()
}

#[test]
fn after_a_kill_only_what_is_missing_is_fetched() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    let kept = killed_after(&sandbox, &server, 10 * MIB, FOUR);
    let outcome = sandbox.haul().arg("--json").args(FOUR).arg(server.url("/file.bin")).run();
    outcome.assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
    let (start, done) = (outcome.start_event(), outcome.done_event());
    assert!(start["resumed"].as_u64().unwrap() >= kept, "{kept} bytes were durable: {start}");
    assert!(done["fetched"].as_u64().unwrap() < PAYLOAD.len, "{done}");
    assert_eq!(done["size"].as_u64(), Some(PAYLOAD.len));
    server.assert_cost(PAYLOAD.len - kept + MIB);
}

#[test]
fn a_resumed_download_asks_for_the_version_it_has() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    killed_after(&sandbox, &server, 10 * MIB, FOUR);
    sandbox.haul().args(FOUR).arg(server.url("/file.bin")).run().assert_ok();
    for get in server.gets() {
        assert_eq!(get.header("if-range"), Some("\"v1\""), "{}", server.describe());
    }
}

// T086
#[test]
fn the_number_of_connections_may_change_from_run_to_run() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    let first = killed_after(&sandbox, &server, 6 * MIB, &["-x", "8", "-k", "256K"]);
    let second = killed_after(&sandbox, &server, 4 * MIB, &["-x", "1"]);
    assert!(second > first, "the second run began with {first} and ended with {second}");
    sandbox.haul().args(["-x", "16", "-k", "64K"]).arg(server.url("/file.bin")).run().assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
    server.assert_cost(PAYLOAD.len - second + 2 * MIB);
}

#[test]
fn many_kills_in_a_row_end_in_the_right_file() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    let mut kept = 0;
    while kept < 12 * MIB {
        let now = killed_after(&sandbox, &server, 4 * MIB, FOUR);
        assert!(now > kept, "no progress from {kept} to {now}");
        kept = now;
    }
    sandbox.haul().args(FOUR).arg(server.url("/file.bin")).run().assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
    server.assert_cost(PAYLOAD.len - kept + MIB);
}

// T003
#[test]
fn a_server_that_forgot_ranges_since_then_sends_the_whole_file_once() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    killed_after(&sandbox, &server, 10 * MIB, FOUR);
    server.replace(Resource::of(PAYLOAD).ignoring_ranges());
    let outcome = sandbox.haul().args(FOUR).arg(server.url("/file.bin")).run();
    outcome.assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
    server.assert_cost(PAYLOAD.len + 2 * MIB);
}

// T083
#[test]
fn a_part_file_that_is_shorter_than_its_manifest_says_is_filled_again() {
    for cut_to in [0, 1, 3 * MIB + 17, PAYLOAD.len - 1] {
        let server = Server::serve(PAYLOAD).start();
        let sandbox = Sandbox::new();
        killed_after(&sandbox, &server, 10 * MIB, FOUR);
        fs::OpenOptions::new().write(true).open(sandbox.part("file.bin")).unwrap().set_len(cut_to).unwrap();
        let claims = claims(&sandbox.read("file.bin.haul"));
        let valid: u64 =
            claims.iter().filter(|claim| claim.end <= cut_to).map(|claim| claim.end - claim.start).sum();
        sandbox.haul().args(FOUR).arg(server.url("/file.bin")).run().assert_ok();
        sandbox.assert_ok_file(&PAYLOAD, "file.bin");
        server.assert_cost(PAYLOAD.len - valid + MIB);
    }
}

// T083
#[test]
fn a_part_file_that_grew_is_cut_to_the_right_length() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    let kept = killed_after(&sandbox, &server, 10 * MIB, FOUR);
    fs::OpenOptions::new()
        .write(true)
        .open(sandbox.part("file.bin"))
        .unwrap()
        .set_len(PAYLOAD.len + 4096)
        .unwrap();
    sandbox.haul().args(FOUR).arg(server.url("/file.bin")).run().assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
    server.assert_cost(PAYLOAD.len - kept + MIB);
}

// T083
#[test]
fn a_manifest_without_its_part_file_promises_nothing() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    killed_after(&sandbox, &server, 10 * MIB, FOUR);
    fs::remove_file(sandbox.part("file.bin")).unwrap();
    sandbox.haul().args(FOUR).arg(server.url("/file.bin")).run().assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
    server.assert_cost(PAYLOAD.len + MIB);
}

#[test]
fn a_damaged_piece_of_the_part_file_is_found_and_fetched_again() {
    use std::os::unix::fs::FileExt;
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    killed_after(&sandbox, &server, 10 * MIB, &["-x", "1"]);
    let part = fs::OpenOptions::new().write(true).open(sandbox.part("file.bin")).unwrap();
    part.write_all_at(&[0; 5000], 2 * MIB + 5).unwrap();
    sandbox.haul().args(FOUR).arg(server.url("/file.bin")).run().assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
}

#[test]
fn a_part_file_without_a_manifest_is_neither_used_nor_deleted() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    sandbox.write("file.bin.part", "somebody's work");
    let outcome = sandbox.haul().arg(server.url("/file.bin")).run();
    outcome.assert_failed(8);
    outcome.assert_says("--restart");
    assert_eq!(sandbox.read("file.bin.part"), b"somebody's work");
    sandbox.assert_absent("file.bin");
    sandbox.haul().arg("--restart").arg(server.url("/file.bin")).run().assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
}

// T084
#[test]
fn an_unfinished_download_that_was_copied_to_another_place_is_gone_on_with() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    let kept = killed_after(&sandbox, &server, 10 * MIB, FOUR);
    fs::create_dir(sandbox.path("copy")).unwrap();
    for name in ["file.bin.part", "file.bin.haul"] {
        fs::copy(sandbox.path(name), sandbox.path("copy").join(name)).unwrap();
    }
    let haul = || sandbox.haul().in_dir(sandbox.path("copy")).args(FOUR).arg(server.url("/file.bin"));
    haul().run().assert_ok();
    PAYLOAD.assert_file_is(&sandbox.path("copy").join("file.bin"));
    server.assert_cost(PAYLOAD.len - kept + MIB);
}

// T084
#[test]
fn another_file_in_the_place_of_the_part_file_is_refused_and_left_alone() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    killed_after(&sandbox, &server, 10 * MIB, FOUR);
    let foreign = Payload::mib(12, 16).all();
    fs::rename(sandbox.write("foreign", &foreign), sandbox.part("file.bin")).unwrap();
    let manifest = sandbox.read("file.bin.haul");
    sandbox.haul().args(FOUR).arg(server.url("/file.bin")).run().assert_failed(8);
    assert!(sandbox.read("file.bin.part") == foreign && sandbox.read("file.bin.haul") == manifest);
    sandbox.assert_absent("file.bin");
}

#[test]
fn restart_throws_away_what_was_kept() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    killed_after(&sandbox, &server, 10 * MIB, FOUR);
    let outcome = sandbox.haul().args(["--json", "--restart"]).args(FOUR).arg(server.url("/file.bin")).run();
    outcome.assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
    assert_eq!(outcome.start_event()["resumed"].as_u64(), Some(0));
    assert!(server.body_bytes() >= PAYLOAD.len);
}

// T082
#[test]
fn what_was_kept_of_another_url_is_not_mixed_in() {
    let other = Payload::mib(12, 16);
    let server = Server::serve(PAYLOAD).file("/other/file.bin", other).start();
    let sandbox = Sandbox::new();
    killed_after(&sandbox, &server, 10 * MIB, FOUR);
    let part = sandbox.read("file.bin.part");
    let outcome = sandbox.haul().args(FOUR).arg(server.url("/other/file.bin")).run();
    outcome.assert_failed(8).assert_says("was begun from");
    assert!(sandbox.read("file.bin.part") == part, "the part file was touched");
}

// T082
#[test]
fn a_manifest_of_a_newer_version_is_left_alone() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    killed_after(&sandbox, &server, 10 * MIB, FOUR);
    let manifest = sandbox.read("file.bin.haul");
    let rest = manifest.iter().position(|&byte| byte == b'\n').unwrap();
    let version = r#"{"haul":2}"#;
    let first = format!("{:08x} {version}", crc32c::crc32c(version.as_bytes()));
    let newer = [first.as_bytes(), &manifest[rest..]].concat();
    fs::write(sandbox.manifest("file.bin"), &newer).unwrap();
    let part = sandbox.read("file.bin.part");
    let outcome = sandbox.haul().args(FOUR).arg(server.url("/file.bin")).run();
    outcome.assert_failed(13);
    assert!(sandbox.read("file.bin.haul") == newer, "the manifest was touched");
    assert!(sandbox.read("file.bin.part") == part, "the part file was touched");
    server.assert_cost(0);
}

// T081
#[test]
fn a_broken_manifest_is_never_believed() {
    let payload = Payload::mib(13, 2);
    let server = Server::serve(payload).start();
    let sandbox = Sandbox::new();
    killed_after(&sandbox, &server, MIB, &["-x", "2", "-k", "256K"]);
    let (part, manifest) = (sandbox.read("file.bin.part"), sandbox.read("file.bin.haul"));
    for (what, broken) in broken_forms(&manifest) {
        // Rewritten in place, since the manifest records the inode of its part file.
        if !sandbox.part("file.bin").exists() {
            fs::rename(sandbox.path("file.bin"), sandbox.part("file.bin")).unwrap();
        }
        fs::write(sandbox.part("file.bin"), &part).unwrap();
        fs::write(sandbox.manifest("file.bin"), &broken).unwrap();
        let outcome = sandbox.haul().args(["-x", "2", "-k", "256K"]).arg(server.url("/file.bin")).run();
        if outcome.code == Some(0) {
            sandbox.assert_ok_file(&payload, "file.bin");
        } else {
            outcome.assert_failed_as_one_of(&[8, 13]);
            assert!(sandbox.read("file.bin.part") == part, "{what}: the part file was touched");
            assert!(sandbox.read("file.bin.haul") == broken, "{what}: the manifest was touched");
        }
    }
}

fn broken_forms(manifest: &[u8]) -> Vec<(String, Vec<u8>)> {
    let step = (manifest.len() / 24).max(1);
    let mut forms: Vec<(String, Vec<u8>)> = (0..manifest.len())
        .step_by(step)
        .map(|at| (format!("cut at {at}"), manifest[..at].to_vec()))
        .collect();
    for at in (0..manifest.len()).step_by(step) {
        let mut flipped = manifest.to_vec();
        flipped[at] ^= 1 << (at % 8);
        forms.push((format!("bit {} of byte {at} flipped", at % 8), flipped));
    }
    forms.push(("zeros".into(), vec![0; manifest.len()]));
    forms.push(("doubled".into(), [manifest, manifest].concat()));
    forms.push(("random".into(), Payload::new(99, MIB).all()));
    forms
}

/// Answers everything with a 416 that has a page as its body.
fn refusing_everything(server: &Server, content_range: Option<String>) {
    server.handle_with(move |_, exchange| {
        let mut answer = Answer::text(416, &"<html>no such range</html>".repeat(160));
        if let Some(range) = &content_range {
            answer.set("Content-Range", range);
        }
        exchange.send(&answer);
    });
}

// T012
#[test]
fn a_416_never_ends_a_download_as_complete() {
    for (content_range, code) in [(None, 5), (Some(format!("bytes */{}", PAYLOAD.len - 7)), 8)] {
        let server = Server::serve(PAYLOAD).start();
        let sandbox = Sandbox::new();
        let kept = killed_after(&sandbox, &server, 10 * MIB, FOUR);
        refusing_everything(&server, content_range);
        let outcome = sandbox.haul().args(FOUR).args(["--retry", "1"]).arg(server.url("/file.bin")).run();
        outcome.assert_failed(code);
        server.recover();
        server.forget();
        sandbox.haul().args(FOUR).arg(server.url("/file.bin")).run().assert_ok();
        sandbox.assert_ok_file(&PAYLOAD, "file.bin");
        if code == 5 {
            server.assert_cost(PAYLOAD.len - kept + MIB);
        }
    }
}

// T012
#[test]
fn what_is_complete_on_disk_needs_no_answer_any_more() {
    if !crate::crash::strace_works() {
        return;
    }
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    let strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "inject=renameat2:signal=KILL:when=1"];
    sandbox.haul().under(strace).args(FOUR).arg(server.url("/file.bin")).run();
    sandbox.assert_kept("file.bin");
    refusing_everything(&server, Some(format!("bytes */{}", PAYLOAD.len)));
    server.forget();
    sandbox.haul().args(FOUR).arg(server.url("/file.bin")).run().assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
    server.assert_cost(0);
}

#[test]
fn what_was_kept_is_announced() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    killed_after(&sandbox, &server, 10 * MIB, FOUR);
    let outcome = sandbox.haul().args(FOUR).arg(server.url("/file.bin")).run();
    outcome.assert_ok();
    outcome.assert_says("resum");
}

// T052
#[test]
fn a_refusal_in_the_middle_keeps_what_is_there() {
    for (status, code) in [(404, 3), (410, 3), (401, 4), (403, 4)] {
        let gate = Gate::after(10 * MIB);
        let server = Server::serve(PAYLOAD).gate(&gate).start();
        let sandbox = Sandbox::new();
        let running = sandbox.haul().arg("--json").args(FOUR).arg(server.url("/file.bin")).spawn();
        running.wait_for_durable(5 * MIB);
        server.behave_with(move |_, _| Reply::Status(status));
        server.hang_up();
        let outcome = running.wait();
        outcome.assert_failed(code);
        assert_eq!(outcome.error_event()["resumable"], true);
        sandbox.assert_kept("file.bin");
        let refused = server.log().with_status(status);
        assert!(refused <= 2 * 4 + 2, "{refused} refusals were asked for");
        server.recover();
        server.forget();
        sandbox.haul().args(FOUR).arg(server.url("/file.bin")).run().assert_ok();
        sandbox.assert_ok_file(&PAYLOAD, "file.bin");
        server.assert_cost(PAYLOAD.len - 5 * MIB + 4 * MIB);
    }
}

#[test]
fn what_is_no_longer_in_the_part_file_is_announced() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    killed_after(&sandbox, &server, 10 * MIB, FOUR);
    fs::OpenOptions::new().write(true).open(sandbox.part("file.bin")).unwrap().set_len(MIB).unwrap();
    let outcome = sandbox.haul().args(FOUR).arg(server.url("/file.bin")).run();
    outcome.assert_ok().assert_says("not in the part file any more");
}

#[test]
fn a_token_that_was_renewed_names_the_same_file() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    let gate = Gate::after(8 * MIB);
    server.set_gate(Some(&gate));
    let running =
        sandbox.haul().args(["--json", "-o", "file.bin"]).args(FOUR).arg(server.url("/f?token=a")).spawn();
    running.wait_for_durable(4 * MIB);
    let kept = running.kill().durable();
    server.recover();
    server.forget();
    sandbox.haul().args(["-o", "file.bin"]).args(FOUR).arg(server.url("/f?token=b")).run().assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
    server.assert_cost(PAYLOAD.len - kept + MIB);
}
