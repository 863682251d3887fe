//! `info`, `status`, `verify`, `resume`, `rm`, `completions`, `man`.

use crate::resume::killed_after;
use crate::support::*;

const PAYLOAD: Payload = Payload::mib(151, 8);
const FOUR: &[&str] = &["-x", "4", "-k", "1M"];

#[test]
fn info_tells_about_a_url_and_writes_nothing() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    let outcome = sandbox.haul().arg("info").arg(server.url("/file.bin")).run();
    outcome.assert_ok();
    let said = outcome.stdout_text();
    assert!(said.contains("8388608") || said.contains("8.0") || said.contains("8 MiB"), "no size: {outcome}");
    assert!(said.contains("v1"), "no validator: {outcome}");
    sandbox.assert_empty();
    server.assert_cost(MIB);
    let missing = Server::serve(PAYLOAD).behave(|_, _| Reply::Status(404)).start();
    sandbox.haul().arg("info").arg(missing.url("/file.bin")).run().assert_failed(3);
}

#[test]
fn a_dry_run_tells_connections_ranges_whether_the_target_exists_and_what_would_happen() {
    let server = Server::serve(PAYLOAD).start();
    let digest = format!("sha256:{}", PAYLOAD.sha256_hex());
    let foreign: &dyn Fn(&Sandbox) = &|sandbox| drop(sandbox.write("file.bin", "there already"));
    let ours: &dyn Fn(&Sandbox) = &|sandbox| drop(sandbox.haul().arg(server.url("/file.bin")).run());
    let half: &dyn Fn(&Sandbox) = &|sandbox| {
        killed_after(sandbox, &server, 4 * MIB, FOUR);
    };
    let nothing: &dyn Fn(&Sandbox) = &|_| ();
    for (before, flags, said) in [
        (nothing, &["-x", "4"][..], "up to 4, with ranges of 64.0 KiB and more|does not exist|saved as"),
        (nothing, &["-x", "16", "-k", "1M"], "up to 8, with ranges of 1.0 MiB and more|saved as"),
        (foreign, &[], "none|exists|fails: "),
        (foreign, &["--if-exists", "overwrite"], "up to |exists|is replaced"),
        (foreign, &["--if-exists", "rename"], "up to |exists|file.1.bin"),
        (foreign, &["--if-exists", "skip"], "none|exists|nothing is fetched"),
        (foreign, &["--if-exists", "error"], "none|exists|fails: "),
        (foreign, &["--checksum", &digest], "none|exists|held against the digest"),
        (ours, &[], "none|exists|nothing is fetched"),
        (half, &[], "does not exist|goes on with"),
        (half, &["--restart"], "does not exist|starts over"),
    ] {
        let sandbox = Sandbox::new();
        server.recover();
        before(&sandbox);
        let there = sandbox.entries();
        let outcome = sandbox.haul().arg("-n").args(flags).arg(server.url("/file.bin")).run();
        outcome.assert_ok();
        for said in said.split('|') {
            outcome.assert_says(said);
        }
        assert_eq!(sandbox.entries(), there, "{outcome}");
    }
    let plain = Server::serve(PAYLOAD).behave(|_, _| Reply::Everything).start();
    let sandbox = Sandbox::new();
    let outcome = sandbox.haul().arg("-n").arg(plain.url("/file.bin")).run();
    outcome.assert_ok().assert_says("1, with everything in one answer");
}

#[test]
fn status_tells_how_far_a_download_is() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    killed_after(&sandbox, &server, 4 * MIB, FOUR);
    let before = sandbox.read("file.bin.haul");
    for path in ["file.bin", "file.bin.part", "file.bin.haul"] {
        let outcome = sandbox.haul().args(["status", path]).run();
        outcome.assert_ok();
        outcome.assert_says(&server.url("/file.bin"));
        outcome.assert_says("%");
    }
    assert!(sandbox.read("file.bin.haul") == before, "looking at it changed it");
    assert_eq!(server.connections(), 0);
}

