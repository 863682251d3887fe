//! Lists that are long, and lists that come while the run goes on.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::FileExt as _;
use std::time::Duration;

use crate::support::*;

const PAYLOAD: Payload = Payload::new(391, 3_000);

/// Largest resident size of a run, for a million lines.
const BOUND_KIB: u64 = 64 * 1024;
const MILLION: u64 = 1_000_000;

/// Number of lines, and true if it is the whole million: that takes a build with optimisation.
fn lines() -> (u64, bool) {
    let all = exhaustive();
    (if all { MILLION } else { MILLION / 20 }, all)
}

/// Lines of which no two are alike, as a data set has them.
fn data_set(origin: &str, count: u64) -> String {
    let mut text = String::new();
    for number in 0..count {
        writeln!(
            text,
            "{{\"url\": \"{origin}/set/{:03}/{number:07}.bin\", \"output\": \"{:03}/{number:07}.bin\"}}",
            number / 10_000,
            number / 10_000
        )
        .unwrap();
    }
    text
}

#[test]
fn a_line_that_is_typed_is_fetched_before_the_next_one_is() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    let mut running = sandbox.haul().args(["-i", "-", "--stream", "--json"]).typing().spawn();
    for name in ["a", "b"] {
        running.type_in(&format!("{}\n", server.url(&format!("/{name}"))));
        running.wait_for_event("it is saved", |event| {
            event["event"] == "done" && event["path"].as_str().is_some_and(|path| path.ends_with(name))
        });
        sandbox.assert_ok_file(&PAYLOAD, name);
    }
    let last =
        serde_json::json!({ "url": server.url("/c"), "output": "d/c", "sha256": PAYLOAD.sha256_hex() });
    // The end of the input ends the last line.
    running.type_in(&last.to_string());
    running.end_input();
    let outcome = running.wait();
    outcome.assert_ok();
    PAYLOAD.assert_file_is(&sandbox.path("d/c"));
    assert_eq!(outcome.summary()["ok"], 3);
}

#[test]
fn a_wrong_line_of_a_stream_fails_alone_and_is_named() {
    let server = Server::serve(PAYLOAD)
        .behave(|request, _| if request.path() == "/gone" { Reply::Status(404) } else { Reply::Normal })
        .start();
    let list = [
        server.url("/a"),
        "{\"url\": 7}".to_owned(),
        server.url("/b"),
        "  out=c".to_owned(),
        "ftp://h/x".to_owned(),
        format!("{{\"url\": \"{}\", \"typo\": 1}}", server.url("/d")),
        server.url("/e"),
    ]
    .join("\n");
    let sandbox = Sandbox::new();
    let outcome = sandbox.haul().args(["-i", "-", "--stream", "--failed", "left"]).stdin(list.clone()).run();
    assert_eq!(outcome.code, Some(2), "{outcome}");
    for (line, why) in
        [(2, "JSON"), (4, "give its options in its own line"), (5, "http and https"), (6, "typo")]
    {
        let told = outcome.cause_lines().into_iter().find(|told| told.contains(&format!("-: line {line}: ")));
        assert!(told.is_some_and(|told| told.contains(why)), "{line}: {outcome}");
    }
    for name in ["a", "b", "e"] {
        sandbox.assert_ok_file(&PAYLOAD, name);
    }
    outcome.assert_says("3 files saved, 4 failed");
    let sandbox = Sandbox::new();
    let list = format!("{}\n{}\n{{\n", server.url("/gone"), server.url("/f"));
    let outcome = sandbox.haul().args(["-i", "-", "--stream", "--failed", "left"]).stdin(list).run();
    assert_eq!(outcome.code, Some(1), "{outcome}");
    assert_eq!(sandbox.read("left"), format!("{{\"url\":\"{}\"}}\n", server.url("/gone")).into_bytes());
    // Without the flag nothing is asked for.
    server.forget();
    let sandbox = Sandbox::new();
    sandbox.write("list", format!("{}\n{{\n", server.url("/g")));
    sandbox.haul().args(["-i", "list"]).run().assert_failed(2).assert_says("list: line 2: ");
    assert!(server.requests().is_empty());
    sandbox.haul().args(["-i", "list", "--stream"]).run().assert_failed(2);
    sandbox.assert_ok_file(&PAYLOAD, "g");
}

