//! Several files in one run.

use crate::support::*;

/// For the lists of failures and the commands.
const PAYLOAD: Payload = Payload::new(341, 70_000);

const A: Payload = Payload::mib(101, 2);
const B: Payload = Payload::mib(102, 2);
const C: Payload = Payload::new(103, 12_345);

fn shelf() -> Server {
    Server::serve(C)
        .file("/a", A)
        .file("/b", B)
        .file("/c", C)
        .behave(|request, _| match request.path() {
            "/a" | "/b" | "/c" => Reply::Normal,
            "/secret" => Reply::Status(403),
            _ => Reply::Status(404),
        })
        .start()
}

#[test]
fn several_files_come_at_once() {
    let server = shelf();
    let sandbox = Sandbox::new();
    for jobs in ["1", "3"] {
        let urls = ["/a", "/b", "/c"].map(|path| server.url(path));
        sandbox.haul().args(["-j", jobs, "-d", jobs]).args(&urls).run().assert_ok();
        A.assert_file_is(&sandbox.path(jobs).join("a"));
        B.assert_file_is(&sandbox.path(jobs).join("b"));
        C.assert_file_is(&sandbox.path(jobs).join("c"));
    }
}

#[test]
fn a_file_that_fails_does_not_stop_the_others() {
    let server = shelf();
    for jobs in ["1", "2"] {
        let sandbox = Sandbox::new();
        let urls = ["/a", "/gone", "/b"].map(|path| server.url(path));
        let outcome = sandbox.haul().args(["-j", jobs]).args(&urls).run();
        outcome.assert_failed(3);
        sandbox.assert_ok_file(&A, "a");
        sandbox.assert_ok_file(&B, "b");
        assert_eq!(sandbox.entries(), ["a", "b"]);
    }
}

#[test]
fn files_that_fail_differently_give_the_general_code() {
    let server = shelf();
    let sandbox = Sandbox::new();
    let outcome =
        sandbox.haul().args(["-j", "2"]).args(["/gone", "/secret", "/c"].map(|path| server.url(path))).run();
    assert_eq!(outcome.code, Some(1), "{outcome}");
    sandbox.assert_ok_file(&C, "c");
}

#[test]
fn two_urls_with_the_same_name_do_not_overwrite_each_other() {
    let server = Server::serve(A).file("/one/x", A).file("/two/x", B).start();
    let sandbox = Sandbox::new();
    let outcome =
        sandbox.haul().args(["-j", "2"]).args(["/one/x", "/two/x"].map(|path| server.url(path))).run();
    if outcome.code == Some(0) {
        assert_eq!(sandbox.entries().len(), 2, "{:?}", sandbox.entries());
    } else {
        assert!([1, 2, 10, 11].contains(&outcome.code.unwrap()), "{outcome}");
        let kept = sandbox.path("x");
        let bytes = std::fs::read(kept).unwrap_or_default();
        assert!(bytes.is_empty() || A.compare(&bytes[..]).is_ok() || B.compare(&bytes[..]).is_ok());
    }
}

#[test]
fn the_limit_on_jobs_is_kept() {
    let gate = Gate::shut();
    let server = Server::serve(A).gate(&gate).start();
    let sandbox = Sandbox::new();
    let urls: Vec<String> = (0..4).map(|n| server.url(&format!("/f{n}"))).collect();
    let running = sandbox.haul().args(["-j", "2", "-x", "1"]).args(&urls).spawn();
    gate.wait_for_waiting(2);
    let names: std::collections::HashSet<String> =
        server.gets().iter().map(|get| get.target.clone()).collect();
    assert_eq!(names.len(), 2, "{}", server.describe());
    gate.open();
    running.wait().assert_ok();
    (0..4).for_each(|n| sandbox.assert_ok_file(&A, &format!("f{n}")));
}

