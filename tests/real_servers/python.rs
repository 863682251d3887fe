//! Python's `http.server`: HTTP/1.0, no ranges, no ETag. Slower and not resumable, but never wrong.

use crate::client::{haul, run};
use crate::interruption::kill_when_held;
use crate::payload::{SIZE, bytes, sha256};
use crate::relay::Relay;
use crate::server::{Kind, Server};
use crate::site::{NAME, Site};

#[test]
fn a_server_without_ranges_gives_the_published_file() {
    let payload = bytes(11, SIZE);
    let site = Site::publishing(&payload);
    let Some(server) = Server::start(Kind::Python, &site) else {
        return;
    };
    run(&mut haul(&server.url("/"), &site.target())).assert_code(0);
    site.assert_saved(&payload);
}

#[test]
fn a_server_without_ranges_gives_the_published_file_and_its_digest_is_checked() {
    let payload = bytes(12, SIZE);
    let site = Site::publishing(&payload);
    let Some(server) = Server::start(Kind::Python, &site) else {
        return;
    };
    run(haul(&server.url("/"), &site.target()).args(["--sha256", &sha256(&payload)])).assert_code(0);
    site.assert_saved(&payload);
}

#[test]
fn after_kill_nine_a_server_without_ranges_still_gives_the_published_file() {
    let payload = bytes(13, SIZE);
    let site = Site::publishing(&payload);
    let Some(server) = Server::start(Kind::Python, &site) else {
        return;
    };
    let half = payload.len() as u64 / 2;
    let relay = Relay::start(server.port(), half);
    let url = format!("http://127.0.0.1:{}/{NAME}", relay.port());
    kill_when_held(&mut haul(&url, &site.target()), &relay, half);
    relay.open();
    run(&mut haul(&url, &site.target())).assert_code(0);
    site.assert_saved(&payload);
}
