//! JSON events, on which scripts rely.

use serde_json::Value;

use crate::support::*;

const PAYLOAD: Payload = Payload::mib(91, 8);

#[track_caller]
fn assert_fields(event: &Value, fields: &[&str]) {
    for field in fields {
        assert!(event.get(field).is_some(), "{field} is missing in {event}");
    }
    assert_eq!(event["v"], 1, "{event}");
}

#[test]
fn a_download_is_told_from_start_to_summary() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    let outcome = sandbox.haul().args(["--json", "-x", "4", "-k", "1M"]).arg(server.url("/file.bin")).run();
    outcome.assert_ok();
    let events = outcome.events();
    events.iter().for_each(|event| assert_fields(event, &["event"]));
    let (start, done, summary) = (outcome.start_event(), outcome.done_event(), outcome.summary());
    assert_fields(&start, &["id", "url", "path", "size", "resumed", "connections"]);
    assert_fields(&done, &["id", "path", "size", "fetched", "wasted", "elapsed", "digests", "sources"]);
    assert_eq!(start["size"].as_u64(), Some(PAYLOAD.len));
    assert_eq!(start["resumed"].as_u64(), Some(0));
    assert_eq!(start["id"], done["id"]);
    assert_eq!(start["url"].as_str(), Some(server.url("/file.bin").as_str()));
    assert!(done["path"].as_str().unwrap().ends_with("file.bin"), "{done}");
    assert_eq!(done["size"].as_u64(), Some(PAYLOAD.len));
    assert!((PAYLOAD.len..PAYLOAD.len + 4 * MIB).contains(&done["fetched"].as_u64().unwrap()), "{done}");
    assert!(done["elapsed"].as_f64().is_some(), "{done}");
    assert_eq!(events.last(), Some(&summary));
    assert!(outcome.events_named("error").is_empty());
}

#[test]
fn a_failure_is_one_error_event_and_a_summary() {
    for (reply, code, kind) in [
        (Reply::Status(404), 3, "not_found"),
        (Reply::Status(403), 4, "auth"),
        (Reply::Status(400), 5, "http"),
        (Reply::Hangup, 6, "network"),
    ] {
        let server = Server::serve(PAYLOAD).behave(move |_, _| reply.clone()).start();
        let sandbox = Sandbox::new();
        let outcome = sandbox.haul().args(["--json", "--retry", "0"]).arg(server.url("/file.bin")).run();
        outcome.assert_failed(code);
        let error = outcome.error_event();
        assert_fields(&error, &["id", "code", "kind", "message", "resumable", "hint"]);
        assert_eq!(error["code"].as_i64(), Some(i64::from(code)), "{error}");
        assert_eq!(error["kind"], kind, "{error}");
        assert_eq!(error["resumable"], false, "{error}");
        assert!(outcome.events_named("done").is_empty());
        outcome.summary();
    }
}

#[test]
fn what_came_for_a_file_that_failed_is_counted() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    let outcome =
        sandbox.haul().args(["--json", "--sha256", &"0".repeat(64)]).arg(server.url("/file.bin")).run();
    outcome.assert_failed(12);
    assert!(outcome.summary()["fetched"].as_u64() >= Some(PAYLOAD.len), "{outcome}");
    let broken = Server::serve(PAYLOAD)
        .behave(|request, _| if request.is_get() { Reply::Ends(Ending::Close(MIB)) } else { Reply::Normal })
        .start();
    let outcome = sandbox
        .haul()
        .args(["--json", "--retry", "0", "-x", "1", "-o", "broken.bin"])
        .arg(broken.url("/file.bin"))
        .run();
    outcome.assert_failed(6);
    assert!(outcome.summary()["fetched"].as_u64() >= Some(MIB), "{outcome}");
}

#[test]
fn progress_counts_up_and_stays_within_the_size() {
    let gate = Gate::after(4 * MIB);
    let server = Server::serve(PAYLOAD).gate(&gate).start();
    let sandbox = Sandbox::new();
    let running = sandbox.haul().args(["--json", "-x", "4", "-k", "1M"]).arg(server.url("/file.bin")).spawn();
    running.wait_for_durable(2 * MIB);
    gate.open();
    let outcome = running.wait();
    outcome.assert_ok();
    let progress = outcome.events_named("progress");
    assert!(!progress.is_empty());
    let mut last = 0;
    for event in &progress {
        assert_fields(
            event,
            &["id", "received", "durable", "verified", "size", "rate", "eta", "connections"],
        );
        let durable = event["durable"].as_u64().unwrap();
        assert!(durable >= last && durable <= PAYLOAD.len, "{event}");
        assert_eq!(event["size"].as_u64(), Some(PAYLOAD.len));
        last = durable;
    }
    let seconds = outcome.elapsed.as_secs() as usize + 2;
    assert!(progress.len() <= seconds, "{} progress events in {:?}", progress.len(), outcome.elapsed);
}

