//! Runs the real program in a sandbox of its own and checks its output and files.

use std::ffi::OsString;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use super::payload::Payload;

const DEADLINE: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(5);
const RSS_LIMIT_KIB: u64 = 64 * 1024;
/// Pages of the program's own file that count as memory. An unoptimised program has more of them than the one that people run.
const OWN_FILE_KIB: u64 = 24 * 1024;

/// Directory tree of one test: `work`, where the program runs, and an empty `home`.
pub(crate) struct Sandbox {
    root: TempDir,
}

impl Sandbox {
    pub(crate) fn new() -> Self {
        let root = tempfile::Builder::new().prefix("haul-it-").tempdir().unwrap();
        fs::create_dir(root.path().join("work")).unwrap();
        fs::create_dir(root.path().join("home")).unwrap();
        Self { root }
    }

    pub(crate) fn root(&self) -> &Path {
        self.root.path()
    }

    pub(crate) fn work(&self) -> PathBuf {
        self.root.path().join("work")
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.root.path().join("home")
    }

    /// Path in the directory where the program runs.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.work().join(name)
    }

    pub(crate) fn part(&self, name: &str) -> PathBuf {
        self.path(&format!("{name}.part"))
    }

    pub(crate) fn manifest(&self, name: &str) -> PathBuf {
        self.path(&format!("{name}.haul"))
    }

    pub(crate) fn write(&self, name: &str, contents: impl AsRef<[u8]>) -> PathBuf {
        fs::write(self.path(name), contents).unwrap();
        self.path(name)
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap_or_else(|e| panic!("{name}: {e}; there are {:?}", self.entries()))
    }

    /// Names in the directory where the program runs, sorted.
    pub(crate) fn entries(&self) -> Vec<String> {
        names_in(&self.work())
    }

    /// Every file under the sandbox except in the work directory, with its bytes.
    pub(crate) fn outside(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut found = Vec::new();
        collect_files(self.root.path(), &self.work(), &mut found);
        found.sort();
        found
    }

    pub(crate) fn haul(&self) -> Haul {
        Haul::new(&self.work()).env("HOME", self.home()).env("TMPDIR", self.root.path())
    }

    /// Checks that the complete file has this name and no side files remain.
    #[track_caller]
    pub(crate) fn assert_ok_file(&self, payload: &Payload, name: &str) {
        payload.assert_file_is(&self.path(name));
        self.assert_tidy(name);
    }

    #[track_caller]
    pub(crate) fn assert_tidy(&self, name: &str) {
        for left in [self.part(name), self.manifest(name)] {
            assert!(fs::symlink_metadata(&left).is_err(), "{} was left behind", left.display());
        }
    }

    #[track_caller]
    pub(crate) fn assert_absent(&self, name: &str) {
        assert!(
            fs::symlink_metadata(self.path(name)).is_err(),
            "{name} should not be there: {:?}",
            self.entries()
        );
    }

    #[track_caller]
    pub(crate) fn assert_empty(&self) {
        assert!(self.entries().is_empty(), "nothing should be left, but there are {:?}", self.entries());
    }

    #[track_caller]
    pub(crate) fn assert_kept(&self, name: &str) {
        assert!(self.part(name).is_file(), "no part file was kept: {:?}", self.entries());
        assert!(self.manifest(name).is_file(), "no manifest was kept: {:?}", self.entries());
        self.assert_absent(name);
    }
}

pub(crate) fn names_in(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

fn collect_files(dir: &Path, except: &Path, found: &mut Vec<(PathBuf, Vec<u8>)>) {
    for entry in fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        let path = entry.path();
        if path == except {
            continue;
        }
        if entry.file_type().unwrap().is_dir() {
            collect_files(&path, except, found);
        } else {
            found.push((path.clone(), fs::read(&path).unwrap_or_default()));
        }
    }
}

/// One command line.
pub(crate) struct Haul {
    dir: PathBuf,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    stdin: Option<Vec<u8>>,
    typing: bool,
    deadline: Duration,
    most_memory_kib: u64,
    stdout_closed: bool,
    wrapper: Vec<OsString>,
}

