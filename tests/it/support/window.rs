//! A window of tmux, which is a terminal that can be looked at.

use std::io::{PipeReader, PipeWriter, Read as _};
use std::os::fd::AsRawFd as _;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::haul::Sandbox;
use super::left_out;

/// A program in a window of tmux, whose output wakes the test.
pub(crate) struct Window {
    socket: PathBuf,
    /// Output of the program, as it comes.
    output: mpsc::Receiver<()>,
    /// Keeps the writing end open that tmux finds below `/proc`.
    writer: PipeWriter,
}

impl Window {
    /// Runs a line of shell in a window of this size; `None` without tmux.
    pub(crate) fn run(sandbox: &Sandbox, (columns, rows): (u16, u16), line: &str) -> Option<Self> {
        let there = Command::new("tmux").arg("-V").output();
        if !there.is_ok_and(|output| output.status.success()) {
            left_out("tmux is not installed");
            return None;
        }
        let (reader, writer) = std::io::pipe().unwrap();
        let window = Self { socket: sandbox.root().join("tmux"), output: awake_at(reader), writer };
        // The program waits for its output to be watched.
        let go = sandbox.root().join("go");
        assert!(Command::new("mkfifo").arg(&go).status().unwrap().success());
        let run = format!("read go <{}; cd {} && {line}", go.display(), sandbox.work().display());
        let (columns, rows) = (columns.to_string(), rows.to_string());
        let new = ["-f", "/dev/null", "new-session", "-d", "-x", &columns, "-y", &rows, &run];
        assert!(window.tmux(&new).status.success());
        let watch = format!("cat >/proc/{}/fd/{}", std::process::id(), window.writer.as_raw_fd());
        assert!(window.tmux(&["pipe-pane", "-O", &watch]).status.success());
        std::fs::write(&go, "go\n").unwrap();
        Some(window)
    }

    pub(crate) fn tmux(&self, words: &[&str]) -> Output {
        Command::new("tmux").arg("-S").arg(&self.socket).args(words).output().unwrap()
    }

    fn screen(&self) -> String {
        String::from_utf8_lossy(&self.tmux(&["capture-pane", "-p"]).stdout).into_owned()
    }

    /// Looks at the screen after each output of the program until it is as wanted, and returns it.
    #[track_caller]
    pub(crate) fn wait_until(&self, what: &str, holds: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let screen = self.screen();
            if holds(&screen) {
                return screen;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(self.output.recv_timeout(left).is_ok(), "waited in vain until {what}:\n{screen}");
        }
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        self.tmux(&["kill-server"]);
    }
}

/// Sends a message for each piece of output; the thread ends with the last writer.
fn awake_at(mut reader: PipeReader) -> mpsc::Receiver<()> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut buffer = [0; 64 << 10];
        while reader.read(&mut buffer).is_ok_and(|read| read > 0) && sender.send(()).is_ok() {}
    });
    receiver
}
