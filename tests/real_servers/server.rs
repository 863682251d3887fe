//! One running server: found, configured from `fixtures/servers`, started, and killed with the test.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::listening::{Writes, free_port, wait_until_listening};
use crate::site::{NAME, Site};

/// The servers. Each runs as one foreground process, so that killing it leaves nothing behind.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Nginx,
    NginxTls,
    Apache,
    Caddy,
    Lighttpd,
    Python,
}

impl Kind {
    /// The program and the Debian package that contains it.
    const fn program(self) -> (&'static str, &'static str) {
        match self {
            Self::Nginx | Self::NginxTls => ("nginx", "nginx-light"),
            Self::Apache => ("apache2", "apache2-bin"),
            Self::Caddy => ("caddy", "caddy"),
            Self::Lighttpd => ("lighttpd", "lighttpd"),
            Self::Python => ("python3", "python3"),
        }
    }

    const fn template(self) -> &'static str {
        match self {
            Self::Nginx => include_str!("../../fixtures/servers/nginx.conf"),
            Self::NginxTls => include_str!("../../fixtures/servers/nginx-tls.conf"),
            Self::Apache => include_str!("../../fixtures/servers/apache.conf"),
            Self::Caddy => include_str!("../../fixtures/servers/Caddyfile"),
            Self::Lighttpd => include_str!("../../fixtures/servers/lighttpd.conf"),
            Self::Python => "",
        }
    }

    /// The command that runs it with the configuration in `dir`.
    fn command(self, program: &Path, site: &Site, port: u16) -> Command {
        let dir = site.server_dir();
        let configuration = dir.join("configuration");
        let mut command = Command::new(program);
        match self {
            Self::Nginx | Self::NginxTls => {
                command.arg("-p").arg(&dir).arg("-e").arg(dir.join("error.log"));
                command.arg("-c").arg(configuration)
            }
            Self::Apache => command.arg("-X").arg("-f").arg(configuration),
            Self::Caddy => {
                command.env("HOME", &dir).env("XDG_CONFIG_HOME", &dir).env("XDG_DATA_HOME", &dir);
                command.args(["run", "--adapter", "caddyfile", "--config"]).arg(configuration)
            }
            Self::Lighttpd => command.arg("-D").arg("-f").arg(configuration),
            Self::Python => {
                // Unbuffered, so that it says at once that it serves.
                command.args(["-u", "-m", "http.server", "--bind", "127.0.0.1", "--directory"]);
                command.arg(site.root()).arg(port.to_string())
            }
        };
        command
    }
}

/// A running server.
pub(crate) struct Server {
    kind: Kind,
    child: Child,
    port: u16,
    dir: PathBuf,
}

impl Server {
    /// Starts it for this site. `None`, reported on stderr, if it is not installed and need not be.
    pub(crate) fn start(kind: Kind, site: &Site) -> Option<Self> {
        let (name, package) = kind.program();
        let Some(program) = find(name) else {
            did_not_run(name, package);
            return None;
        };
        // The port was free a moment ago; losing it to another process is rare, and twice is no coincidence.
        let started = Self::launch(kind, &program, site).or_else(|_| Self::launch(kind, &program, site));
        Some(started.unwrap_or_else(|error| panic!("{name} did not start: {error}\n{}", logs(site))))
    }

    fn launch(kind: Kind, program: &Path, site: &Site) -> io::Result<Self> {
        let (port, dir) = (free_port(), site.server_dir());
        fs::write(dir.join("configuration"), configuration(kind, site, port))?;
        let said = File::create(dir.join("stderr"))?;
        let writes = Writes::in_directory(&dir)?;
        let child = kind
            .command(program, site, port)
            .stdin(Stdio::null())
            .stdout(said.try_clone()?)
            .stderr(said)
            .spawn()?;
        let mut server = Self { kind, child, port, dir };
        wait_until_listening(&mut server.child, port, &writes)?;
        Ok(server)
    }

    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// The published file's URL, below a location such as `/` or `/slow/`.
    pub(crate) fn url(&self, location: &str) -> String {
        let origin = match self.kind {
            Kind::NginxTls => "https://localhost",
            _ => "http://127.0.0.1",
        };
        format!("{origin}:{}{location}{NAME}", self.port)
    }

    /// The requests that nginx has answered, in the fields of its configuration's log format.
    pub(crate) fn requests(&self) -> Vec<Value> {
        let log = fs::read_to_string(self.dir.join("access.log")).expect("nginx opens its log first");
        let complete = log.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        complete.map(|line| serde_json::from_str(line).expect("the log's format is JSON")).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn configuration(kind: Kind, site: &Site, port: u16) -> String {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    kind.template()
        .replace("@PORT@", &port.to_string())
        .replace("@ROOT@", &site.root().display().to_string())
        .replace("@DIR@", &site.server_dir().display().to_string())
        .replace("@MODULES@", "/usr/lib/apache2/modules")
        .replace("@CERT@", &fixtures.join("tls/server.pem").display().to_string())
        .replace("@KEY@", &fixtures.join("tls/server-key.pem").display().to_string())
}

/// Searches also the directories in which Debian keeps servers, outside the PATH of users.
fn find(name: &str) -> Option<PathBuf> {
    let own = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    let mut directories = std::env::split_paths(&own).chain(system);
    directories.find_map(|directory| Some(directory.join(name)).filter(|path| path.is_file()))
}

pub(crate) fn did_not_run(name: &str, package: &str) {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    let line = format!("DID NOT RUN: {test}: {name} is not installed (apt-get install {package})");
    assert!(std::env::var_os("HAUL_REQUIRE_SERVERS").is_none_or(|value| value != "1"), "{line}");
    // Writes to stderr directly: output of eprintln is hidden in a passing test.
    let _ = writeln!(io::stderr(), "{line}");
}

fn logs(site: &Site) -> String {
    let text = |name: &str| fs::read_to_string(site.server_dir().join(name)).unwrap_or_default();
    text("stderr") + &text("error.log")
}