impl Haul {
    pub(crate) fn new(dir: &Path) -> Self {
        Self {
            dir: dir.into(),
            args: Vec::new(),
            env: vec![
                ("PATH".into(), "/usr/local/bin:/usr/bin:/bin".into()),
                ("LC_ALL".into(), "C.UTF-8".into()),
            ],
            stdin: None,
            typing: false,
            deadline: DEADLINE,
            most_memory_kib: RSS_LIMIT_KIB,
            stdout_closed: false,
            wrapper: Vec::new(),
        }
    }

    pub(crate) fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    pub(crate) fn args<I, A>(mut self, args: I) -> Self
    where
        I: IntoIterator<Item = A>,
        A: Into<OsString>,
    {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    pub(crate) fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = Some(bytes.into());
        self
    }

    /// Leaves the standard input open, for [`Running::type_in`].
    pub(crate) fn typing(mut self) -> Self {
        self.typing = true;
        self
    }

    pub(crate) fn in_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.dir = dir.into();
        self
    }

    /// Sets the time after which the program is killed and the test fails.
    /// Bounds the resident memory of a run that holds the parts of an upload.
    pub(crate) fn most_memory_mib(mut self, mib: u64) -> Self {
        self.most_memory_kib = mib * 1024;
        self
    }

    pub(crate) fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Makes stdout a pipe without a reader.
    pub(crate) fn stdout_closed(mut self) -> Self {
        self.stdout_closed = true;
        self
    }

    /// Runs the program under another one, such as `sh -c 'ulimit …; exec "$0" "$@"'`.
    pub(crate) fn under<I, A>(mut self, wrapper: I) -> Self
    where
        I: IntoIterator<Item = A>,
        A: Into<OsString>,
    {
        self.wrapper = wrapper.into_iter().map(Into::into).collect();
        self
    }

    #[track_caller]
    pub(crate) fn run(self) -> Outcome {
        self.spawn().wait()
    }

    #[track_caller]
    pub(crate) fn spawn(self) -> Running {
        let program = OsString::from(env!("CARGO_BIN_EXE_haul"));
        let line: Vec<OsString> = self
            .wrapper
            .into_iter()
            .chain(std::iter::once(program))
            .chain(self.args.iter().cloned())
            .collect();
        let mut command = Command::new(&line[0]);
        command.args(&line[1..]).current_dir(&self.dir).env_clear().envs(self.env);
        let has_input = self.stdin.is_some() || self.typing;
        command.stdin(if has_input { Stdio::piped() } else { Stdio::null() });
        command.stderr(Stdio::piped());
        if self.stdout_closed {
            let (reader, writer) = std::io::pipe().unwrap();
            drop(reader);
            command.stdout(writer);
        } else {
            command.stdout(Stdio::piped());
        }
        let started = Instant::now();
        let mut child = command.spawn().unwrap_or_else(|e| panic!("cannot start {line:?}: {e}"));
        drop(command);
        if let Some(bytes) = self.stdin {
            let mut stdin = child.stdin.take().unwrap();
            thread::spawn(move || stdin.write_all(&bytes));
        }
        let input = child.stdin.take();
        let stdout = child.stdout.take().map_or_else(Capture::empty, Capture::of);
        let stderr = Capture::of(child.stderr.take().unwrap());
        let shown =
            self.args.iter().map(|arg| arg.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ");
        Running {
            child,
            input,
            started,
            deadline: self.deadline,
            most_memory_kib: self.most_memory_kib,
            stdout,
            stderr,
            shown,
            max_rss_kib: 0,
            reaped: None,
        }
    }
}

/// A running program; killed when dropped.
pub(crate) struct Running {
    child: Child,
    /// Its standard input, while it is open.
    input: Option<ChildStdin>,
    started: Instant,
    deadline: Duration,
    most_memory_kib: u64,
    stdout: Capture,
    stderr: Capture,
    shown: String,
    max_rss_kib: u64,
    reaped: Option<ExitStatus>,
}

