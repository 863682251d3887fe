//! `kill -9` half-way, with the download held, after haul reported how much of it is durable.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::relay::Relay;

/// Starts haul, waits until it reports at least this many durable bytes, and kills it.
pub(crate) fn kill_when_durable(command: &mut Command, durable: u64) {
    let mut child = start(command);
    let lines = lines(child.stdout.take().expect("it is piped"));
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut last = String::from("no event at all");
    let reached = loop {
        match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) if durable_of(&line) >= durable => break true,
            Ok(line) => last = line,
            Err(_) => break false,
        }
    };
    kill(child);
    assert!(reached, "haul never reported {durable} durable bytes; the last it said: {last}");
}

/// Starts haul, waits until the relay has let this many bytes through, and kills it.
pub(crate) fn kill_when_held(command: &mut Command, relay: &Relay, bytes: u64) {
    let child = start(command);
    let held = relay.wait_for(bytes, Duration::from_secs(60));
    kill(child);
    assert!(held, "the download never came half-way");
}

/// Starts haul, waits until what it leaves on disk is as wanted, and kills it.
pub(crate) fn killed_once(command: &mut Command, is_so: impl Fn() -> bool) {
    let child = start(command);
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_so() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
    }
    let reached = is_so();
    kill(child);
    assert!(reached, "haul never left what was waited for");
}

fn start(command: &mut Command) -> Child {
    command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("haul starts")
}

fn kill(mut child: Child) {
    child.kill().expect("a child of ours can be killed");
    let status = child.wait().expect("a child of ours can be waited for");
    assert!(!status.success(), "haul ended before it was killed");
}

/// Passes on lines as they arrive; the thread ends with the process that writes them.
fn lines(stdout: ChildStdout) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    receiver
}

fn durable_of(line: &str) -> u64 {
    let event = serde_json::from_str::<Value>(line).unwrap_or_default();
    if event["event"] == "progress" { event["durable"].as_u64().unwrap_or(0) } else { 0 }
}
