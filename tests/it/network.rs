//! Choice of the addresses to connect to and from.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::*;

const PAYLOAD: Payload = Payload::mib(331, 4);

#[test]
fn a_host_is_reached_at_the_address_that_was_given_for_it() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    let port = server.port();
    let url = format!("http://no-such-host.invalid:{port}/file.bin");
    // The last entry for a host counts; another port is independent.
    let haul = sandbox.haul().args(["-x", "4", "-k", "1M"]);
    let haul = haul.args(["--resolve", &format!("no-such-host.invalid:{port}:192.0.2.1")]);
    let haul = haul.args(["--resolve", &format!("no-such-host.invalid:{}:192.0.2.1", port ^ 1)]);
    let haul = haul.args(["--resolve", &format!("NO-such-host.invalid:{port}:127.0.0.1")]);
    haul.arg(&url).run().assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
    let host = format!("no-such-host.invalid:{port}");
    assert!(server.requests().iter().all(|record| record.header("host") == Some(host.as_str())));
    sandbox.haul().args(["--resolve", "host:80:somewhere"]).arg(&url).run().assert_failed(2);
}

#[test]
fn one_kind_of_addresses_can_be_left_out() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    let both = format!("host.invalid:{}:::1,127.0.0.1", server.port());
    let url = format!("http://host.invalid:{}/file.bin", server.port());
    let run = |flag: &str| sandbox.haul().args([flag, "--retry", "0", "--resolve", &both]).arg(&url).run();
    // Without any IPv6 on the machine, the connect fails instead.
    run("-6").assert_failed(6);
    run("-4").assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
    // A permanent failure is not retried.
    let outcome = sandbox.haul().arg("-6").arg(server.url("/other.bin")).run();
    outcome.assert_failed(6);
    assert!(outcome.elapsed.as_secs() < 5, "{outcome}");
    outcome.assert_says("has no IPv6 address");
    sandbox.haul().args(["-4", "-6"]).arg(&url).run().assert_failed(2);
}

#[test]
fn connections_begin_at_the_address_or_device_that_was_named() {
    let server = Server::serve(PAYLOAD).start();
    for interface in ["127.0.0.1", "lo"] {
        let sandbox = Sandbox::new();
        sandbox.haul().args(["--interface", interface]).arg(server.url("/file.bin")).run().assert_ok();
        sandbox.assert_ok_file(&PAYLOAD, "file.bin");
    }
    // Not on this machine: refused at once, without a request.
    server.forget();
    for nowhere in ["192.0.2.77", "no-such-device"] {
        let sandbox = Sandbox::new();
        let outcome = sandbox.haul().args(["--interface", nowhere]).arg(server.url("/file.bin")).run();
        outcome.assert_failed(2);
        outcome.assert_says(nowhere);
        sandbox.assert_empty();
    }
    assert!(server.requests().is_empty());
}

#[test]
fn an_address_of_one_kind_reaches_no_host_of_the_other() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    let outcome =
        sandbox.haul().args(["--retry", "0", "--interface", "::1"]).arg(server.url("/file.bin")).run();
    // Without any IPv6 on the machine, that is the error reported.
    outcome.assert_failed_as_one_of(&[2, 6]);
    assert!(server.requests().is_empty());
}

#[test]
fn the_configuration_says_where_connections_begin_and_flags_go_before_it() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    let config = sandbox.home().join(".config/haul");
    std::fs::create_dir_all(&config).unwrap();
    let run = |text: &str, args: &[&str]| {
        std::fs::write(config.join("config.toml"), text).unwrap();
        let haul = sandbox.haul().args(["--if-exists", "overwrite"]).args(args.iter().copied());
        haul.arg(server.url("/file.bin")).run()
    };
    run("ipv6 = true\n", &[]).assert_failed(6);
    run("ipv6 = true\n", &["-4"]).assert_ok();
    run("interface = \"no-such-device\"\n", &[]).assert_failed(2);
    run("interface = \"no-such-device\"\n", &["--interface", "lo"]).assert_ok();
    run("ipv4 = true\nipv6 = true\n", &[]).assert_failed(2);
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
}

/// Accepts at `address`, reads a request, and applies the fault. Counts connections.
fn failing_at(address: &str, port: u16, fault: Fault) -> Arc<AtomicUsize> {
    let listener = TcpListener::bind((address.parse::<IpAddr>().unwrap(), port)).unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let counts = count.clone();
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            counts.fetch_add(1, Ordering::SeqCst);
            let mut socket = socket.unwrap();
            std::thread::spawn(move || {
                let mut request = [0; 4096];
                let read = socket.read(&mut request).unwrap_or_default();
                let is_ranged =
                    String::from_utf8_lossy(&request[..read]).to_lowercase().contains("\r\nrange:");
                fault(&mut socket, if is_ranged { PART } else { WHOLE });
            });
        }
    });
    count
}

