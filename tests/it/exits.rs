//! The end of a run: the exit code, the one line, and the files left.

use std::net::TcpListener;
use std::time::Duration;

use crate::support::*;

const PAYLOAD: Payload = Payload::mib(71, 2);

#[track_caller]
fn fails_with(status: u16, code: i32) {
    let server = Server::serve(PAYLOAD).behave(move |_, _| Reply::Status(status)).start();
    let sandbox = Sandbox::new();
    let outcome = sandbox.haul().args(["--retry", "1"]).arg(server.url("/file.bin")).run();
    outcome.assert_failed(code);
    outcome.assert_says(&status.to_string());
    assert_eq!(outcome.stdout_text(), "");
    sandbox.assert_empty();
}

#[test]
fn a_file_that_is_not_there_is_not_found() {
    fails_with(404, 3);
    fails_with(410, 3);
}

#[test]
fn a_server_that_wants_credentials_is_an_auth_failure() {
    fails_with(401, 4);
    fails_with(403, 4);
    fails_with(407, 4);
}

#[test]
fn any_other_refusal_is_an_http_failure() {
    for status in [400, 402, 418, 451, 501, 505] {
        fails_with(status, 5);
    }
}

#[test]
fn a_status_that_carries_no_file_is_an_http_failure() {
    for status in [201, 202, 204, 205, 304, 300] {
        fails_with(status, 5);
    }
}

#[test]
fn a_server_that_stays_overloaded_is_an_http_failure() {
    for status in [429, 500, 502, 503, 504] {
        fails_with(status, 5);
    }
}

#[test]
fn a_refused_connection_is_a_network_failure_and_is_known_at_once() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let sandbox = Sandbox::new();
    let outcome =
        sandbox.haul().args(["--retry", "0"]).arg(format!("http://127.0.0.1:{port}/file.bin")).run();
    outcome.assert_failed(6);
    assert!(outcome.elapsed < Duration::from_secs(2), "{outcome}");
    sandbox.assert_empty();
}

#[test]
fn a_host_that_does_not_exist_is_a_network_failure() {
    let sandbox = Sandbox::new();
    let outcome = sandbox.haul().args(["--retry", "0", "http://no-such-host.invalid/file.bin"]).run();
    outcome.assert_failed(6);
    outcome.assert_says("no-such-host.invalid");
    sandbox.assert_empty();
}

// T047
#[test]
fn a_server_that_never_answers_is_a_network_failure_in_bounded_time() {
    let server = Server::serve(PAYLOAD).behave(|_, _| Reply::NoAnswer).start();
    let sandbox = Sandbox::new();
    let outcome = sandbox
        .haul()
        .args(["--retry", "1", "--first-byte-timeout", "500ms", "--connect-timeout", "1s"])
        .arg(server.url("/file.bin"))
        .run();
    outcome.assert_failed(6);
    assert!(outcome.elapsed < Duration::from_secs(20), "{outcome}");
    sandbox.assert_empty();
}

#[test]
fn a_server_that_hangs_up_on_everything_is_a_network_failure() {
    for reply in [Reply::Hangup, Reply::Reset] {
        let server = Server::serve(PAYLOAD).behave(move |_, _| reply.clone()).start();
        let sandbox = Sandbox::new();
        let outcome = sandbox.haul().args(["--retry", "1"]).arg(server.url("/file.bin")).run();
        outcome.assert_failed(6);
        sandbox.assert_empty();
        assert!(server.requests().len() <= 16, "{}", server.describe());
    }
}