impl Running {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Writes to its standard input.
    #[track_caller]
    pub(crate) fn type_in(&mut self, text: &str) {
        self.input.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
    }

    /// Closes its standard input.
    pub(crate) fn end_input(&mut self) {
        self.input = None;
    }

    /// Sends a signal by name: `INT`, `TERM`, `HUP`, `STOP`, `CONT`.
    pub(crate) fn signal(&self, name: &str) {
        let done = Command::new("/bin/sh")
            .args(["-c", "kill -s \"$0\" \"$1\"", name, &self.pid().to_string()])
            .status();
        assert!(done.unwrap().success(), "signal {name} could not be sent");
    }

    /// Kills it with SIGKILL, and waits for its end.
    #[track_caller]
    pub(crate) fn kill(mut self) -> Outcome {
        let _ = self.child.kill();
        self.wait_quietly()
    }

    /// Blocks until stdout fulfils the condition.
    #[track_caller]
    pub(crate) fn wait_for_stdout(&self, what: &str, condition: impl Fn(&str) -> bool) {
        let fulfilled = |captured: &Captured| condition(&String::from_utf8_lossy(&captured.bytes));
        self.stdout.wait_for(what, self.left(), fulfilled, &self.stderr);
    }

    /// Blocks until stderr fulfils the condition, and returns it.
    #[track_caller]
    pub(crate) fn wait_for_stderr(&self, what: &str, condition: impl Fn(&str) -> bool) -> String {
        let fulfilled = |captured: &Captured| condition(&String::from_utf8_lossy(&captured.bytes));
        self.stderr.wait_for(what, self.left(), fulfilled, &self.stdout);
        self.stderr.text()
    }

    /// Blocks until this many bytes arrived on stdout.
    #[track_caller]
    pub(crate) fn wait_for_stdout_bytes(&self, len: usize) {
        let fulfilled = |captured: &Captured| captured.bytes.len() >= len;
        self.stdout.wait_for(&format!("{len} bytes came"), self.left(), fulfilled, &self.stderr);
    }

    /// Blocks until the program reports such an event, and returns the first one (needs `--json`).
    #[track_caller]
    pub(crate) fn wait_for_event(&self, what: &str, condition: impl Fn(&Value) -> bool) -> Value {
        self.wait_for_stdout(what, |text| complete_lines(text).iter().any(&condition));
        complete_lines(&self.stdout.text()).into_iter().find(condition).unwrap()
    }

    /// Blocks until the program reports this many durable bytes (needs `--json`).
    #[track_caller]
    pub(crate) fn wait_for_durable(&self, bytes: u64) {
        self.wait_for_event(&format!("{bytes} bytes are durable"), |event| {
            event["event"] == "progress" && event["durable"].as_u64().is_some_and(|durable| durable >= bytes)
        });
    }

    /// Blocks until the program reports its start, with the bytes it resumes from (needs `--json`).
    #[track_caller]
    pub(crate) fn wait_for_start(&self) -> Value {
        self.wait_for_event("it starts", |event| event["event"] == "start")
    }

    /// Waits for the end, and checks every run for panics and excessive memory.
    #[track_caller]
    pub(crate) fn wait(self) -> Outcome {
        let most = self.most_memory_kib;
        let outcome = self.wait_quietly();
        let said = format!("{}{}", outcome.stderr, outcome.stdout_text());
        assert!(!said.contains("panicked at"), "{outcome}");
        assert!(outcome.max_rss_kib < most, "{} KiB of memory; {outcome}", outcome.max_rss_kib);
        outcome
    }