#[test]
fn lines_of_a_stream_do_not_get_into_each_others_way() {
    let gate = Gate::shut();
    let server = Server::serve(PAYLOAD).gate(&gate).start();
    let sandbox = Sandbox::new();
    let mut running = sandbox.haul().args(["-i", "-", "--stream", "--json"]).typing().spawn();
    let lines = ["/one/a", "/one/a", "/two/a", "/b"].map(|path| server.url(path) + "\n");
    running.type_in(&lines.concat());
    let failed = |line: u64| {
        running.wait_for_event("a line fails", |event| {
            event["event"] == "error"
                && event["message"].as_str().is_some_and(|text| text.contains(&format!("line {line}: ")))
        })
    };
    assert_eq!(failed(3)["code"], 2);
    gate.wait_for_waiting(2);
    gate.open();
    running.wait_for_event("both are saved", |event| event["event"] == "done" && event["id"] == 1);
    running.wait_for_event("both are saved", |event| event["event"] == "done" && event["id"] == 0);
    // Its name is that of a complete file now, which is looked at as ever.
    running.type_in(&lines[0]);
    running.end_input();
    let outcome = running.wait();
    outcome.assert_failed(2).assert_says("1 URL asked for again");
    assert_eq!([&outcome.summary()["ok"], &outcome.summary()["already_there"]], [3, 1], "{outcome}");
    sandbox.assert_ok_file(&PAYLOAD, "a");
    sandbox.assert_ok_file(&PAYLOAD, "b");
}

#[test]
fn a_stream_ends_at_a_signal_although_its_input_is_open() {
    let gate = Gate::shut();
    let server = Server::serve(PAYLOAD).gate(&gate).start();
    let sandbox = Sandbox::new();
    for lines in [0, 3] {
        let name = format!("left{lines}");
        let mut running =
            sandbox.haul().args(["-i", "-", "--stream", "-j", "1", "--failed", &name]).typing().spawn();
        let urls: Vec<_> = (0..lines).map(|number| server.url(&format!("/{number}"))).collect();
        running.type_in(&urls.iter().map(|url| format!("{url}\n")).collect::<String>());
        if lines > 0 {
            gate.wait_for_waiting(1);
        } else {
            // It listens to signals before it says what it warns of.
            running.type_in("nonsense\n");
            running.wait_for_stderr("it reads", |said| said.contains("line 1: "));
        }
        running.signal("INT");
        running.wait().assert_signalled(2);
        let left = String::from_utf8(sandbox.read(&name)).unwrap();
        assert!(urls.iter().take(1).all(|url| left.contains(url)), "{left}");
    }
}

#[test]
fn an_empty_stream_is_said_to_be_empty_and_flags_of_one_file_are_refused() {
    let sandbox = Sandbox::new();
    let stream =
        |more: &[&str]| sandbox.haul().args(["-i", "-", "--stream"]).args(more).stdin("# nothing\n").run();
    stream(&[]).assert_ok().assert_says("names nothing");
    assert_eq!(stream(&["--json"]).assert_ok().summary()["ok"], 0);
    let digest = "0".repeat(64);
    for more in [
        &["-o", "x"][..],
        &["-n"],
        &["--adopt", "x"],
        &["--metalink", "x"],
        &["--find-checksum"],
        &["--sha256", &digest],
        &["--mirror", "http://h/x"],
    ] {
        stream(more).assert_failed(2);
    }
    sandbox.haul().args(["--stream", "http://h/x"]).run().assert_failed(2).assert_says("--input-file");
    sandbox
        .haul()
        .args(["--stream", "-i", "missing"])
        .run()
        .assert_failed(2)
        .assert_says("cannot read missing");
    sandbox.assert_empty();
}

#[test]
fn a_long_list_that_changes_while_it_is_used_is_not_read_on() {
    let gate = Gate::shut();
    let server = Server::serve(PAYLOAD).gate(&gate).start();
    let sandbox = Sandbox::new();
    let list = sandbox.write("list", data_set(&server.origin(), 20_000));
    assert!(fs::metadata(&list).unwrap().len() > 1 << 20);
    let running = sandbox.haul().args(["-q", "-i", "list"]).spawn();
    gate.wait_for_waiting(1);
    // Beyond what is under way, and before the end.
    fs::File::options().write(true).open(&list).unwrap().write_all_at(b"http", 100_000).unwrap();
    gate.open();
    let outcome = running.wait();
    outcome.assert_failed(2).assert_says("has changed since it was checked");
    assert!((200..5_000).contains(&server.gets().len()), "{}", server.gets().len());
}

