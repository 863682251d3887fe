//! `--minisign`: nothing is saved that the key has not signed, be it the file or the list that states its digest.

use crate::resume::killed_after;
use crate::support::*;
use std::collections::BTreeMap;

const PAYLOAD: Payload = Payload::mib(931, 4);
/// Fits into memory until it is complete.
const SMALL: Payload = Payload::new(932, 9000);
const OTHER: Payload = Payload::mib(933, 4);
const COMMENT: &str = "timestamp:1700000000\tfile:file.bin";

fn signer() -> Minisign {
    Minisign::new(7)
}

/// Serves the resource at paths that end in `.bin`, these texts, and nothing else.
fn serving(resource: impl Into<Resource>, texts: &[(&str, String)]) -> Server {
    let texts: BTreeMap<_, _> = texts.iter().map(|(path, text)| ((*path).to_owned(), text.clone())).collect();
    Server::serve(resource)
        .behave(move |request, _| match texts.get(request.path()) {
            Some(text) => Reply::Answer(Answer::text(200, text)),
            None if request.path().ends_with(".bin") => Reply::Normal,
            None => Reply::Status(404),
        })
        .start()
}

/// Serves the payload with a signature beside it.
fn signed(payload: Payload, signature: String) -> Server {
    serving(payload, &[("/file.bin.minisig", signature)])
}

fn fetch(sandbox: &Sandbox, server: &Server) -> Haul {
    told(sandbox, server).arg("--json")
}

/// The same in words.
fn told(sandbox: &Sandbox, server: &Server) -> Haul {
    sandbox.haul().args(["--minisign", &signer().public()]).arg(server.url("/file.bin"))
}

fn asked_for(server: &Server, path: &str) -> bool {
    server.requests().iter().any(|request| request.path() == path)
}

#[test]
fn a_signed_file_is_saved_and_its_signer_is_named() {
    for payload in [PAYLOAD, SMALL] {
        let server = signed(payload, signer().sign(&payload.all(), COMMENT));
        let sandbox = Sandbox::new();
        let outcome = fetch(&sandbox, &server).run();
        outcome.assert_ok();
        sandbox.assert_ok_file(&payload, "file.bin");
        let proof = &outcome.done_event()["proofs"][0];
        assert_eq!(
            [&proof["by"], &proof["name"], &proof["key"], &proof["trusted_comment"]],
            ["signature", &server.url("/file.bin.minisig"), &signer().id(), COMMENT],
            "{outcome}"
        );
        // A signature is as strong over http.
        assert_eq!(proof["weak"], false, "{outcome}");
        let words = told(&Sandbox::new(), &server).run();
        words.assert_ok().assert_says(&format!("verified by minisign key {}", signer().id()));
        words.assert_says("(trusted comment: timestamp:1700000000");
        // A file on disk is held against the signature, without any other traffic.
        server.forget();
        let again = fetch(&sandbox, &server).run();
        again.assert_ok();
        assert_eq!(again.done_event()["already_there"], true, "{again}");
        assert!(!asked_for(&server, "/file.bin"), "{}", server.describe());
        sandbox.write("file.bin", &payload.all()[1..]);
        fetch(&sandbox, &server).run().assert_failed(10).assert_says("is not what was signed");
    }
}

#[test]
fn a_file_that_was_not_signed_is_not_saved() {
    for payload in [PAYLOAD, SMALL] {
        let server = signed(payload, signer().sign(&OTHER.all(), COMMENT));
        let sandbox = Sandbox::new();
        let outcome = fetch(&sandbox, &server).run();
        outcome.assert_failed(12).assert_says(&signer().id()).assert_says("/file.bin.minisig");
        sandbox.assert_absent("file.bin");
    }
}

#[test]
fn without_a_usable_signature_of_the_key_no_byte_of_the_file_is_asked_for() {
    let bytes = SMALL.all();
    let key = signer();
    let changed = key.sign(&bytes, COMMENT).replacen("\ntrusted comment", "\ntrusted remark", 1);
    for (signature, said) in [
        (Some(Minisign::new(8).sign(&bytes, COMMENT)), "made with the key 0808080808080808, and not with"),
        (Some(key.sign_legacy(&bytes, COMMENT)), "minisign -H"),
        (Some("<html>not found</html>".to_owned()), "no signature of minisign"),
        (Some(changed), "no signature of minisign"),
        (None, "there is no signature"),
    ] {
        let texts: Vec<_> = signature.map(|text| ("/file.bin.minisig", text)).into_iter().collect();
        let server = serving(SMALL, &texts);
        let sandbox = Sandbox::new();
        let outcome = fetch(&sandbox, &server).run();
        outcome.assert_failed(12).assert_says(said).assert_says(&server.url("/file.bin.minisig"));
        sandbox.assert_empty();
        assert!(!asked_for(&server, "/file.bin"), "{said}: {}", server.describe());
    }
}