#[test]
fn a_list_cannot_point_outside_the_directory() {
    let server = shelf();
    let sandbox = Sandbox::new();
    for list in [
        format!("{}\n  out=../../escaped\n", server.url("/a")),
        format!("{}\n  dir=/tmp\n", server.url("/a")),
        serde_json::json!({ "url": server.url("/a"), "output": "../escaped" }).to_string(),
    ] {
        let outcome = sandbox.haul().args(["-i", "-"]).stdin(list).run();
        outcome.assert_failed(2).assert_says("line");
    }
    assert!(sandbox.outside().is_empty(), "{:?}", sandbox.outside());
    sandbox.assert_empty();
    assert!(server.requests().is_empty());
}

#[test]
fn a_list_may_hold_urls_json_and_what_aria2_writes() {
    let server = shelf();
    let sandbox = Sandbox::new();
    let json = serde_json::json!({ "url": server.url("/b"), "output": "in/b.bin", "sha256": B.sha256_hex() });
    let list = format!(
        "# three files\n{}\n{json}\n{}\n  out=c.bin\n  checksum=sha-256={}\n  split=5\n",
        server.url("/a"),
        server.url("/c"),
        C.sha256_hex()
    );
    sandbox.write("list", &list);
    let outcome = sandbox.haul().args(["-i", "list", "-d", "got"]).run();
    outcome.assert_ok().assert_says("the option split is left out");
    A.assert_file_is(&sandbox.path("got/a"));
    B.assert_file_is(&sandbox.path("got/in/b.bin"));
    C.assert_file_is(&sandbox.path("got/c.bin"));
}

#[test]
fn a_mistake_in_a_list_is_named_with_its_line_before_anything_is_asked() {
    let server = shelf();
    let sandbox = Sandbox::new();
    let good = server.url("/a");
    for (bad, said) in [
        ("ftp://h/x".to_owned(), "http and https"),
        ("{\"url\":1}".to_owned(), "JSON"),
        (format!("{good}\n  checksum=sha-256=12"), "line"),
        (format!("{good}\t{good}"), "digest"),
        (format!("{good}\n  header=@/etc/passwd"), "Name: value"),
        (format!("{good}\n  out=../x"), "out of the directory"),
        (format!("{{\"url\":\"{good}\",\"headers\":7}}"), "headers"),
        (format!("{good}\n  checksum=md5={}", "0".repeat(32)), "different digests"),
        (format!("{}\n  out=a", server.url("/b")), "saved as a"),
        (format!("{good}x\n  checksum=md5={}\n  checksum=md5={}", "0".repeat(32), "1".repeat(32)), "digest"),
        ("{\"url\":\"".to_owned(), "JSON"),
    ] {
        let outcome = sandbox.haul().args(["-i", "-"]).stdin(format!("{good}\n{bad}\n")).run();
        outcome.assert_failed(2).assert_says(said);
        let words: Vec<_> = outcome.stderr.split_whitespace().collect();
        let numbered = |pair: &&[&str]| pair[0] == "line" && pair[1].starts_with(char::is_numeric);
        assert_eq!(words.windows(2).filter(numbered).count(), 1, "{outcome}");
    }
    assert!(server.requests().is_empty());
    sandbox.haul().args(["-i", "missing"]).run().assert_failed(2);
    sandbox.assert_empty();
}

#[test]
fn what_belongs_to_one_file_or_is_no_list_is_refused_with_a_way_to_say_it() {
    let sandbox = Sandbox::new();
    let digest = "0".repeat(64);
    for (args, hint) in [
        (&["-i", "http://host/list"][..], "haul URL -o - | haul -i -"),
        (&["http://host/a", "http://host/b", "--sha256", &digest], "--checksum-file"),
        (&["http://host/a", "http://host/b", "--mirror", "http://other/a"], "\"mirrors\""),
    ] {
        sandbox.haul().args(args).run().assert_failed(2).assert_says("  next: ").assert_says(hint);
    }
}

