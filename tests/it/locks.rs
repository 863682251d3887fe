//! `haul add` and `haul sync`: a directory is what its lock says.

use crate::support::*;
use std::fs;

const PAYLOAD: Payload = Payload::new(391, 70_000);

#[test]
fn what_was_added_is_fetched_again_only_where_it_is_missing() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    sandbox.haul().args(["add", &server.url("/a.bin")]).run().assert_ok();
    sandbox.haul().args(["add", "-o", "d/b.bin", &server.url("/b.bin")]).run().assert_ok();
    let lock = String::from_utf8(sandbox.read("haul.lock")).unwrap();
    for said in ["path = \"a.bin\"", "path = \"d/b.bin\"", &PAYLOAD.sha256_hex(), "size = 70000", "etag = "] {
        assert!(lock.contains(said), "{lock}");
    }
    let asked = server.requests().len();
    sandbox.haul().arg("sync").run().assert_ok();
    sandbox.haul().args(["sync", "--frozen"]).run().assert_ok();
    assert_eq!(server.requests().len(), asked, "what is there is not asked for");
    fs::remove_file(sandbox.path("d/b.bin")).unwrap();
    sandbox.haul().args(["sync", "--frozen"]).run().assert_ok();
    PAYLOAD.assert_file_is(&sandbox.path("d/b.bin"));
    assert_eq!(String::from_utf8(sandbox.read("haul.lock")).unwrap(), lock);
}

#[test]
fn a_file_that_is_another_one_is_refused_and_left_alone() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    sandbox.haul().args(["add", &server.url("/a.bin"), &server.url("/b.bin")]).run().assert_ok();
    let mut bytes = PAYLOAD.all();
    bytes[7] ^= 1;
    for wrong in [bytes, b"short".to_vec()] {
        sandbox.write("a.bin", &wrong);
        fs::remove_file(sandbox.path("b.bin")).unwrap();
        let outcome = sandbox.haul().arg("sync").run();
        outcome.assert_failed(12).assert_says("a.bin is not what the lock says");
        assert_eq!(sandbox.read("a.bin"), wrong);
        // The others are brought in all the same.
        PAYLOAD.assert_file_is(&sandbox.path("b.bin"));
    }
    // The server has another file now.
    server.replace(Payload::new(392, 70_000));
    fs::remove_file(sandbox.path("b.bin")).unwrap();
    fs::remove_file(sandbox.path("a.bin")).unwrap();
    let outcome = sandbox.haul().arg("sync").run();
    assert_eq!(outcome.code, Some(12), "{outcome}");
    sandbox.assert_absent("a.bin");
}

#[test]
fn a_file_that_the_lock_states_no_digest_of_is_never_taken_for_the_right_one() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    sandbox.haul().args(["add", &server.url("/a.bin")]).run().assert_ok();
    let lock = String::from_utf8(sandbox.read("haul.lock")).unwrap();
    let open: String =
        lock.lines().filter(|line| !line.starts_with("sha256")).map(|line| format!("{line}\n")).collect();
    let mut wrong = PAYLOAD.all();
    wrong[7] ^= 1;
    for present in [wrong, PAYLOAD.all()] {
        sandbox.write("haul.lock", &open);
        sandbox.write("a.bin", &present);
        let outcome = sandbox.haul().arg("sync").run();
        outcome.assert_failed(12).assert_says("no digest is locked");
        assert_eq!(sandbox.read("a.bin"), present);
        assert_eq!(String::from_utf8(sandbox.read("haul.lock")).unwrap(), open);
    }
    fs::remove_file(sandbox.path("a.bin")).unwrap();
    sandbox.haul().arg("sync").run().assert_ok();
    PAYLOAD.assert_file_is(&sandbox.path("a.bin"));
    assert!(String::from_utf8(sandbox.read("haul.lock")).unwrap().contains(&PAYLOAD.sha256_hex()));
}