#[test]
fn a_comment_that_was_changed_gives_no_file() {
    let signature = signer().sign(&SMALL.all(), COMMENT).replacen("file:file.bin", "file:trick.bin", 1);
    let sandbox = Sandbox::new();
    fetch(&sandbox, &signed(SMALL, signature)).run().assert_failed(12);
    sandbox.assert_empty();
}

#[test]
fn a_malformed_key_is_told_with_the_forms_before_any_traffic() {
    let server = signed(SMALL, signer().sign(&SMALL.all(), COMMENT));
    let sandbox = Sandbox::new();
    sandbox.write("other.pub", "hello\n");
    let public = signer().public();
    for key in ["", "missing.pub", "other.pub", &public[1..], &public[..40]] {
        let outcome = sandbox.haul().args(["--minisign", key]).arg(server.url("/file.bin")).run();
        outcome.assert_failed(2).assert_says("begin with RW").assert_says(".pub file");
    }
    let outcome = sandbox
        .haul()
        .args(["--minisign", &public, "--range", "0-9", "-o", "x", &server.url("/file.bin")])
        .run();
    outcome.assert_failed(2).assert_says("--range");
    assert!(server.requests().is_empty(), "{}", server.describe());
    // The key may be in a file, as minisign writes it.
    sandbox.write("m.pub", format!("untrusted comment: minisign public key\n{public}\n"));
    sandbox.haul().args(["--minisign", "m.pub"]).arg(server.url("/file.bin")).run().assert_ok();
}

#[test]
fn a_digest_of_the_user_and_a_signature_must_both_be_right() {
    let server = signed(SMALL, signer().sign(&SMALL.all(), COMMENT));
    let sandbox = Sandbox::new();
    fetch(&sandbox, &server).args(["--sha256", &OTHER.sha256_hex()]).run().assert_failed(12);
    sandbox.assert_absent("file.bin");
    let outcome = fetch(&sandbox, &server).args(["--sha256", &SMALL.sha256_hex()]).run();
    outcome.assert_ok();
    let proofs = outcome.done_event()["proofs"].clone();
    let by: Vec<_> = proofs.as_array().unwrap().iter().map(|proof| proof["by"].as_str().unwrap()).collect();
    assert_eq!(by, ["request", "signature"], "{outcome}");
}

#[test]
fn after_a_kill_the_whole_file_is_verified_and_not_only_what_came_last() {
    // Without a validator only the signature lets the second run go on.
    for resource in [Resource::of(PAYLOAD), Resource::of(PAYLOAD).no_validator()] {
        let server = serving(resource, &[("/file.bin.minisig", signer().sign(&PAYLOAD.all(), COMMENT))]);
        let sandbox = Sandbox::new();
        let key = signer().public();
        killed_after(&sandbox, &server, 2 * MIB, &["-x", "1", "--minisign", &key]);
        let outcome = fetch(&sandbox, &server).run();
        outcome.assert_ok();
        assert!(outcome.start_event()["resumed"].as_u64().unwrap() > 0, "{outcome}");
        assert_eq!(outcome.done_event()["proofs"][0]["by"], "signature", "{outcome}");
        sandbox.assert_ok_file(&PAYLOAD, "file.bin");
    }
}

#[test]
fn other_bytes_of_an_earlier_run_are_found_by_the_signature() {
    let server = signed(PAYLOAD, signer().sign(&OTHER.all(), COMMENT));
    let sandbox = Sandbox::new();
    let key = signer().public();
    killed_after(&sandbox, &server, 2 * MIB, &["-x", "1", "--minisign", &key]);
    // The rest is of the file that was signed, under the same tag; what is there is of another one.
    server.replace(OTHER);
    let outcome = fetch(&sandbox, &server).run();
    outcome.assert_failed(12).assert_says(&signer().id());
    sandbox.assert_absent("file.bin");
    // Refused bytes are not built upon: the file comes as a whole.
    fetch(&sandbox, &server).run().assert_ok();
    sandbox.assert_ok_file(&OTHER, "file.bin");
}