    #[track_caller]
    fn wait_quietly(mut self) -> Outcome {
        let status = loop {
            self.look_at_memory();
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if self.started.elapsed() > self.deadline {
                let _ = self.child.kill();
                let _ = self.child.wait();
                panic!(
                    "`haul {}` did not end within {:?}\n{}",
                    self.shown,
                    self.deadline,
                    self.stderr.text()
                );
            }
            thread::sleep(LOOK_EVERY);
        };
        let elapsed = self.started.elapsed();
        self.reaped = Some(status);
        Outcome {
            code: status.code(),
            signal: status.signal(),
            stdout: self.stdout.finish(),
            stderr: String::from_utf8_lossy(&self.stderr.finish()).into_owned(),
            elapsed,
            max_rss_kib: self.max_rss_kib,
            shown: self.shown.clone(),
        }
    }

    /// The high-water mark only grows, so the last look before the end is close to the truth.
    fn look_at_memory(&mut self) {
        // Before exec, the child is a copy of this process, with the memory of this process.
        let exe = |pid: &str| fs::read_link(format!("/proc/{pid}/exe")).ok();
        if exe(&self.pid().to_string()) == exe("self") {
            return;
        }
        let Ok(status) = fs::read_to_string(format!("/proc/{}/status", self.pid())) else {
            return;
        };
        let kib = |key: &str| -> u64 {
            let value = status.lines().find_map(|line| line.strip_prefix(key));
            value.and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
        };
        let beyond = kib("RssFile:").saturating_sub(OWN_FILE_KIB);
        self.max_rss_kib = self.max_rss_kib.max(kib("VmHWM:").saturating_sub(beyond));
    }

    fn left(&self) -> Duration {
        self.deadline.saturating_sub(self.started.elapsed())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.reaped.is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Output of a program so far.
struct Capture {
    state: Arc<(Mutex<Captured>, Condvar)>,
    reader: Option<thread::JoinHandle<()>>,
}

#[derive(Default)]
struct Captured {
    bytes: Vec<u8>,
    ended: bool,
}

impl Capture {
    fn empty() -> Self {
        let ended = Captured { bytes: Vec::new(), ended: true };
        Self { state: Arc::new((Mutex::new(ended), Condvar::new())), reader: None }
    }

    fn of(mut pipe: impl Read + Send + 'static) -> Self {
        let state = Arc::new((Mutex::new(Captured::default()), Condvar::new()));
        let filled = state.clone();
        let reader = thread::spawn(move || {
            let mut buffer = vec![0; 64 * 1024];
            loop {
                let n = pipe.read(&mut buffer).unwrap_or(0);
                let mut captured = filled.0.lock().unwrap();
                captured.bytes.extend_from_slice(&buffer[..n]);
                captured.ended = n == 0;
                filled.1.notify_all();
                if n == 0 {
                    return;
                }
            }
        });
        Self { state, reader: Some(reader) }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.state.0.lock().unwrap().bytes).into_owned()
    }

    #[track_caller]
    fn wait_for(
        &self,
        what: &str,
        patience: Duration,
        fulfilled: impl Fn(&Captured) -> bool,
        stderr: &Capture,
    ) {
        let (captured, _) = self
            .state
            .1
            .wait_timeout_while(self.state.0.lock().unwrap(), patience, |captured| {
                !captured.ended && !fulfilled(captured)
            })
            .unwrap();
        if !fulfilled(&captured) {
            let said = String::from_utf8_lossy(&captured.bytes).into_owned();
            drop(captured);
            panic!("waited in vain until {what}; it said: {said}\nstderr: {}", stderr.text());
        }
    }

    fn finish(&mut self) -> Vec<u8> {
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
        std::mem::take(&mut self.state.0.lock().unwrap().bytes)
    }
}

/// Result of a run.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: Option<i32>,
    pub(crate) signal: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
    pub(crate) elapsed: Duration,
    pub(crate) max_rss_kib: u64,
    shown: String,
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let stdout = String::from_utf8_lossy(&self.stdout[..self.stdout.len().min(4000)]).into_owned();
        writeln!(
            f,
            "`haul {}` ended with {:?}, signal {:?} after {:?}",
            self.shown, self.code, self.signal, self.elapsed
        )?;
        write!(
            f,
            "--- stderr\n{}\n--- stdout\n{}",
            self.stderr,
            stdout.escape_debug().to_string().replace("\\n", "\n")
        )
    }
}

