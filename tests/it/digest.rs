//! Verification that the file is the published one.

use crate::support::*;

const PAYLOAD: Payload = Payload::mib(51, 8);

const ABC: &[(&str, &str)] = &[
    ("sha256", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    (
        "sha512",
        "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
    ),
    (
        "blake2b",
        "ba80a53f981c4d0d6a2797b69f12f6e94c212f14685ac4b74b12bb6fdbffa2d17d87c5392aab792dc252d5de4533cc9518d38aa8dbf1925ab92386edd4009923",
    ),
    ("blake3", "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85"),
    ("sha1", "a9993e364706816aba3e25717850c26c9cd0d89d"),
    ("md5", "900150983cd24fb0d6963f7d28e17f72"),
];

const ZERO_SHA256: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Serves "abc", whose digests are well known.
fn abc_server() -> Server {
    Server::serve(Payload::new(1, 3))
        .handler(|_, exchange| {
            let mut answer = Answer::text(200, "abc");
            answer.set("ETag", "\"abc\"").set("Content-Type", "application/octet-stream");
            exchange.send(&answer);
        })
        .start()
}

#[test]
fn the_right_digest_lets_the_file_through() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    let outcome =
        sandbox.haul().args(["--json", "--sha256", &PAYLOAD.sha256_hex()]).arg(server.url("/file.bin")).run();
    outcome.assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
    let digests = outcome.done_event()["digests"].to_string();
    assert!(digests.contains(&PAYLOAD.sha256_hex()), "{digests}");
}

#[test]
fn a_wrong_digest_is_shown_beside_the_right_one_and_no_file_appears() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    let outcome = sandbox.haul().args(["--sha256", ZERO_SHA256]).arg(server.url("/file.bin")).run();
    outcome.assert_failed(12);
    outcome.assert_says(ZERO_SHA256);
    outcome.assert_says(&PAYLOAD.sha256_hex());
    sandbox.assert_absent("file.bin");
    server.assert_cost(PAYLOAD.len + 8 * MIB);
    sandbox.haul().args(["--sha256", &PAYLOAD.sha256_hex()]).arg(server.url("/file.bin")).run().assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
}

#[test]
fn every_algorithm_is_checked_in_every_spelling() {
    let server = abc_server();
    let sandbox = Sandbox::new();
    for (algorithm, hex) in ABC {
        for spec in [
            format!("{algorithm}:{hex}"),
            format!("{algorithm}={hex}"),
            format!("{algorithm}:{}", hex.to_uppercase()),
        ] {
            let outcome = sandbox
                .haul()
                .args(["--if-exists", "overwrite", "--checksum", &spec])
                .arg(server.url("/abc"))
                .run();
            outcome.assert_ok();
            assert_eq!(sandbox.read("abc"), b"abc", "{spec}");
        }
        let wrong = format!("{algorithm}:{}", "0".repeat(hex.len()));
        let outcome =
            sandbox.haul().args(["-o", "never", "--checksum", &wrong]).arg(server.url("/abc")).run();
        outcome.assert_failed(12);
        outcome.assert_says(hex);
        sandbox.assert_absent("never");
    }
}

#[test]
fn a_digest_may_be_written_as_subresource_integrity_or_with_a_hyphen() {
    let server = abc_server();
    let sandbox = Sandbox::new();
    let sri = "sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=";
    let hyphen = format!("sha-256={}", ABC[0].1);
    for (name, spec) in [("sri", sri), ("hyphen", hyphen.as_str())] {
        sandbox.haul().args(["-o", name, "--checksum", spec]).arg(server.url("/abc")).run().assert_ok();
        assert_eq!(sandbox.read(name), b"abc");
    }
}

#[test]
fn several_digests_have_to_agree() {
    let server = abc_server();
    let sandbox = Sandbox::new();
    let good = format!("sha512:{}", ABC[1].1);
    let outcome =
        sandbox.haul().args(["--sha256", ZERO_SHA256, "--checksum", &good]).arg(server.url("/abc")).run();
    outcome.assert_failed(12);
    sandbox.assert_absent("abc");
}

#[test]
fn a_digest_of_the_wrong_length_or_alphabet_is_a_usage_error() {
    let server = abc_server();
    let sandbox = Sandbox::new();
    let short = &ABC[0].1[1..];
    let long = format!("{}0", ABC[0].1);
    let strange = format!("{}zz", &ABC[0].1[2..]);
    for digest in ["", "abc", short, &long, &strange] {
        sandbox.haul().args(["--sha256", digest]).arg(server.url("/abc")).run().assert_failed(2);
    }
    for spec in ["sha256", "sha257:00", "crc:00", "md5:zz", "sha256-!!!!"] {
        sandbox.haul().args(["--checksum", spec]).arg(server.url("/abc")).run().assert_failed(2);
    }
    sandbox.assert_empty();
    assert_eq!(server.connections(), 0);
}

#[test]
fn a_checksum_file_that_does_not_name_the_file_is_no_proof() {
    let server = abc_server();
    let sandbox = Sandbox::new();
    let sums = sandbox.root().join("SUMS");
    std::fs::write(&sums, format!("{}  other\n", ABC[0].1)).unwrap();
    let outcome = sandbox.haul().arg("--checksum-file").arg(&sums).arg(server.url("/abc")).run();
    assert!(outcome.code != Some(0), "{outcome}");
    sandbox.assert_absent("abc");
}

#[test]
fn a_target_that_has_the_digest_already_is_success_without_traffic() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    sandbox.write("file.bin", PAYLOAD.all());
    let outcome = sandbox.haul().args(["--sha256", &PAYLOAD.sha256_hex()]).arg(server.url("/file.bin")).run();
    outcome.assert_ok();
    assert_eq!(server.connections(), 0);
    PAYLOAD.assert_file_is(&sandbox.path("file.bin"));
}
