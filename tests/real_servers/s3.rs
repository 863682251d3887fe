//! S3 as destination and as source, against stores that people use.

use std::thread;

use crate::client::run;
use crate::interruption::killed_once;
use crate::payload::{SIZE, bytes, sha256};
use crate::relay::Relay;
use crate::server::{self, Server};
use crate::site::{NAME, Site};
use crate::store::{STORES, Store};

fn each_store(test: impl Fn(&Store, &Site, &Server, &[u8]), seed: u64) {
    let payload = bytes(seed, SIZE);
    let site = Site::publishing(&payload);
    let Some(server) = Server::start(server::Kind::Nginx, &site) else { return };
    for kind in STORES {
        if let Some(store) = Store::start(kind) {
            test(&store, &site, &server, &payload);
        }
    }
}

#[test]
fn a_file_goes_into_the_store_and_comes_back() {
    each_store(
        |store, site, server, payload| {
            let (url, digest) = (server.url("/"), sha256(payload));
            let target = site.target().display().to_string();
            let up = [&url[..], "-o", "s3://bucket/dir/a b+c", "--sha256", &digest];
            assert_eq!(run(&mut store.haul(&up)).number("done", "fetched"), payload.len() as u64);
            let down = ["s3://bucket/dir/a b+c", "-o", &target, "--sha256", &digest, "-x", "3", "-k", "1M"];
            run(&mut store.haul(&down)).assert_code(0);
            site.assert_saved(payload);
            std::fs::remove_file(&target).expect("it was saved");
            // Again: nothing is fetched for an object that is complete.
            assert_eq!(run(&mut store.haul(&up)).number("done", "fetched"), 0);
        },
        31,
    );
}

#[test]
fn an_upload_that_was_killed_goes_on_with_its_parts() {
    each_store(
        |store, _, server, payload| {
            let digest = sha256(payload);
            let args = ["-o", "s3://bucket/killed", "--sha256", &digest, "-x", "1"];
            let relay = Relay::start(server.port(), 20 << 20);
            let held = format!("http://127.0.0.1:{}/{NAME}", relay.port());
            killed_once(&mut store.haul(&[&[&held[..]][..], &args].concat()), || store.recorded_parts() >= 1);
            relay.open();
            let ended = run(&mut store.haul(&[&[&held[..]][..], &args].concat()));
            ended.assert_code(0);
            assert!(ended.number("done", "resumed") >= 8 << 20, "nothing was kept");
        },
        32,
    );
}

#[test]
fn a_wrong_digest_makes_no_object() {
    each_store(
        |store, site, server, _| {
            let url = server.url("/");
            run(&mut store.haul(&[&url, "-o", "s3://bucket/wrong", "--sha256", &"0".repeat(64)]))
                .assert_code(12);
            let target = site.target().display().to_string();
            run(&mut store.haul(&["s3://bucket/wrong", "-o", &target])).assert_code(3);
        },
        33,
    );
}

#[test]
fn two_uploads_at_once_make_one_object_of_one_of_them() {
    each_store(
        |store, _, server, payload| {
            let (url, digest) = (server.url("/"), sha256(payload));
            let other = tempfile::tempdir().expect("a directory");
            let upload = || {
                let mut command = store.haul(&[&url, "-o", "s3://bucket/two", "--sha256", &digest]);
                // As on another machine.
                command.env("XDG_STATE_HOME", other.path());
                command
            };
            let (mut one, mut two) =
                (store.haul(&[&url, "-o", "s3://bucket/two", "--sha256", &digest]), upload());
            thread::scope(|scope| {
                let first = scope.spawn(|| run(&mut one).assert_code(0));
                run(&mut two).assert_code(0);
                first.join().expect("it ends");
            });
        },
        34,
    );
}

#[test]
fn what_is_there_is_never_replaced_without_being_asked() {
    each_store(
        |store, _, server, _| {
            let small = bytes(35, 5000);
            let site = Site::publishing(&small);
            let Some(other) = Server::start(server::Kind::Nginx, &site) else { return };
            let url = server.url("/");
            run(&mut store.haul(&[&url, "-o", "s3://bucket/kept"])).assert_code(0);
            run(&mut store.haul(&[&other.url("/"), "-o", "s3://bucket/kept"])).assert_code(10);
            run(&mut store.haul(&[&other.url("/"), "-o", "s3://bucket/kept", "--if-exists", "overwrite"]))
                .assert_code(0);
        },
        36,
    );
}
