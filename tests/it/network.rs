//! Which addresses are used, and from where.

use crate::support::*;

const PAYLOAD: Payload = Payload::mib(331, 4);

#[test]
fn a_host_is_reached_at_the_address_that_was_given_for_it() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    let port = server.port();
    let url = format!("http://no-such-host.invalid:{port}/file.bin");
    // The last one for a host counts; another port is another matter.
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
    // Where the machine has no IPv6 at all it is the connecting that fails.
    run("-6").assert_failed(6);
    run("-4").assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
    // What does not get better is not tried again.
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
    // Nothing of this machine: told at once, and nothing is sent.
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
    // Where the machine has no IPv6 at all, that is what is told.
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