#[test]
fn haul_resume_keeps_to_the_signature_that_the_first_run_had() {
    for (now, code) in [(PAYLOAD, 0), (OTHER, 12)] {
        let server = signed(PAYLOAD, signer().sign(&PAYLOAD.all(), COMMENT));
        let sandbox = Sandbox::new();
        let key = signer().public();
        killed_after(&sandbox, &server, 2 * MIB, &["-x", "1", "--minisign", &key]);
        let status = sandbox.haul().args(["status", "--json"]).run();
        let status = status.event("status");
        assert_eq!(status["key"], signer().id(), "{status}");
        assert!(status["command"].as_str().unwrap().ends_with(&format!("--minisign {key}")), "{status}");
        server.replace(now);
        let outcome = sandbox.haul().args(["resume", "--json"]).run();
        assert_eq!(outcome.code, Some(code), "{outcome}");
        match code {
            0 => assert_eq!(outcome.done_event()["proofs"][0]["key"], signer().id(), "{outcome}"),
            _ => sandbox.assert_absent("file.bin"),
        }
    }
}

#[test]
fn what_goes_into_a_pipe_is_verified_too() {
    for (stated, code) in [(SMALL, 0), (OTHER, 12)] {
        let server = signed(SMALL, signer().sign(&stated.all(), COMMENT));
        let args = ["--minisign", &signer().public(), "-o", "-"];
        let outcome = Sandbox::new().haul().args(args).arg(server.url("/file.bin")).run();
        assert_eq!(outcome.code, Some(code), "{outcome}");
        SMALL.assert_is(&outcome.stdout);
    }
}

#[test]
fn each_file_of_a_list_has_a_signature_of_its_own() {
    let right = signer().sign(&SMALL.all(), COMMENT);
    let server = serving(SMALL, &[("/a.bin.minisig", right.clone()), ("/b.bin.minisig", right)]);
    let sandbox = Sandbox::new();
    let key = signer().public();
    sandbox.write("list", format!("{}\n{}\n", server.url("/a.bin"), server.url("/b.bin")));
    sandbox.haul().args(["--minisign", &key, "-i", "list"]).run().assert_ok();
    for name in ["a.bin", "b.bin"] {
        sandbox.assert_ok_file(&SMALL, name);
    }
    sandbox.haul().args(["--minisign", &key]).arg(server.url("/c.bin")).run().assert_failed(12);
    sandbox.assert_absent("c.bin");
}

/// Lists of the digest of a payload, signed: right, changed afterwards, by another key, in the old form, and not at all.
fn lists() -> Vec<(&'static str, String, Option<String>, Option<&'static str>)> {
    let list = format!("{}  file.bin\n{}  x\n", SMALL.sha256_hex(), "0".repeat(64));
    let key = signer();
    let signature = key.sign(list.as_bytes(), "the list");
    let changed = list.replacen("  x\n", "  y\n", 1);
    let foreign = Minisign::new(8).sign(list.as_bytes(), "the list");
    let legacy = key.sign_legacy(list.as_bytes(), "the list");
    vec![
        ("right", list.clone(), Some(signature.clone()), None),
        ("legacy", list.clone(), Some(legacy), None),
        ("tampered", changed, Some(signature), Some("is not what the key 0707070707070707 has signed")),
        ("foreign", list.clone(), Some(foreign), Some("made with the key 0808080808080808")),
        ("malformed", list.clone(), Some("hello".to_owned()), Some("no signature of minisign")),
        ("unsigned", list, None, Some("there is no signature")),
    ]
}

#[test]
fn a_list_must_be_signed_before_a_byte_of_the_file_is_asked_for() {
    for (what, list, signature, refused) in lists() {
        let mut texts = vec![("/SUMS", list.clone())];
        texts.extend(signature.clone().map(|text| ("/SUMS.minisig", text)));
        let server = serving(SMALL, &texts);
        let sandbox = Sandbox::new();
        sandbox.write("SUMS", &list);
        if let Some(signature) = signature {
            sandbox.write("SUMS.minisig", signature);
        }
        for named in ["SUMS", &server.url("/SUMS")] {
            server.forget();
            let outcome = fetch(&sandbox, &server).args(["--checksum-file", named]).run();
            let Some(said) = refused else {
                outcome.assert_ok();
                let words = told(&sandbox, &server).args(["--checksum-file", named]).run();
                words
                    .assert_ok()
                    .assert_says(", signed by minisign key 0707070707070707 (trusted comment: the list)");
                let proof = &outcome.done_event()["proofs"][0];
                assert_eq!([&proof["by"], &proof["name"]], ["document", named], "{what}: {outcome}");
                assert_eq!(
                    [&proof["key"], &proof["trusted_comment"]],
                    [&signer().id(), "the list"],
                    "{outcome}"
                );
                assert_eq!(proof["weak"], false, "{what}: {outcome}");
                // The list is what was signed, and not the file.
                assert!(!asked_for(&server, "/file.bin.minisig"), "{what}");
                sandbox.assert_ok_file(&SMALL, "file.bin");
                std::fs::remove_file(sandbox.path("file.bin")).unwrap();
                continue;
            };
            outcome.assert_failed(12).assert_says(said).assert_says("SUMS.minisig");
            sandbox.assert_absent("file.bin");
            assert!(!asked_for(&server, "/file.bin"), "{what}: {}", server.describe());
        }
    }
    let piped = ["--minisign", &signer().public(), "--checksum-file", "-", "http://127.0.0.1:9/x.bin"];
    Sandbox::new().haul().args(piped).stdin("").run().assert_failed(2).assert_says("standard input");
}

