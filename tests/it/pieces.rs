//! Digests of pieces in a Metalink document: they show which source lies, and which bytes of a file are wrong.

use crate::mirrors::{blamed, changed_at};
use crate::resume::killed_after;
use crate::support::*;
use std::sync::atomic::{AtomicBool, Ordering};

const PAYLOAD: Payload = Payload::mib(911, 16);
/// Length of a piece in documents of `haul pieces` for files of this size.
const PIECE: u64 = MIB;

/// Writes a document of the payload with its pieces, as `haul pieces` makes it.
fn describe(sandbox: &Sandbox, servers: &[&Server]) {
    sandbox.write("file.bin", PAYLOAD.all());
    let mut haul = sandbox.haul().args(["pieces", "file.bin"]);
    for server in servers {
        haul = haul.args(["--url", &server.url("/file.bin")]);
    }
    let outcome = haul.run();
    outcome.assert_ok();
    sandbox.write("d.meta4", &outcome.stdout);
}

/// Takes the digest of the whole out of the document, so that the pieces alone say what the file is.
fn leave_pieces_alone(sandbox: &Sandbox) {
    let text = String::from_utf8(sandbox.read("d.meta4")).unwrap();
    let is_of_whole = |line: &&str| line.starts_with("    <hash ");
    assert_eq!(text.lines().filter(is_of_whole).count(), 1, "{text}");
    let kept: Vec<_> = text.lines().filter(|line| !is_of_whole(line)).collect();
    sandbox.write("d.meta4", kept.join("\n"));
}

/// Describes the payload by its pieces alone; the file is not there any more.
fn describe_by_pieces(sandbox: &Sandbox, servers: &[&Server]) {
    describe(sandbox, servers);
    leave_pieces_alone(sandbox);
    std::fs::remove_file(sandbox.path("file.bin")).unwrap();
}

fn fetch(sandbox: &Sandbox) -> Outcome {
    sandbox.haul().args(["--json", "-x", "4", "-k", "1M", "--metalink", "d.meta4"]).run()
}

fn served(servers: &[&Server]) -> u64 {
    servers.iter().map(|server| server.body_bytes()).sum()
}

#[test]
fn a_lying_mirror_is_shown_by_its_pieces_and_only_these_come_again() {
    for (liar, alone) in (0..3).flat_map(|liar| [(liar, false), (liar, true)]) {
        let lies = Resource::of(Payload::mib(912, 16)).etag("\"other\"");
        let servers: Vec<_> = (0..3)
            .map(|number| if number == liar { lies.clone() } else { Resource::of(PAYLOAD) })
            .map(|resource| Server::serve(resource).rate(8 * MIB).start())
            .collect();
        let all: Vec<_> = servers.iter().collect();
        let sandbox = Sandbox::new();
        describe(&sandbox, &all);
        if alone {
            leave_pieces_alone(&sandbox);
        }
        std::fs::remove_file(sandbox.path("file.bin")).unwrap();
        let outcome = fetch(&sandbox);
        outcome.assert_ok().assert_says("the digests of pieces show wrong bytes");
        sandbox.assert_ok_file(&PAYLOAD, "file.bin");
        assert_eq!(blamed(&outcome, &all), [liar], "{liar} lies: {outcome}");
        assert_eq!(outcome.done_event()["pieces"].is_object(), alone, "{outcome}");
        let honest = served(&all) - all[liar].body_bytes();
        // A piece that two sources gave parts of comes again as a whole.
        assert!(honest <= PAYLOAD.len + 5 * PIECE, "{honest} bytes of honest ones: {outcome}");
    }
}

#[test]
fn a_piece_damaged_on_its_way_comes_again_from_the_only_source() {
    let damaged = AtomicBool::new(false);
    let server = changed_at(PAYLOAD, 9 * MIB + 7, move || !damaged.swap(true, Ordering::Relaxed)).start();
    let sandbox = Sandbox::new();
    describe(&sandbox, &[&server]);
    std::fs::remove_file(sandbox.path("file.bin")).unwrap();
    let outcome = fetch(&sandbox);
    outcome.assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
    assert!(blamed(&outcome, &[&server]).is_empty(), "{outcome}");
    assert!(server.body_bytes() <= PAYLOAD.len + 3 * PIECE, "{}", server.describe());
}

