//! Portage's fetch command, run by the rules of its documentation: Debian has no Portage.

use crate::support::*;
use crate::{haul, run};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

const PAYLOAD: Payload = Payload::mib(392, 4);

/// The line of the document, run for a file in the directory `distdir`. Portage puts its variables in place in the words of the command.
fn fetch(before: &str, url: &str, digests: &str, distdir: &Path) -> Command {
    let text = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/drivers.md")).unwrap();
    let line = text.lines().find(|line| line.starts_with("FETCHCOMMAND=")).unwrap();
    let line = line.replace("/usr/bin/haul", haul());
    let mut command = Command::new("bash");
    command
        .args(["-c", &format!("{line}\n{before}\neval \"exec $FETCHCOMMAND\"")])
        .env("DISTDIR", distdir)
        .env("FILE", "a file-1.tar.gz")
        .env("URI", url)
        .env("DIGESTS", digests)
        .env("HOME", distdir)
        .current_dir("/");
    command
}

/// Digests as Portage names them: one that haul computes, and one that it does not.
fn digests(hex: &str) -> String {
    format!("whirlpool:{} sha256:{hex}", "0".repeat(128))
}

#[test]
fn portage_fetches_a_file_with_its_digests_and_without() {
    let server = Server::serve(PAYLOAD).start();
    for digests in [digests(&PAYLOAD.sha256_hex()), String::new()] {
        let sandbox = Sandbox::new();
        let (code, said) = run(&mut fetch("", &server.url("/f?a=b&c"), &digests, &sandbox.work()));
        assert_eq!(code, Some(0), "{said}");
        sandbox.assert_ok_file(&PAYLOAD, "a file-1.tar.gz");
    }
}

#[test]
fn portage_hears_of_a_wrong_digest_a_missing_file_and_a_full_disk() {
    let server = Server::serve(PAYLOAD)
        .behave(|request, _| if request.path() == "/gone" { Reply::Status(404) } else { Reply::Normal })
        .start();
    for (before, path, digests, expected) in [
        ("", "/f", digests(&"0".repeat(64)), 12),
        ("", "/gone", digests(&PAYLOAD.sha256_hex()), 3),
        // The limit is counted in KiB.
        ("ulimit -f 1000", "/f", String::new(), 9),
    ] {
        let sandbox = Sandbox::new();
        let (code, said) = run(&mut fetch(before, &server.url(path), &digests, &sandbox.work()));
        assert_eq!(code, Some(expected), "{said}");
        sandbox.assert_absent("a file-1.tar.gz");
    }
}

#[test]
fn portage_goes_on_after_an_interruption() {
    let gate = Gate::after(2 * MIB);
    let server = Server::serve(PAYLOAD).gate(&gate).start();
    let sandbox = Sandbox::new();
    let digests = digests(&PAYLOAD.sha256_hex());
    let url = server.url("/f");
    let fetch = || fetch("", &url, &digests, &sandbox.work());
    let mut first = fetch().stderr(Stdio::null()).spawn().unwrap();
    while !sandbox.manifest("a file-1.tar.gz").exists() {
        std::thread::yield_now();
    }
    gate.wait_for_waiting(1);
    Command::new("kill").args(["-TERM", &first.id().to_string()]).status().unwrap();
    first.wait().unwrap();
    server.recover();
    server.forget();
    let (code, said) = run(&mut fetch());
    assert_eq!(code, Some(0), "{said}");
    sandbox.assert_ok_file(&PAYLOAD, "a file-1.tar.gz");
    assert!(server.body_bytes() < PAYLOAD.len - MIB, "{}", server.describe());
}
