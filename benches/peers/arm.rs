//! One way to get the file: a name, and the programs to run one after the other.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Outcome;
use crate::floor::Floor;
use crate::nginx::Nginx;
use crate::payload::Payload;
use crate::tools::{Tools, clean};
use crate::wan::Wan;

/// Connections of the peers if the errand leaves the number to the client: the most that aria2c allows.
const MANY: u64 = 16;
/// Connections of the bare loop, and of peers on loopback, on which more bring no gain.
const FEW: u64 = 4;

/// Task of every arm of a race: the file, and the way to it.
pub(crate) struct Errand<'a> {
    pub(crate) nginx: &'a Nginx,
    /// Location on the server, such as `/`.
    pub(crate) location: &'static str,
    pub(crate) payload: &'a Payload,
    /// Connections that haul is told to use; with `None` it gets no number, the peers take [`MANY`], and the loop
    /// [`FEW`].
    pub(crate) connections: Option<u64>,
    /// The line between client and server; `None` is loopback.
    pub(crate) wan: Option<&'a Wan>,
    /// True for TLS, which only the server at the end of a WAN has.
    pub(crate) secure: bool,
    /// State directory of a run that has learned of the server, for [`Arm::HaulKnowing`].
    pub(crate) learned: Option<PathBuf>,
}

impl<'a> Errand<'a> {
    /// An errand on this machine.
    pub(crate) const fn here(
        nginx: &'a Nginx,
        location: &'static str,
        payload: &'a Payload,
        connections: Option<u64>,
    ) -> Self {
        Self { nginx, location, payload, connections, wan: None, secure: false, learned: None }
    }

    pub(crate) fn url(&self) -> String {
        let path = self.path();
        if self.secure {
            format!("https://{}{path}", self.nginx.secure_address())
        } else {
            format!("http://{}{path}", self.nginx.address())
        }
    }

    /// Number of connections of the loop, which needs one.
    fn few(&self) -> u64 {
        self.connections.unwrap_or(FEW)
    }

    fn path(&self) -> String {
        format!("{}{}", self.location, self.payload.name)
    }

    fn many(&self) -> u64 {
        self.connections.unwrap_or(MANY)
    }

    /// Adds the option that makes the client trust the server.
    fn trust(&self, command: &mut Command, option: &str) {
        if self.secure {
            command.arg(option).arg(self.nginx.authority());
        }
    }

    /// Does the same for aria2c and wget2, which take the file in the same argument.
    fn trust_at_once(&self, command: &mut Command) {
        if self.secure {
            command.arg(format!("--ca-certificate={}", self.nginx.authority().display()));
        }
    }

    /// Runs the client in its namespace, if there is a line.
    fn placed(&self, command: Command) -> Command {
        match self.wan {
            Some(wan) => wan.client().inside(&command),
            None => command,
        }
    }
}

/// A client in a race.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arm {
    Floor,
    Haul,
    HaulTwo,
    HaulSixteen,
    HaulKnowing,
    HaulBackground,
    HaulTelling,
    HaulVerified,
    HaulAsAria2,
    Curl,
    CurlThenOpenssl,
    /// The digest alone, of the published file.
    Openssl,
    Aria2,
    Aria2Verified,
    Aria2Best,
    Axel,
    Wget2,
    FastDown,
}

