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

#[test]
fn secrets_of_a_command_are_asked_for_once_and_sent_to_that_host_alone() {
    let (one, other) = (Server::serve(PAYLOAD).start(), Server::serve(PAYLOAD).start());
    let sandbox = Sandbox::new();
    let runs = sandbox.home().join("runs");
    let command = |secret: &str| {
        format!("[\"sh\", \"-c\", \"echo x >> {}; echo {secret}; echo more\"]", runs.display())
    };
    for (keys, sent) in [
        (format!("bearer-command = {}", command("t0ken")), "Bearer t0ken"),
        // me:pw
        (format!("user = \"me\"\npassword-command = {}", command("pw")), "Basic bWU6cHc="),
    ] {
        configure(&sandbox, &format!("[host.\"localhost\"]\n{keys}\n"));
        let urls = ["/a", "/b"].map(|path| format!("{}{path}", one.origin_as("localhost")));
        let list = sandbox.write("list", urls.join("\n"));
        let haul = sandbox.haul().args(["--if-exists", "overwrite", "-i"]).arg(list).arg(other.url("/c"));
        haul.run().assert_ok();
        assert!(one.gets().iter().all(|request| request.header("authorization") == Some(sent)), "{keys}");
        assert!(other.requests().iter().all(|request| !request.has("authorization")), "{keys}");
        assert_eq!(fs::read_to_string(&runs).unwrap(), "x\n", "{keys}");
        // The command is shown, and not run for that.
        let shown = sandbox.haul().arg("config").run();
        shown.assert_ok().assert_says("command = [\"sh\", \"-c\", ");
        sandbox.haul().args(["config", "--check"]).run().assert_ok();
        assert_eq!(fs::read_to_string(&runs).unwrap(), "x\n", "{keys}");
        fs::remove_file(&runs).unwrap();
        one.forget();
    }
}

#[test]
fn a_command_that_fails_ends_the_run_and_its_output_is_not_shown() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    let url = format!("{}/a", server.origin_as("localhost"));
    let script = "echo S3CR; exit 3";
    configure(&sandbox, &format!("[host.\"localhost\"]\nbearer-command = [\"sh\", \"-c\", \"{script}\"]\n"));
    let outcome = sandbox.haul().arg(&url).run();
    outcome.assert_failed(2).assert_says("host localhost: bearer-command: sh ended with exit status: 3");
    assert!(!outcome.said().contains("S3CR"), "{outcome}");
    assert!(server.requests().is_empty());
    // A flag takes its place.
    let token = sandbox.write("token", "t0ken\n");
    sandbox.haul().arg("--bearer-file").arg(token).arg(&url).run().assert_ok();
    assert_eq!(server.gets()[0].header("authorization"), Some("Bearer t0ken"));
    for (keys, told) in [
        (
            "bearer-command = \"pass show x\"",
            "line 2: bearer-command: a command is wanted as a list of words",
        ),
        ("user = \"me\"", "line 2: user: it needs a password-command"),
        ("\npassword-command = [\"x\"]", "line 3: password-command: it needs the name"),
    ] {
        configure(&sandbox, &format!("[host.\"localhost\"]\n{keys}\n"));
        sandbox.haul().arg(&url).run().assert_failed(2).assert_says(told);
    }
}

#[test]
fn each_host_on_the_way_is_told_its_own_user_agent() {
    let target = Server::serve(PAYLOAD).start();
    let there = format!("{}/a", target.origin_as("localhost"));
    let hub = Server::serve(PAYLOAD).behave(move |_, _| Reply::Redirect(302, there.clone())).start();
    let told = |server: &Server| {
        let mut agents: Vec<_> = server
            .requests()
            .iter()
            .map(|request| request.header("user-agent").unwrap().to_owned())
            .collect();
        agents.dedup();
        server.forget();
        agents
    };
    let sandbox = Sandbox::new();
    configure(&sandbox, "[host.\"localhost\"]\nuser-agent = \"of-target\"\n");
    let haul = || sandbox.haul().args(["--if-exists", "overwrite"]).arg(hub.url("/a"));
    haul().run().assert_ok();
    assert_eq!(told(&target), ["of-target"]);
    let own = told(&hub);
    assert!(own.len() == 1 && own[0].starts_with("haul/"), "{own:?}");
    for mine in [["-A", "mine"], ["-H", "User-Agent: mine"]] {
        haul().args(mine).run().assert_ok();
        assert_eq!([told(&target), told(&hub)], [["mine"], ["mine"]]);
    }
    // The agent of a host is not told to the one that it leads to.
    configure(&sandbox, "[host.\"127.0.0.1\"]\nuser-agent = \"of-hub\"\n");
    haul().run().assert_ok();
    assert_eq!(told(&hub), ["of-hub"]);
    assert!(told(&target)[0].starts_with("haul/"));
}