#[test]
fn status_tells_whether_it_runs_of_which_version_it_is_and_what_goes_on_with_it() {
    let gate = Gate::after(4 * MIB);
    let server = Server::serve(PAYLOAD).gate(&gate).start();
    let sandbox = Sandbox::new();
    let digest = format!("sha256:{}", PAYLOAD.sha256_hex());
    let begun = sandbox.haul().args(["--json", "--checksum", &digest]).arg(server.url("/file.bin")).spawn();
    begun.wait_for_durable(2 * MIB);
    let running = sandbox.haul().args(["status", "file.bin"]).run();
    running.assert_ok().assert_says(", running, saved ").assert_says("another process is at it");
    begun.kill();
    let outcome = sandbox.haul().arg("status").run();
    for said in [", not running, saved ", " ago", "\"v1\"", &digest] {
        outcome.assert_says(said);
    }
    let object = sandbox.haul().args(["status", "--json"]).run().events().remove(0);
    assert_eq!((object["running"].as_bool(), object["version"].as_str()), (Some(false), Some("\"v1\"")));
    assert!(object["age"].as_f64().is_some_and(|age| age < 60.0), "{object}");
    let command = object["command"].as_str().unwrap();
    assert!(outcome.stdout_text().contains(&format!("  go on    {command}\n")), "{outcome}");
    gate.open();
    // The command is for a shell; nothing in it has to be quoted here.
    let words = command.split(' ').skip(1).map(str::to_owned);
    sandbox.haul().args(words).run().assert_ok().assert_says("resuming");
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
}

#[test]
fn status_of_nothing_is_a_failure() {
    let sandbox = Sandbox::new();
    let outcome = sandbox.haul().args(["status", "nothing"]).run();
    assert!(outcome.code != Some(0), "{outcome}");
    assert_eq!(outcome.cause_lines().len(), 1, "{outcome}");
}

#[test]
fn verify_compares_a_file_with_a_digest() {
    let sandbox = Sandbox::new();
    sandbox.write("file.bin", PAYLOAD.all());
    let digest = PAYLOAD.sha256_hex();
    sandbox.haul().args(["verify", "file.bin", "--sha256", &digest]).run().assert_ok();
    let outcome = sandbox.haul().args(["verify", "file.bin", "--sha256", &"0".repeat(64)]).run();
    outcome.assert_failed(12);
    outcome.assert_says(&digest);
    PAYLOAD.assert_file_is(&sandbox.path("file.bin"));
    let missing = sandbox.haul().args(["verify", "missing", "--sha256", &digest]).run();
    assert!(!matches!(missing.code, Some(0 | 12)), "{missing}");
}

#[test]
fn resume_goes_on_without_the_url_being_said_again() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    let kept = killed_after(&sandbox, &server, 4 * MIB, FOUR);
    sandbox.haul().arg("resume").run().assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
    server.assert_cost(PAYLOAD.len - kept + MIB);
}

#[test]
fn resume_takes_a_directory() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    killed_after(&sandbox, &server, 4 * MIB, FOUR);
    let elsewhere = sandbox.haul().in_dir(sandbox.home()).arg("resume").arg(sandbox.work()).run();
    elsewhere.assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
}

#[test]
fn resume_in_an_empty_directory_has_nothing_to_do() {
    let sandbox = Sandbox::new();
    let outcome = sandbox.haul().arg("resume").run();
    outcome.assert_ok().assert_says("nothing to resume");
    sandbox.assert_empty();
}

#[test]
fn rm_removes_what_is_unfinished_and_nothing_else() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    killed_after(&sandbox, &server, 4 * MIB, FOUR);
    sandbox.write("other.bin", "other");
    sandbox.haul().args(["rm", "file.bin"]).run().assert_ok();
    assert_eq!(sandbox.entries(), ["other.bin"]);
}

#[test]
fn rm_never_removes_a_finished_file_or_one_that_is_not_ours() {
    let sandbox = Sandbox::new();
    sandbox.write("mine.bin", "mine");
    sandbox.write("foreign.bin.part", "somebody's");
    for name in ["mine.bin", "foreign.bin", "nothing.bin"] {
        sandbox.haul().args(["rm", name]).run();
    }
    assert_eq!(sandbox.entries(), ["foreign.bin.part", "mine.bin"]);
}

#[test]
fn rm_keeps_its_hands_off_a_running_download() {
    let gate = Gate::after(2 * MIB);
    let server = Server::serve(PAYLOAD).gate(&gate).start();
    let sandbox = Sandbox::new();
    let running = sandbox.haul().arg("--json").arg(server.url("/file.bin")).spawn();
    running.wait_for_durable(MIB);
    sandbox.haul().args(["rm", "file.bin"]).run().assert_failed(11);
    gate.open();
    running.wait().assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
}

