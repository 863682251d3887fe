//! Disks that are full, read-only or missing.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use crate::support::haul::names_in;
use crate::support::loop_disk::LoopDisk;
use crate::support::*;

const PAYLOAD: Payload = Payload::mib(181, 8);

// T098
#[test]
fn a_limit_on_the_file_size_is_an_error_and_not_a_death() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    // The unit is 512 bytes: 4 MiB.
    let outcome = sandbox
        .haul()
        .under(["/bin/sh", "-c", "ulimit -f 8192; exec \"$0\" \"$@\""])
        .arg(server.url("/file.bin"))
        .run();
    outcome.assert_failed(9);
    outcome.assert_says("too large");
    sandbox.assert_absent("file.bin");
    server.assert_cost(4 * MIB);
}

// T099
#[test]
fn a_directory_that_may_not_be_written_to_is_found_before_any_request_for_payload() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("closed")).unwrap();
    fs::set_permissions(sandbox.path("closed"), fs::Permissions::from_mode(0o555)).unwrap();
    let everybody_may = fs::write(sandbox.path("closed/probe"), "").is_ok();
    if !everybody_may {
        let outcome = sandbox.haul().args(["-d", "closed"]).arg(server.url("/file.bin")).run();
        outcome.assert_failed(9);
        server.assert_cost(0);
    }
    for place in [&["-d", "/proc/nowhere"], &["-o", "missing/x"], &["-o", "/sys/x"]] {
        let outcome = sandbox.haul().args(place).arg(server.url("/file.bin")).run();
        outcome.assert_failed(9);
    }
    assert!(server.requests().is_empty(), "{}", server.describe());
}

// T099
#[test]
fn an_output_below_a_file_is_a_disk_failure() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    sandbox.write("plain", "file");
    let outcome = sandbox.haul().args(["-o", "plain/x"]).arg(server.url("/file.bin")).run();
    outcome.assert_failed_as_one_of(&[2, 9]);
    server.assert_cost(0);
    assert_eq!(sandbox.read("plain"), b"file");
}

// T099
#[test]
fn a_directory_that_disappears_half_way_is_no_panic() {
    let gate = Gate::after(2 * MIB);
    let server = Server::serve(PAYLOAD).gate(&gate).start();
    let sandbox = Sandbox::new();
    let running = sandbox.haul().args(["--json", "-d", "gone"]).arg(server.url("/file.bin")).spawn();
    running.wait_for_durable(MIB);
    fs::remove_dir_all(sandbox.path("gone")).unwrap();
    gate.open();
    running.wait().assert_failed_as_one_of(&[8, 9]);
}

// T091
#[test]
fn a_file_that_cannot_fit_is_known_before_it_is_fetched() {
    // More than any disk has; the server states the length and need never send the bytes.
    let server = Server::serve(Payload::new(182, 1 << 60)).gate(&Gate::after(MIB)).start();
    let sandbox = Sandbox::new();
    let outcome = sandbox.haul().arg(server.url("/file.bin")).run();
    outcome.assert_failed(9);
    assert!(outcome.elapsed.as_secs() < 5, "{outcome}");
    server.assert_cost(2 * MIB);
    sandbox.assert_empty();
}

// T091
#[test]
fn a_small_disk_is_named_with_what_is_needed_and_what_is_free() {
    let payload = Payload::mib(183, 64);
    let Some(disk) = LoopDisk::make("ext4", 10) else {
        return;
    };
    let server = Server::serve(payload).start();
    let before = names_in(&disk.root());
    let outcome = disk.haul().arg(server.url("/file.bin")).run();
    outcome.assert_failed(9).assert_says("67108864 bytes needed");
    outcome.assert_says(" free");
    assert!(outcome.elapsed.as_secs() < 2, "{outcome}");
    server.assert_cost(MIB);
    assert_eq!(names_in(&disk.root()), before);
}