#[test]
fn no_link_leads_a_locked_file_out_of_the_directory_of_the_lock() {
    let server = Server::serve(PAYLOAD).start();
    let (sandbox, outside) = (Sandbox::new(), Sandbox::new());
    sandbox.haul().args(["add", "-o", "in/a.bin", &server.url("/a.bin")]).run().assert_ok();
    fs::remove_dir_all(sandbox.path("in")).unwrap();
    std::os::unix::fs::symlink(outside.path("."), sandbox.path("in")).unwrap();
    sandbox.haul().arg("sync").run().assert_failed(13).assert_says("leads out of the directory");
    assert_eq!(outside.entries(), [""; 0]);
    // One that stays inside is the user's own way to arrange a directory.
    fs::remove_file(sandbox.path("in")).unwrap();
    fs::create_dir(sandbox.path("real")).unwrap();
    std::os::unix::fs::symlink("real", sandbox.path("in")).unwrap();
    sandbox.haul().arg("sync").run().assert_ok();
    PAYLOAD.assert_file_is(&sandbox.path("real/a.bin"));
}

#[test]
fn a_lock_that_was_tampered_with_is_refused_before_anything_is_asked() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    sandbox.haul().args(["add", &server.url("/a.bin")]).run().assert_ok();
    let lock = String::from_utf8(sandbox.read("haul.lock")).unwrap();
    fs::remove_file(sandbox.path("a.bin")).unwrap();
    let asked = server.requests().len();
    for (from, to) in [
        ("path = \"a.bin\"", "path = \"../a.bin\""),
        ("path = \"a.bin\"", "path = \"/tmp/a.bin\""),
        ("path = \"a.bin\"", "path = \".git/hooks/post-checkout\""),
        ("path = \"a.bin\"", "path = \"a\\u001b.bin\""),
        ("path = \"a.bin\"", "path = \"a\\u202e.bin\""),
        ("url = \"http://", "url = \"http://us:pw@"),
        ("/a.bin\"", "/a.bin?X-Amz-Signature=abc\""),
        ("url = \"http", "url = \"gopher"),
        ("sha256 = \"", "sha256 = \"zz"),
        ("version = 1", "version = 9"),
        ("size = 70000", "size = \"many\""),
        ("[[file]]", "[file]"),
    ] {
        sandbox.write("haul.lock", lock.replacen(from, to, 1));
        let outcome = sandbox.haul().arg("sync").run();
        outcome.assert_failed(2).assert_says("haul.lock");
        assert_eq!(sandbox.entries(), ["haul.lock"], "{to}");
    }
    assert_eq!(server.requests().len(), asked);
    sandbox.write(
        "haul.lock",
        lock.replacen("sha256 = \"", "sha256 = \"0", 1).replacen(&PAYLOAD.sha256_hex()[63..], "", 1),
    );
    assert_ne!(sandbox.haul().arg("sync").run().code, Some(0));
}

#[test]
fn without_a_network_files_come_from_a_directory_by_their_path_or_digest() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    sandbox.haul().args(["add", &server.url("/a.bin"), &server.url("/b.bin")]).run().assert_ok();
    fs::create_dir(sandbox.path("store")).unwrap();
    fs::rename(sandbox.path("a.bin"), sandbox.path("store/a.bin")).unwrap();
    fs::remove_file(sandbox.path("b.bin")).unwrap();
    let asked = server.requests().len();
    sandbox
        .haul()
        .args(["sync", "--offline", "nope"])
        .run()
        .assert_failed(2)
        .assert_says("there is no directory nope");
    fs::create_dir(sandbox.path("empty")).unwrap();
    let outcome = sandbox.haul().args(["sync", "--offline", "empty"]).run();
    assert_eq!(outcome.code, Some(3), "{outcome}");
    outcome.assert_says("a.bin is missing, and is not in empty either");
    outcome.assert_says("haul.lock: 0 present, 2 missing");
    // Both have the same content, so either name serves.
    fs::copy(sandbox.path("store/a.bin"), sandbox.path("store").join(PAYLOAD.sha256_hex())).unwrap();
    sandbox.haul().args(["sync", "--frozen", "--offline", "store"]).run().assert_ok();
    for name in ["a.bin", "b.bin"] {
        PAYLOAD.assert_file_is(&sandbox.path(name));
    }
    fs::remove_file(sandbox.path("a.bin")).unwrap();
    sandbox.write("store/a.bin", "damaged");
    fs::remove_file(sandbox.path("store").join(PAYLOAD.sha256_hex())).unwrap();
    sandbox.haul().args(["sync", "--offline", "store"]).run().assert_failed(12);
    sandbox.assert_absent("a.bin");
    assert_eq!(server.requests().len(), asked);
}