#[test]
fn nonsense_on_the_command_line_is_a_usage_error_and_reaches_no_server() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    let url = server.url("/file.bin");
    let table: &[&[&str]] = &[
        &[],
        &["--no-such-flag", &url],
        &["-x", "0", &url],
        &["-x", "many", &url],
        &["-j", "0", &url],
        &["-k", "lots", &url],
        &["--limit-rate", "-5", &url],
        &["--retry", "x", &url],
        &["--connect-timeout", "soon", &url],
        &["--if-exists", "maybe", &url],
        &["--progress", "loud", &url],
        &["-o", "x", &url, &url],
        &["not-a-url"],
        &["http://"],
        &["http://[::1/file"],
        &["--restart", "--no-restart", &url],
        &["--cacert", "does-not-exist.pem", &url],
    ];
    for args in table {
        let outcome = sandbox.haul().args(*args).run();
        assert_eq!(outcome.code, Some(2), "{outcome}");
        assert_eq!(outcome.stdout_text(), "", "{outcome}");
        assert!(!outcome.stderr.is_empty());
        sandbox.assert_empty();
    }
    assert_eq!(server.connections(), 0);
}

// T060
#[test]
fn a_scheme_other_than_http_and_https_is_refused() {
    let sandbox = Sandbox::new();
    let secret = sandbox.root().join("secret");
    std::fs::write(&secret, "S3CR").unwrap();
    let file = format!("file://{}", secret.display());
    for url in ["ftp://127.0.0.1/x", "gopher://127.0.0.1/x", "data:,hello", "javascript:1", &file] {
        let outcome = sandbox.haul().arg(url).run();
        outcome.assert_failed_as_one_of(&[2, 13]);
        sandbox.assert_empty();
    }
}

// T070
#[test]
fn a_line_break_in_an_argument_reaches_no_server() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    let url = server.url("/file.bin");
    for args in [
        vec!["-H".to_owned(), "X: a\r\nEvil: b".into(), url.clone()],
        vec!["-H".into(), "X: a\nEvil: b".into(), url.clone()],
        vec!["-H".into(), "no colon".into(), url.clone()],
        vec!["-H".into(), "Bad Name: x".into(), url.clone()],
        vec!["-A".into(), "agent\r\nEvil: b".into(), url.clone()],
        vec!["-H".into(), "X: a\rEvil: b".into(), url.clone()],
        vec!["-A".into(), "agent\rEvil: b".into(), url.clone()],
        vec!["-o".into(), "x".into(), format!("{url}\r\nEvil:%20b")],
        vec!["-o".into(), "x".into(), format!("{url}\nEvil:%20b")],
    ] {
        sandbox.haul().args(&args).run().assert_failed(2);
    }
    assert_eq!(server.connections(), 0);
}

// T070
#[test]
fn a_carriage_return_in_a_location_makes_no_header() {
    let server = Server::serve(PAYLOAD)
        .handler(|request, exchange| match request.path() {
            "/file.bin" => {
                exchange
                    .send_raw(b"HTTP/1.1 302 Found\r\nLocation: /x\rEvil: y\r\nContent-Length: 0\r\n\r\n");
            }
            _ => exchange.serve(),
        })
        .start();
    let sandbox = Sandbox::new();
    let outcome = sandbox.haul().args(["--retry", "0"]).arg(server.url("/file.bin")).run();
    assert!(server.requests().iter().all(|record| !record.has("evil")), "{outcome}");
    outcome.assert_failed(5);
}

#[test]
fn flags_that_mean_something_else_in_other_tools_are_explained() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    let url = server.url("/file.bin");
    let table: &[(&[&str], &[&str])] = &[
        (&["-O", &url], &["-o"]),
        (&["-C", "-", &url], &["resum", "automatic"]),
        (&["-c", &url], &["resum", "automatic"]),
        (&["-L", &url], &["redirect"]),
        (&["-s", "4", &url], &["-x", "-q"]),
        (&["--split=4", &url], &["-x"]),
    ];
    for (args, hints) in table {
        let outcome = sandbox.haul().args(*args).run();
        assert_eq!(outcome.code, Some(2), "{outcome}");
        let said = outcome.stderr.to_lowercase();
        assert!(
            hints.iter().any(|hint| said.contains(hint)),
            "{args:?} should mention one of {hints:?}: {outcome}"
        );
        sandbox.assert_empty();
    }
    assert_eq!(server.connections(), 0);
}

