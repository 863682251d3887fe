//! `--adopt`: what another program has begun is gone on with, once it is known to be the same.

use crate::crash::strace_works;
use crate::support::*;
use std::fs;

const PAYLOAD: Payload = Payload::mib(401, 8);
const HAVE: u64 = 5 * MIB + 77;

/// aria2's control file for these pieces of 1 MiB.
fn control(bits: u8) -> Vec<u8> {
    let mut bytes = vec![0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
    bytes.extend((1_u32 << 20).to_be_bytes());
    bytes.extend(PAYLOAD.len.to_be_bytes());
    bytes.extend([0; 8]);
    bytes.extend(1_u32.to_be_bytes());
    bytes.push(bits);
    bytes.extend([0; 4]);
    bytes
}

#[test]
fn a_prefix_of_curl_is_gone_on_with_under_any_name() {
    for name in ["file.bin", "file.bin.crdownload", "file.bin.part", "left.wget"] {
        let server = Server::serve(PAYLOAD).start();
        let sandbox = Sandbox::new();
        let prefix = PAYLOAD.bytes(0..HAVE);
        sandbox.write(name, &prefix);
        let mut haul = sandbox.haul().args(["--json", "--adopt", name]);
        if name.ends_with("crdownload") {
            haul = haul.args(["--sha256", &PAYLOAD.sha256_hex()]);
        }
        let outcome = haul.arg(server.url("/file.bin")).run();
        outcome.assert_ok();
        PAYLOAD.assert_file_is(&sandbox.path("file.bin"));
        let done = outcome.done_event();
        assert_eq!(done["resumed"], HAVE, "{outcome}");
        assert!(done["fetched"].as_u64().unwrap() <= PAYLOAD.len - HAVE + MIB, "{outcome}");
        // The original is still there: only samples of it were compared.
        match name {
            "file.bin" | "file.bin.part" => assert!(sandbox.read("file.bin.adopted") == prefix),
            _ => assert!(sandbox.read(name) == prefix),
        }
    }
}

#[test]
fn what_is_not_the_servers_file_is_left_alone() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    let url = server.url("/file.bin");
    let other = Payload::new(402, HAVE).all();
    sandbox.write("file.bin", &other);
    let outcome = sandbox.haul().args(["--adopt", "file.bin"]).arg(&url).run();
    outcome.assert_failed(8).assert_says("cannot be taken over");
    assert!(sandbox.read("file.bin") == other);
    assert_eq!(sandbox.entries(), ["file.bin"]);
    // One that is longer than the server's.
    let longer = Payload::new(403, PAYLOAD.len + 1).all();
    sandbox.write("file.bin", &longer);
    sandbox.haul().args(["--adopt", "file.bin"]).arg(&url).run().assert_failed(8);
    assert!(sandbox.read("file.bin") == longer);
    // One of a wrong byte between the places that are compared: only a digest finds it.
    let mut damaged = PAYLOAD.bytes(0..HAVE);
    damaged[300_000] ^= 1;
    sandbox.write("file.bin", &damaged);
    let digest = PAYLOAD.sha256_hex();
    let outcome = sandbox.haul().args(["--adopt", "file.bin", "--sha256", &digest]).arg(&url).run();
    outcome.assert_failed(12);
    assert!(sandbox.read("file.bin") == damaged);
}

#[test]
fn without_proof_or_ranges_nothing_is_taken_over() {
    let sandbox = Sandbox::new();
    sandbox.write("left", PAYLOAD.bytes(0..HAVE));
    sandbox.write("left.crdownload", PAYLOAD.bytes(0..HAVE));
    for (resource, left, code, said) in [
        (Resource::of(PAYLOAD).no_validator(), "left", 8, "validator"),
        (Resource::of(PAYLOAD).ignoring_ranges(), "left", 5, "no ranges"),
        (Resource::of(PAYLOAD), "left.crdownload", 2, "may have holes"),
        (Resource::of(PAYLOAD), "missing", 2, "cannot read"),
    ] {
        let server = Server::serve(resource).start();
        let outcome = sandbox.haul().args(["--adopt", left]).arg(server.url("/file.bin")).run();
        outcome.assert_failed(code).assert_says(said);
        sandbox.assert_absent("file.bin");
    }
    let server = Server::serve(PAYLOAD).start();
    let two = [server.url("/a"), server.url("/b")];
    sandbox.haul().args(["--adopt", "left"]).args(&two).run().assert_failed(2).assert_says("one URL");
}

