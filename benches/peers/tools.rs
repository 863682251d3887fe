//! The programs of the comparison: paths, versions, and install hints for missing ones.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Outcome;

const DIRECTORIES: [&str; 6] =
    ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// Every program of the comparison.
pub(crate) struct Tools {
    pub(crate) nginx: PathBuf,
    pub(crate) curl: Option<PathBuf>,
    pub(crate) aria2: Option<PathBuf>,
    pub(crate) openssl: Option<PathBuf>,
    pub(crate) axel: Option<PathBuf>,
    pub(crate) wget2: Option<PathBuf>,
    pub(crate) fast_down: Option<PathBuf>,
    /// Creates the network namespaces of the WAN rows.
    pub(crate) ip: Option<PathBuf>,
}

impl Tools {
    pub(crate) const HAUL: &str = env!("CARGO_BIN_EXE_haul");

    /// Finds the programs. Without nginx there is nothing to measure; a missing client only loses its arm.
    pub(crate) fn find() -> Outcome<Self> {
        let tools = Self {
            nginx: find("nginx").ok_or("nginx is not installed: apt-get install nginx-light")?,
            curl: find("curl"),
            aria2: find("aria2c"),
            openssl: find("openssl"),
            axel: find("axel"),
            wget2: find("wget2"),
            fast_down: find_fast_down(),
            ip: find("ip"),
        };
        for line in tools.missing() {
            eprintln!("notice: {line}");
        }
        Ok(tools)
    }

    /// Returns one line for each client that cannot take part.
    pub(crate) fn missing(&self) -> Vec<String> {
        let clients = [
            (&self.curl, "curl", "apt-get install curl"),
            (&self.aria2, "aria2c", "apt-get install aria2"),
            (&self.openssl, "openssl", "apt-get install openssl"),
            (&self.axel, "axel", "apt-get install axel"),
            (&self.wget2, "wget2", "apt-get install wget2"),
            (&self.fast_down, "fast-down", "cargo install --locked fast-down-cli"),
        ];
        clients
            .iter()
            .filter(|(found, ..)| found.is_none())
            .map(|(_, name, remedy)| format!("{name} is not installed, its arms are left out: {remedy}"))
            .collect()
    }

    /// Returns the version line of each program.
    pub(crate) fn versions(&self) -> Vec<String> {
        let mut lines = vec![said(Path::new(Self::HAUL), "--version"), said(&self.nginx, "-v")];
        let clients = [
            (&self.curl, "--version"),
            (&self.aria2, "--version"),
            (&self.openssl, "version"),
            (&self.axel, "--version"),
            (&self.wget2, "--version"),
        ];
        for (path, flag) in clients {
            lines.extend(path.as_deref().map(|path| said(path, flag)));
        }
        // fast-down has no version flag and prints it, with everything else, on stderr.
        lines.extend(self.fast_down.as_deref().map(|path| said(path, "--help")));
        lines
    }
}

/// Home of the programs. It is no directory, and root cannot make one of it: nothing that a run learns reaches the next one.
const NO_HOME: &str = "/dev/null";

/// A command with a clean environment: no proxy, no home, no `HAUL_*`, no language.
pub(crate) fn clean(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", DIRECTORIES.join(":")).env("LC_ALL", "C").env("HOME", NO_HOME);
    command
}

/// Returns the path of the program, if it is installed.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    places(name).next()
}

/// Returns every program of this name.
fn places(name: &str) -> impl Iterator<Item = PathBuf> {
    let own = std::env::var_os("PATH").unwrap_or_default();
    let own: Vec<_> = std::env::split_paths(&own).collect();
    own.into_iter()
        .chain(DIRECTORIES.iter().map(PathBuf::from))
        .map(move |directory| directory.join(name))
        .filter(|path| path.is_file())
}

/// Finds fast-down, which is called `fd`, like a well-known program for finding files.
fn find_fast_down() -> Option<PathBuf> {
    let home = std::env::var_os("HOME").unwrap_or_default();
    let cargo = Path::new(&home).join(".cargo/bin/fd");
    places("fd").chain(cargo.is_file().then_some(cargo)).find(|path| {
        let help = clean(path).arg("--help").output();
        let said = help.map(|help| [help.stdout, help.stderr].concat()).unwrap_or_default();
        String::from_utf8_lossy(&said).contains("fast-down")
    })
}

/// Returns the first line of a program's output; nginx and fast-down print it on stderr.
fn said(program: &Path, flag: &str) -> String {
    let Ok(output) = clean(program).arg(flag).output() else {
        return format!("{}: did not run", program.display());
    };
    let both = [output.stderr, output.stdout].concat();
    let text = String::from_utf8_lossy(&both);
    let line = text.lines().next().unwrap_or("(no version)");
    // The rest, in brackets, has the versions of all linked libraries.
    line.split(" (").next().unwrap_or(line).to_owned()
}