#[test]
fn help_and_version_go_to_stdout_and_name_the_exit_codes() {
    let sandbox = Sandbox::new();
    let help = sandbox.haul().arg("--help").run();
    help.assert_ok();
    let text = help.stdout_text();
    for word in ["--sha256", "--connections", "130", "12", "checksum"] {
        assert!(text.to_lowercase().contains(word), "{word} is not in the help");
    }
    let version = sandbox.haul().arg("--version").run();
    version.assert_ok();
    assert!(version.stdout_text().starts_with("haul "), "{version}");
}

#[test]
fn quiet_says_nothing_on_success_and_one_line_on_failure() {
    let server = Server::serve(PAYLOAD)
        .behave(|request, _| if request.path() == "/gone" { Reply::Status(404) } else { Reply::Normal })
        .start();
    let sandbox = Sandbox::new();
    let outcome = sandbox.haul().arg("-q").arg(server.url("/file.bin")).run();
    outcome.assert_ok();
    assert_eq!(outcome.said(), "");
    let outcome = sandbox.haul().arg("-q").arg(server.url("/gone")).run();
    outcome.assert_failed(3);
}

#[test]
fn an_error_says_what_was_kept_and_how_to_go_on() {
    let server = Server::serve(Payload::mib(72, 4)).start();
    let sandbox = Sandbox::new();
    let gate = Gate::after(2 * MIB);
    server.set_gate(Some(&gate));
    let running =
        sandbox.haul().args(["--json", "-x", "1", "--retry", "0"]).arg(server.url("/file.bin")).spawn();
    running.wait_for_durable(MIB);
    server.behave_with(|_, _| Reply::Status(404));
    server.hang_up();
    let outcome = running.wait();
    outcome.assert_failed_as_one_of(&[3, 6]);
    let error = outcome.error_event();
    assert_eq!(error["resumable"], true, "{error}");
    sandbox.assert_kept("file.bin");
}

#[test]
fn no_configuration_is_read_from_the_current_directory() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    for name in ["config.toml", "haul.toml", ".haul.toml", ".haulrc"] {
        sandbox.write(name, "connections = 0\nthis is not toml");
    }
    sandbox.haul().arg(server.url("/file.bin")).run().assert_ok();
    PAYLOAD.assert_file_is(&sandbox.path("file.bin"));
}

#[test]
fn a_flag_beats_the_environment_which_beats_the_configuration() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    let config = sandbox.home().join("config/haul");
    std::fs::create_dir_all(&config).unwrap();
    std::fs::write(config.join("config.toml"), "user-agent = \"from-config\"\n").unwrap();
    let run = |name: &str, env: Option<&str>, args: &[&str]| {
        server.forget();
        let mut haul = sandbox.haul().env("XDG_CONFIG_HOME", sandbox.home().join("config")).args(args);
        if let Some(agent) = env {
            haul = haul.env("HAUL_USER_AGENT", agent);
        }
        haul.args(["-o", name]).arg(server.url("/file.bin")).run().assert_ok();
        server.requests()[0].header("user-agent").unwrap().to_owned()
    };
    assert_eq!(run("a", None, &[]), "from-config");
    assert_eq!(run("b", Some("from-env"), &[]), "from-env");
    assert_eq!(run("c", Some("from-env"), &["-A", "from-flag"]), "from-flag");
    assert!(run("d", None, &["--no-config"]).starts_with("haul"));
}

#[test]
fn what_is_asked_for_twice_is_fetched_once() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    let url = server.url("/file.bin");
    let outcome = sandbox.haul().args(["-i", "-"]).stdin(format!("{url}\n\n{url}\n")).run();
    outcome.assert_ok().assert_says("1 URL asked for again");
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
    server.assert_cost(PAYLOAD.len + MIB);
    // Another file under the same name is a mistake, and is found before any request.
    server.forget();
    let list = format!("{}\n{}\n", server.url("/x/other.bin"), server.url("/y/other.bin"));
    let outcome = sandbox.haul().args(["-i", "-"]).stdin(list).run();
    outcome.assert_failed(2).assert_says("line 2");
    assert!(server.requests().is_empty());
}