#[test]
fn an_empty_list_is_said_to_be_empty() {
    let sandbox = Sandbox::new();
    sandbox.haul().args(["-i", "-"]).stdin("# nothing\n").run().assert_ok().assert_says("names nothing");
    sandbox.assert_empty();
}

#[test]
fn many_files_together_do_not_storm_a_server_that_is_down() {
    for failure in [Reply::Status(503), Reply::Hangup] {
        let server = Server::serve(C).behave(move |_, _| failure.clone()).start();
        let sandbox = Sandbox::new();
        let urls: Vec<_> = (0..24).map(|n| server.url(&format!("/{n}"))).collect();
        let outcome = sandbox.haul().args(["-j", "24", "--retry", "1000"]).args(&urls).run();
        assert!(matches!(outcome.code, Some(5 | 6)), "{outcome}");
        assert_eq!(outcome.cause_lines().len(), urls.len(), "{outcome}");
        outcome.assert_says("too often");
        // Each file asks once, and all of them together ask again a bounded number of times.
        let asked = server.requests().len();
        assert!(asked <= 2 * (urls.len() + 32 + 4), "{asked} requests");
        sandbox.assert_empty();
    }
}

#[test]
fn what_was_not_saved_is_a_list_that_can_be_run_again() {
    let server = Server::serve(PAYLOAD)
        .behave(|request, _| if request.path().contains("gone") { Reply::Status(404) } else { Reply::Normal })
        .start();
    let sandbox = Sandbox::new();
    let (good, gone) = (server.url("/a"), server.url("/gone"));
    let digest = PAYLOAD.sha256_hex();
    sandbox.write(
        "list",
        format!(
            "{good}\n{{\"url\": \"{gone}\", \"output\": \"d/b\", \"sha256\": \"{digest}\", \"headers\": [\"X-A: b\"]}}\n"
        ),
    );
    let outcome = sandbox.haul().args(["-i", "list", "--failed", "list", "-H", "X-Secret: s"]).run();
    outcome.assert_failed(3).assert_says("1 failed (1 not found)");
    let left = String::from_utf8(sandbox.read("list")).unwrap();
    assert!(left.contains("/gone") && left.contains(&digest) && left.contains("X-A: b"), "{left}");
    assert!(!left.contains(&good) && !left.contains("X-Secret"), "{left}");
    server.recover();
    sandbox.haul().args(["-i", "list", "--failed", "list"]).run().assert_ok();
    PAYLOAD.assert_file_is(&sandbox.path("d/b"));
    assert_eq!(sandbox.read("list"), b"");
}

#[test]
fn a_run_that_is_interrupted_lists_what_it_never_started() {
    let gate = Gate::after(1);
    let server = Server::serve(PAYLOAD).gate(&gate).start();
    let sandbox = Sandbox::new();
    let urls: Vec<_> = (0..6).map(|number| server.url(&format!("/{number}"))).collect();
    let running = sandbox.haul().args(["-j", "1", "--json", "--failed", "left"]).args(&urls).spawn();
    running.wait_for_start();
    running.signal("INT");
    running.wait();
    let left = String::from_utf8(sandbox.read("left")).unwrap();
    assert!(urls.iter().all(|url| left.contains(url)), "{left}");
    assert_eq!(left.lines().count(), 6, "{left}");
}

