//! The server of every arm: nginx, under the user who runs the bench, in a directory of its own.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::Outcome;
use crate::listening::{Writes, free_port, wait_until_listening};
use crate::tools::clean;
use crate::wan::{Wan, certificate};
use crate::workshop::Workshop;

const CONFIGURATION: &str = include_str!("nginx.conf");
const AT_THE_END_OF_A_WAN: &str = include_str!("wan/nginx.conf");
/// Ports of the server at the end of a WAN.
const PLAIN: u16 = 8080;
const SECURE: u16 = 8443;
/// Port of that server with HTTP/2.
const SECURE_HTTP2: u16 = 8444;

/// A certificate for the loopback address, of an authority that no machine trusts unless told to.
const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/tls");

/// A running nginx.
pub(crate) struct Nginx {
    program: PathBuf,
    dir: PathBuf,
    host: &'static str,
    port: u16,
    tls_port: u16,
    child: Child,
}

impl Nginx {
    /// Starts it on a free loopback port; it publishes the workshop's `root`.
    pub(crate) fn start(program: &Path, workshop: &Workshop, root: &Path) -> Outcome<Self> {
        let dir = workshop.fresh("nginx")?;
        let (port, tls_port) = (free_port(), free_port());
        let configuration = CONFIGURATION
            .replace("@PORT@", &port.to_string())
            .replace("@TLS_PORT@", &tls_port.to_string())
            .replace("@FIXTURES@", FIXTURES);
        configure(&configuration, &dir, root)?;
        let writes = Writes::in_directory(&dir)?;
        let child = control(program, &dir, &[]).spawn()?;
        let mut nginx = Self { program: program.to_owned(), dir, host: "127.0.0.1", port, tls_port, child };
        wait_until_listening(&mut nginx.child, port, &writes).map_err(|error| nginx.complaint(&error))?;
        Ok(nginx)
    }

    /// Starts it at the server's end of a WAN, with and without TLS.
    pub(crate) fn start_at_the_end_of(
        wan: &Wan,
        program: &Path,
        workshop: &Workshop,
        root: &Path,
    ) -> Outcome<Self> {
        let dir = workshop.fresh("nginx")?;
        certificate::write(&dir, wan.address())?;
        configure(&AT_THE_END_OF_A_WAN.replace("@ADDRESS@", wan.address()), &dir, root)?;
        let mut command = wan.server().inside(&control(program, &dir, &[]));
        let child = command.stdin(Stdio::null()).spawn()?;
        let mut nginx = Self {
            program: program.to_owned(),
            dir,
            host: wan.address(),
            port: PLAIN,
            tls_port: SECURE,
            child,
        };
        nginx.wait_until_it_says_so().map_err(|error| nginx.complaint(&error))?;
        Ok(nginx)
    }

    pub(crate) fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// Address of the same files over TLS.
    pub(crate) fn secure_address(&self) -> String {
        format!("{}:{}", self.host, self.tls_port)
    }

    /// Address of the same files over TLS and HTTP/2, at the end of a WAN.
    pub(crate) fn http2_address(&self) -> String {
        format!("{}:{SECURE_HTTP2}", self.host)
    }

    /// Certificate of the authority to trust there.
    pub(crate) fn authority(&self) -> PathBuf {
        if self.tls_port == SECURE {
            self.dir.join(certificate::AUTHORITY)
        } else {
            Path::new(FIXTURES).join("ca.pem")
        }
    }

    /// Requests that it has answered so far.
    pub(crate) fn requests(&self) -> Outcome<Vec<Value>> {
        let log = fs::read_to_string(self.dir.join("access.log"))?;
        let requests: Result<_, _> = log.lines().map(serde_json::from_str).collect();
        Ok(requests?)
    }

    /// Lets it finish sending, stops it, and returns the requests it answered.
    pub(crate) fn stop(mut self) -> Outcome<Vec<Value>> {
        self.signal("quit")?;
        self.child.wait()?;
        self.requests()
    }

    /// Waits until it listens: its port cannot be probed outside its namespace, but it writes its process id once it
    /// does.
    fn wait_until_it_says_so(&mut self) -> io::Result<()> {
        let deadline = Instant::now() + Duration::from_secs(20);
        while fs::read(self.dir.join("nginx.pid")).unwrap_or_default().is_empty() {
            if let Some(status) = self.child.try_wait()? {
                return Err(io::Error::other(format!("the server ended: {status}")));
            }
            if Instant::now() > deadline {
                return Err(io::Error::other("it does not say that it listens"));
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
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
        // A kill would leave the workers behind; nginx passes the signal on to them.
        if matches!(self.child.try_wait(), Ok(None)) && self.signal("stop").is_ok() {
            let _ = self.child.wait();
        }
    }
}

fn configure(text: &str, dir: &Path, root: &Path) -> io::Result<()> {
    let configuration =
        text.replace("@ROOT@", &root.display().to_string()).replace("@DIR@", &dir.display().to_string());
    fs::write(dir.join("nginx.conf"), configuration)
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