#[test]
fn a_command_behind_a_flag_is_explained() {
    let outcome = Sandbox::new().haul().args(["--no-config", "status"]).run();
    outcome.assert_failed(2).assert_says("a command stands before all flags");
}

#[test]
fn two_urls_for_one_file_are_refused_before_anything_is_asked() {
    let server = Server::serve(Payload::mib(99, 1)).start();
    let sandbox = Sandbox::new();
    let outcome = sandbox.haul().args([server.url("/x/file.bin"), server.url("/y/file.bin")]).run();
    outcome.assert_failed(2).assert_says("file.bin");
    assert!(server.requests().is_empty());
    sandbox.assert_empty();
}

#[test]
fn credentials_that_are_given_twice_are_refused() {
    let server = Server::serve(Payload::mib(99, 1)).start();
    let sandbox = Sandbox::new();
    let header = ["-H", "Authorization: Bearer q"];
    sandbox.haul().args(["-u", "a:b"]).args(header).arg(server.url("/f")).run().assert_failed(2);
    let with_userinfo = server.url("/f").replace("http://", "http://a:b@");
    sandbox.haul().args(header).arg(with_userinfo).run().assert_failed(2);
    assert!(server.requests().is_empty());
}

#[test]
fn a_file_that_is_skipped_is_not_called_complete() {
    let server = Server::serve(Payload::mib(99, 1)).start();
    let sandbox = Sandbox::new();
    sandbox.write("file.bin", "mine");
    let outcome = sandbox.haul().args(["--if-exists", "skip"]).arg(server.url("/file.bin")).run();
    outcome.assert_ok().assert_says("left as it is");
    assert!(!outcome.stderr.contains("complete"), "{outcome}");
}

/// Runs a command with one of its outputs on a device that is always full.
fn full(output: u8) -> [String; 3] {
    ["/bin/sh".into(), "-c".into(), format!("exec \"$0\" \"$@\" {output}>/dev/full")]
}

#[test]
fn results_that_cannot_be_written_are_a_disk_failure() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    sandbox.write("file.bin", PAYLOAD.all());
    let (url, digest) = (server.url("/file.bin"), PAYLOAD.sha256_hex());
    let commands: [&[&str]; 4] = [
        &["info", &url],
        &["info", "--json", &url],
        &["verify", "file.bin", "--sha256", &digest],
        &["completions", "bash"],
    ];
    for arguments in commands {
        let outcome = sandbox.haul().under(full(1)).args(arguments).run();
        outcome.assert_failed(9);
        outcome.assert_says("standard output");
    }
}

#[test]
fn a_reader_of_results_that_has_gone_away_has_seen_enough() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    for json in [&[][..], &["--json"]] {
        let outcome = sandbox
            .haul()
            .stdout_closed()
            .arg("info")
            .args(json.iter().copied())
            .arg(server.url("/file.bin"))
            .run();
        outcome.assert_ok();
        assert_eq!(outcome.stderr, "", "{outcome}");
    }
}

#[test]
fn events_that_cannot_be_written_fail_the_run_and_not_the_file() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    let outcome = sandbox.haul().under(full(1)).arg("--json").arg(server.url("/file.bin")).run();
    outcome.assert_failed(9);
    PAYLOAD.assert_file_is(&sandbox.path("file.bin"));
}

#[test]
fn words_that_nobody_can_read_change_nothing() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.haul().under(full(2)).arg(server.url("/file.bin")).run().code, Some(0));
    PAYLOAD.assert_file_is(&sandbox.path("file.bin"));
    for arguments in [&["-i", "no-such-list"][..], &["--no-such-flag"]] {
        let outcome = sandbox.haul().under(full(2)).args(arguments.iter().copied()).run();
        assert_eq!(outcome.code, Some(2), "{outcome}");
    }
}
