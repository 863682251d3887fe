//! haul in the place of aria2c.

use crate::support::haul::names_in;
use crate::support::*;
use std::fs;

const PAYLOAD: Payload = Payload::mib(361, 4);

#[test]
fn a_file_is_fetched_as_aria2c_is_asked_for_it() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    let outcome = sandbox
        .haul()
        .args([
            "aria2c",
            "-c",
            "--no-conf",
            "--console-log-level=warn",
            "--summary-interval=0",
            "-x16",
            "-s16",
            "-k1M",
        ])
        .args(["--file-allocation=none", "--auto-file-renaming=false", "--dir", "d", "--out", "f.bin", "--"])
        .arg(server.url("/file.bin"))
        .run();
    outcome.assert_ok();
    PAYLOAD.assert_file_is(&sandbox.path("d/f.bin"));
    assert_eq!(sandbox.entries(), ["d"]);
    assert_eq!(names_in(&sandbox.path("d")), ["f.bin"]);
}

#[test]
fn exit_codes_are_those_of_aria2() {
    let server = Server::serve(PAYLOAD)
        .behave(|request, _| match request.path() {
            "/gone" => Reply::Status(404),
            "/forbidden" => Reply::Status(401),
            _ => Reply::Normal,
        })
        .start();
    let sandbox = Sandbox::new();
    let wrong = format!("--checksum=sha-256={}", "0".repeat(64));
    let gone = server.url("/gone");
    for (args, code) in [
        (&["/gone"][..], 3),
        (&["/forbidden"], 24),
        (&[&wrong, "/wrong"], 32),
        (&["--split=many", "--timeout=x", "/f"], 28),
        (&["-T", "x.torrent"], 28),
        (&["--nonsense", "/f"], 28),
        (&["magnet:?xt=urn:btih:x"], 28),
        (&["-Z", "/gone", "/f"], 3),
    ] {
        let args = args.iter().map(|arg| match arg.strip_prefix('/') {
            Some(_) => server.url(arg),
            None => (*arg).to_owned(),
        });
        let outcome = sandbox.haul().args(["aria2c", "--no-conf", "-q"]).args(args).run();
        assert_eq!(outcome.code, Some(code), "{outcome}");
    }
    sandbox.haul().args(["aria2c", "--no-conf", &gone]).run().assert_says("404");
    // The list of what is missing is one for the next run.
    sandbox.write(
        "list",
        format!("{gone}\n out=a\n{}\n out=b\n dir={}\n", server.url("/b"), sandbox.work().display()),
    );
    let outcome = sandbox.haul().args(["aria2c", "--no-conf", "-i", "list", "--save-session=left"]).run();
    assert_eq!(outcome.code, Some(3), "{outcome}");
    assert!(String::from_utf8(sandbox.read("left")).unwrap().contains("/gone"));
    PAYLOAD.assert_file_is(&sandbox.path("b"));
}

#[test]
fn an_unfinished_file_has_a_marker_that_goes_with_its_end() {
    let gate = Gate::after(MIB);
    let server = Server::serve(PAYLOAD).gate(&gate).start();
    let sandbox = Sandbox::new();
    let aria2c = || sandbox.haul().args(["aria2c", "-c", "-x1"]).arg(server.url("/file.bin"));
    let running = aria2c().spawn();
    running.wait_for_stderr("it starts", |said| said.contains("file.bin"));
    gate.wait_for_waiting(1);
    running.signal("TERM");
    running.wait();
    assert!(sandbox.path("file.bin.aria2").exists(), "{:?}", sandbox.entries());
    server.recover();
    aria2c().run().assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
    assert_eq!(sandbox.entries(), ["file.bin"]);
    // One of aria2's own is left alone.
    sandbox.write("other.bin.aria2", "of aria2 itself");
    sandbox.haul().args(["aria2c", "-c", "-o", "other.bin"]).arg(server.url("/o")).run().assert_ok();
    assert_eq!(sandbox.read("other.bin.aria2"), b"of aria2 itself");
}

#[test]
fn programs_that_look_for_aria2c_find_haul_by_a_link() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("bin")).unwrap();
    sandbox.haul().args(["link-aria2c", "bin"]).run().assert_ok();
    sandbox.haul().args(["link-aria2c", "bin"]).run().assert_failed(10);
    let version = std::process::Command::new(sandbox.path("bin/aria2c")).arg("-v").output().unwrap();
    let text = String::from_utf8(version.stdout).unwrap();
    assert!(text.starts_with("aria2 version 1.") && text.contains("\nHash Algorithms: "), "{text}");
    let fetched = std::process::Command::new(sandbox.path("bin/aria2c"))
        .args(["-q", "--no-conf", "-d"])
        .arg(sandbox.path("d"))
        .arg(server.url("/f.bin"))
        .env("HOME", sandbox.home())
        .status();
    assert!(fetched.unwrap().success());
    PAYLOAD.assert_file_is(&sandbox.path("d/f.bin"));
}

#[test]
fn what_cannot_be_honoured_is_said_once() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    let outcome = sandbox
        .haul()
        .args(["aria2c", "--no-conf", "--lowest-speed-limit=1K", "-o", "f"])
        .args([server.url("/f"), server.url("/mirror")])
        .run();
    outcome.assert_ok();
    for said in ["--lowest-speed-limit is not honoured", "need --checksum"] {
        assert_eq!(outcome.stderr.matches(said).count(), 1, "{outcome}");
    }
    PAYLOAD.assert_file_is(&sandbox.path("f"));
}

#[test]
fn a_metalink_file_on_disk_is_named_as_a_url_is() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    let text = format!(
        "<metalink><file name=\"f.bin\"><hash type=\"sha-256\">{}</hash><url>{}</url></file></metalink>",
        PAYLOAD.sha256_hex(),
        server.url("/x")
    );
    sandbox.write("d.meta4", text);
    sandbox.haul().args(["aria2c", "--no-conf", "-q", "d.meta4"]).run().assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "f.bin");
    let two = sandbox.haul().args(["aria2c", "--no-conf", "d.meta4", "d.metalink"]).run();
    assert_eq!(two.code, Some(28), "{two}");
    two.assert_says("one Metalink document");
}