impl Arm {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Floor => "bare recv+pwrite loop",
            Self::Haul => "haul",
            Self::HaulTwo => "haul -x2",
            Self::HaulSixteen => "haul -x16",
            Self::HaulKnowing => "haul, a host known from one run",
            Self::HaulBackground => "haul --background",
            Self::HaulTelling => "haul --json",
            Self::HaulVerified => "haul --sha256",
            Self::HaulAsAria2 => "haul aria2c, the same flags",
            Self::Curl => "curl (one connection)",
            Self::CurlThenOpenssl => "curl, then openssl dgst",
            Self::Openssl => "openssl dgst alone",
            Self::Aria2 => "aria2c",
            Self::Aria2Verified => "aria2c --checksum",
            Self::Aria2Best => "aria2c, best flags",
            Self::Axel => "axel",
            Self::Wget2 => "wget2",
            Self::FastDown => "fast-down",
        }
    }

    /// Returns true if its programs are installed.
    pub(crate) const fn is_there(self, tools: &Tools) -> bool {
        match self {
            Self::Floor
            | Self::Haul
            | Self::HaulTwo
            | Self::HaulSixteen
            | Self::HaulKnowing
            | Self::HaulBackground
            | Self::HaulTelling
            | Self::HaulVerified
            | Self::HaulAsAria2 => true,
            Self::Curl => tools.curl.is_some(),
            Self::CurlThenOpenssl => tools.curl.is_some() && tools.openssl.is_some(),
            Self::Openssl => tools.openssl.is_some(),
            Self::Aria2 | Self::Aria2Verified | Self::Aria2Best => tools.aria2.is_some(),
            Self::Axel => tools.axel.is_some(),
            Self::Wget2 => tools.wget2.is_some(),
            Self::FastDown => tools.fast_down.is_some(),
        }
    }

    /// Returns true if it saves a file.
    pub(crate) const fn saves(self) -> bool {
        !matches!(self, Self::Openssl)
    }

    /// The commands that save the file as `output`.
    pub(crate) fn commands(self, tools: &Tools, errand: &Errand<'_>, output: &Path) -> Outcome<Vec<Command>> {
        let sha256 = &errand.payload.sha256;
        let commands = match self {
            Self::Floor => vec![floor(errand, output)?],
            Self::Haul => vec![hauled(errand, output, errand.connections)],
            Self::HaulTwo => vec![hauled(errand, output, Some(2))],
            Self::HaulSixteen => vec![hauled(errand, output, Some(16))],
            Self::HaulKnowing => vec![knowing(errand, output)?],
            Self::HaulBackground => {
                let mut command = hauled(errand, output, errand.connections);
                command.arg("--background");
                vec![command]
            }
            Self::HaulTelling => {
                let mut command = hauled(errand, output, errand.connections);
                command.arg("--json");
                vec![command]
            }
            Self::HaulVerified => {
                let mut command = hauled(errand, output, errand.connections);
                command.args(["--json", "--sha256", sha256]);
                vec![command]
            }
            Self::HaulAsAria2 => {
                let mut command = clean(Tools::HAUL);
                command.arg("aria2c");
                vec![best_aria2_flags(command, errand, errand.many(), output)?]
            }
            Self::Curl => vec![curl(tools, errand, output)?],
            Self::CurlThenOpenssl => {
                vec![curl(tools, errand, output)?, openssl(tools, output)?]
            }
            Self::Openssl => vec![openssl(tools, &errand.payload.path)?],
            Self::Aria2 => vec![aria2(tools, errand, errand.few(), output)?],
            Self::Aria2Verified => {
                let mut command = aria2(tools, errand, errand.few(), output)?;
                command.arg(format!("--checksum=sha-256={sha256}"));
                vec![command]
            }
            Self::Aria2Best => {
                let command = clean(tools.aria2.as_ref().ok_or("aria2c is not installed")?);
                vec![best_aria2_flags(command, errand, errand.many(), output)?]
            }
            Self::Axel => vec![axel(tools, errand, output)?],
            Self::Wget2 => vec![wget2(tools, errand, output)?],
            Self::FastDown => vec![fast_down(tools, errand, output)?],
        };
        Ok(commands.into_iter().map(|command| errand.placed(command)).collect())
    }
}

/// haul as every arm runs it: without the settings of the user, without progress on the screen.
pub(crate) fn haul(url: &str, output: &Path, connections: Option<u64>) -> Command {
    let mut command = clean(Tools::HAUL);
    command.args(["--no-config", "--progress", "none"]);
    if let Some(connections) = connections {
        command.arg("-x").arg(connections.to_string());
    }
    command.arg("-o").arg(output).arg(url);
    command
}

fn hauled(errand: &Errand<'_>, output: &Path, connections: Option<u64>) -> Command {
    let mut command = haul(&errand.url(), output, connections);
    errand.trust(&mut command, "--cacert");
    command
}

/// haul as in the second run of a person: each lap begins with what one earlier run has learned, and not with what the laps
/// before have.
fn knowing(errand: &Errand<'_>, output: &Path) -> Outcome<Command> {
    let state = output.with_file_name("state");
    if let Some(learned) = &errand.learned {
        std::fs::create_dir_all(state.join("haul"))?;
        std::fs::copy(learned.join("haul/hosts"), state.join("haul/hosts"))?;
    }
    let mut command = hauled(errand, output, None);
    command.env("XDG_STATE_HOME", state);
    Ok(command)
}