#[test]
fn after_a_failure_what_was_reserved_beyond_the_last_byte_is_given_back() {
    let payload = Payload::mib(184, 48);
    let server = Server::serve(payload).start();
    let sandbox = Sandbox::new();
    let held = || fs::metadata(sandbox.part("file.bin")).unwrap().blocks() * 512;
    // The second run reserves space again, and receives nothing.
    for first in [true, false] {
        server
            .behave_with(move |_, _| if first { Reply::Ends(Ending::Close(2 * MIB)) } else { Reply::Reset });
        let haul = sandbox.haul().args(["--retry", "0", "-x", "1"]).arg(server.url("/file.bin"));
        haul.run().assert_failed(6);
        sandbox.assert_kept("file.bin");
        assert!((MIB..4 * MIB).contains(&held()), "{} bytes are held", held());
    }
    server.recover();
    server.forget();
    sandbox.haul().arg(server.url("/file.bin")).run().assert_ok();
    sandbox.assert_ok_file(&payload, "file.bin");
    server.assert_cost(payload.len - MIB);
}

#[test]
fn a_part_file_that_was_replaced_meanwhile_is_not_published() {
    let server = Server::serve(PAYLOAD).start();
    let gate = Gate::after(4 * MIB);
    server.set_gate(Some(&gate));
    let sandbox = Sandbox::new();
    let sha256 = PAYLOAD.sha256_hex();
    let running = sandbox.haul().args(["-x", "4", "--sha256", &sha256]).arg(server.url("/file.bin")).spawn();
    server.wait_for_body_bytes(4 * MIB);
    sandbox.write("foreign", "somebody's");
    fs::rename(sandbox.path("foreign"), sandbox.path("file.bin.part")).unwrap();
    gate.open();
    running.wait().assert_failed(13);
    sandbox.assert_absent("file.bin");
    assert_eq!(fs::read(sandbox.path("file.bin.part")).unwrap(), b"somebody's");
}

#[test]
fn a_part_file_that_somebody_cuts_meanwhile_is_not_published_with_a_hole() {
    let server = Server::serve(PAYLOAD).start();
    let gate = Gate::after(4 * MIB);
    server.set_gate(Some(&gate));
    let sandbox = Sandbox::new();
    let running = sandbox.haul().args(["--json", "-x", "1"]).arg(server.url("/file.bin")).spawn();
    running.wait_for_durable(3 * MIB);
    fs::OpenOptions::new().write(true).open(sandbox.part("file.bin")).unwrap().set_len(0).unwrap();
    gate.open();
    let outcome = running.wait();
    if outcome.code == Some(0) {
        PAYLOAD.assert_file_is(&sandbox.path("file.bin"));
        outcome.assert_says("damaged");
    } else {
        outcome.assert_failed_as_one_of(&[9]);
        sandbox.assert_absent("file.bin");
    }
}

#[test]
fn few_open_files_mean_few_files_at_once_and_not_a_failure() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    let list: String = (0..20).map(|nth| server.url(&format!("/f{nth}")) + "\n").collect();
    let outcome = sandbox
        .haul()
        .under(["/bin/sh", "-c", "ulimit -n 40; exec \"$0\" \"$@\""])
        .args(["-j", "16", "-i", "-"])
        .stdin(list)
        .run();
    outcome.assert_ok().assert_says("are downloaded at once at most");
    (0..20).for_each(|nth| sandbox.assert_ok_file(&PAYLOAD, &format!("f{nth}")));
}

#[test]
fn few_open_files_mean_few_connections_and_not_a_failure() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    let outcome = sandbox
        .haul()
        .under(["/bin/sh", "-c", "ulimit -n 48; exec \"$0\" \"$@\""])
        .args(["-x", "64", "-k", "64K"])
        .arg(server.url("/file.bin"))
        .run();
    outcome.assert_ok().assert_says("files may be open");
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
}

#[test]
fn where_too_few_files_may_be_open_for_anything_it_says_so_and_does_not_panic() {
    let server = Server::serve(PAYLOAD).start();
    for few in 4..=13 {
        for flags in [&[][..], &["--checksum-file", "http://127.0.0.1:1/list"]] {
            let sandbox = Sandbox::new();
            let outcome = sandbox
                .haul()
                .under(["/bin/sh", "-c", &format!("ulimit -n {few}; exec \"$0\" \"$@\"")])
                .args(flags)
                .arg(server.url("/file.bin"))
                .run();
            outcome.assert_failed(1).assert_says("too few files").assert_says("ulimit -n");
            sandbox.assert_empty();
        }
    }
}
