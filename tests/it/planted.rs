//! Part files and manifests from elsewhere: copied, unpacked, or planted.

use std::fs;

use crate::support::server::Record;
use crate::support::*;

const PAYLOAD: Payload = Payload::new(81, 300_000);

/// Builds a line of a manifest, as specified in `docs/manifest.md`.
fn line(record: &serde_json::Value) -> String {
    let text = record.to_string();
    format!("{:08x} {text}\n", crc32c::crc32c(text.as_bytes()))
}

/// A manifest that claims `bytes` of a file of `size` bytes from `url`; its recorded part file exists nowhere.
fn manifest(url: &str, bytes: &[u8], size: u64, etag: &str, document: Option<&str>) -> String {
    let mut file = serde_json::json!({
        "url": url, "complete_length": size, "etag": etag, "device": 1, "inode": 2,
    });
    if let Some(document) = document {
        file["document"] = document.into();
    }
    let have = serde_json::json!([0, bytes.len(), format!("{:08x}", crc32c::crc32c(bytes))]);
    [
        serde_json::json!({ "haul": 1 }),
        serde_json::json!({ "file": file }),
        serde_json::json!({ "have": have }),
    ]
    .iter()
    .map(line)
    .collect()
}

fn planted(sandbox: &Sandbox, url: &str, bytes: &[u8], etag: &str) {
    sandbox.write("file.bin.part", bytes);
    sandbox.write("file.bin.haul", manifest(url, bytes, bytes.len() as u64, etag, None));
    for name in ["file.bin.part", "file.bin.haul"] {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(sandbox.path(name), fs::Permissions::from_mode(0o600)).unwrap();
    }
}

fn versioned() -> Server {
    Server::serve(Resource::of(PAYLOAD).etag("\"v2\"")).start()
}

#[test]
fn a_complete_copy_costs_one_request_and_no_payload() {
    let server = versioned();
    let sandbox = Sandbox::new();
    planted(&sandbox, &server.url("/file.bin"), &PAYLOAD.bytes(0..PAYLOAD.len), "\"v2\"");
    sandbox.haul().arg(server.url("/file.bin")).run().assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
    assert_eq!((server.requests().len(), server.body_bytes()), (1, 0));
}

/// HEAD is advice.
#[test]
fn a_complete_copy_is_published_where_get_says_what_head_does_not() {
    for status in [403, 405] {
        let server = versioned();
        server.behave_with(
            move |request, _| if request.is_get() { Reply::Normal } else { Reply::Status(status) },
        );
        let sandbox = Sandbox::new();
        planted(&sandbox, &server.url("/file.bin"), &PAYLOAD.bytes(0..PAYLOAD.len), "\"v2\"");
        sandbox.haul().arg(server.url("/file.bin")).run().assert_ok();
        sandbox.assert_ok_file(&PAYLOAD, "file.bin");
        assert!(server.body_bytes() <= 1, "{}", server.describe());
    }
}

#[test]
fn a_complete_copy_of_which_nothing_shows_the_version_is_kept_and_not_published() {
    let server = Server::serve(Resource::of(PAYLOAD).etag("W/\"v2\"")).start();
    let url = server.url("/file.bin");
    let sandbox = Sandbox::new();
    planted(&sandbox, &url, &PAYLOAD.bytes(0..PAYLOAD.len), "W/\"v2\"");
    sandbox.haul().arg(&url).run().assert_failed(8).assert_says("--sha256");
    sandbox.assert_kept("file.bin");
    sandbox.haul().args(["--sha256", &PAYLOAD.sha256_hex()]).arg(&url).run().assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
}

#[test]
fn a_complete_copy_of_another_version_is_not_published() {
    let other = Payload::new(82, PAYLOAD.len);
    for (etag, length) in [("\"v1\"", other.len), ("\"v2\"", other.len - 1)] {
        let server = versioned();
        let url = server.url("/file.bin");
        let sandbox = Sandbox::new();
        planted(&sandbox, &url, &other.bytes(0..length), etag);
        sandbox.haul().arg("--no-restart").arg(&url).run().assert_failed(8);
        sandbox.assert_kept("file.bin");
        sandbox.haul().arg(&url).run().assert_ok();
        sandbox.assert_ok_file(&PAYLOAD, "file.bin");
    }
}

/// A check that failed in one run is repeated in the next.
#[test]
fn a_complete_copy_is_not_published_while_its_server_does_not_answer() {
    let server = versioned();
    let url = server.url("/file.bin");
    let sandbox = Sandbox::new();
    planted(&sandbox, &url, &Payload::new(82, PAYLOAD.len).bytes(0..PAYLOAD.len), "\"v1\"");
    server.behave_with(|_, _| Reply::Status(404));
    for _ in 0..2 {
        sandbox.haul().args(["--retry", "0"]).arg(&url).run().assert_failed(3);
        sandbox.assert_kept("file.bin");
    }
    server.recover();
    sandbox.haul().arg(&url).run().assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
}

#[test]
fn resume_sends_no_secrets_to_a_server_that_only_a_planted_manifest_names() {
    let server = versioned();
    let url = server.url("/file.bin");
    let secrets = ["--netrc-file", "netrc", "-H", "X-Key: S3CR"];
    let half = PAYLOAD.bytes(0..PAYLOAD.len / 2);
    for document in [None, Some(server.origin())] {
        for part in [None, Some(&half)] {
            let sandbox = Sandbox::new();
            sandbox.write("netrc", "machine 127.0.0.1 login me password S3CR");
            sandbox.write("file.bin.haul", manifest(&url, &half, PAYLOAD.len, "\"v2\"", document.as_deref()));
            if let Some(part) = part {
                planted(&sandbox, &url, part, "\"v2\"");
                sandbox
                    .write("file.bin.haul", manifest(&url, part, PAYLOAD.len, "\"v2\"", document.as_deref()));
                // A run without secrets binds the manifest to this part file, but does not make it the user's own.
                server.behave_with(|_, _| Reply::Status(404));
                sandbox.haul().args(["resume", "--retry", "0"]).run().assert_failed(3);
                server.recover();
            }
            let outcome = sandbox.haul().arg("resume").args(secrets).run();
            outcome.assert_ok().assert_says("no secrets are sent to http://");
            sandbox.assert_ok_file(&PAYLOAD, "file.bin");
            let heard = |record: &Record| record.has("authorization") || record.has("x-key");
            assert!(!server.requests().iter().any(heard), "{document:?}, {}", part.is_some());
            server.forget();
        }
    }
}

#[test]
fn resume_sends_secrets_to_a_server_that_the_user_names() {
    let server = versioned();
    let url = server.url("/file.bin");
    for named in [&url, &server.origin()] {
        let sandbox = Sandbox::new();
        sandbox.write(
            "file.bin.haul",
            manifest(&url, b"", PAYLOAD.len, "\"v2\"", None).replace("\"have\"", "\"x\""),
        );
        let outcome = sandbox.haul().args(["resume", ".", named, "-H", "X-Key: S3CR"]).run();
        outcome.assert_ok();
        assert!(!outcome.stderr.contains("no secrets"), "{outcome}");
        assert!(server.requests().iter().all(|record| record.has("x-key")), "{}", server.describe());
        server.forget();
    }
}
