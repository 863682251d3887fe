//! The haul binary as a child process, without the settings of the user.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::Value;

/// Far more than any of these downloads takes; a hang becomes a failure.
const DEADLINE: Duration = Duration::from_secs(120);

/// haul over four connections, with a given output path.
pub(crate) fn haul(url: &str, output: &Path) -> Command {
    haul_over(4, url, output)
}

/// haul over this many connections, with pieces small enough that the files of these tests keep them busy.
pub(crate) fn haul_over(connections: u32, url: &str, output: &Path) -> Command {
    let mut command = haul_as_it_is(url, output);
    command.args(["-k", "1M", "-x"]).arg(connections.to_string());
    command
}

/// haul with its default options.
pub(crate) fn haul_as_it_is(url: &str, output: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_haul"));
    command
        .env_clear()
        .env("HOME", "/dev/null")
        .env("LC_ALL", "C")
        .args(["--no-config", "--progress", "none"])
        .arg("-o")
        .arg(output)
        .arg(url)
        .stdin(Stdio::null());
    command
}

/// Result of a run.
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stderr: String,
    stdout: String,
}

impl Ended {
    /// Fails the test, with haul's own words, unless this is the exit code.
    pub(crate) fn assert_code(&self, code: i32) {
        assert_eq!(self.code, Some(code), "haul's exit code; it said: {}", self.stderr);
    }

    /// A number in the one event of this name, from a run with `--json`.
    pub(crate) fn number(&self, event: &str, field: &str) -> u64 {
        let found = self.field(event, field);
        found.as_u64().unwrap_or_else(|| panic!("{event}: {field} is no number: {found}"))
    }

    /// A field of the one event of this name.
    pub(crate) fn field(&self, event: &str, field: &str) -> Value {
        let events = self.stdout.lines().map(|line| event_of(line, &self.stdout));
        let found: Vec<_> = events.filter(|found| found["event"] == event).collect();
        let [one] = &found[..] else {
            panic!("not exactly one {event} event in: {}", self.stdout);
        };
        one[field].clone()
    }
}

fn event_of(line: &str, all: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in the events: {all}"))
}

/// Runs it to its end.
pub(crate) fn run(command: &mut Command) -> Ended {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("haul starts");
    let pid = child.id();
    let (ended, waiting) = mpsc::channel();
    let waiter = std::thread::spawn(move || ended.send(child.wait_with_output()));
    let Ok(output) = waiting.recv_timeout(DEADLINE) else {
        kill(pid);
        panic!("haul did not end within {DEADLINE:?}");
    };
    let _ = waiter.join();
    ended_with(&output.expect("a child of ours can be waited for"))
}

fn kill(pid: u32) {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    if let Some(pid) = pid {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
}

fn ended_with(output: &Output) -> Ended {
    Ended {
        code: output.status.code(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
    }
}