#[test]
fn the_only_source_that_lies_again_and_again_gives_no_file() {
    let server = changed_at(PAYLOAD, 9 * MIB + 7, || true).start();
    let sandbox = Sandbox::new();
    describe(&sandbox, &[&server]);
    std::fs::remove_file(sandbox.path("file.bin")).unwrap();
    fetch(&sandbox).assert_failed(12);
    sandbox.assert_absent("file.bin");
    assert!(server.body_bytes() <= PAYLOAD.len + 4 * PIECE, "{}", server.describe());
}

#[test]
fn pieces_of_another_file_are_no_reason_to_refuse_one_that_has_its_digest() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    describe(&sandbox, &[&server]);
    let text = String::from_utf8(sandbox.read("d.meta4")).unwrap();
    let zeros = format!("      <hash>{}</hash>", "0".repeat(64));
    let of_pieces = |line: &str| line.starts_with("      <hash>");
    let wrong: Vec<_> = text.lines().map(|line| if of_pieces(line) { &zeros } else { line }).collect();
    sandbox.write("d.meta4", wrong.join("\n"));
    std::fs::remove_file(sandbox.path("file.bin")).unwrap();
    fetch(&sandbox).assert_ok();
    server.assert_cost(PAYLOAD.len);
    let malformed = text.replacen("      <hash>", "      <hash>nonsense", 1);
    sandbox.write("d.meta4", &malformed);
    let outcome = fetch(&sandbox);
    outcome.assert_failed(2).assert_says("line 3").assert_says("pieces");
}

#[test]
fn the_wrong_pieces_of_a_complete_file_are_repaired_and_nothing_else_is_fetched() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    describe(&sandbox, &[&server]);
    let repair = || sandbox.haul().args(["verify", "--repair", "file.bin", "--metalink", "d.meta4"]).run();
    repair().assert_ok().assert_says("intact");
    assert!(server.requests().is_empty());
    let mut bytes = PAYLOAD.all();
    bytes[5] ^= 1;
    bytes[(7 * MIB) as usize] ^= 1;
    sandbox.write("file.bin", &bytes);
    repair().assert_ok().assert_says("damaged at bytes 0-1048575, 7340032-8388607");
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
    // One byte is asked for to see what the server has.
    let mut cost = 2 * PIECE + 1;
    server.assert_cost(cost);
    for length in [PAYLOAD.len - 1, 3 * MIB + 5] {
        sandbox.write("file.bin", &PAYLOAD.all()[..length as usize]);
        repair().assert_ok();
        sandbox.assert_ok_file(&PAYLOAD, "file.bin");
        cost += (PAYLOAD.len - length).next_multiple_of(PIECE) + 1;
        server.assert_cost(cost);
    }
}

#[test]
fn a_complete_file_that_cannot_be_repaired_stays_as_it_is() {
    let server = Server::serve(Payload::mib(912, 16)).start();
    let sandbox = Sandbox::new();
    describe(&sandbox, &[&server]);
    let mut bytes = PAYLOAD.all();
    bytes[5] ^= 1;
    sandbox.write("file.bin", &bytes);
    let repair = |document: &str| {
        sandbox.haul().args(["verify", "--repair", "file.bin", "--metalink", document]).run()
    };
    repair("d.meta4").assert_failed(12);
    assert!(sandbox.read("file.bin") == bytes);
    sandbox.write(
        "plain.meta4",
        format!(
            "<metalink><file name=\"file.bin\"><hash type=\"sha-256\">{}</hash><url>{}</url></file></metalink>",
            PAYLOAD.sha256_hex(),
            server.url("/file.bin")
        ),
    );
    sandbox.haul().args(["rm", "file.bin"]).run();
    repair("plain.meta4").assert_failed(2).assert_says("states no digests of the pieces");
    assert!(sandbox.read("file.bin") == bytes);
}

#[test]
fn a_repair_that_is_killed_goes_on_and_the_file_stays_until_then() {
    let server = Server::serve(PAYLOAD).start();
    let gate = Gate::after(6 * MIB);
    server.set_gate(Some(&gate));
    let sandbox = Sandbox::new();
    describe(&sandbox, &[&server]);
    let bytes = vec![7; PAYLOAD.len as usize];
    sandbox.write("file.bin", &bytes);
    let repair = || {
        let args = ["verify", "--repair", "file.bin", "--json", "-x", "1", "--metalink", "d.meta4"];
        sandbox.haul().args(args)
    };
    let running = repair().spawn();
    running.wait_for_durable(2 * MIB);
    running.kill();
    server.set_gate(None);
    server.forget();
    assert!(sandbox.read("file.bin") == bytes);
    repair().run().assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
    server.assert_cost(PAYLOAD.len - 2 * MIB);
}

