//! Demonstrates haul in some twenty seconds, without any other server:
//!
//! ```text
//! cargo run --release --example quickstart
//! ```
//!
//! It serves a file to itself over real sockets, from a server that limits each connection. haul's own command line, in
//! a process of its own, downloads it over several connections, is killed half-way with SIGKILL, is started again with
//! the same words, resumes, and verifies the digest. Then the same file comes over one connection, for comparison.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "an example talks to the person who runs it")]
#![expect(
    clippy::disallowed_methods,
    reason = "an example has no floors: it reads the clock and opens files itself"
)]

#[expect(unreachable_pub, reason = "a module of the examples")]
mod served;

use served::{Desk, LIMIT, SIZE, Server, hex_digest, mib, payload};
use std::error::Error;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode};
use std::time::{Duration, Instant};

const NAME: &str = "disk.img";
const CONNECTIONS: u64 = 8;
/// First argument that makes this program run as haul.
const AS_HAUL: &str = "--as-haul";
/// Longer than any step takes on a slow machine.
const PATIENCE: Duration = Duration::from_secs(60);

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|first| first == AS_HAUL) {
        return haul::cli::run_with(std::iter::once(OsString::from("haul")).chain(arguments));
    }
    match show() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("quickstart: {error}");
            ExitCode::FAILURE
        }
    }
}

// ---- the story ---------------------------------------------------------------------------------------------

fn show() -> Outcome<()> {
    let place = tempfile::Builder::new().prefix("haul-quickstart-").tempdir()?;
    let expected = hex_digest(payload())?;
    let server = Server::start()?;
    println!("A server on this machine gives {} a second to each connection.\n", mib(LIMIT));

    let stage = Stage { directory: place.path(), address: server.address, digest: &expected };
    let began = Instant::now();
    let interrupted = interrupt(&stage, &server.desk)?;
    let second = stage.haul(NAME, CONNECTIONS)?.wait()?;
    let parallel = began.elapsed();
    let sent_again = server.desk.next_run(u64::MAX);
    if !second {
        return Err("the second run failed".into());
    }
    check(&place.path().join(NAME), &expected)?;
    if interrupted.kept == 0 || sent_again >= SIZE {
        return Err("the second run kept nothing of the first".into());
    }

    println!("\nFor comparison, over one connection:");
    let began = Instant::now();
    if !stage.haul("one-connection.img", 1)?.wait()? {
        return Err("the run over one connection failed".into());
    }
    let single = began.elapsed();
    check(&place.path().join("one-connection.img"), &expected)?;
    place.close()?;

    let twice = (interrupted.sent + sent_again).saturating_sub(SIZE);
    println!("\nWhat happened");
    println!("  interrupted    kill -9 after the server had sent {} of {}", mib(interrupted.sent), mib(SIZE));
    println!("  kept           {}", mib(interrupted.kept));
    println!("  fetched again  {}", mib(twice));
    println!("  verified       sha256:{expected}");
    println!(
        "  time           {:.1} s over {CONNECTIONS} connections in two runs, {:.1} s over one: {:.1} times as fast",
        parallel.as_secs_f64(),
        single.as_secs_f64(),
        single.as_secs_f64() / parallel.as_secs_f64(),
    );
    Ok(())
}

/// Result of the first run, in bytes.
struct Interrupted {
    sent: u64,
    kept: u64,
}

/// Starts a download and kills it once half of the file was sent and haul has recorded some of it. The server sends no
/// more than three quarters until then, so that the download cannot end before.
fn interrupt(stage: &Stage<'_>, desk: &Desk) -> Outcome<Interrupted> {
    desk.next_run(SIZE / 4 * 3);
    let target = stage.directory.join(NAME);
    let mut running = stage.haul(NAME, CONNECTIONS)?;
    let began = Instant::now();
    while !(desk.wait_until_sent(SIZE / 2) && durable(&target) > 0) {
        if running.has_ended()? {
            return Err("the first run ended before it could be interrupted".into());
        }
        if began.elapsed() > PATIENCE {
            return Err("the first run recorded nothing that could be kept".into());
        }
    }
    running.kill()?;
    let sent = desk.next_run(u64::MAX);
    println!("\nkill -9. The same command again:");
    Ok(Interrupted { sent, kept: durable(&target) })
}

fn durable(target: &Path) -> u64 {
    haul::inspect(target).map_or(0, |left| left.durable)
}

/// Checks that the file is the served one, without relying on haul's own verification.
fn check(path: &Path, expected: &str) -> Outcome<()> {
    let found = hex_digest(File::open(path)?)?;
    if found == expected { Ok(()) } else { Err(format!("{} has the digest {found}", path.display()).into()) }
}

// ---- haul, in a process of its own -------------------------------------------------------------------------

/// Directory of the haul runs, and their common arguments.
struct Stage<'a> {
    directory: &'a Path,
    address: SocketAddr,
    digest: &'a str,
}

impl Stage<'_> {
    fn haul(&self, output: &str, connections: u64) -> io::Result<Running> {
        let url = format!("http://{}/{NAME}", self.address);
        println!("$ haul {url} -o {output} -x {connections} --sha256 {}", self.digest);
        let mut command = Command::new(this_program()?);
        command.arg(AS_HAUL).arg(url);
        command.args(["-o", output, "-x", &connections.to_string()]);
        command.args(["--sha256", self.digest]);
        // The user's own configuration must not affect this run.
        command.arg("--no-config");
        let own = |name: &OsString| name.to_string_lossy().starts_with("HAUL_");
        for name in std::env::vars_os().map(|(name, _)| name).filter(own) {
            command.env_remove(name);
        }
        command.current_dir(self.directory);
        command.spawn().map(Running)
    }
}

fn this_program() -> io::Result<PathBuf> {
    std::env::current_exe()
}

/// A child that is killed when this is dropped.
struct Running(Child);

impl Running {
    fn has_ended(&mut self) -> io::Result<bool> {
        self.0.try_wait().map(|status| status.is_some())
    }

    /// Sends SIGKILL: it gets no chance to save anything.
    fn kill(mut self) -> io::Result<()> {
        self.0.kill()?;
        self.0.wait().map(|_| ())
    }

    fn wait(mut self) -> io::Result<bool> {
        self.0.wait().map(|status| status.success())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