/// Runs this very program as the loop.
fn floor(errand: &Errand<'_>, output: &Path) -> Outcome<Command> {
    let floor = Floor {
        address: errand.nginx.address(),
        path: errand.path(),
        size: errand.payload.size,
        connections: errand.few(),
        output: output.to_owned(),
        ca: None,
    };
    let mut command = clean(std::env::current_exe()?);
    command.args(floor.args());
    Ok(command)
}

fn curl(tools: &Tools, errand: &Errand<'_>, output: &Path) -> Outcome<Command> {
    let mut command = clean(tools.curl.as_ref().ok_or("curl is not installed")?);
    command.args(["--disable", "--silent", "--show-error", "--fail", "-o"]).arg(output).arg(errand.url());
    errand.trust(&mut command, "--cacert");
    Ok(command)
}

fn openssl(tools: &Tools, output: &Path) -> Outcome<Command> {
    let mut command = clean(tools.openssl.as_ref().ok_or("openssl is not installed")?);
    command.args(["dgst", "-sha256"]).arg(output);
    Ok(command)
}

/// Uses its own way to preallocate the file (`prealloc`), which is as fast as any other of its ways on tmpfs.
fn aria2(tools: &Tools, errand: &Errand<'_>, connections: u64, output: &Path) -> Outcome<Command> {
    let command = clean(tools.aria2.as_ref().ok_or("aria2c is not installed")?);
    aria2_flags(command, errand, connections, output)
}

/// The flags that make aria2c fastest.
fn best_aria2_flags(
    command: Command,
    errand: &Errand<'_>,
    connections: u64,
    output: &Path,
) -> Outcome<Command> {
    let mut command = aria2_flags(command, errand, connections, output)?;
    command.args(["-k1M", "--file-allocation=none"]);
    Ok(command)
}

fn aria2_flags(
    mut command: Command,
    errand: &Errand<'_>,
    connections: u64,
    output: &Path,
) -> Outcome<Command> {
    let directory = output.parent().ok_or("the output is in a directory")?;
    let name = output.file_name().ok_or("the output has a name")?;
    command
        .args(["--no-conf=true", "--quiet=true"])
        .arg(format!("-x{connections}"))
        .arg(format!("-s{connections}"))
        .arg("-d")
        .arg(directory)
        .arg("-o")
        .arg(name)
        .arg(errand.url());
    errand.trust_at_once(&mut command);
    Ok(command)
}

/// Trusts any certificate: axel has no option for a custom authority.
fn axel(tools: &Tools, errand: &Errand<'_>, output: &Path) -> Outcome<Command> {
    let mut command = clean(tools.axel.as_ref().ok_or("axel is not installed")?);
    command.arg(format!("-n{}", errand.many())).arg("-q");
    if errand.secure {
        command.arg("--insecure");
    }
    command.arg("-o").arg(output).arg(errand.url());
    Ok(command)
}

fn wget2(tools: &Tools, errand: &Errand<'_>, output: &Path) -> Outcome<Command> {
    let mut command = clean(tools.wget2.as_ref().ok_or("wget2 is not installed")?);
    command
        .args(["--no-config", "--no-hsts", "--quiet", "--chunk-size=1M"])
        .arg(format!("--max-threads={}", errand.many()))
        .arg("-O")
        .arg(output)
        .arg(errand.url());
    errand.trust_at_once(&mut command);
    Ok(command)
}

/// Uses its own number of threads, which is 32. It keeps a database in the home directory.
fn fast_down(tools: &Tools, errand: &Errand<'_>, output: &Path) -> Outcome<Command> {
    let mut command = clean(tools.fast_down.as_ref().ok_or("fast-down is not installed")?);
    let directory = output.parent().ok_or("the output is in a directory")?;
    let name = output.file_name().ok_or("the output has a name")?;
    command.env("HOME", directory).args(["download", "--yes", "--force", "--no-resume", "--proxy", ""]);
    if errand.secure {
        command.arg("--accept-invalid-certs");
    }
    command.arg("--dir").arg(directory).arg("--out").arg(name).arg(errand.url());
    Ok(command)
}