#[test]
fn completions_and_a_manual_page_are_written_to_stdout() {
    let sandbox = Sandbox::new();
    for shell in ["bash", "zsh", "fish"] {
        let outcome = sandbox.haul().args(["completions", shell]).run();
        outcome.assert_ok();
        assert!(outcome.stdout_text().contains("haul"), "{shell}");
    }
    let outcome = sandbox.haul().arg("man").run();
    outcome.assert_ok();
    assert!(outcome.stdout_text().contains(".TH haul"), "{outcome}");
    sandbox.assert_empty();
    let outcome = sandbox.haul().args(["man", "status"]).run();
    assert!(outcome.assert_ok().stdout_text().contains(".TH haul-status"), "{outcome}");
    sandbox.haul().args(["man", "stratus"]).run().assert_failed(2).assert_says("status, verify");
    sandbox.haul().args(["man", "--dir", "man1"]).run().assert_ok();
    let written = crate::support::haul::names_in(&sandbox.path("man1"));
    for name in [
        "haul.1",
        "haul-info.1",
        "haul-status.1",
        "haul-resume.1",
        "haul-verify.1",
        "haul-rm.1",
        "haul-man.1",
    ] {
        assert!(written.iter().any(|written| written == name), "{name}: {written:?}");
    }
    sandbox.haul().arg("--help").run().assert_ok().assert_says("Examples:\n  haul https://");
}

#[test]
fn verify_names_the_damaged_ranges_and_repair_fetches_them_again() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    let kept = killed_after(&sandbox, &server, 4 * MIB, &["-x", "1"]);
    sandbox.haul().args(["verify", "file.bin"]).run().assert_ok().assert_says("intact");
    let part = std::fs::OpenOptions::new().write(true).open(sandbox.part("file.bin")).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&part, b"not what was written", 100).unwrap();
    let outcome = sandbox.haul().args(["verify", "file.bin"]).run();
    outcome.assert_failed(12).assert_says("damaged at bytes 0-");
    outcome.assert_says("--repair");
    assert!(server.requests().is_empty());
    sandbox.haul().args(["verify", "--repair", "file.bin"]).run().assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
    server.assert_cost(PAYLOAD.len - kept + MIB + MIB / 2);
}

#[test]
fn of_a_finished_file_nothing_can_be_repaired_and_it_is_left_alone() {
    let sandbox = Sandbox::new();
    sandbox.write("file.bin", "finished");
    let outcome = sandbox.haul().args(["verify", "--repair", "file.bin"]).run();
    outcome.assert_failed(2).assert_says("--if-exists overwrite");
    assert_eq!(sandbox.read("file.bin"), b"finished");
}

#[test]
fn what_is_not_complete_yet_is_not_said_to_be_missing_when_it_is_held_against_a_digest() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    killed_after(&sandbox, &server, 4 * MIB, FOUR);
    let outcome = sandbox.haul().args(["verify", "file.bin", "--sha256", &PAYLOAD.sha256_hex()]).run();
    assert!(!outcome.stderr.contains("no such file"), "{outcome}");
    outcome.assert_failed(9).assert_says("not complete yet").assert_says("without a digest");
}

#[test]
fn verify_does_not_wait_for_a_pipe() {
    let sandbox = Sandbox::new();
    let made = std::process::Command::new("mkfifo").arg(sandbox.path("pipe")).status().unwrap();
    assert!(made.success());
    let outcome = sandbox.haul().args(["verify", "pipe", "--sha256", &"0".repeat(64)]).run();
    outcome.assert_failed(9).assert_says("regular file");
}

#[test]
fn repair_goes_on_with_what_is_intact_too() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    killed_after(&sandbox, &server, 4 * MIB, FOUR);
    sandbox.haul().args(["verify", "--repair", "file.bin"]).run().assert_ok().assert_says("intact");
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
}

#[test]
fn verify_takes_several_files_and_a_whole_list() {
    let payload = Payload::new(411, 3000);
    let sandbox = Sandbox::new();
    let digest = payload.sha256_hex();
    for name in ["a", "b"] {
        sandbox.write(name, payload.all());
    }
    sandbox.write("SUMS", format!("{digest}  a\n{digest}  b\n"));
    let outcome = sandbox.haul().args(["verify", "--checksum-file", "SUMS"]).run();
    outcome.assert_ok();
    assert_eq!(outcome.stdout_text().lines().count(), 2);
    sandbox.haul().args(["verify", "a", "b", "--sha256", &digest]).run().assert_ok();
    sandbox.write("b", "another");
    let outcome = sandbox.haul().args(["verify", "--checksum-file", "SUMS"]).run();
    assert_eq!(outcome.code, Some(12), "{outcome}");
    outcome.assert_says("1 of 2 files are not right");
    sandbox.haul().arg("verify").run().assert_failed(2);
}