/// Largest resident size, in KiB, of a run with these arguments and this input.
fn resident(sandbox: &Sandbox, args: &[&str], input: Option<String>, code: i32) -> u64 {
    let mut haul = sandbox.haul().args(args).deadline(Duration::from_secs(600));
    if let Some(input) = input {
        haul = haul.stdin(input);
    }
    let outcome = haul.run();
    assert_eq!(outcome.code, Some(code), "{}", outcome.stderr.chars().take(2_000).collect::<String>());
    outcome.max_rss_kib
}

#[test]
fn a_long_list_takes_little_memory_while_it_is_checked() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    let (count, is_whole) = lines();
    // The last line is wrong, so the check is all that is done.
    let list = format!("{}nonsense\n", data_set(&server.origin(), count));
    sandbox.write("list", &list);
    let shorter = format!("{}nonsense\n", data_set(&server.origin(), count / 5));
    let short = resident(&sandbox, &["-i", "-"], Some(shorter), 2);
    for (args, input) in [(["-i", "list"], None), (["-i", "-"], Some(list))] {
        let long = resident(&sandbox, &args, input, 2);
        // The rest of a run has 24 MiB, and each line its share of what is left. The allocator is not exact to the last MiB.
        let share = (BOUND_KIB - 24 * 1024) * count / MILLION + 1024;
        assert!(
            long <= short + share,
            "{short} KiB became {long} KiB with {count} lines; {share} may be added"
        );
        assert!(!is_whole || long <= BOUND_KIB, "{long} KiB for {count} lines");
    }
    assert!(server.requests().is_empty());
}

#[test]
fn a_long_list_takes_little_memory_while_its_files_are_looked_at() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    let (count, is_whole) = lines();
    let count = if is_whole { count } else { count / 10 };
    sandbox.write("list", data_set(&server.origin(), count));
    // A file has a few ten thousand names at the most.
    let mut file = sandbox.write("file", PAYLOAD.all());
    for number in 0..count {
        let directory = sandbox.path(&format!("d/{:03}", number / 10_000));
        if number % 10_000 == 0 {
            fs::create_dir_all(&directory).unwrap();
            file = directory.join("file");
            fs::write(&file, PAYLOAD.all()).unwrap();
        }
        fs::hard_link(&file, directory.join(format!("{number:07}.bin"))).unwrap();
    }
    let args = ["-q", "-i", "list", "-d", "d", "--if-exists", "skip", "--failed", "left"];
    let long = resident(&sandbox, &args, None, 0);
    assert!(long <= BOUND_KIB, "{long} KiB for {count} lines");
    assert_eq!(sandbox.read("left"), b"");
    assert!(server.requests().is_empty());
}

/// Files that are looked at again, and the time that each may take. A build without optimisation is some ten times as slow on a busy
/// machine.
const PRESENT: u32 = 10_000;
const EACH: Duration = Duration::from_micros(if cfg!(debug_assertions) { 2_000 } else { 200 });

#[test]
fn ten_thousand_files_that_are_there_cost_no_request_and_little_time() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    let mut list = String::new();
    for number in 0..PRESENT {
        let payload = Payload::new(u64::from(number) + 1, 200);
        let directory = format!("d/{:02}", number / 1_000);
        if number % 1_000 == 0 {
            fs::create_dir_all(sandbox.path(&directory)).unwrap();
        }
        sandbox.write(&format!("{directory}/{number}"), payload.all());
        let line = serde_json::json!({
            "url": server.url(&format!("/{number}")), "output": format!("{:02}/{number}", number / 1_000),
            "sha256": payload.sha256_hex(),
        });
        writeln!(list, "{line}").unwrap();
    }
    sandbox.write("list", list);
    let outcome = sandbox.haul().args(["-q", "-i", "list", "-d", "d"]).run();
    outcome.assert_ok();
    assert!(server.requests().is_empty(), "{}", server.describe());
    assert!(outcome.elapsed <= EACH * PRESENT, "{:?} for {PRESENT} files", outcome.elapsed);
}