fn until_it_is_closed(socket: &mut TcpStream) {
    while matches!(socket.read(&mut [0; 4096]), Ok(read) if read > 0) {}
}

const PART: &[u8] = b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-4194303/4194304\r\n\
    Content-Length: 4194304\r\nETag: \"v1\"\r\n\r\n";

const WHOLE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 4194304\r\nETag: \"v1\"\r\n\r\n";

/// Reaction of an address to a request, given the head of a sound response to it.
type Fault = fn(&mut TcpStream, &[u8]);

/// Faults of an address after the connect.
const FAULTS: [(&str, Fault); 6] = [
    ("closes", |socket, _| drop(socket.shutdown(Shutdown::Both))),
    ("resets", |socket, _| {
        drop(tokio::net::TcpSocket::from_std_stream(socket.try_clone().unwrap()).set_zero_linger());
    }),
    ("is silent", |socket, _| until_it_is_closed(socket)),
    ("speaks another language", |socket, _| drop(socket.write_all(b"220 mail ready\r\n"))),
    ("breaks after the head", |socket, head| drop(socket.write_all(head))),
    ("swallows what is larger", |socket, head| {
        let _ = socket.write_all(head);
        until_it_is_closed(socket);
    }),
];

#[test]
fn an_address_that_fails_once_connected_gives_its_turn_to_the_others() {
    std::thread::scope(|scope| {
        for (name, fault) in FAULTS {
            scope.spawn(move || {
                for bad in [&["127.0.0.2"][..], &["::1"], &["127.0.0.2", "::1", "127.0.0.3"]] {
                    assert_passed_over(name, fault, bad);
                }
            });
        }
    });
}

#[track_caller]
fn assert_passed_over(name: &str, fault: Fault, bad: &[&str]) {
    let server = Server::serve(PAYLOAD).start();
    let counts: Vec<_> = bad.iter().map(|address| failing_at(address, server.port(), fault)).collect();
    let sandbox = Sandbox::new();
    let addresses = format!("host.invalid:{}:{},127.0.0.1", server.port(), bad.join(","));
    let outcome = sandbox
        .haul()
        .args(["--resolve", &addresses, "--retry", "3", "-x", "1"])
        .args(["--first-byte-timeout", "500ms", "--stall-timeout", "2s"])
        .arg(format!("http://host.invalid:{}/file.bin", server.port()))
        .run();
    outcome.assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
    let counts: Vec<_> = counts.iter().map(|count| count.load(Ordering::SeqCst)).collect();
    assert!(counts.iter().all(|count| (1..=3).contains(count)), "{name}, {bad:?}: {counts:?}");
}

#[test]
fn a_host_that_fails_on_every_address_is_told_with_the_choice_that_is_left() {
    for (bad, said) in [("::1", "-4 or -6"), ("127.0.0.3", "--resolve")] {
        let listener = TcpListener::bind("127.0.0.2:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let counts = [failing_at("127.0.0.2", port, FAULTS[1].1), failing_at(bad, port, FAULTS[1].1)];
        let sandbox = Sandbox::new();
        let outcome = sandbox
            .haul()
            .args(["--resolve", &format!("host.invalid:{port}:127.0.0.2,{bad}"), "--retry", "1"])
            .arg(format!("http://host.invalid:{port}/file.bin"))
            .run();
        outcome.assert_failed(6).assert_says(said);
        assert!(counts.iter().all(|count| count.load(Ordering::SeqCst) > 0), "{outcome}");
        sandbox.assert_empty();
    }
}

#[test]
fn idle_connections_leave_descriptors_for_what_is_still_to_come() {
    const FILE: Payload = Payload::new(332, 5000);
    let servers: Vec<_> = (0..80).map(|_| Server::serve(FILE).start()).collect();
    let sandbox = Sandbox::new();
    let urls: Vec<_> =
        servers.iter().enumerate().map(|(n, server)| server.url(&format!("/{n}.bin"))).collect();
    let few = ["sh", "-c", "ulimit -n 64; exec \"$0\" \"$@\""];
    let outcome = sandbox.haul().under(few).args(["-j", "2", "--retry", "0"]).args(urls).run();
    outcome.assert_ok();
    for n in 0..servers.len() {
        sandbox.assert_ok_file(&FILE, &format!("{n}.bin"));
    }
}
