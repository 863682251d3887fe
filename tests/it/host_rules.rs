//! `[host."PATTERN"]` in the configuration, and `haul config`.

use crate::support::tls::self_signed;
use crate::support::*;
use std::fs;

const PAYLOAD: Payload = Payload::new(421, 70_000);

fn configure(sandbox: &Sandbox, text: &str) {
    let directory = sandbox.home().join(".config/haul");
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join("config.toml"), text).unwrap();
}

#[test]
fn values_of_a_host_are_for_that_host_alone() {
    let (one, other) = (Server::serve(PAYLOAD).start(), Server::serve(PAYLOAD).start());
    let sandbox = Sandbox::new();
    let token = sandbox.write("token", "t0ken\n");
    let headers = sandbox.write("headers", "X-A: b\n");
    configure(
        &sandbox,
        &format!(
            "[host.\"localhost\"]\nbearer-file = \"{}\"\nheader-file = \"{}\"\nuser-agent = \"me\"\n",
            token.display(),
            headers.display()
        ),
    );
    let urls = [format!("{}/a", one.origin_as("localhost")), other.url("/b")];
    sandbox.haul().args(urls).run().assert_ok();
    let sent = one.requests().into_iter().find(|request| request.is_get()).unwrap();
    assert_eq!(sent.header("authorization"), Some("Bearer t0ken"));
    assert_eq!([sent.header("x-a"), sent.header("user-agent")], [Some("b"), Some("me")]);
    for request in other.requests() {
        assert!(!request.has("authorization") && !request.has("x-a"), "{request:?}");
    }
    // A document that names the host does not get its secrets.
    let text = format!(
        "<metalink xmlns=\"urn:ietf:params:xml:ns:metalink\"><file name=\"m\"><url>{}/m</url></file></metalink>",
        one.origin_as("localhost")
    );
    sandbox.write("d.meta4", text);
    sandbox.haul().args(["--metalink", "d.meta4"]).run().assert_ok();
    let sent = one.requests().into_iter().rev().find(|request| request.path() == "/m").unwrap();
    assert!(!sent.has("authorization") && !sent.has("x-a"), "{sent:?}");
}

#[test]
fn certificates_are_accepted_of_the_host_that_is_named_and_of_no_other() {
    let server = Server::serve(PAYLOAD).tls(self_signed(&["localhost", "127.0.0.1"])).start();
    let sandbox = Sandbox::new();
    configure(&sandbox, "[host.\"localhost\"]\ninsecure = true\n");
    sandbox.haul().arg(format!("{}/a", server.origin_as("localhost"))).run().assert_ok();
    sandbox.haul().args(["--retry", "0"]).arg(server.url("/b")).run().assert_failed(7);
}

#[test]
fn config_shows_each_value_and_its_source() {
    let sandbox = Sandbox::new();
    configure(&sandbox, "jobs = 3\n\nlimit-rate = \"2M\"\n[host.\"*.example\"]\nlimit-rate = 2\n");
    let outcome = sandbox.haul().args(["config", "-x", "5"]).env("HAUL_RETRY", "7").run();
    outcome.assert_ok();
    let text = outcome.stdout_text();
    let line = |key: &str| {
        let line = text.lines().find(|line| line.split_whitespace().next() == Some(key)).unwrap();
        line.split_whitespace().skip(1).collect::<Vec<_>>().join(" ")
    };
    assert_eq!([line("connections"), line("retry"), line("dir")], ["5 flag", "7 HAUL_RETRY", "- default"]);
    assert!(line("jobs").starts_with("3 ") && line("jobs").ends_with("config.toml: line 1"), "{text}");
    assert!(line("limit-rate").ends_with("config.toml: line 3"), "{text}");
    assert!(text.contains("host.\"*.example\".limit-rate = 2"), "{text}");
    sandbox.haul().args(["config", "--check"]).run().assert_ok();
    configure(&sandbox, "jobs = 3\n[host.\"h\"]\n\nconections = 2\n");
    let outcome = sandbox.haul().args(["config", "--check"]).run();
    outcome.assert_failed(2).assert_says("line 4: conections: haul knows no such key for a host");
}
