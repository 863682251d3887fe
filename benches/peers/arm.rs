//! One way to get the file: a name, and the programs to run one after the other.

use std::path::Path;
use std::process::Command;

use crate::Outcome;
use crate::floor::Floor;
use crate::nginx::Nginx;
use crate::payload::Payload;
use crate::tools::{Tools, clean};

/// What every arm of a race is to fetch, and how.
pub(crate) struct Errand<'a> {
    pub(crate) nginx: &'a Nginx,
    /// Location on the server, such as `/`.
    pub(crate) location: &'static str,
    pub(crate) payload: &'a Payload,
    /// What haul is told; without, it is told nothing and the others take [`CONNECTIONS`].
    pub(crate) connections: Option<u64>,
}

/// The connections of those who must be told a number.
const CONNECTIONS: u64 = 4;

impl Errand<'_> {
    pub(crate) fn url(&self) -> String {
        format!("http://{}{}", self.nginx.address(), self.path())
    }

    /// For those who must be told.
    fn stated_connections(&self) -> u64 {
        self.connections.unwrap_or(CONNECTIONS)
    }

    fn path(&self) -> String {
        format!("{}{}", self.location, self.payload.name)
    }
}

/// A client in a race.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arm {
    Floor,
    Haul,
    HaulVerified,
    Curl,
    CurlThenOpenssl,
    /// The digest alone, of the file that is published.
    Openssl,
    Aria2,
    Aria2Verified,
}

impl Arm {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Floor => "bare recv+pwrite loop",
            Self::Haul => "haul",
            Self::HaulVerified => "haul --sha256",
            Self::Curl => "curl (one connection)",
            Self::CurlThenOpenssl => "curl, then openssl dgst",
            Self::Openssl => "openssl dgst alone",
            Self::Aria2 => "aria2c",
            Self::Aria2Verified => "aria2c --checksum",
        }
    }

    /// Whether its programs are installed.
    pub(crate) const fn is_there(self, tools: &Tools) -> bool {
        match self {
            Self::Floor | Self::Haul | Self::HaulVerified => true,
            Self::Curl => tools.curl.is_some(),
            Self::CurlThenOpenssl => tools.curl.is_some() && tools.openssl.is_some(),
            Self::Openssl => tools.openssl.is_some(),
            Self::Aria2 | Self::Aria2Verified => tools.aria2.is_some(),
        }
    }

    /// Whether it saves a file.
    pub(crate) const fn saves(self) -> bool {
        !matches!(self, Self::Openssl)
    }

    /// The commands that save the file as `output`.
    pub(crate) fn commands(self, tools: &Tools, errand: &Errand<'_>, output: &Path) -> Outcome<Vec<Command>> {
        let sha256 = &errand.payload.sha256;
        let hauled = || haul(&errand.url(), output, errand.connections);
        Ok(match self {
            Self::Floor => vec![floor(errand, output)?],
            Self::Haul => vec![hauled()],
            Self::HaulVerified => {
                let mut command = hauled();
                command.args(["--sha256", sha256]);
                vec![command]
            }
            Self::Curl => vec![curl(tools, errand, output)?],
            Self::CurlThenOpenssl => {
                vec![curl(tools, errand, output)?, openssl(tools, output)?]
            }
            Self::Openssl => vec![openssl(tools, &errand.payload.path)?],
            Self::Aria2 => vec![aria2(tools, errand, output)?],
            Self::Aria2Verified => {
                let mut command = aria2(tools, errand, output)?;
                command.arg(format!("--checksum=sha-256={sha256}"));
                vec![command]
            }
        })
    }
}

/// haul as every arm runs it: nothing of the person's settings, nothing on the screen.
pub(crate) fn haul(url: &str, output: &Path, connections: Option<u64>) -> Command {
    let mut command = clean(Tools::HAUL);
    command.args(["--no-config", "--progress", "none"]);
    if let Some(connections) = connections {
        command.arg("-x").arg(connections.to_string());
    }
    command.arg("-o").arg(output).arg(url);
    command
}

/// This very program, told to be the loop.
fn floor(errand: &Errand<'_>, output: &Path) -> Outcome<Command> {
    let floor = Floor {
        address: errand.nginx.address(),
        path: errand.path(),
        size: errand.payload.size,
        connections: errand.stated_connections(),
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
    Ok(command)
}

fn openssl(tools: &Tools, output: &Path) -> Outcome<Command> {
    let mut command = clean(tools.openssl.as_ref().ok_or("openssl is not installed")?);
    command.args(["dgst", "-sha256"]).arg(output);
    Ok(command)
}

/// With its own way to allocate the file (`prealloc`), which is as fast as any other of its ways on tmpfs.
fn aria2(tools: &Tools, errand: &Errand<'_>, output: &Path) -> Outcome<Command> {
    let mut command = clean(tools.aria2.as_ref().ok_or("aria2c is not installed")?);
    let directory = output.parent().ok_or("the output is in a directory")?;
    let name = output.file_name().ok_or("the output has a name")?;
    command
        .args(["--no-conf=true", "--quiet=true"])
        .arg(format!("-x{}", errand.stated_connections()))
        .arg(format!("-s{}", errand.stated_connections()))
        .arg("-d")
        .arg(directory)
        .arg("-o")
        .arg(name)
        .arg(errand.url());
    Ok(command)
}
