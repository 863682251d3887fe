//! Questions to git and git-lfs, whose programs know the configuration.

use crate::Login;
use crate::error::{Error, Kind};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Runs git with this input; returns its output if it succeeds.
fn git(arguments: &[&str], input: &str) -> Result<String, Error> {
    let failed = |error: std::io::Error| Error::new(Kind::Other, format!("git cannot be run: {error}"));
    let mut child = Command::new("git")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    if let Some(mut pipe) = child.stdin.take() {
        // A program that does not read its input says why by its status.
        let _ = pipe.write_all(input.as_bytes());
    }
    let ended = child.wait_with_output().map_err(failed)?;
    if !ended.status.success() {
        let why = format!("git {} failed ({})", arguments.join(" "), ended.status);
        return Err(Error::new(Kind::Other, why));
    }
    Ok(String::from_utf8_lossy(&ended.stdout).into_owned())
}

/// Description of the repository by git-lfs.
pub(super) fn lfs_environment() -> Result<String, Error> {
    git(&["lfs", "env"], "")
}

/// Value of a line `NAME=VALUE` of the environment.
pub(super) fn value<'a>(environment: &'a str, name: &str) -> Option<&'a str> {
    environment.lines().find_map(|line| line.trim_start().strip_prefix(name)?.strip_prefix('='))
}

/// Directory for the objects under way: beside git-lfs's own, which it clears.
pub(super) fn state_directory(environment: &str) -> Result<PathBuf, Error> {
    let own = value(environment, "TempDir").filter(|directory| !directory.is_empty());
    let own = own
        .ok_or_else(|| Error::usage("git-lfs knows no directory here").with_hint("run it in a repository"))?;
    Ok(PathBuf::from(own).with_file_name("haul"))
}

/// Settings of git for HTTP requests to `url`, as `name value`.
pub(super) fn http_settings(url: &str) -> Vec<(String, String)> {
    // It fails if there are none.
    let listed = git(&["config", "--get-urlmatch", "http", url], "").unwrap_or_default();
    let pair = |line: &str| {
        let (name, value) = line.split_once(' ')?;
        Some((name.strip_prefix("http.")?.to_ascii_lowercase(), value.to_owned()))
    };
    listed.lines().filter_map(pair).collect()
}

/// Credentials as git's helpers know them.
pub(super) struct Credential {
    description: String,
    pub(super) login: Login,
}

impl Credential {
    /// Asks git's credential helpers, and perhaps the user.
    ///
    /// # Errors
    /// `Auth` if there are none.
    pub(super) fn fill(url: &str) -> Result<Self, Error> {
        let description = described(url)?;
        let filled = git(&["credential", "fill"], &description).map_err(|_| {
            Error::new(Kind::Auth, "the server wants credentials, and git has none for it")
                .with_hint("store them with a credential helper: git help credential-helpers")
        })?;
        let login = Login {
            user: value(&filled, "username").unwrap_or_default().to_owned(),
            password: value(&filled, "password").unwrap_or_default().to_owned(),
        };
        Ok(Self { description: filled, login })
    }

    /// Tells the helpers that these are right, so that they are kept, or wrong, so that they are forgotten.
    pub(super) fn judge(&self, right: bool) {
        // Helpers that keep nothing are no reason to stop.
        let _ = git(&["credential", if right { "approve" } else { "reject" }], &self.description);
    }
}

/// A URL as git describes it to its helpers.
fn described(url: &str) -> Result<String, Error> {
    let request = crate::Request::new(url)?;
    let origin = request.address().origin().to_string();
    let (scheme, host) = origin.split_once("://").unwrap_or(("https", &origin));
    // Helpers know the host without the usual port.
    let host = host.strip_suffix(if scheme == "https" { ":443" } else { ":80" }).unwrap_or(host);
    let path = url.split_once("://").and_then(|(_, rest)| rest.split_once('/')).map_or("", |(_, path)| path);
    Ok(format!("protocol={scheme}\nhost={host}\npath={path}\n\n"))
}

/// Value of git's configuration, if there is one.
pub(super) fn config(name: &str) -> Option<String> {
    // It fails if there is none.
    line_of(&git(&["config", "--get", name], "").ok()?)
}

/// Value of the configuration of git-lfs that the repository carries, if there is one.
pub(super) fn config_of_tree(name: &str) -> Option<String> {
    let tree = line_of(&git(&["rev-parse", "--show-toplevel"], "").ok()?)?;
    let file = PathBuf::from(tree).join(".lfsconfig");
    if !file.is_file() {
        return None;
    }
    line_of(&git(&["config", "-f", file.to_str()?, "--get", name], "").ok()?)
}

/// URL of a remote, or of a URL itself, with the user's abbreviations resolved (`url.X.insteadOf`).
pub(super) fn resolved(remote: &str) -> String {
    let asked = git(&["ls-remote", "--get-url", "--", remote], "").ok();
    asked.as_deref().and_then(line_of).unwrap_or_else(|| remote.to_owned())
}

fn line_of(output: &str) -> Option<String> {
    Some(output.trim_end_matches(['\n', '\r']).to_owned()).filter(|line| !line.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_is_read_line_by_line() {
        let environment = "git-lfs/3.3.0\n\nEndpoint=https://h/r.git/info/lfs (auth=none)\n  SSH=git@h:r.git\nTempDir=/r/.git/lfs/tmp\n";
        assert_eq!(value(environment, "SSH"), Some("git@h:r.git"));
        assert_eq!(state_directory(environment).unwrap(), PathBuf::from("/r/.git/lfs/haul"));
        assert!(state_directory("TempDir=\n").is_err());
    }

    #[test]
    fn helpers_get_the_parts_of_a_url() {
        let description = described("https://h:8443/r.git/info/lfs").unwrap();
        assert_eq!(description, "protocol=https\nhost=h:8443\npath=r.git/info/lfs\n\n");
        assert_eq!(described("https://h/r").unwrap(), "protocol=https\nhost=h\npath=r\n\n");
        assert_eq!(described("http://h:80/r").unwrap(), "protocol=http\nhost=h\npath=r\n\n");
    }
}
