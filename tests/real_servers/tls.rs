//! TLS as nginx does it, with the certificate of `fixtures/tls`.

use std::path::{Path, PathBuf};

use crate::client::{haul, run};
use crate::interruption::kill_when_durable;
use crate::payload::{SIZE, bytes, sha256};
use crate::relay::Relay;
use crate::server::{Kind, Server};
use crate::site::{NAME, Site};

fn authority() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/tls/ca.pem")
}

#[test]
fn nginx_gives_the_published_file_over_tls() {
    let payload = bytes(9, SIZE);
    let site = Site::publishing(&payload);
    let Some(server) = Server::start(Kind::NginxTls, &site) else {
        return;
    };
    let mut command = haul(&server.url("/"), &site.target());
    command.arg("--cacert").arg(authority());
    run(command.args(["--sha256", &sha256(&payload)])).assert_code(0);
    site.assert_saved(&payload);
}

#[test]
fn a_download_over_tls_resumes_after_kill_nine() {
    let payload = bytes(10, SIZE);
    let site = Site::publishing(&payload);
    let Some(server) = Server::start(Kind::NginxTls, &site) else {
        return;
    };
    let size = payload.len() as u64;
    let relay = Relay::start(server.port(), size / 2);
    let url = format!("https://localhost:{}/{NAME}", relay.port());
    let command = || {
        let mut command = haul(&url, &site.target());
        command.arg("--json").arg("--cacert").arg(authority());
        command
    };
    kill_when_durable(&mut command(), size * 3 / 8);
    relay.open();
    let ended = run(&mut command());
    ended.assert_code(0);
    site.assert_saved(&payload);
    assert!(relay.passed() < size * 3 / 4, "{} of {size} bytes came again", relay.passed());
}

#[test]
fn a_certificate_of_an_unknown_authority_is_exit_7_and_leaves_nothing() {
    let site = Site::publishing(b"never to be seen");
    let Some(server) = Server::start(Kind::NginxTls, &site) else {
        return;
    };
    run(&mut haul(&server.url("/"), &site.target())).assert_code(7);
    assert_eq!(site.saved(), [""; 0]);
}
