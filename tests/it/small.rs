//! Small files: kept in memory until they are complete, and many of them together.

use std::time::Duration;

use crate::support::*;

const SMALL: Payload = Payload::new(211, 16_384);
const LARGE: Payload = Payload::mib(212, 3);

#[test]
fn of_a_small_file_nothing_is_on_disk_before_it_is_complete() {
    let gate = Gate::after(5_000);
    let server = Server::serve(SMALL).gate(&gate).start();
    let sandbox = Sandbox::new();
    let running = sandbox.haul().arg(server.url("/file.bin")).spawn();
    server.wait_for_body_bytes(5_000);
    sandbox.assert_empty();
    running.kill();
    sandbox.assert_empty();
    gate.open();
    sandbox.haul().arg(server.url("/file.bin")).run().assert_ok();
    sandbox.assert_ok_file(&SMALL, "file.bin");
}

#[test]
fn a_small_file_with_another_digest_gets_no_name() {
    let server = Server::serve(SMALL).start();
    let sandbox = Sandbox::new();
    let outcome = sandbox.haul().args(["--sha256", &LARGE.sha256_hex()]).arg(server.url("/file.bin")).run();
    outcome.assert_failed(12).assert_says(&SMALL.sha256_hex());
    sandbox.assert_empty();
    sandbox.haul().args(["--sha256", &SMALL.sha256_hex()]).arg(server.url("/file.bin")).run().assert_ok();
    sandbox.assert_ok_file(&SMALL, "file.bin");
}

#[test]
fn a_file_that_appears_while_a_small_one_comes_is_left_alone() {
    let gate = Gate::after(5_000);
    let server = Server::serve(SMALL).gate(&gate).start();
    let sandbox = Sandbox::new();
    let running = sandbox.haul().arg(server.url("/file.bin")).spawn();
    server.wait_for_body_bytes(5_000);
    sandbox.write("file.bin", "the user's");
    gate.open();
    running.wait().assert_failed(10);
    assert_eq!(sandbox.read("file.bin"), b"the user's");
    assert_eq!(sandbox.entries(), ["file.bin"]);
}

#[test]
fn a_small_file_is_what_it_would_be_had_it_been_large() {
    let server = Server::serve(SMALL).start();
    let sandbox = Sandbox::new();
    sandbox.haul().args(["--remote-time"]).arg(server.url("/file.bin")).run().assert_ok();
    let seen = server.requests().len();
    // The next run sees that it is complete, and of which version.
    sandbox.haul().arg(server.url("/file.bin")).run().assert_ok().assert_says("complete already");
    assert!(server.requests().len() <= seen + 1, "{}", server.describe());
    let umask = std::process::Command::new("sh").args(["-c", "umask"]).output().unwrap().stdout;
    let umask = u32::from_str_radix(String::from_utf8(umask).unwrap().trim(), 8).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(sandbox.path("file.bin")).unwrap().permissions(),
    );
    assert_eq!(mode & 0o777, 0o666 & !umask);
}

#[test]
fn a_small_file_that_breaks_off_is_continued_within_the_run() {
    let server =
        Server::serve(SMALL)
            .behave(|request, nth| {
                if request.is_get() && nth == 0 { Reply::Ends(Ending::Close(7_000)) } else { Reply::Normal }
            })
            .start();
    let sandbox = Sandbox::new();
    sandbox.haul().arg(server.url("/file.bin")).run().assert_ok();
    sandbox.assert_ok_file(&SMALL, "file.bin");
    assert_eq!(server.gets()[1].start(), 7_000, "{}", server.describe());
}

#[test]
fn a_list_of_many_small_files_uses_few_connections_and_says_of_each_how_it_ended() {
    // One for each concurrent file, and two more: the bodies of the responses to /f7, with a range and without, are not
    // read.
    assert_each_is_told_of(&[], 34);
    assert_each_is_told_of(&["-j", "4"], 16);
}

#[track_caller]
fn assert_each_is_told_of(flags: &[&str], connections: usize) {
    let files = 400;
    let server = Server::serve(SMALL)
        .behave(|request, _| if request.path() == "/f7" { Reply::Status(404) } else { Reply::Normal })
        .start();
    let sandbox = Sandbox::new();
    let list: String = (0..files).map(|nth| server.url(&format!("/f{nth}")) + "\n").collect();
    let outcome = sandbox
        .haul()
        .args(["--json", "-i", "-"])
        .args(flags)
        .stdin(list)
        .deadline(Duration::from_secs(60))
        .run();
    outcome.assert_failed(3);
    assert_eq!(sandbox.entries().len(), files - 1);
    (0..files).filter(|nth| *nth != 7).for_each(|nth| sandbox.assert_ok_file(&SMALL, &format!("f{nth}")));
    assert_eq!(outcome.events_named("done").len(), files - 1);
    assert_eq!(outcome.events_named("error").len(), 1);
    assert!(server.connections() <= connections, "{} connections", server.connections());
    // A refusal is retried once, without a range.
    assert_eq!(server.gets().len(), files + 1, "{}", server.describe());
}