#[test]
fn a_retry_is_told_with_its_cause() {
    let server = Server::serve(PAYLOAD)
        .handler(|request, exchange| {
            if request.n < 2 {
                let mut answer = Answer::text(503, "busy");
                answer.set("Retry-After", "1");
                return exchange.send(&answer);
            }
            exchange.serve();
        })
        .start();
    let sandbox = Sandbox::new();
    let outcome = sandbox.haul().arg("--json").arg(server.url("/file.bin")).run();
    outcome.assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
    let retries = outcome.events_named("retry");
    assert!(!retries.is_empty(), "{outcome}");
    for retry in &retries {
        assert_fields(retry, &["id", "cause", "status", "wait", "attempt"]);
        assert_eq!(retry["status"].as_u64(), Some(503), "{retry}");
    }
}

#[test]
fn a_size_nobody_stated_is_null() {
    let payload = Payload::new(92, 500_000);
    let server = Server::serve(payload).ending_with_its_connection(payload.len).start();
    let sandbox = Sandbox::new();
    let digest = payload.sha256_hex();
    let outcome = sandbox.haul().args(["--json", "--sha256", &digest]).arg(server.url("/file.bin")).run();
    outcome.assert_ok();
    assert!(outcome.start_event()["size"].is_null(), "{outcome}");
    assert_eq!(outcome.done_event()["size"].as_u64(), Some(payload.len));
}

#[test]
fn every_file_has_an_id_and_exactly_one_end() {
    let server = Server::serve(PAYLOAD)
        .file("/a", Payload::new(93, 100_000))
        .file("/b", Payload::new(94, 200_000))
        .behave(|request, _| if request.path() == "/gone" { Reply::Status(404) } else { Reply::Normal })
        .start();
    let sandbox = Sandbox::new();
    let urls = ["/a", "/gone", "/b"].map(|path| server.url(path));
    let outcome = sandbox.haul().args(["--json", "-j", "3"]).args(&urls).run();
    assert_eq!(outcome.code, Some(3), "{outcome}");
    let events = outcome.events();
    let ends: Vec<&Value> =
        events.iter().filter(|event| event["event"] == "done" || event["event"] == "error").collect();
    let mut ids: Vec<String> = ends.iter().map(|event| event["id"].to_string()).collect();
    ids.sort();
    ids.dedup();
    assert_eq!((ends.len(), ids.len()), (3, 3), "{outcome}");
    outcome.summary();
}

#[test]
fn a_usage_error_is_an_event_too_or_at_least_one_line() {
    let sandbox = Sandbox::new();
    let outcome = sandbox.haul().args(["--json", "--sha256", "abc", "http://127.0.0.1:1/x"]).run();
    outcome.assert_failed(2);
    assert!(outcome.events().iter().all(|event| event["event"] != "done"));
}

#[test]
fn a_run_that_comes_to_no_file_is_told_as_an_error_and_a_summary() {
    let server = Server::serve(PAYLOAD).behave(|_, _| Reply::Status(404)).start();
    let url = server.url("/f");
    let cases: [(&[&str], i32); 9] = [
        (&["--json"], 2),
        (&["--json", "--no-such-flag", &url], 2),
        (&["--progress", "json", "-x", "many", &url], 2),
        (&["--progress=json", "htp://host/f"], 2),
        (&["--json", "-i", "no such list"], 2),
        (&["--json", "--metalink", &url], 3),
        (&["--json", "--checksum-file", &url, "http://host/f"], 3),
        (&["resume", "--json", "no such directory"], 9),
        (&["info", "--json", "htp://host/f"], 2),
    ];
    for (args, code) in cases {
        let sandbox = Sandbox::new();
        let outcome = sandbox.haul().args(args).run();
        outcome.assert_failed(code);
        let error = outcome.error_event();
        assert_fields(&error, &["id", "code", "kind", "message", "url", "resumable", "kept", "hint"]);
        assert_eq!((&error["id"], &error["code"]), (&Value::Null, &code.into()), "{args:?}");
        assert_eq!(outcome.summary()["code"], code, "{args:?}");
        assert_eq!(outcome.events().last(), Some(&outcome.summary()), "{args:?}");
    }
}