#[test]
fn config_shows_defaults_too_and_tells_a_script_where_each_value_stands() {
    let sandbox = Sandbox::new();
    configure(&sandbox, "limit-rate = \"2M\"\n[host.\"*.example\"]\n\nlimit-rate = \"512K\"\n");
    let text = sandbox.haul().arg("config").run().stdout_text();
    for said in [
        "limit-rate           2M ",
        "retry                8 ",
        "connect-timeout      10s ",
        "netrc                false ",
    ] {
        assert!(text.contains(said), "{said}: {text}");
    }
    assert!(
        text.contains("host.\"*.example\".limit-rate = 512K  ") && text.contains("config.toml: line 4"),
        "{text}"
    );
    let outcome = sandbox.haul().args(["config", "--json", "-x", "5"]).run();
    outcome.assert_ok();
    let text = outcome.stdout_text();
    let values: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let found = |host: Option<&str>, key: &str| {
        let is_it = |value: &&serde_json::Value| value["host"].as_str() == host && value["key"] == key;
        values.iter().find(is_it).unwrap_or_else(|| panic!("{key}: {text}"))
    };
    let rate = found(Some("*.example"), "limit-rate");
    assert_eq!((&rate["value"], &rate["source"], &rate["line"]), (&"512K".into(), &"file".into(), &4.into()));
    assert!(rate["file"].as_str().unwrap().ends_with("config.toml"), "{rate}");
    assert_eq!(
        (&found(None, "limit-rate")["value"], &found(None, "limit-rate")["line"]),
        (&"2M".into(), &1.into())
    );
    assert_eq!(
        (&found(None, "connections")["value"], &found(None, "connections")["source"]),
        (&"5".into(), &"flag".into())
    );
    assert_eq!(
        (&found(None, "retry")["value"], &found(None, "retry")["source"]),
        (&"8".into(), &"default".into())
    );
    assert!(found(None, "dir")["value"].is_null());
}

#[test]
fn a_check_of_the_configuration_finds_what_a_run_would_meet_and_the_run_names_its_place() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    let url = format!("{}/a", server.origin_as("localhost"));
    for (text, told, meets) in [
        ("[host.\"x\"]\nproxy = \"foo://x\"", "line 2: proxy: ", true),
        ("[host.\"*.*.x\"]\nconnections = 1", "line 1: *.*.x: a host, or *. and a domain, is wanted", true),
        ("[host.\"x\"]\n[host.\"X\"]", "line 2: host x has a table already, in line 1", true),
        (
            "[host.\"localhost\"]\n\nbearer-file = \"/nope\"",
            "line 3: host localhost: bearer-file: cannot read /nope",
            true,
        ),
        (
            "[host.\"localhost\"]\nheader-file = \"/nope\"",
            "line 2: host localhost: header-file: cannot read /nope",
            true,
        ),
        ("[host.\"x\"]\nbearer-file = \"/nope\"", "line 2: host x: bearer-file: cannot read /nope", false),
        ("cacert = \"/nope\"", "line 1: cacert: ", true),
    ] {
        configure(&sandbox, text);
        sandbox
            .haul()
            .args(["config", "--check"])
            .run()
            .assert_failed(2)
            .assert_says("config.toml: ")
            .assert_says(told);
        let outcome = sandbox.haul().args(["--if-exists", "overwrite"]).arg(&url).run();
        if meets {
            outcome.assert_failed(2).assert_says("config.toml: ").assert_says(told);
        } else {
            outcome.assert_ok();
        }
    }
    fs::remove_file(sandbox.home().join(".config/haul/config.toml")).unwrap();
    sandbox.haul().args(["config", "--check"]).run().assert_ok().assert_says("there is no such file");
}

#[test]
fn a_command_for_a_secret_may_say_why_it_fails_and_haul_repeats_nothing_of_it() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    let script = "echo S3CR; echo the keyring is locked >&2; exit 3";
    configure(&sandbox, &format!("[host.\"localhost\"]\nbearer-command = [\"sh\", \"-c\", \"{script}\"]\n"));
    let outcome = sandbox.haul().arg("--json").arg(format!("{}/a", server.origin_as("localhost"))).run();
    outcome
        .assert_failed(2)
        .assert_says("config.toml: line 2: host localhost: bearer-command: sh ended with");
    assert!(outcome.stderr.starts_with("the keyring is locked\n"), "{outcome}");
    assert!(!outcome.said().contains("S3CR") && !outcome.stdout_text().contains("keyring"), "{outcome}");
}