#[test]
fn an_entry_without_a_digest_is_locked_by_sync_and_refused_where_nothing_may_change() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    let written = format!("version = 1\n[[file]]\npath = \"a.bin\"\nurl = \"{}\"\n", server.url("/a.bin"));
    sandbox.write("haul.lock", &written);
    sandbox
        .haul()
        .args(["sync", "--frozen"])
        .run()
        .assert_failed(2)
        .assert_says("a.bin has no size or no digest");
    sandbox.haul().arg("sync").run().assert_ok();
    assert!(String::from_utf8(sandbox.read("haul.lock")).unwrap().contains(&PAYLOAD.sha256_hex()));
    sandbox.haul().args(["sync", "--frozen"]).run().assert_ok();
}

#[test]
fn permanent_redirects_are_followed_into_the_lock_and_secrets_never_are() {
    let server = Server::serve(PAYLOAD)
        .behave(|request, _| match request.path() {
            "/moved" => Reply::Redirect(301, "/here.bin".to_owned()),
            "/signed" => Reply::Redirect(302, "/f.bin?X-Amz-Signature=5eC2eT".to_owned()),
            _ => Reply::Normal,
        })
        .start();
    let sandbox = Sandbox::new();
    sandbox.haul().args(["add", "-o", "m", &server.url("/moved")]).run().assert_ok();
    sandbox.haul().args(["add", "-o", "s", &server.url("/signed")]).run().assert_ok();
    let lock = String::from_utf8(sandbox.read("haul.lock")).unwrap();
    assert!(lock.contains("/here.bin") && lock.contains("/signed") && !lock.contains("5eC2eT"), "{lock}");
    let outcome = sandbox.haul().args(["add", "-o", "t", &server.url("/f?X-Amz-Signature=5eC2eT")]).run();
    outcome.assert_failed(2).assert_says("is not locked");
    sandbox.haul().args(["add", "-o", "../x", &server.url("/f")]).run().assert_failed(2);
}

#[test]
fn many_files_that_are_there_are_looked_at_quickly() {
    let sandbox = Sandbox::new();
    let digest = Payload::new(1, 0).sha256_hex();
    let mut lock = String::from("version = 1\n");
    for number in 0..2000 {
        sandbox.write(&format!("f{number}"), "");
        lock += &format!(
            "[[file]]\npath = \"f{number}\"\nurl = \"http://127.0.0.1:1/f\"\nsize = 0\nsha256 = \"{digest}\"\n"
        );
    }
    sandbox.write("haul.lock", lock);
    for _ in 0..2 {
        sandbox.haul().args(["sync", "--frozen"]).run().assert_ok();
    }
}

#[test]
fn a_sync_counts_each_file_once_and_names_it_as_the_lock_does() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    for name in ["models/m.bin", "models/n.bin", "models/o.bin"] {
        sandbox.haul().args(["add", "-o", name, &server.url(&format!("/{name}"))]).run().assert_ok();
    }
    sandbox.write("models/n.bin", "another");
    fs::remove_file(sandbox.path("models/m.bin")).unwrap();
    let outcome = sandbox.haul().arg("sync").run();
    outcome
        .assert_says("haul.lock: 1 present, 1 missing, 1 not right")
        .assert_says("models/m.bin: 68.4 KiB in");
    assert_eq!(outcome.code, Some(12), "{outcome}");
    PAYLOAD.assert_file_is(&sandbox.path("models/m.bin"));
}