#[test]
fn pieces_that_aria2_has_are_taken_and_no_others() {
    let server = Server::serve(PAYLOAD).start();
    for named in ["file.bin", "file.bin.aria2"] {
        let sandbox = Sandbox::new();
        // Pieces 0, 1 and 6 are there; the rest is rubbish.
        let mut bytes = Payload::new(404, PAYLOAD.len).all();
        for piece in [0, 1, 6] {
            let range = piece * MIB..(piece + 1) * MIB;
            bytes[range.start as usize..range.end as usize].copy_from_slice(&PAYLOAD.bytes(range));
        }
        sandbox.write("file.bin", bytes);
        sandbox.write("file.bin.aria2", control(0b1100_0010));
        let outcome = sandbox.haul().args(["--json", "--adopt", named]).arg(server.url("/file.bin")).run();
        outcome.assert_ok();
        PAYLOAD.assert_file_is(&sandbox.path("file.bin"));
        assert_eq!(outcome.done_event()["resumed"], 3 * MIB, "{outcome}");
    }
    let sandbox = Sandbox::new();
    sandbox.write("file.bin", PAYLOAD.all());
    fs::write(sandbox.path("file.bin.aria2"), b"nonsense").unwrap();
    sandbox.haul().args(["--adopt", "file.bin"]).arg(server.url("/file.bin")).run().assert_failed(2);
}

#[test]
fn an_adoption_of_the_file_itself_that_is_killed_goes_on_and_the_original_stays_until_then() {
    // A first half that is right, and bytes of another file.
    let mut original = PAYLOAD.bytes(0..4 * MIB);
    original.extend(Payload::new(405, MIB).all());
    let prepare = |sandbox: &Sandbox| {
        sandbox.write("file.bin", &original);
        sandbox.write("file.bin.aria2", control(0b1111_0000));
    };
    let digest = PAYLOAD.sha256_hex();
    for proof in [&[][..], &["--sha256", &digest]] {
        let server = Server::serve(PAYLOAD).start();
        // The comparison with the server passes the gate as well.
        let gate = Gate::after(3 * MIB);
        server.set_gate(Some(&gate));
        let sandbox = Sandbox::new();
        prepare(&sandbox);
        let adopt = || {
            let args = ["--json", "-x", "1", "--adopt", "file.bin"];
            sandbox.haul().args(args).args(proof).arg(server.url("/file.bin"))
        };
        let running = adopt().spawn();
        running.wait_for_durable(5 * MIB);
        running.kill();
        assert!(sandbox.read("file.bin") == original, "{:?}", sandbox.entries());
        assert!(sandbox.part("file.bin").is_file() && sandbox.manifest("file.bin").is_file());
        server.set_gate(None);
        server.forget();
        let outcome = adopt().run();
        outcome.assert_ok().assert_says("--adopt is left out");
        assert!(outcome.start_event()["resumed"].as_u64().unwrap() >= 5 * MIB, "{outcome}");
        sandbox.assert_ok_file(&PAYLOAD, "file.bin");
        server.assert_cost(PAYLOAD.len - 5 * MIB);
    }
}

#[test]
fn an_adoption_that_is_killed_and_then_refuted_leaves_the_original() {
    let server = Server::serve(PAYLOAD).start();
    let gate = Gate::after(2 * MIB);
    server.set_gate(Some(&gate));
    let sandbox = Sandbox::new();
    // Only the digest can tell that it is damaged.
    let mut original = PAYLOAD.bytes(0..HAVE);
    original[300_000] ^= 1;
    sandbox.write("file.bin", &original);
    let digest = PAYLOAD.sha256_hex();
    let adopt = || {
        let args = ["--json", "-x", "1", "--adopt", "file.bin", "--sha256", &digest];
        sandbox.haul().args(args).arg(server.url("/file.bin"))
    };
    let running = adopt().spawn();
    running.wait_for_durable(HAVE + MIB);
    running.kill();
    server.set_gate(None);
    adopt().run().assert_failed(12);
    assert!(sandbox.read("file.bin") == original, "{:?}", sandbox.entries());
}

