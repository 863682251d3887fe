//! The server of every arm: nginx, as whoever runs the bench, in a directory of its own.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::Outcome;
use crate::listening::{free_port, wait_until_listening};
use crate::tools::clean;
use crate::workshop::Workshop;

const CONFIGURATION: &str = include_str!("nginx.conf");

/// A certificate for the loopback address, of an authority that nobody trusts unless told to.
const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/tls");

/// A running nginx.
pub(crate) struct Nginx {
    program: PathBuf,
    dir: PathBuf,
    port: u16,
    tls_port: u16,
    child: Child,
}

impl Nginx {
    /// Starts it on a free loopback port; what it publishes is the workshop's `root`.
    pub(crate) fn start(program: &Path, workshop: &Workshop, root: &Path) -> Outcome<Self> {
        let dir = workshop.fresh("nginx")?;
        let (port, tls_port) = (free_port(), free_port());
        let configuration = CONFIGURATION
            .replace("@PORT@", &port.to_string())
            .replace("@TLS_PORT@", &tls_port.to_string())
            .replace("@FIXTURES@", FIXTURES)
            .replace("@ROOT@", &root.display().to_string())
            .replace("@DIR@", &dir.display().to_string());
        fs::write(dir.join("nginx.conf"), configuration)?;
        let child = control(program, &dir, &[]).spawn()?;
        let mut nginx = Self { program: program.to_owned(), dir, port, tls_port, child };
        wait_until_listening(&mut nginx.child, port).map_err(|error| nginx.complaint(&error))?;
        Ok(nginx)
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Where the same files are to be had over TLS.
    pub(crate) fn tls_address(&self) -> String {
        format!("127.0.0.1:{}", self.tls_port)
    }

    /// Whom to trust there.
    pub(crate) fn authority() -> PathBuf {
        Path::new(FIXTURES).join("ca.pem")
    }

    /// Lets it finish what it is sending, ends it, and gives the requests it answered.
    pub(crate) fn stop(mut self) -> Outcome<Vec<Value>> {
        self.signal("quit")?;
        self.child.wait()?;
        let log = fs::read_to_string(self.dir.join("access.log"))?;
        let requests: Result<_, _> = log.lines().map(serde_json::from_str).collect();
        Ok(requests?)
    }

    fn signal(&self, name: &str) -> io::Result<()> {
        let status = control(&self.program, &self.dir, &["-s", name]).status()?;
        if status.success() { Ok(()) } else { Err(io::Error::other(format!("nginx -s {name}: {status}"))) }
    }

    fn complaint(&self, error: &io::Error) -> String {
        let log = fs::read_to_string(self.dir.join("error.log")).unwrap_or_default();
        format!("nginx did not start: {error}\n{log}")
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // A kill would leave the workers behind; the signal goes through nginx, which knows them.
        if matches!(self.child.try_wait(), Ok(None)) && self.signal("stop").is_ok() {
            let _ = self.child.wait();
        }
    }
}

fn control(program: &Path, dir: &Path, args: &[&str]) -> Command {
    let mut command = clean(program);
    command
        .arg("-p")
        .arg(dir)
        .arg("-e")
        .arg(dir.join("error.log"))
        .arg("-c")
        .arg(dir.join("nginx.conf"))
        .args(args)
        .stdin(Stdio::null());
    command
}
