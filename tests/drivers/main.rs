//! Programs that drive a downloader, with haul in its place and without a patch on their side: aria2p, an npm client of aria2, yt-dlp,
//! apt, pacman, makepkg and git-lfs; of apt-fast and Portage the command alone. And haul's own fleet, on a real NATS server.
//!
//! A program that is not installed makes its tests pass and say on stderr that they did not run; with `HAUL_REQUIRE_CLIENTS=1` they
//! fail instead. `HAUL_CLIENTS` names the directory with the packages from PyPI (`python`, `nats`) and npm (`node_modules`).

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "a test panics where it fails, and these drive other programs with files and deadlines"
)]

#[path = "../it/support/mod.rs"]
#[allow(dead_code, unused_imports, reason = "the other tests use what these do not")]
mod support;

mod apt;
mod apt_fast;
mod fleet;
mod languages;
mod lfs;
mod nats;
mod pacman;
mod portage;
mod rpc;
mod ytdlp;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Directory of the packages of a language, if it is there.
fn packages(language: &str) -> Option<PathBuf> {
    let home = std::env::var_os("HAUL_CLIENTS").map(PathBuf::from);
    let home = home.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/clients"));
    Some(home.join(language)).filter(|path| path.is_dir())
}

/// Returns true if a program can be run; otherwise the test says so, or fails if everything has to be there.
fn is_there(what: &str, found: bool) -> bool {
    if !found {
        assert!(std::env::var_os("HAUL_REQUIRE_CLIENTS").is_none(), "{what} is not installed");
        eprintln!("DID NOT RUN: {what} is not installed");
    }
    found
}

fn is_program(name: &str) -> bool {
    let found = Command::new("sh").args(["-c", &format!("command -v {name}")]).output();
    found.is_ok_and(|found| found.status.success())
}

fn haul() -> &'static str {
    env!("CARGO_BIN_EXE_haul")
}

/// Runs a command to its end, and returns what it said.
#[track_caller]
fn run(command: &mut Command) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    (status.code(), said)
}

#[track_caller]
fn run_well(command: &mut Command) -> String {
    let (code, said) = run(command);
    assert_eq!(code, Some(0), "{command:?}: {said}");
    said
}