#[test]
fn a_list_that_is_found_counts_only_if_it_is_signed() {
    for (what, list, signature, refused) in lists() {
        // The first list that is found is not signed, and is passed over.
        let decoy = format!("{}  file.bin\n", OTHER.sha256_hex());
        let mut texts = vec![("/file.bin.sha256", decoy), ("/SHA256SUMS", list)];
        texts.extend(signature.map(|text| ("/SHA256SUMS.minisig", text)));
        let server = serving(SMALL, &texts);
        let sandbox = Sandbox::new();
        let outcome = fetch(&sandbox, &server).arg("--find-checksum").run();
        match refused {
            None => {
                outcome.assert_ok();
                let proof = &outcome.done_event()["proofs"][0];
                assert_eq!(proof["name"], server.url("/SHA256SUMS"), "{what}: {outcome}");
                assert_eq!(proof["weak"], false, "{what}: {outcome}");
                sandbox.assert_ok_file(&SMALL, "file.bin");
            }
            Some(said) => {
                let said = if what == "unsigned" { "SHA256SUMS (not signed)" } else { said };
                outcome.assert_failed(12).assert_says(said);
                sandbox.assert_empty();
                assert!(!asked_for(&server, "/file.bin"), "{what}: {}", server.describe());
            }
        }
    }
}

#[test]
fn a_file_on_disk_is_verified_by_the_signature_beside_it() {
    let sandbox = Sandbox::new();
    let key = signer().public();
    let verify = || sandbox.haul().args(["verify", "file.bin", "--minisign", &key]).run();
    sandbox.write("file.bin", SMALL.all());
    verify().assert_failed(12).assert_says("there is no signature file.bin.minisig");
    sandbox.write("file.bin.minisig", signer().sign(&SMALL.all(), COMMENT));
    let outcome = verify();
    outcome.assert_ok().assert_says(&format!("file.bin: signed by minisign key {}", signer().id()));
    sandbox.write("file.bin.minisig", signer().sign_legacy(&SMALL.all(), COMMENT));
    verify().assert_failed(12).assert_says("minisign -H");
    sandbox.write("file.bin.minisig", signer().sign(&OTHER.all(), COMMENT));
    verify().assert_failed(12).assert_says("file.bin").assert_says(&signer().id());
    // A signed list vouches for all that it names.
    let list = format!("{}  file.bin\n", SMALL.sha256_hex());
    sandbox.write("SUMS", &list);
    sandbox.write("SUMS.minisig", signer().sign(list.as_bytes(), "the list"));
    let by_list = || sandbox.haul().args(["verify", "--checksum-file", "SUMS", "--minisign", &key]).run();
    by_list().assert_ok();
    sandbox.write("SUMS.minisig", signer().sign(b"another list", "the list"));
    by_list().assert_failed(12).assert_says("SUMS is not what the key");
    std::fs::remove_file(sandbox.path("file.bin")).unwrap();
    verify().assert_failed(9);
}

#[test]
fn what_another_program_has_begun_is_proven_by_the_signature() {
    let server = serving(
        Resource::of(PAYLOAD).no_validator(),
        &[("/file.bin.minisig", signer().sign(&PAYLOAD.all(), COMMENT))],
    );
    let sandbox = Sandbox::new();
    sandbox.write("left", PAYLOAD.bytes(0..MIB));
    let outcome = fetch(&sandbox, &server).args(["--adopt", "left"]).run();
    outcome.assert_ok();
    assert_eq!(outcome.done_event()["resumed"], MIB, "{outcome}");
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
}

#[test]
fn a_daemon_and_a_lock_have_no_use_for_the_key() {
    let sandbox = Sandbox::new();
    for command in ["serve", "sync"] {
        let outcome = sandbox.haul().args([command, "--minisign", &signer().public()]).run();
        outcome.assert_failed(2);
    }
}