#[test]
fn a_kill_at_any_step_of_an_adoption_leaves_the_original_or_the_proven_file() {
    if !strace_works() {
        return;
    }
    let server = Server::serve(PAYLOAD).start();
    let original = PAYLOAD.bytes(0..HAVE);
    let mut kills = 0;
    for call in ["fsync", "fdatasync", "renameat", "renameat2", "unlink", "unlinkat"] {
        for n in 1..6 {
            let sandbox = Sandbox::new();
            sandbox.write("file.bin", &original);
            let adopt = || sandbox.haul().args(["--adopt", "file.bin"]).arg(server.url("/file.bin"));
            let (trace, inject) = (format!("trace={call}"), format!("inject={call}:signal=KILL:when={n}"));
            let strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", &trace, "-e", &inject];
            let outcome = adopt().under(strace).run();
            let now = sandbox.read("file.bin");
            assert!(now == original || PAYLOAD.compare(&now[..]).is_ok(), "killed at {call} number {n}");
            if outcome.code == Some(0) {
                break;
            }
            kills += 1;
            // A kill before anything was recorded lets the same command adopt anew.
            adopt().run().assert_ok();
            PAYLOAD.assert_file_is(&sandbox.path("file.bin"));
        }
    }
    assert!(kills > 5, "only {kills} calls were met");
}

#[test]
fn blocks_of_pieces_that_aria2_had_under_way_are_taken_too_and_its_control_file_goes_with_the_proven_file() {
    let server = Server::serve(PAYLOAD).start();
    // Piece 0 is there, and of piece 3 the first eight blocks of 16 KiB.
    let mut bytes = Payload::new(404, PAYLOAD.len).all();
    for range in [0..MIB, 3 * MIB..3 * MIB + 128 * 1024] {
        bytes[range.start as usize..range.end as usize].copy_from_slice(&PAYLOAD.bytes(range));
    }
    let mut left = control(0b1000_0000);
    left.truncate(left.len() - 4);
    for number in [1_u32, 3, 1 << 20, 8] {
        left.extend(number.to_be_bytes());
    }
    left.extend([0xff, 0, 0, 0, 0, 0, 0, 0]);
    let prepare = |sandbox: &Sandbox| {
        sandbox.write("file.bin", &bytes);
        sandbox.write("file.bin.aria2", &left);
    };
    let adopt = |sandbox: &Sandbox, more: &[&str]| {
        sandbox.haul().args(["--json", "--adopt", "file.bin"]).args(more).arg(server.url("/file.bin")).run()
    };
    let digest = PAYLOAD.sha256_hex();
    for (more, stay) in [
        (&["--sha256", &digest[..]][..], &["file.bin"][..]),
        (&[], &["file.bin", "file.bin.adopted", "file.bin.aria2"]),
    ] {
        let sandbox = Sandbox::new();
        prepare(&sandbox);
        let outcome = adopt(&sandbox, more);
        outcome.assert_ok();
        PAYLOAD.assert_file_is(&sandbox.path("file.bin"));
        assert_eq!(outcome.done_event()["resumed"], MIB + 128 * 1024, "{outcome}");
        assert_eq!(sandbox.entries(), stay);
    }
    // Beside a file that stays the control file stays as well, and so it does where nothing is proven.
    for (more, code) in [(&["-o", "other"][..], 0), (&["--sha256", &"0".repeat(64)][..], 12)] {
        let sandbox = Sandbox::new();
        prepare(&sandbox);
        assert_eq!(adopt(&sandbox, more).code, Some(code));
        assert!(sandbox.read("file.bin") == bytes && sandbox.read("file.bin.aria2") == left, "{more:?}");
    }
}

#[test]
fn a_directory_is_not_adopted_and_nothing_is_asked_for_it() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    let outcome = sandbox.haul().args(["--adopt", "."]).arg(server.url("/file.bin")).run();
    outcome.assert_failed(2).assert_says("--adopt: . is a directory");
    assert!(server.requests().is_empty());
}