#[test]
fn large_and_small_files_of_one_list_do_not_get_in_each_others_way() {
    let server = Server::serve(SMALL).file("/large", LARGE).start();
    let sandbox = Sandbox::new();
    let list: String =
        ["large", "a", "b", "c"].iter().map(|name| server.url(&format!("/{name}")) + "\n").collect();
    sandbox.haul().args(["-i", "-", "-d", "got"]).stdin(list).run().assert_ok();
    LARGE.assert_file_is(&sandbox.path("got/large"));
    ["a", "b", "c"].iter().for_each(|name| SMALL.assert_file_is(&sandbox.path("got").join(name)));
}

#[test]
fn two_runs_for_one_small_file_both_end_well() {
    let gate = Gate::after(5_000);
    let server = Server::serve(SMALL).gate(&gate).start();
    let sandbox = Sandbox::new();
    let both = [(); 2].map(|()| sandbox.haul().arg(server.url("/file.bin")).spawn());
    gate.wait_for_waiting(2);
    gate.open();
    both.into_iter().for_each(|running| {
        running.wait().assert_ok();
    });
    sandbox.assert_ok_file(&SMALL, "file.bin");
    assert_eq!(sandbox.entries(), ["file.bin"]);
}

#[test]
fn with_overwrite_a_file_that_appears_meanwhile_is_replaced_too() {
    for payload in [SMALL, LARGE] {
        let gate = Gate::after(5_000);
        let server = Server::serve(payload).gate(&gate).start();
        let sandbox = Sandbox::new();
        let running = sandbox.haul().args(["--if-exists", "overwrite"]).arg(server.url("/file.bin")).spawn();
        server.wait_for_body_bytes(5_000);
        sandbox.write("file.bin", "old");
        gate.open();
        running.wait().assert_ok();
        sandbox.assert_ok_file(&payload, "file.bin");
        assert_eq!(sandbox.entries(), ["file.bin"]);
    }
}

#[test]
fn an_empty_file_is_complete_whatever_the_server_says_of_its_version() {
    let server = Server::serve(Payload::new(213, 0))
        .behave(|_, _| {
            let mut answer = Answer::text(416, "");
            answer.set("Content-Range", "bytes */0");
            Reply::Answer(answer)
        })
        .start();
    let sandbox = Sandbox::new();
    for _ in 0..2 {
        sandbox.haul().arg(server.url("/file.bin")).run().assert_ok();
        assert_eq!(sandbox.read("file.bin"), b"");
    }
}

#[test]
fn a_file_a_byte_too_long_to_be_small_is_asked_for_once() {
    let payload = Payload::new(214, (256 << 10) + 1);
    let server = Server::serve(payload).start();
    let sandbox = Sandbox::new();
    sandbox.haul().arg(server.url("/file.bin")).run().assert_ok();
    sandbox.assert_ok_file(&payload, "file.bin");
    assert_eq!(server.gets().len(), 1, "{}", server.describe());
}

/// Returns the number of files requested while none of them can be completed.
fn asked_for(payload: Payload, count: usize, waiting: usize) -> usize {
    let gate = Gate::after(5_000);
    let server = Server::serve(payload).gate(&gate).start();
    let sandbox = Sandbox::new();
    let list: String = (0..count).map(|nth| server.url(&format!("/f{nth}")) + "\n").collect();
    let running = sandbox.haul().args(["-x", "1", "-i", "-"]).stdin(list).spawn();
    gate.wait_for_waiting(waiting);
    let names: std::collections::HashSet<_> = server.gets().iter().map(|get| get.target.clone()).collect();
    gate.open();
    running.wait().assert_ok();
    (0..count).for_each(|nth| sandbox.assert_ok_file(&payload, &format!("f{nth}")));
    names.len()
}

#[test]
fn more_files_are_fetched_at_once_as_long_as_they_are_small() {
    assert_eq!(asked_for(SMALL, 60, 32), 32);
    assert_eq!(asked_for(LARGE, 8, 4), 4);
}

#[test]
fn a_file_whose_name_cannot_be_made_durable_gets_none() {
    if !crate::crash::strace_works() {
        return;
    }
    let server = Server::serve(SMALL).start();
    let sandbox = Sandbox::new();
    // Simulates too many open files: the directory cannot be opened for syncing.
    let directory = sandbox.path(".").canonicalize().unwrap();
    let strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-P", directory.to_str().unwrap()];
    let inject = ["-e", "trace=openat", "-e", "inject=openat:error=EMFILE"];
    let outcome = sandbox
        .haul()
        .under(strace.into_iter().chain(inject))
        .args(["-d", directory.to_str().unwrap()])
        .arg(server.url("/file.bin"))
        .run();
    outcome.assert_failed(9).assert_says("too many open files");
    sandbox.assert_empty();
    sandbox.haul().arg(server.url("/file.bin")).run().assert_ok();
    sandbox.assert_ok_file(&SMALL, "file.bin");
}

#[test]
fn an_outage_in_the_middle_of_a_list_costs_time_and_no_file() {
    // Some thirty files at once meet it five times and more, with waits of seconds in the end.
    let server = Server::serve(SMALL)
        .behave(|_, nth| if (60..250).contains(&nth) { Reply::Reset } else { Reply::Normal })
        .start();
    let sandbox = Sandbox::new();
    let list: String = (0..200).map(|number| server.url(&format!("/{number}.bin")) + "\n").collect();
    let outcome = sandbox.haul().args(["-q", "-i", "-"]).stdin(list).run();
    outcome.assert_ok();
    assert!(outcome.elapsed > Duration::from_secs(3), "it was no outage: {outcome}");
    assert_eq!(sandbox.entries().len(), 200);
}
