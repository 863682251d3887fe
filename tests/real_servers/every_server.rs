//! Behaviour that every server with ranges must allow.

use crate::client::{haul, run};
use crate::interruption::kill_when_durable;
use crate::payload::{SIZE, bytes, sha256};
use crate::relay::Relay;
use crate::server::{Kind, Server};
use crate::site::{NAME, Site};

fn gives_the_published_file(kind: Kind) {
    let payload = bytes(1, SIZE);
    let site = Site::publishing(&payload);
    let Some(server) = Server::start(kind, &site) else {
        return;
    };
    let ended = run(haul(&server.url("/"), &site.target()).args(["--sha256", &sha256(&payload)]));
    ended.assert_code(0);
    site.assert_saved(&payload);
}

fn resumes_after_kill_nine(kind: Kind) {
    let payload = bytes(2, SIZE);
    let site = Site::publishing(&payload);
    let Some(server) = Server::start(kind, &site) else {
        return;
    };
    let size = payload.len() as u64;
    let relay = Relay::start(server.port(), size / 2);
    let url = format!("http://127.0.0.1:{}/{NAME}", relay.port());
    let digest = sha256(&payload);
    let command = || {
        let mut command = haul(&url, &site.target());
        command.args(["--json", "--sha256", &digest]);
        command
    };

    kill_when_durable(&mut command(), size * 3 / 8);
    assert!(!site.target().exists(), "the final name appears only when the file is complete");
    relay.open();
    let ended = run(&mut command());

    ended.assert_code(0);
    site.assert_saved(&payload);
    assert!(ended.number("done", "fetched") <= size * 5 / 8, "what was durable is not asked for again");
    assert!(relay.passed() < size * 3 / 4, "{} of {size} bytes came again", relay.passed());
}

#[test]
fn nginx_gives_the_published_file() {
    gives_the_published_file(Kind::Nginx);
}

#[test]
fn apache_gives_the_published_file() {
    gives_the_published_file(Kind::Apache);
}

#[test]
fn caddy_gives_the_published_file() {
    gives_the_published_file(Kind::Caddy);
}

#[test]
fn lighttpd_gives_the_published_file() {
    gives_the_published_file(Kind::Lighttpd);
}

#[test]
fn a_download_from_nginx_resumes_after_kill_nine() {
    resumes_after_kill_nine(Kind::Nginx);
}

#[test]
fn a_download_from_apache_resumes_after_kill_nine() {
    resumes_after_kill_nine(Kind::Apache);
}

#[test]
fn a_download_from_caddy_resumes_after_kill_nine() {
    resumes_after_kill_nine(Kind::Caddy);
}

#[test]
fn a_download_from_lighttpd_resumes_after_kill_nine() {
    resumes_after_kill_nine(Kind::Lighttpd);
}