#[test]
fn a_configuration_that_wants_events_gets_them_for_a_run_that_comes_to_no_file() {
    let sandbox = Sandbox::new();
    let directory = sandbox.home().join(".config/haul");
    std::fs::create_dir_all(&directory).unwrap();
    std::fs::write(directory.join("config.toml"), "progress = \"json\"\n").unwrap();
    let outcome = sandbox.haul().arg("htp://host/f").run();
    outcome.assert_failed(2);
    assert_eq!(outcome.error_event()["kind"], "usage");
    let outcome = sandbox.haul().env("HAUL_PROGRESS", "json").args(["--no-config", "--no-such-flag"]).run();
    assert_eq!(outcome.error_event()["kind"], "usage");
}

#[test]
fn a_run_that_has_nothing_to_fetch_ends_with_a_summary_too() {
    let sandbox = Sandbox::new();
    for args in [&["-i", "-"][..], &["resume"]] {
        let (command, flags) = if args[0] == "resume" { (args, &[][..]) } else { (&[][..], args) };
        let outcome = sandbox.haul().args(command).arg("--json").args(flags).stdin("# nothing\n").run();
        outcome.assert_ok();
        assert_eq!(outcome.events(), [outcome.summary()], "{args:?}");
        assert_eq!((&outcome.summary()["ok"], &outcome.summary()["failed"]), (&0.into(), &0.into()));
    }
    std::fs::write(sandbox.path("x.haul"), "no manifest").unwrap();
    let outcome = sandbox.haul().args(["resume", "--json"]).run();
    assert_eq!(outcome.events().len(), 2, "{outcome}");
    assert_eq!(outcome.summary()["code"].as_i64(), outcome.code.map(i64::from));
    assert_eq!(outcome.summary()["failed"], 1);
}

#[test]
fn a_signal_while_a_list_is_fetched_is_told_with_its_code() {
    let server = Server::serve(PAYLOAD).handler(|_, exchange| exchange.stall()).start();
    for (signal, number) in [("INT", 2), ("TERM", 15), ("HUP", 1)] {
        for flag in ["--metalink", "--checksum-file"] {
            server.forget();
            let sandbox = Sandbox::new();
            let running =
                sandbox.haul().args(["--json", flag]).arg(server.url("/list")).arg("http://host/f").spawn();
            server.wait_until("the list is asked for", |log| !log.requests.is_empty());
            running.signal(signal);
            let outcome = running.wait();
            outcome.assert_signalled(number).assert_says("next: haul --json");
            assert_eq!(outcome.error_event()["kind"], "cancelled");
            assert_eq!(outcome.error_event()["code"], 128 + number);
            assert_eq!(outcome.summary()["code"], 128 + number);
        }
    }
}

#[test]
fn a_signal_while_files_come_is_told_with_its_code() {
    let server = Server::serve(PAYLOAD).handler(|_, exchange| exchange.stall()).start();
    for (signal, number) in [("INT", 2), ("TERM", 15), ("HUP", 1)] {
        server.forget();
        let sandbox = Sandbox::new();
        let running =
            sandbox.haul().args(["--json", "-j", "1"]).args([server.url("/f"), server.url("/g")]).spawn();
        server.wait_until("it is asked for", |log| !log.requests.is_empty());
        running.signal(signal);
        let outcome = running.wait();
        outcome.assert_signalled(number);
        assert_eq!(outcome.error_event()["code"], 128 + number);
        let summary = outcome.summary();
        assert_eq!((&summary["code"], &summary["not_started"]), (&(128 + number).into(), &1.into()));
    }
}

#[test]
fn a_file_starts_once_and_a_new_start_is_a_restart() {
    let server = Server::serve(Resource::of(PAYLOAD).etag("\"one\"")).start();
    let other = Payload::mib(92, 8);
    server.handle_with(move |request, exchange| {
        // The first response has the old version, and all others have the new one.
        let resource = if request.n == 0 {
            Resource::of(PAYLOAD).etag("\"one\"")
        } else {
            Resource::of(other).etag("\"two\"")
        };
        exchange.serve_resource(&resource);
    });
    let sandbox = Sandbox::new();
    let outcome = sandbox.haul().args(["--json", "-x", "4", "-k", "1M"]).arg(server.url("/file.bin")).run();
    outcome.assert_ok();
    sandbox.assert_ok_file(&other, "file.bin");
    assert_eq!(outcome.events_named("start").len(), 1);
    let restarts = outcome.events_named("restart");
    assert!(!restarts.is_empty(), "{outcome}");
    restarts
        .iter()
        .for_each(|event| assert_fields(event, &["id", "url", "path", "size", "resumed", "connections"]));
}
