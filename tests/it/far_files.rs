//! Many small files from far away: over one HTTP/2 connection, if the server has it.

use crate::support::far::{Far, Manner, payload};
use crate::support::*;
use std::fmt::Write as _;
use std::sync::atomic::Ordering;
use std::time::Duration;

const FILES: usize = 160;
const HERE: &[&str] = &["127.0.0.1"];

/// Fetches all files of the server from a list.
fn fetch(authority: &Authority, server: &Far, sandbox: &Sandbox) -> Outcome {
    fetch_with(authority, server, sandbox, &[])
}

fn fetch_with(authority: &Authority, server: &Far, sandbox: &Sandbox, flags: &[&str]) -> Outcome {
    let list = (0..FILES).fold(String::new(), |mut list, nth| {
        writeln!(list, "{}", server.url(nth)).unwrap();
        list
    });
    let ca = authority.write_to(sandbox);
    let list = {
        std::fs::write(sandbox.root().join("list"), list).unwrap();
        sandbox.root().join("list")
    };
    let outcome = sandbox.haul().arg("--json").args(flags).arg("--cacert").arg(ca).arg("-i").arg(list).run();
    outcome.assert_ok();
    for nth in 0..FILES {
        payload(nth).assert_file_is(&sandbox.path(&format!("file{nth}.bin")));
    }
    outcome
}

fn count(counter: &std::sync::atomic::AtomicUsize) -> usize {
    counter.load(Ordering::SeqCst)
}

#[test]
fn most_requests_for_small_files_from_far_away_share_one_connection() {
    let authority = Authority::new();
    let server = Far::start(&authority.config(HERE), Manner::default());
    let outcome = fetch(&authority, &server, &Sandbox::new());
    let seen = server.seen();
    assert!(count(&seen.over_http2) >= FILES / 2, "{} of {FILES}: {outcome}", count(&seen.over_http2));
    assert_eq!(count(&seen.http2_connections), 1, "{outcome}");
    assert_eq!(*seen.improper.lock().unwrap(), Vec::<String>::new());
}

#[test]
fn a_server_that_allows_few_connections_is_no_slower_for_it() {
    let authority = Authority::new();
    let manner = Manner { connections: 6, ..Manner::default() };
    let server = Far::start(&authority.config(HERE), manner);
    let outcome = fetch(&authority, &server, &Sandbox::new());
    // Six at a time would take longer than this.
    let six_at_a_time = manner.distance * (FILES as u32).div_ceil(6);
    assert!(outcome.elapsed < six_at_a_time, "{outcome}");
    assert!(count(&server.seen().over_http2) >= FILES / 2, "{outcome}");
}

#[test]
fn a_server_without_http2_is_asked_for_it_once() {
    let authority = Authority::new();
    let server = Far::start(&authority.config(HERE), Manner { http2: false, ..Manner::default() });
    fetch(&authority, &server, &Sandbox::new());
    assert_eq!(count(&server.seen().over_http2), 0);
    assert!(count(&server.seen().over_http1) >= FILES);
}

#[test]
fn a_connection_that_goes_away_is_followed_by_another_one_and_no_file_is_lost() {
    let authority = Authority::new();
    let server = Far::start(&authority.config(HERE), Manner { goes_away_after: 25, ..Manner::default() });
    let outcome = fetch(&authority, &server, &Sandbox::new());
    let seen = server.seen();
    assert!(count(&seen.http2_connections) >= 2, "{outcome}");
    assert_eq!(outcome.summary()["failed"], 0, "{outcome}");
}

#[test]
fn a_server_that_resets_every_request_over_http2_is_asked_over_http1() {
    let authority = Authority::new();
    let server = Far::start(&authority.config(HERE), Manner { resets: true, ..Manner::default() });
    let outcome = fetch(&authority, &server, &Sandbox::new());
    let seen = server.seen();
    assert!(count(&seen.over_http2) <= 64, "{}: {outcome}", count(&seen.over_http2));
    assert!(count(&seen.over_http1) >= FILES, "{outcome}");
}

#[test]
fn a_body_that_is_cut_by_a_reset_without_an_error_is_never_taken_for_the_whole() {
    let authority = Authority::new();
    // With one connection the first request is one for everything, whose body would be taken as it comes.
    for flags in [&[][..], &["-x", "1"]] {
        let server = Far::start(&authority.config(HERE), Manner { cuts: true, ..Manner::default() });
        // It compares all files.
        let outcome = fetch_with(&authority, &server, &Sandbox::new(), flags);
        assert!(count(&server.seen().over_http2) >= 1, "{outcome}");
        assert!(count(&server.seen().over_http1) >= FILES / 2, "{outcome}");
    }
}

#[test]
fn a_server_nearby_is_not_asked_over_http2() {
    let authority = Authority::new();
    let manner = Manner { distance: Duration::ZERO, ..Manner::default() };
    let server = Far::start(&authority.config(HERE), manner);
    fetch(&authority, &server, &Sandbox::new());
    assert_eq!(count(&server.seen().http2_connections), 0);
}
