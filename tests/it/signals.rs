//! Ctrl-C and its relatives.

use std::time::{Duration, Instant};

use crate::support::*;

const PAYLOAD: Payload = Payload::mib(111, 16);
const FOUR: &[&str] = &["-x", "4", "-k", "1M"];
const SIGHUP: i32 = 1;
const SIGINT: i32 = 2;
const SIGTERM: i32 = 15;

/// Sends the signals once half of the file has arrived and the server is silent; the next run has to resume from there.
#[track_caller]
fn interrupted_by(names: &[&str], number: i32) {
    let gate = Gate::after(8 * MIB);
    let server = Server::serve(PAYLOAD).gate(&gate).start();
    let sandbox = Sandbox::new();
    let running = sandbox.haul().arg("--json").args(FOUR).arg(server.url("/file.bin")).spawn();
    server.wait_for_body_bytes(8 * MIB);
    running.wait_for_event("it has received something", |event| event["received"].as_u64() > Some(6 * MIB));
    let asked = Instant::now();
    names.iter().for_each(|name| running.signal(name));
    let outcome = running.wait();
    assert!(asked.elapsed() < Duration::from_secs(2), "it took {:?} to stop", asked.elapsed());
    outcome.assert_signalled(number);
    sandbox.assert_kept("file.bin");
    server.recover();
    server.forget();
    sandbox.haul().args(FOUR).arg(server.url("/file.bin")).run().assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
    server.assert_cost(PAYLOAD.len - 6 * MIB + 4 * MIB);
}

// T077
#[test]
fn an_interrupt_saves_what_is_there_and_ends_within_two_seconds() {
    interrupted_by(&["INT"], SIGINT);
}

// T078
#[test]
fn a_termination_saves_what_is_there() {
    interrupted_by(&["TERM"], SIGTERM);
}

// T078
#[test]
fn a_hangup_saves_what_is_there() {
    interrupted_by(&["HUP"], SIGHUP);
}

// T078
#[test]
fn two_interrupts_in_a_row_leave_a_manifest_that_can_be_used() {
    let gate = Gate::after(8 * MIB);
    let server = Server::serve(PAYLOAD).gate(&gate).start();
    let sandbox = Sandbox::new();
    let running = sandbox.haul().arg("--json").args(FOUR).arg(server.url("/file.bin")).spawn();
    running.wait_for_durable(4 * MIB);
    running.signal("INT");
    running.signal("INT");
    let kept = running.wait().assert_signalled(SIGINT).durable();
    sandbox.assert_kept("file.bin");
    server.recover();
    server.forget();
    sandbox.haul().args(FOUR).arg(server.url("/file.bin")).run().assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
    server.assert_cost(PAYLOAD.len - kept + MIB);
}

// T078
#[test]
fn a_termination_while_the_name_is_given_leaves_a_state_that_is_understood() {
    if !crate::crash::strace_works() {
        return;
    }
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    let delay = "inject=renameat2:delay_enter=1500000";
    let strace = ["strace", "-f", "-qq", "-o", "../trace", "-e", "trace=renameat2", "-e", delay];
    let running =
        sandbox.haul().under(strace).args(["--json"]).args(FOUR).arg(server.url("/file.bin")).spawn();
    server.wait_until("everything was sent", |log| log.body_bytes() >= PAYLOAD.len);
    let program = std::process::Command::new("pkill");
    let mut program = program;
    assert!(program.args(["-TERM", "-P", &running.pid().to_string()]).status().unwrap().success());
    running.wait();
    server.forget();
    sandbox.haul().args(FOUR).arg(server.url("/file.bin")).run().assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
    server.assert_cost(0);
}

// T077
#[test]
fn the_cursor_is_there_again_after_an_interrupt() {
    let there = std::process::Command::new("script").arg("--version").output();
    if !there.is_ok_and(|output| output.status.success()) {
        return crate::support::left_out("script is not installed");
    }
    let server = Server::serve(PAYLOAD).rate(MIB).start();
    let sandbox = Sandbox::new();
    let on_a_terminal = "exec script -qec \"timeout -s INT 1 $0 $*\" /dev/null";
    let outcome = sandbox
        .haul()
        .env("TERM", "xterm")
        .under(["/bin/sh", "-c", on_a_terminal])
        .args(["-x", "2"])
        .arg(server.url("/file.bin"))
        .run();
    let said = outcome.stdout_text();
    assert!(said.contains('%'), "no bar was shown: {outcome}");
    let (hidden, shown) = (said.rfind("\u{1b}[?25l"), said.rfind("\u{1b}[?25h"));
    assert!(hidden.is_none() || shown > hidden, "the cursor stays hidden: {outcome}");
    sandbox.assert_kept("file.bin");
}