impl Outcome {
    pub(crate) fn stdout_text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// All of its output, for hunting secrets and control characters.
    pub(crate) fn said(&self) -> String {
        self.stdout_text() + &self.stderr
    }

    #[track_caller]
    pub(crate) fn assert_code(&self, code: i32) -> &Self {
        assert!(self.code == Some(code), "exit {code} expected: {self}");
        self
    }

    #[track_caller]
    pub(crate) fn assert_ok(&self) -> &Self {
        assert!(self.code == Some(0), "{self}");
        self
    }

    /// Checks the exit code, and that stderr has exactly one cause line. The sandbox checks the files.
    #[track_caller]
    pub(crate) fn assert_failed(&self, code: i32) -> &Self {
        assert!(self.code == Some(code), "exit {code} expected: {self}");
        assert_eq!(self.cause_lines().len(), 1, "one cause line expected: {self}");
        self
    }

    #[track_caller]
    pub(crate) fn assert_failed_as_one_of(&self, codes: &[i32]) -> &Self {
        assert!(self.code.is_some_and(|code| codes.contains(&code)), "exit in {codes:?} expected: {self}");
        assert_eq!(self.cause_lines().len(), 1, "one cause line expected: {self}");
        self
    }

    /// Checks that some line on stdout or stderr contains this text, in any case.
    #[track_caller]
    pub(crate) fn assert_says(&self, text: &str) -> &Self {
        let said = self.said().to_lowercase();
        assert!(said.contains(&text.to_lowercase()), "it should speak of {text:?}: {self}");
        self
    }

    /// Returns the highest `durable` of any progress event.
    #[track_caller]
    pub(crate) fn durable(&self) -> u64 {
        complete_lines(&self.stdout_text())
            .iter()
            .filter_map(|event| event["durable"].as_u64())
            .max()
            .unwrap_or(0)
    }

    /// Checks that it died of this signal, or exited with 128 + its number as shells report it.
    #[track_caller]
    pub(crate) fn assert_signalled(&self, signal: i32) -> &Self {
        assert!(
            self.signal == Some(signal) || self.code == Some(128 + signal),
            "signal {signal} expected: {self}"
        );
        self
    }

    /// Returns the lines that begin with `haul: ` and are neither a warning nor a note.
    pub(crate) fn cause_lines(&self) -> Vec<&str> {
        self.stderr
            .lines()
            .filter_map(|line| line.strip_prefix("haul: "))
            .filter(|rest| !["warning", "note", "notice"].iter().any(|word| rest.starts_with(word)))
            .collect()
    }

    /// Parses the lines of `--json`; every line has to be an object.
    #[track_caller]
    pub(crate) fn events(&self) -> Vec<Value> {
        let text = self.stdout_text();
        text.lines()
            .map(|line| {
                let event: Value =
                    serde_json::from_str(line).unwrap_or_else(|e| panic!("not JSON ({e}): {line}\n{self}"));
                assert!(event.is_object(), "not an object: {line}");
                event
            })
            .collect()
    }

    #[track_caller]
    pub(crate) fn events_named(&self, name: &str) -> Vec<Value> {
        self.events().into_iter().filter(|event| event["event"] == name).collect()
    }

    /// Returns the only event of this name.
    #[track_caller]
    pub(crate) fn event(&self, name: &str) -> Value {
        let mut events = self.events_named(name);
        assert_eq!(events.len(), 1, "one {name} event expected: {self}");
        events.remove(0)
    }

    #[track_caller]
    pub(crate) fn start_event(&self) -> Value {
        self.event("start")
    }

    #[track_caller]
    pub(crate) fn done_event(&self) -> Value {
        self.event("done")
    }

    #[track_caller]
    pub(crate) fn error_event(&self) -> Value {
        self.event("error")
    }

    #[track_caller]
    pub(crate) fn summary(&self) -> Value {
        self.event("summary")
    }
}

fn complete_lines(text: &str) -> Vec<Value> {
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}
