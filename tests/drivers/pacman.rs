//! pacman and makepkg with haul as their transfer command.

use crate::support::*;
use crate::{haul, is_program, is_there, run, run_well};
use std::fs;
use std::process::Command;

const PAYLOAD: Payload = Payload::mib(374, 2);

#[test]
fn pacman_fetches_a_package_with_its_transfer_command() {
    if !is_there("pacman", is_program("pacman")) {
        return;
    }
    let server = Server::serve(PAYLOAD)
        .behave(
            |request, _| {
                if request.path() == "/p-1-1-any.pkg.tar" { Reply::Normal } else { Reply::Status(404) }
            },
        )
        .start();
    let sandbox = Sandbox::new();
    for directory in ["db", "cache", "root"] {
        fs::create_dir(sandbox.path(directory)).unwrap();
    }
    let line = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/drivers.md")).unwrap();
    let line = line.lines().find(|line| line.starts_with("XferCommand = ")).unwrap();
    let line = line.replace("/usr/bin/haul", haul());
    sandbox.write("pacman.conf", format!("[options]\nArchitecture = auto\nSigLevel = Never\n{line}\n"));
    let pacman = |url: &str| {
        let here = |name: &str| sandbox.path(name).display().to_string();
        let mut command = Command::new("pacman");
        command
            .args(["--noconfirm", "--config", &here("pacman.conf"), "--dbpath", &here("db")])
            .args(["--cachedir", &here("cache"), "--root", &here("root"), "-Uw", url])
            .env("HOME", sandbox.home());
        command
    };
    // It is no package, which pacman says once it has the whole of it.
    let (_, said) = run(&mut pacman(&server.url("/p-1-1-any.pkg.tar")));
    PAYLOAD.assert_file_is(&sandbox.path("cache/p-1-1-any.pkg.tar"));
    let (code, said_of_none) = run(&mut pacman(&server.url("/q-1-1-any.pkg.tar")));
    assert!(code != Some(0) && said_of_none.contains("404"), "{said}{said_of_none}");
}

#[test]
fn makepkg_fetches_its_sources_and_checks_them() {
    if !is_there("makepkg", is_program("makepkg")) {
        return;
    }
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    let recipe = |digest: &str| {
        format!(
            "pkgname=p\npkgver=1\npkgrel=1\narch=(any)\nsource=('{}')\nsha256sums=('{digest}')\n",
            server.url("/source.bin")
        )
    };
    let line = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/drivers.md")).unwrap();
    let line =
        line.lines().find(|line| line.starts_with("DLAGENTS=")).unwrap().replace("/usr/bin/haul", haul());
    let usual = fs::read_to_string("/etc/makepkg.conf").unwrap_or_default();
    sandbox.write("makepkg.conf", format!("{usual}\n{line}\n"));
    // makepkg refuses to run as root.
    run_well(Command::new("chmod").args(["-R", "a+rwX"]).arg(sandbox.root()));
    for (digest, is_right) in [(PAYLOAD.sha256_hex(), true), ("0".repeat(64), false)] {
        sandbox.write("PKGBUILD", recipe(&digest));
        let (code, said) = run(Command::new("setpriv")
            .args(["--reuid=65534", "--regid=65534", "--clear-groups", "makepkg", "--config", "makepkg.conf"])
            .args(["--verifysource", "--force"])
            .current_dir(sandbox.work())
            .env("HOME", sandbox.home()));
        assert_eq!(code == Some(0), is_right, "{said}");
        PAYLOAD.assert_file_is(&sandbox.path("source.bin"));
    }
}