#[test]
fn strong_digests_of_all_pieces_prove_a_file_without_one_of_the_whole() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    describe_by_pieces(&sandbox, &[&server]);
    let outcome = fetch(&sandbox);
    outcome.assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
    let expected = serde_json::json!({
        "count": 16, "algorithm": "sha256", "by": "document", "name": "d.meta4", "weak": false,
    });
    assert_eq!(outcome.done_event()["pieces"], expected, "{outcome}");
    server.assert_cost(PAYLOAD.len);
    // Nothing is asked for a file that has these pieces.
    server.forget();
    let outcome = sandbox.haul().args(["--metalink", "d.meta4"]).run();
    outcome.assert_ok().assert_says("was there already, verified by 16 pieces of d.meta4");
    assert!(server.requests().is_empty(), "{}", server.describe());
    let mut bytes = PAYLOAD.all();
    bytes[(3 * MIB) as usize] ^= 1;
    sandbox.write("file.bin", &bytes);
    sandbox.haul().args(["--metalink", "d.meta4"]).run().assert_failed(10).assert_says("other pieces");
    assert!(sandbox.read("file.bin") == bytes);
}

#[test]
fn a_small_file_is_proven_by_its_only_piece_too() {
    let payload = Payload::new(913, 9000);
    for (served, code) in [(payload, 0), (Payload::new(914, 9000), 12)] {
        let server = Server::serve(served).start();
        let sandbox = Sandbox::new();
        let text = format!(
            "<metalink><file name=\"file.bin\"><pieces length=\"16384\" type=\"sha-256\"><hash>{}</hash></pieces><url>{}</url></file></metalink>",
            payload.sha256_hex(),
            server.url("/file.bin")
        );
        sandbox.write("d.meta4", &text);
        let outcome = sandbox.haul().args(["--metalink", "d.meta4"]).run();
        assert_eq!(outcome.code, Some(code), "{outcome}");
        match code {
            0 => {
                outcome.assert_says("verified by 1 piece of d.meta4");
                sandbox.assert_ok_file(&payload, "file.bin");
            }
            _ => sandbox.assert_absent("file.bin"),
        }
    }
}

#[test]
fn where_every_source_gives_a_wrong_piece_no_file_appears_and_the_next_run_fetches_that_piece() {
    let servers = [(), ()].map(|()| changed_at(PAYLOAD, 9 * MIB + 7, || true).rate(8 * MIB).start());
    let all: Vec<_> = servers.iter().collect();
    let sandbox = Sandbox::new();
    describe_by_pieces(&sandbox, &all);
    let outcome = fetch(&sandbox);
    outcome
        .assert_failed(12)
        .assert_says("1 of 16 pieces")
        .assert_says("d.meta4")
        .assert_says("9437184-10485759");
    assert_eq!(outcome.error_event()["resumable"], true, "{outcome}");
    sandbox.assert_kept("file.bin");
    for server in &servers {
        server.recover();
        server.forget();
    }
    let outcome = fetch(&sandbox);
    outcome.assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
    assert!(served(&all) <= 2 * PIECE, "{}: {outcome}", served(&all));
}

#[test]
fn digests_of_pieces_that_are_no_proof_change_nothing() {
    let server = Server::serve(PAYLOAD).start();
    let other = Server::serve(Payload::mib(912, 16)).start();
    let sandbox = Sandbox::new();
    describe_by_pieces(&sandbox, &[&server, &other]);
    let text = String::from_utf8(sandbox.read("d.meta4")).unwrap();
    let weak = |line: &str| match line.trim().strip_prefix("<hash>") {
        Some(hex) => format!("<hash>{}</hash>", &hex[..32]),
        None => line.replace("sha-256", "md5"),
    };
    sandbox.write("d.meta4", text.lines().map(weak).collect::<Vec<_>>().join("\n"));
    let outcome = sandbox.haul().args(["--metalink", "d.meta4"]).run();
    outcome.assert_ok().assert_says("no published digest");
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
    assert!(other.requests().is_empty(), "{}", other.describe());
}

