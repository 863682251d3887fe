//! Digests that servers publish: in fields of a response, and in lists beside the file.

use crate::support::*;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

const PAYLOAD: Payload = Payload::mib(321, 4);
/// Fits into memory until it is complete.
const SMALL: Payload = Payload::new(322, 9000);
const OTHER: Payload = Payload::new(323, 9000);

pub(crate) fn base64_of(payload: Payload) -> String {
    let hex = payload.sha256_hex();
    let bytes: Vec<u8> =
        (0..32).map(|index| u8::from_str_radix(&hex[2 * index..2 * index + 2], 16).unwrap()).collect();
    STANDARD.encode(bytes)
}

/// A field and its value for a payload.
fn fields(payload: Payload) -> [(&'static str, String); 5] {
    [
        ("Repr-Digest", format!("sha-256=:{}:", base64_of(payload))),
        ("Digest", format!("SHA-256={}", base64_of(payload))),
        ("Docker-Content-Digest", format!("sha256:{}", payload.sha256_hex())),
        ("X-Checksum-SHA256", payload.sha256_hex()),
        ("X-Linked-ETag", format!("\"{}\"", payload.sha256_hex())),
    ]
}

#[test]
fn a_bare_url_is_verified_by_what_its_server_states() {
    for payload in [PAYLOAD, SMALL] {
        for (field, value) in fields(payload) {
            let server = Server::serve(Resource::of(payload).header(field, &value)).start();
            let sandbox = Sandbox::new();
            let outcome = sandbox.haul().arg("--json").arg(server.url("/file.bin")).run();
            outcome.assert_ok();
            sandbox.assert_ok_file(&payload, "file.bin");
            let proof = &outcome.done_event()["proofs"][0];
            assert_eq!(proof["digest"], format!("sha256:{}", payload.sha256_hex()), "{outcome}");
            assert_eq!([&proof["by"], &proof["name"]], ["server", field], "{outcome}");
            // Over http the file and its digest came the same way.
            assert_eq!(proof["weak"], true, "{outcome}");
        }
    }
}

#[test]
fn what_contradicts_the_stated_digest_is_not_saved_and_the_field_is_named() {
    for payload in [PAYLOAD, SMALL] {
        for (field, value) in fields(OTHER) {
            let server = Server::serve(Resource::of(payload).header(field, &value)).start();
            let sandbox = Sandbox::new();
            let outcome = sandbox.haul().arg(server.url("/file.bin")).run();
            outcome.assert_failed(12).assert_says(field).assert_says("the server states");
            sandbox.assert_absent("file.bin");
            // The user's digest always wins.
            let right = payload.sha256_hex();
            sandbox.haul().args(["--sha256", &right]).arg(server.url("/file.bin")).run().assert_ok();
            sandbox.assert_ok_file(&payload, "file.bin");
        }
    }
}

#[test]
fn a_digest_of_the_content_counts_where_one_response_or_head_is_about_the_whole_file() {
    let amz = |payload: Payload| [("X-Amz-Checksum-SHA256", base64_of(payload))];
    let content = |payload: Payload| [("Content-Digest", format!("sha-256=:{}:", base64_of(payload)))];
    for (payload, fields) in [(SMALL, content(SMALL)), (SMALL, amz(SMALL)), (PAYLOAD, amz(PAYLOAD))] {
        for (stated, code) in [(payload, 0), (OTHER, 12)] {
            let (field, _) = fields[0].clone();
            let value = if field.starts_with("Content") { content(stated) } else { amz(stated) };
            // It would be that of a part, if a response to a part had it: only HEAD tells it of a file in several ranges.
            let resource = Resource::of(payload).header(field, &value[0].1);
            let server = Server::serve(resource).rate(MIB).start();
            let sandbox = Sandbox::new();
            let outcome = sandbox.haul().arg("--json").arg(server.url("/file.bin")).run();
            assert_eq!(outcome.code, Some(code), "{field}: {outcome}");
            match code {
                0 => assert_eq!(outcome.done_event()["proofs"][0]["name"], field, "{outcome}"),
                _ => {
                    outcome.assert_says(field);
                    sandbox.assert_absent("file.bin");
                }
            }
        }
    }
}

#[test]
fn of_several_strong_digests_none_may_contradict_the_file() {
    for payload in [PAYLOAD, SMALL] {
        let resource = Resource::of(payload)
            .header("X-Checksum-SHA256", &payload.sha256_hex())
            .header("X-Checksum-SHA512", &"0".repeat(128));
        let server = Server::serve(resource).start();
        let sandbox = Sandbox::new();
        let outcome = sandbox.haul().arg(server.url("/file.bin")).run();
        outcome.assert_failed(12).assert_says("X-Checksum-SHA512");
        sandbox.assert_absent("file.bin");
    }
}

#[test]
fn what_goes_into_a_pipe_is_held_against_it_too() {
    for (stated, code) in [(SMALL, 0), (OTHER, 12)] {
        let (field, value) = fields(stated)[0].clone();
        let server = Server::serve(Resource::of(SMALL).header(field, &value)).start();
        let outcome = Sandbox::new().haul().args(["-o", "-"]).arg(server.url("/file.bin")).run();
        assert_eq!(outcome.code, Some(code), "{outcome}");
        SMALL.assert_is(&outcome.stdout);
    }
}

#[test]
fn a_resumed_file_is_held_against_it_too() {
    for (stated, code) in [(PAYLOAD, 0), (OTHER, 12)] {
        let (field, value) = fields(stated)[0].clone();
        let gate = Gate::after(MIB);
        let server = Server::serve(Resource::of(PAYLOAD).header(field, &value)).gate(&gate).start();
        let sandbox = Sandbox::new();
        let running = sandbox.haul().args(["--json", "-x", "1"]).arg(server.url("/file.bin")).spawn();
        running.wait_for_durable(1);
        running.signal("TERM");
        running.wait();
        server.recover();
        let outcome = sandbox.haul().arg("--json").arg(server.url("/file.bin")).run();
        assert_eq!(outcome.code, Some(code), "{outcome}");
        if code == 0 {
            assert!(outcome.start_event()["resumed"].as_u64().unwrap() > 0, "{outcome}");
            assert_eq!(outcome.done_event()["proofs"][0]["name"], field, "{outcome}");
        }
    }
}

#[test]
fn a_hub_states_the_digest_of_what_its_redirect_leads_to() {
    for (stated, code) in [(SMALL, 0), (OTHER, 12)] {
        let tag = format!("\"{}\"", stated.sha256_hex());
        let store = Server::serve(SMALL).start();
        let target = store.url("/blob");
        let hub = Server::serve(SMALL)
            .handler(move |_, exchange| {
                exchange.send_head(
                    302,
                    &[("Location", &target), ("X-Linked-ETag", &tag), ("Content-Length", "0")],
                );
            })
            .start();
        let sandbox = Sandbox::new();
        let outcome = sandbox.haul().arg(hub.url("/model.bin")).run();
        assert_eq!(outcome.code, Some(code), "{outcome}");
        outcome.assert_says("X-Linked-ETag");
    }
}

#[test]
fn a_file_without_a_published_digest_says_so() {
    let server = Server::serve(SMALL).start();
    let sandbox = Sandbox::new();
    let outcome = sandbox.haul().arg(server.url("/file.bin")).run();
    outcome.assert_ok().assert_says("no published digest");
    assert_eq!(server.requests()[0].header("want-repr-digest"), Some("sha-256=10, sha-512=5"));
}

#[test]
fn a_list_beside_the_file_is_found_only_when_it_is_wanted() {
    for list in ["/d/file.bin.sha256", "/d/SHA256SUMS", "/d/checksums.txt"] {
        for (stated, code) in [(SMALL, 0), (OTHER, 12)] {
            let text = format!("{}  file.bin\n{}  x\n", stated.sha256_hex(), "0".repeat(64));
            let server = Server::serve(SMALL)
                .handler(move |request, exchange| match request.path() {
                    "/d/file.bin" => exchange.serve(),
                    path if path == list => exchange.send(&Answer::text(200, &text)),
                    _ => exchange.status(404),
                })
                .start();
            let sandbox = Sandbox::new();
            let url = server.url("/d/file.bin");
            let outcome = sandbox.haul().args(["--json", "--find-checksum"]).arg(&url).run();
            assert_eq!(outcome.code, Some(code), "{outcome}");
            if code == 0 {
                let proof = &outcome.done_event()["proofs"][0];
                assert_eq!([&proof["by"], &proof["name"]], ["document", &server.url(list)[..]], "{outcome}");
                // Over http, anybody on the way could have changed both.
                assert_eq!(proof["weak"], true, "{outcome}");
            }
            let asked = server.requests().len();
            Sandbox::new().haul().arg(&url).run().assert_ok();
            let more = server.requests().split_off(asked);
            assert!(more.iter().all(|request| request.path() == "/d/file.bin"), "{more:?}");
        }
    }
}

#[test]
fn a_document_that_states_the_digest_is_named_and_the_users_own_digest_comes_first() {
    let server = Server::serve(SMALL).start();
    let sandbox = Sandbox::new();
    let (digest, url) = (SMALL.sha256_hex(), server.url("/file.bin"));
    sandbox.write("SUMS", format!("{digest}  file.bin\n{}  x\n", "0".repeat(64)));
    let metalink = format!(
        "<metalink><file name=\"file.bin\"><hash type=\"sha-256\">{digest}</hash><url>{url}</url></file></metalink>"
    );
    sandbox.write("d.meta4", metalink);
    let own = ["--sha256", &digest];
    for (args, by, name) in [
        (vec!["--checksum-file", "SUMS", &url], "document", Some("SUMS")),
        (vec!["--metalink", "d.meta4"], "document", Some("d.meta4")),
        ([&own[..], &["--checksum-file", "SUMS", &url]].concat(), "request", None),
        ([&own[..], &["--metalink", "d.meta4"]].concat(), "request", None),
    ] {
        let outcome = sandbox.haul().arg("--json").args(&args).run();
        outcome.assert_ok();
        let proof = &outcome.done_event()["proofs"][0];
        assert_eq!((proof["by"].as_str(), proof["name"].as_str()), (Some(by), name), "{outcome}");
        assert_eq!(proof["weak"], false, "{outcome}");
        std::fs::remove_file(sandbox.path("file.bin")).unwrap();
    }
}

#[test]
fn where_no_list_names_the_file_nothing_is_fetched() {
    let server = Server::serve(SMALL)
        .behave(|request, _| match request.path() {
            "/d/file.bin" => Reply::Normal,
            // A page that says in words that there is nothing.
            "/d/SHA256SUMS" => Reply::Answer(Answer::text(200, "<html>not found</html>")),
            _ => Reply::Status(404),
        })
        .start();
    let sandbox = Sandbox::new();
    let outcome = sandbox.haul().arg("--find-checksum").arg(server.url("/d/file.bin")).run();
    outcome.assert_failed(12).assert_says("file.bin.sha256").assert_says("SHA256SUMS");
    sandbox.assert_empty();
    assert!(server.requests().iter().all(|request| request.path() != "/d/file.bin"));
}

#[test]
fn a_checksum_against_damage_is_checked_and_named_as_weak() {
    let big_endian = |payload: Payload| STANDARD.encode(crc32c::crc32c(&payload.all()).to_be_bytes());
    for (payload, flags) in [(PAYLOAD, ["-x", "4"]), (SMALL, ["-x", "4"]), (PAYLOAD, ["-x", "1"])] {
        for (stated, code) in [(payload, 0), (Payload::new(324, payload.len), 12)] {
            // What the store is asked for in one answer is stated by this field as well.
            let amazon = if flags[1] == "1" { "X-Amz-Checksum-CRC32C" } else { "X-Unknown" };
            let google = if flags[1] == "1" { "X-Unknown" } else { "X-Goog-Hash" };
            let resource = Resource::of(payload)
                .header(google, &format!("crc32c={}", big_endian(stated)))
                .header(amazon, &big_endian(stated));
            let server = Server::serve(resource).start();
            let sandbox = Sandbox::new();
            let outcome = sandbox.haul().arg("--json").args(flags).arg(server.url("/file.bin")).run();
            assert_eq!(outcome.code, Some(code), "{outcome}");
            let field = if flags[1] == "1" { amazon } else { google };
            if code == 12 {
                outcome.assert_says(field);
                sandbox.assert_absent("file.bin");
                continue;
            }
            sandbox.assert_ok_file(&payload, "file.bin");
            let proof = &outcome.done_event()["proofs"][0];
            assert_eq!((&proof["name"], &proof["weak"]), (&field.into(), &true.into()), "{outcome}");
            assert!(proof["digest"].as_str().unwrap().starts_with("crc32c:"), "{outcome}");
        }
    }
}

#[test]
fn a_checksum_against_damage_counts_only_where_nothing_better_is_stated() {
    let wrong_crc = STANDARD.encode([1, 2, 3, 4]);
    let md5 = STANDARD.encode([7; 16]);
    let resource = Resource::of(SMALL)
        .header("X-Goog-Hash", &format!("crc32c={wrong_crc}"))
        .header("Repr-Digest", &format!("sha-256=:{}:", base64_of(SMALL)));
    let server = Server::serve(resource).start();
    Sandbox::new().haul().arg(server.url("/file.bin")).run().assert_ok();
    server.replace(Resource::of(SMALL).header("X-Goog-Hash", &format!("crc32c={wrong_crc},md5={md5}")));
    let outcome = Sandbox::new().haul().arg(server.url("/file.bin")).run();
    outcome.assert_failed(12).assert_says("the server states md5:");
    // Of an upload in parts the checksum is one of checksums.
    for composite in ["AQIDBA==-3", "AQIDBA=="] {
        let fields = Resource::of(SMALL)
            .header("X-Amz-Checksum-CRC32C", composite)
            .header("X-Amz-Checksum-Type", "COMPOSITE");
        server.replace(fields);
        let outcome = Sandbox::new().haul().args(["-x", "1"]).arg(server.url("/file.bin")).run();
        outcome.assert_ok().assert_says("no published digest");
    }
}
