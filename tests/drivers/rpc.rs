//! Clients of aria2's JSON-RPC.

use crate::support::loop_disk::LoopDisk;
use crate::support::*;
use crate::{is_program, is_there, packages, run_well};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

const PAYLOAD: Payload = Payload::mib(371, 4);
const SECRET: &str = "s3cret";

/// Serves a file, a slow one, and none.
fn server() -> Server {
    Server::serve(PAYLOAD)
        // It has no room on the small disk.
        .file("/big.bin", Payload::mib(375, 32))
        .behave(|request, _| match request.path() {
            "/gone" => Reply::Status(404),
            "/slow.bin" => Reply::Throttled(MIB),
            _ => Reply::Normal,
        })
        .start()
}

/// A daemon with its files in `root`; returns its port.
fn daemon(sandbox: &Sandbox, root: &Path) -> (Running, u16) {
    let secret = sandbox.write("secret", SECRET);
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    let running = sandbox
        .haul()
        .args([
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--socket",
            "sock",
            "--session",
            "session",
            "--secret-file",
            "secret",
        ])
        .args(["--retry", "1", "--root"])
        .arg(root)
        .deadline(std::time::Duration::from_secs(120))
        .spawn();
    let said = running.wait_for_stderr("it listens", |said| said.contains("listening on"));
    let port = said.split("http://127.0.0.1:").nth(1).unwrap().split('/').next().unwrap();
    (running, port.parse().unwrap())
}

#[test]
fn aria2p_sees_what_it_expects() {
    let python = packages("python");
    if !is_there("aria2p", python.as_ref().is_some_and(|path| path.join("aria2p").is_dir())) {
        return;
    }
    let (server, sandbox) = (server(), Sandbox::new());
    let disk = LoopDisk::make("ext4", 24);
    let root = disk.as_ref().map_or_else(|| sandbox.path("root"), LoopDisk::root);
    let (running, port) = daemon(&sandbox, &root);
    let said = run_well(
        Command::new("python3")
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/drivers/aria2p_client.py"))
            .args([&port.to_string(), SECRET, &server.origin(), &PAYLOAD.sha256_hex()])
            .arg(if disk.is_some() { "full" } else { "roomy" })
            .env("PYTHONPATH", python.unwrap()),
    );
    assert!(said.ends_with("all of it\n"), "{said}");
    running.signal("TERM");
    running.wait().assert_ok();
}

#[test]
fn an_npm_client_sees_what_it_expects() {
    let modules = packages("node_modules");
    let found = modules.as_ref().is_some_and(|path| path.join("aria2").is_dir()) && is_program("node");
    if !is_there("the npm package aria2", found) {
        return;
    }
    let (server, sandbox) = (server(), Sandbox::new());
    let (running, port) = daemon(&sandbox, &sandbox.path("root"));
    // Node looks for packages above the script.
    let script = modules.unwrap().parent().unwrap().join(format!("client-{port}.cjs"));
    fs::write(&script, include_str!("aria2_client.cjs")).unwrap();
    let said = run_well(Command::new("node").arg(&script).args([
        &port.to_string(),
        SECRET,
        &server.origin(),
        &PAYLOAD.sha256_hex(),
    ]));
    fs::remove_file(&script).unwrap();
    assert!(said.ends_with("all of it\n"), "{said}");
    PAYLOAD.assert_file_is(&sandbox.path("root/ws.bin"));
    running.signal("TERM");
    running.wait().assert_ok();
}

#[test]
fn the_page_works_in_a_browser() {
    let modules = packages("node_modules");
    let found =
        modules.as_ref().is_some_and(|path| path.join("playwright-core").is_dir()) && is_program("chromium");
    if !is_there("chromium with playwright-core", found) {
        return;
    }
    let (server, sandbox) = (server(), Sandbox::new());
    let (running, port) = daemon(&sandbox, &sandbox.path("root"));
    let home = modules.unwrap().parent().unwrap().to_owned();
    let script = home.join(format!("page-{port}.cjs"));
    fs::write(&script, include_str!("page_client.cjs")).unwrap();
    let said = run_well(
        Command::new("node")
            .arg(&script)
            .args([&port.to_string(), SECRET, &server.origin()])
            .arg(&home)
            .env("HOME", sandbox.home()),
    );
    fs::remove_file(&script).unwrap();
    assert!(said.ends_with("all of it\n"), "{said}");
    PAYLOAD.assert_file_is(&sandbox.path("root/page.bin"));
    running.signal("TERM");
    running.wait().assert_ok();
}