// T077
#[test]
fn an_interrupt_while_the_server_is_busy_is_heard_too() {
    let server = Server::serve(PAYLOAD).rate(MIB).start();
    let sandbox = Sandbox::new();
    let running = sandbox.haul().args(FOUR).arg(server.url("/file.bin")).spawn();
    server.wait_for_body_bytes(2 * MIB);
    let asked = Instant::now();
    running.signal("INT");
    let outcome = running.wait();
    outcome.assert_signalled(SIGINT);
    assert!(asked.elapsed() < Duration::from_secs(2), "it took {:?} to stop", asked.elapsed());
    assert!(outcome.stderr.contains("haul "), "no command that resumes was printed: {outcome}");
    sandbox.assert_kept("file.bin");
}

#[test]
fn an_interrupt_before_the_first_answer_leaves_nothing() {
    let server = Server::serve(PAYLOAD).behave(|_, _| Reply::NoAnswer).start();
    let sandbox = Sandbox::new();
    let running = sandbox.haul().arg(server.url("/file.bin")).spawn();
    server.wait_until("a request came", |log| !log.requests.is_empty());
    running.signal("INT");
    running.wait().assert_signalled(SIGINT);
    sandbox.assert_empty();
}

#[test]
fn an_interrupt_during_a_wait_for_a_retry_is_heard_at_once() {
    let server = Server::serve(PAYLOAD)
        .handler(|_, exchange| {
            let mut answer = Answer::text(503, "busy");
            answer.set("Retry-After", "30");
            exchange.send(&answer);
        })
        .start();
    let sandbox = Sandbox::new();
    let running = sandbox.haul().arg("--json").arg(server.url("/file.bin")).spawn();
    running.wait_for_event("it waits", |event| event["event"] == "retry");
    let asked = Instant::now();
    running.signal("INT");
    running.wait().assert_signalled(SIGINT);
    assert!(asked.elapsed() < Duration::from_secs(2), "it took {:?} to stop", asked.elapsed());
}

#[test]
fn an_interrupt_is_one_error_event_for_each_file_and_a_summary() {
    let gate = Gate::after(4 * MIB);
    let server = Server::serve(PAYLOAD).gate(&gate).start();
    let sandbox = Sandbox::new();
    let running = sandbox.haul().arg("--json").args(FOUR).arg(server.url("/file.bin")).spawn();
    running.wait_for_durable(2 * MIB);
    running.signal("INT");
    let outcome = running.wait();
    outcome.assert_signalled(SIGINT);
    let error = outcome.error_event();
    assert_eq!(error["resumable"], true, "{error}");
    assert_eq!(error["kind"], "cancelled", "{error}");
    outcome.summary();
}

#[test]
fn an_interrupted_list_says_how_many_were_not_begun_and_counts_none_of_them_as_failed() {
    let payload = Payload::new(142, 20_000);
    let gate = Gate::shut();
    let server = Server::serve(payload).gate(&gate).start();
    let sandbox = Sandbox::new();
    let list: String = (0..600).map(|nth| server.url(&format!("/f{nth}")) + "\n").collect();
    let running = sandbox.haul().args(["--json", "-j", "2", "-i", "-"]).stdin(list).spawn();
    gate.wait_for_waiting(2);
    running.signal("INT");
    let outcome = running.wait();
    outcome.assert_signalled(SIGINT);
    let summary = &outcome.events_named("summary")[0];
    assert_eq!((summary["ok"].as_u64(), summary["failed"].as_u64()), (Some(0), Some(2)), "{summary}");
    assert_eq!(summary["not_started"].as_u64(), Some(598), "{summary}");
    assert_eq!(outcome.events_named("error").len(), 2);
    gate.open();
}
