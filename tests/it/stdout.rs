//! `-o -`: the bytes in order on stdout.

use crate::support::*;

const PAYLOAD: Payload = Payload::mib(81, 12);

#[test]
fn stdout_gets_the_bytes_in_order_from_several_connections() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    let outcome = sandbox.haul().args(["-x", "4", "-k", "1M", "-o", "-"]).arg(server.url("/file.bin")).run();
    outcome.assert_ok();
    PAYLOAD.assert_is(&outcome.stdout);
    sandbox.assert_empty();
}

#[test]
fn stdout_does_not_wait_for_the_end_of_the_file() {
    let gate = Gate::at_offset(2 * MIB);
    let server = Server::serve(PAYLOAD).gate(&gate).start();
    let sandbox = Sandbox::new();
    let running =
        sandbox.haul().args(["-x", "4", "-k", "1M", "-o", "-"]).arg(server.url("/file.bin")).spawn();
    running.wait_for_stdout_bytes(MIB as usize);
    gate.open();
    let outcome = running.wait();
    outcome.assert_ok();
    PAYLOAD.assert_is(&outcome.stdout);
}

#[test]
fn stdout_works_when_ranges_are_ignored_and_when_a_connection_is_cut() {
    let ignoring = Server::serve(Resource::of(PAYLOAD).ignoring_ranges()).start();
    let cutting = Server::serve(PAYLOAD)
        .behave(|request, _| {
            if request.is_get() && request.connection < 4 {
                Reply::Ends(Ending::Close(777_777))
            } else {
                Reply::Normal
            }
        })
        .start();
    for server in [&ignoring, &cutting] {
        let sandbox = Sandbox::new();
        let outcome = sandbox.haul().args(["-x", "4", "-o", "-"]).arg(server.url("/file.bin")).run();
        outcome.assert_ok();
        PAYLOAD.assert_is(&outcome.stdout);
        sandbox.assert_empty();
    }
}

#[test]
fn a_wrong_digest_on_stdout_is_a_failure_all_the_same() {
    let server = Server::serve(Payload::new(82, 50_000)).start();
    let sandbox = Sandbox::new();
    let outcome =
        sandbox.haul().args(["--sha256", &"0".repeat(64), "-o", "-"]).arg(server.url("/file.bin")).run();
    outcome.assert_failed(12);
}

#[test]
fn a_failure_before_the_first_byte_leaves_stdout_empty() {
    let server = Server::serve(PAYLOAD).behave(|_, _| Reply::Status(404)).start();
    let sandbox = Sandbox::new();
    let outcome = sandbox.haul().args(["-o", "-"]).arg(server.url("/file.bin")).run();
    outcome.assert_failed(3);
    assert!(outcome.stdout.is_empty());
}

#[test]
fn an_output_that_is_full_is_said_to_be() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    let full = ["/bin/sh", "-c", "exec \"$0\" \"$@\" >/dev/full"];
    let outcome = sandbox.haul().under(full).args(["-o", "-"]).arg(server.url("/file.bin")).run();
    outcome.assert_failed(9).assert_says("no space left");
    sandbox.assert_empty();
}

#[test]
fn a_reader_that_goes_away_ends_the_download() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    let outcome = sandbox.haul().args(["-o", "-"]).stdout_closed().arg(server.url("/file.bin")).run();
    assert!(outcome.code != Some(0), "{outcome}");
    assert!(outcome.elapsed.as_secs() < 10, "{outcome}");
    sandbox.assert_empty();
}

#[test]
fn a_reader_that_goes_away_ends_a_download_that_waits_for_room_too() {
    // One connection, and more than the window holds: the worker waits for the reader, and not for the server.
    let payload = Payload::mib(77, 48);
    let server = Server::serve(Resource::of(payload).ignoring_ranges()).start();
    let sandbox = Sandbox::new();
    let outcome = sandbox.haul().args(["-o", "-"]).stdout_closed().arg(server.url("/file.bin")).run();
    assert!(outcome.code != Some(0), "{outcome}");
    assert!(outcome.elapsed.as_secs() < 10, "{outcome}");
}

// T078
#[test]
fn a_closed_stdout_never_damages_a_file() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    let outcome =
        sandbox.haul().args(["--json", "-x", "4"]).stdout_closed().arg(server.url("/file.bin")).run();
    if outcome.code != Some(0) {
        sandbox.haul().arg(server.url("/file.bin")).run().assert_ok();
    }
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
}

#[test]
fn events_and_payload_cannot_share_stdout() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    let outcome = sandbox.haul().args(["--json", "-o", "-"]).arg(server.url("/file.bin")).run();
    outcome.assert_failed(2);
    assert_eq!(server.connections(), 0);
}

/// Returns true if this is a character device, and no link or file.
fn is_device(path: &std::path::Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    std::fs::symlink_metadata(path).unwrap().file_type().is_char_device()
}

#[test]
fn a_character_device_is_written_to_in_order_and_never_replaced() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    let sha256 = PAYLOAD.sha256_hex();
    let null = std::path::Path::new("/dev/null");
    for flags in [
        &[][..],
        &["--sha256", &sha256],
        &["--json", "-x", "4"],
        &["--if-exists", "overwrite"],
        &["--restart"],
    ] {
        let outcome = sandbox.haul().args(["-o", "/dev/null"]).args(flags).arg(server.url("/file.bin")).run();
        outcome.assert_ok();
    }
    sandbox.haul().args(["-d", "/dev", "-o", "null"]).arg(server.url("/file.bin")).run().assert_ok();
    let wrong = sandbox.haul().args(["-o", "/dev/null", "--sha256", &"0".repeat(64)]);
    wrong.arg(server.url("/file.bin")).run().assert_failed(12);
    let full = sandbox.haul().args(["-o", "/dev/full"]).arg(server.url("/file.bin")).run();
    full.assert_failed(9).assert_says("no space");
    assert!(is_device(null));
    for suffix in [".part", ".haul", ".haul.tmp"] {
        assert!(!std::path::Path::new(&format!("/dev/null{suffix}")).exists());
    }
    sandbox.assert_empty();
}

#[test]
fn a_fifo_and_a_link_to_a_device_are_refused_without_waiting() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    let made = std::process::Command::new("mkfifo").arg(sandbox.path("fifo")).status().unwrap();
    assert!(made.success());
    std::os::unix::fs::symlink("/dev/null", sandbox.path("link")).unwrap();
    for name in ["fifo", "link"] {
        let outcome = sandbox.haul().args(["-o", name]).arg(server.url("/file.bin")).run();
        outcome.assert_failed(13).assert_says("-o -");
    }
    assert!(server.requests().is_empty(), "{}", server.describe());
    assert_eq!(sandbox.entries(), ["fifo", "link"]);
}