#[test]
fn a_file_of_another_length_than_its_pieces_is_refused_before_it_is_fetched() {
    let server = Server::serve(Payload::mib(911, 17)).start();
    let sandbox = Sandbox::new();
    describe_by_pieces(&sandbox, &[&server]);
    let text = String::from_utf8(sandbox.read("d.meta4")).unwrap();
    let unsized_text: Vec<_> = text.lines().filter(|line| !line.contains("<size>")).collect();
    sandbox.write("d.meta4", unsized_text.join("\n"));
    let outcome = fetch(&sandbox);
    outcome.assert_failed(12).assert_says("16 pieces of 1048576 bytes").assert_says("17825792 bytes");
    sandbox.assert_absent("file.bin");
    assert!(server.body_bytes() < 6 * MIB, "{}", server.describe());
}

#[test]
fn what_was_begun_goes_on_without_a_validator_where_pieces_prove_it() {
    let server = Server::serve(Resource::of(PAYLOAD).no_validator()).start();
    let sandbox = Sandbox::new();
    describe_by_pieces(&sandbox, &[&server]);
    let kept = killed_after(&sandbox, &server, 8 * MIB, &["-x", "1"]);
    let outcome = fetch(&sandbox);
    outcome.assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
    assert!(outcome.start_event()["resumed"].as_u64().unwrap() >= kept, "{outcome}");
    server.assert_cost(PAYLOAD.len - kept + MIB);
}

#[test]
fn pieces_of_a_document_that_came_over_http_are_named_as_weak() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    describe_by_pieces(&sandbox, &[&server]);
    let text = String::from_utf8(sandbox.read("d.meta4")).unwrap();
    let home = Server::serve(PAYLOAD).behave(move |_, _| Reply::Answer(Answer::text(200, &text))).start();
    let outcome = sandbox.haul().args(["--metalink", &home.url("/d.meta4")]).run();
    outcome.assert_ok().assert_says(&format!("verified by 16 pieces of {} (weak)", home.url("/d.meta4")));
}

#[test]
fn into_a_pipe_pieces_prove_nothing_and_only_the_first_source_is_asked() {
    let (server, other) = (Server::serve(PAYLOAD).start(), Server::serve(PAYLOAD).start());
    let sandbox = Sandbox::new();
    describe_by_pieces(&sandbox, &[&server, &other]);
    let outcome = sandbox.haul().args(["--metalink", "d.meta4", "-o", "-"]).run();
    outcome.assert_ok();
    PAYLOAD.assert_is(&outcome.stdout);
    assert!(outcome.stderr.contains("no published digest") && other.requests().is_empty(), "{outcome}");
}

#[test]
fn the_wrong_pieces_of_a_complete_file_are_repaired_by_the_pieces_alone() {
    let server = Server::serve(Resource::of(PAYLOAD).no_validator()).start();
    let sandbox = Sandbox::new();
    describe(&sandbox, &[&server]);
    leave_pieces_alone(&sandbox);
    let mut bytes = PAYLOAD.all();
    bytes[(7 * MIB) as usize] ^= 1;
    sandbox.write("file.bin", &bytes);
    let repair = || sandbox.haul().args(["verify", "--repair", "file.bin", "--metalink", "d.meta4"]).run();
    repair().assert_ok().assert_says("damaged at bytes 7340032-8388607");
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
    server.assert_cost(PIECE + 1);
    repair().assert_ok().assert_says("every piece is intact");
}

#[test]
fn bytes_beyond_the_end_of_a_complete_file_are_cut_off_and_nothing_is_fetched_for_that() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    describe(&sandbox, &[&server]);
    for more in [5, 3 * MIB as usize] {
        let mut bytes = PAYLOAD.all();
        bytes.extend(vec![7; more]);
        sandbox.write("file.bin", &bytes);
        server.forget();
        let outcome = sandbox.haul().args(["verify", "--repair", "file.bin", "--metalink", "d.meta4"]).run();
        outcome.assert_ok().assert_says(&format!("{more} bytes too long"));
        sandbox.assert_ok_file(&PAYLOAD, "file.bin");
        server.assert_cost(MIB);
    }
}