#[test]
fn a_command_runs_for_each_file_and_no_shell_reads_what_a_server_says() {
    let server = Server::serve(PAYLOAD)
        .behave(|request, _| if request.path().contains("gone") { Reply::Status(404) } else { Reply::Normal })
        .start();
    let sandbox = Sandbox::new();
    let outcome = sandbox
        .haul()
        .args(["--on-done", "sh -c 'echo \"$0 $HAUL_SIZE\" >> done' {path}"])
        .args(["--on-error", "sh -c 'echo \"$HAUL_CODE $0\" >> failed' {url}"])
        .args([server.url("/a"), server.url("/$(touch%20x);b"), server.url("/gone")])
        .run();
    outcome.assert_failed(3);
    let mut done: Vec<_> =
        String::from_utf8(sandbox.read("done")).unwrap().lines().map(str::to_owned).collect();
    done.sort();
    assert_eq!(done, [format!("$(touch x);b {}", PAYLOAD.len), format!("a {}", PAYLOAD.len)]);
    let failed = String::from_utf8(sandbox.read("failed")).unwrap();
    assert_eq!(failed, format!("3 {}\n", server.url("/gone")));
    assert!(!sandbox.path("x").exists());
    let outcome = sandbox.haul().args(["--on-done", "false"]).arg(server.url("/c")).run();
    outcome.assert_failed(1).assert_says("--on-done false ended with");
    let outcome = sandbox.haul().args(["--on-done", "'"]).arg(server.url("/d")).run();
    outcome.assert_failed(2);
    sandbox.assert_absent("d");
}

#[test]
fn shards_of_a_list_are_disjoint_and_complete() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    let list: String = (0..30).map(|number| format!("{}\n", server.url(&format!("/{number}.bin")))).collect();
    sandbox.write("list", list);
    let mut saved = Vec::new();
    for shard in ["0/3", "1/3", "2/3"] {
        sandbox.haul().args(["-q", "-i", "list", "-d", "d", "--shard", shard]).run().assert_ok();
        let names = crate::support::haul::names_in(&sandbox.path("d"));
        assert!(names.len() > saved.len() && names.len() < saved.len() + 30, "{names:?}");
        saved = names;
    }
    assert_eq!((saved.len(), server.requests().iter().filter(|request| request.is_get()).count()), (30, 30));
    let outcome = sandbox
        .haul()
        .args(["-q", "-i", "list", "-d", "e", "--shard", "auto"])
        .env("SLURM_ARRAY_TASK_ID", "0")
        .env("SLURM_ARRAY_TASK_COUNT", "1")
        .run();
    outcome.assert_ok();
    sandbox.haul().args(["-i", "list", "--shard", "4/3"]).run().assert_failed(2).assert_says("I/N");
    sandbox.haul().args(["-i", "list", "--shard", "auto"]).run().assert_failed(2);
}

#[test]
fn a_list_of_what_was_not_saved_says_the_directory_of_the_run() {
    let server = Server::serve(PAYLOAD).behave(|_, _| Reply::Status(404)).start();
    let sandbox = Sandbox::new();
    let run = |dir: &str| {
        let urls = [server.url("/a")];
        sandbox.haul().args(["--failed", "left", "-d", dir]).args(urls).run().assert_failed(3);
        String::from_utf8(sandbox.read("left")).unwrap()
    };
    let elsewhere = sandbox.home().display().to_string();
    let left = run(&elsewhere);
    assert!(left.starts_with(&format!("# To be run with -d {elsewhere:?}")), "{left}");
    let left = run("./out/x");
    assert!(left.contains("\"dir\":\"out/x\""), "{left}");
    server.recover();
    sandbox.haul().args(["-i", "left"]).run().assert_ok();
    PAYLOAD.assert_file_is(&sandbox.path("out/x/a"));
}

#[test]
fn what_a_run_could_not_do_at_its_end_is_refused_before_it_begins() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    for (args, told) in [
        (["--failed", "."], "--failed: .: it is a directory"),
        (["--failed", "no/left"], "--failed: no/left: its directory does not exist"),
        (["--on-done", "echo {nope}"], "--on-done: {nope} stands for nothing"),
        (["--on-done", "echo {error}"], "{url}, {path}, {size}, {digests}"),
        (["--on-error", "echo {path}"], "{url}, {error}, {kind}, {code}"),
        (["--on-done", "echo \"unclosed"], "--on-done: a quote is not closed"),
    ] {
        let outcome = sandbox.haul().args(args).arg(server.url("/a")).run();
        outcome.assert_failed(2).assert_says(told);
    }
    assert!(server.requests().is_empty());
    assert!(sandbox.entries().is_empty());
}