#[test]
fn pieces_writes_a_document_that_haul_downloads_from() {
    let payload = Payload::mib(412, 3);
    let server = Server::serve(payload).start();
    let sandbox = Sandbox::new();
    sandbox.write("disk.img", payload.all());
    let outcome = sandbox.haul().args(["pieces", "disk.img", "--url", &server.url("/f?a&b")]).run();
    outcome.assert_ok();
    assert_eq!(outcome.stdout_text().matches("<hash>").count(), 3);
    sandbox.write("d.meta4", &outcome.stdout);
    sandbox.haul().args(["--metalink", "d.meta4", "-d", "d"]).run().assert_ok();
    payload.assert_file_is(&sandbox.path("d/disk.img"));
}

#[test]
fn a_finished_file_is_repaired_from_its_url_and_replaced_only_by_what_has_the_digest() {
    let (server, liar) = (Server::serve(PAYLOAD).start(), Server::serve(Payload::mib(599, 16)).start());
    let sandbox = Sandbox::new();
    let digest = PAYLOAD.sha256_hex();
    let mut damaged = PAYLOAD.all();
    damaged[MIB as usize] ^= 1;
    let repair = |words: &[&str]| sandbox.haul().args(["verify", "--repair", "file.bin"]).args(words).run();
    let url = server.url("/other-name");
    sandbox.write("file.bin", PAYLOAD.all());
    for words in [&["--url", &url, "--sha256", &digest][..], &["--sha256", &digest]] {
        repair(words).assert_ok().assert_says("it has the digest, nothing is fetched");
    }
    assert!(server.requests().is_empty());
    sandbox.write("file.bin", &damaged);
    repair(&["--url", &url]).assert_failed(2).assert_says("nothing says what file.bin has to be");
    repair(&["--sha256", &digest]).assert_failed(2).assert_says("--url URL --sha256 HEX");
    assert!(server.requests().is_empty());
    repair(&["--url", &liar.url("/f"), "--sha256", &digest]).assert_failed(12);
    assert!(sandbox.read("file.bin") == damaged);
    for words in [&["--url", &url][..], &[&url]] {
        sandbox.write("file.bin", &damaged);
        let outcome = repair(&[words, &["--sha256", &digest, "--json"]].concat());
        outcome.assert_ok().assert_says("has another digest, and is fetched again");
        assert_eq!(outcome.done_event()["fetched"], PAYLOAD.len, "{outcome}");
        sandbox.assert_ok_file(&PAYLOAD, "file.bin");
    }
    // In words the report says how much came.
    sandbox.write("file.bin", &damaged);
    repair(&["--url", &url, "--sha256", &digest]).assert_ok().assert_says("MiB");
}

#[test]
fn verify_compares_files_with_a_document_which_needs_no_source_for_that() {
    let payload = Payload::mib(413, 3);
    let sandbox = Sandbox::new();
    sandbox.write("disk.img", payload.all());
    let outcome = sandbox.haul().args(["pieces", "disk.img"]).run();
    outcome.assert_ok();
    sandbox.write("d.meta4", &outcome.stdout);
    let verify = |words: &[&str]| sandbox.haul().args(["verify", "--metalink", "d.meta4"]).args(words).run();
    for words in [&["disk.img"][..], &[]] {
        verify(words).assert_ok().assert_says(&payload.sha256_hex()).assert_says("3 pieces intact");
    }
    let outcome = verify(&["--json"]);
    outcome.assert_ok();
    let found: serde_json::Value = serde_json::from_str(outcome.stdout_text().trim()).unwrap();
    let digest = format!("sha256:{}", payload.sha256_hex());
    assert_eq!((&found["event"], &found["file"]), (&"verified".into(), &"disk.img".into()));
    assert_eq!((&found["digests"][0], &found["pieces"]), (&digest.into(), &3.into()));
    let mut damaged = payload.all();
    damaged[(2 * MIB) as usize] ^= 1;
    sandbox.write("disk.img", &damaged);
    verify(&["disk.img"]).assert_failed(12).assert_says("damaged at bytes 2097152-3145727");
    let mut longer = payload.all();
    longer.extend(b"more");
    sandbox.write("disk.img", &longer);
    verify(&["disk.img"]).assert_failed(12).assert_says("has 3145732 bytes, and d.meta4 states 3145728");
    let outcome = sandbox.haul().args(["verify", "--json", "disk.img", "--sha256", &"0".repeat(64)]).run();
    assert_eq!(outcome.code, Some(12), "{outcome}");
    let first: serde_json::Value =
        serde_json::from_str(outcome.stdout_text().lines().next().unwrap()).unwrap();
    assert_eq!((&first["event"], &first["code"]), (&"error".into(), &12.into()));
    // It says what the file is, and not where to get it.
    sandbox
        .haul()
        .args(["--metalink", "d.meta4"])
        .run()
        .assert_failed(2)
        .assert_says("no http or https source");
}
