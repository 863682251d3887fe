//! The server of a remote, as git's configuration names it.

use super::git::{config, config_of_tree, resolved};
use crate::error::{Error, Kind};
use std::ffi::OsString;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// The server of a remote.
#[derive(Debug, PartialEq)]
pub(super) struct Remote {
    /// URL before `/objects/batch`.
    pub(super) url: String,
    /// Place that is asked for another URL, and for headers, over ssh.
    pub(super) ssh: Option<Place>,
}

/// Place that is reached over ssh.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Place {
    /// `HOST` or `USER@HOST`.
    pub(super) host: String,
    port: Option<String>,
    pub(super) path: String,
}

impl Remote {
    /// Looks the server up as git-lfs does: `lfs.url`, then `remote.NAME.lfsurl`, each in git's configuration and in `.lfsconfig`, then the
    /// URL of the remote itself.
    pub(super) fn look_up(name: &str) -> Option<Self> {
        let stated = |name: &str| config(name).or_else(|| config_of_tree(name));
        let stated = stated("lfs.url").or_else(|| stated(&format!("remote.{name}.lfsurl")));
        match stated {
            Some(url) => Some(Self::stated(&resolved(&url))),
            None => Some(Self::cloned(&resolved(name))).filter(|remote| !remote.url.is_empty()),
        }
    }

    /// The server that a URL states.
    fn stated(url: &str) -> Self {
        match Place::parse(url) {
            Some((place, url)) => Self { url, ssh: Some(place) },
            None => Self { url: url.to_owned(), ssh: None },
        }
    }

    /// The server of a repository that is cloned from a URL.
    fn cloned(url: &str) -> Self {
        let Self { url, ssh } = Self::stated(url);
        let bare = url.trim_end_matches('/');
        let suffix = if bare.ends_with(".git") { "/info/lfs" } else { ".git/info/lfs" };
        Self { url: format!("{bare}{suffix}"), ssh }
    }
}

impl Place {
    /// The place that a URL of ssh names, in either form, and the URL over https that stands for it.
    fn parse(url: &str) -> Option<(Self, String)> {
        let after = ["ssh://", "git+ssh://", "ssh+git://"].iter().find_map(|scheme| url.strip_prefix(scheme));
        let (host, port, path) = match after {
            Some(rest) => {
                let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
                let (host, port) = match authority.rsplit_once(':') {
                    Some((host, port)) if !port.contains(']') => (host, Some(port.to_owned())),
                    _ => (authority, None),
                };
                (host, port.filter(|port| !port.is_empty()), path)
            }
            None if url.contains("://") => return None,
            None => {
                // A colon behind a slash belongs to a path on this machine.
                let (host, path) = url.split_once(':').filter(|(host, _)| !host.contains('/'))?;
                (host, None, path)
            }
        };
        let bare = host.rsplit_once('@').map_or(host, |(_, host)| host);
        let over_https = format!("https://{bare}/{}", path.trim_start_matches('/'));
        Some((Self { host: host.to_owned(), port, path: path.to_owned() }, over_https))
    }

    /// Command that runs `command` there.
    ///
    /// # Errors
    /// `Unsafe` for a place that ssh would take for an option.
    pub(super) fn runs(&self, command: &str, ssh: &Ssh) -> Result<Command, Error> {
        let is_number = |port: &String| port.bytes().all(|byte| byte.is_ascii_digit());
        if self.host.starts_with('-') || self.path.starts_with('-') || !self.port.iter().all(is_number) {
            return Err(Error::new(Kind::Unsafe, "the ssh remote looks like an option"));
        }
        let mut program = match ssh {
            Ssh::Program(program) => Command::new(program),
            // The shell reads it as git does.
            Ssh::Line(line) => {
                let mut shell = Command::new("sh");
                shell.args(["-c", &format!("{line} \"$@\""), line]);
                shell
            }
        };
        if let Some(port) = &self.port {
            program.args([ssh.flag_of_port(), port]);
        }
        program.args([&self.host, command]);
        Ok(program)
    }
}

/// The user's ssh.
pub(super) enum Ssh {
    /// A program.
    Program(OsString),
    /// A line for the shell.
    Line(String),
}

impl Ssh {
    /// The one that git would run.
    pub(super) fn of_user() -> Self {
        let filled = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let line = filled("GIT_SSH_COMMAND").and_then(|line| line.into_string().ok());
        match line.or_else(|| config("core.sshCommand")) {
            Some(line) => Self::Line(line),
            None => Self::Program(filled("GIT_SSH").unwrap_or_else(|| "ssh".into())),
        }
    }

    /// Flag of the port: that of PuTTY's programs is another one.
    fn flag_of_port(&self) -> &'static str {
        let program = match self {
            Self::Program(program) => program.to_string_lossy().into_owned(),
            Self::Line(line) => {
                shlex::split(line).and_then(|words| words.into_iter().next()).unwrap_or_default()
            }
        };
        let name = Path::new(&program).file_stem().unwrap_or_default().to_ascii_lowercase();
        match &*name.to_string_lossy() {
            "plink" | "putty" | "tortoiseplink" => "-P",
            _ => "-p",
        }
    }
}

/// Runs `git-lfs-authenticate` over the user's ssh, as git-lfs does for a remote of ssh.
pub(super) fn authenticate(place: &Place) -> Result<String, Error> {
    let path = shlex::try_quote(&place.path).unwrap_or_default();
    let asked = place
        .runs(&format!("git-lfs-authenticate {path} download"), &Ssh::of_user())?
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .and_then(Child::wait_with_output);
    let ended = asked.map_err(|error| Error::new(Kind::Other, format!("ssh cannot be run: {error}")))?;
    if !ended.status.success() {
        let why = format!("{} did not authenticate over ssh ({})", place.host, ended.status);
        return Err(Error::new(Kind::Auth, why));
    }
    Ok(String::from_utf8_lossy(&ended.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remote_of_ssh_has_its_user_its_port_and_its_path() {
        for (url, host, port, path, over_https) in [
            ("git@h:o/r.git", "git@h", None, "o/r.git", "https://h/o/r.git/info/lfs"),
            ("ssh://git@h:2222/o/r", "git@h", Some("2222"), "/o/r", "https://h/o/r.git/info/lfs"),
            ("ssh://h/r.git", "h", None, "/r.git", "https://h/r.git/info/lfs"),
            (
                "git+ssh://me@[::1]:22/r.git/",
                "me@[::1]",
                Some("22"),
                "/r.git/",
                "https://[::1]/r.git/info/lfs",
            ),
        ] {
            let Remote { url: found, ssh } = Remote::cloned(url);
            let place = Place { host: host.into(), port: port.map(Into::into), path: path.into() };
            assert_eq!((found.as_str(), ssh), (over_https, Some(place)), "{url}");
        }
        for (url, found) in [
            ("https://h/r", "https://h/r.git/info/lfs"),
            ("https://h/r.git/", "https://h/r.git/info/lfs"),
            ("/srv/a:b", "/srv/a:b.git/info/lfs"),
        ] {
            assert_eq!(Remote::cloned(url), Remote { url: found.into(), ssh: None });
        }
        assert_eq!(Remote::stated("https://h/lfs"), Remote { url: "https://h/lfs".into(), ssh: None });
    }

    #[test]
    fn the_users_ssh_gets_the_port_by_its_own_flag() {
        let (place, _) = Place::parse("ssh://git@h:2222/r.git").unwrap();
        let words = |ssh: Ssh| {
            let command = place.runs("c", &ssh).unwrap();
            let words = std::iter::once(command.get_program()).chain(command.get_args());
            words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>()
        };
        assert_eq!(words(Ssh::Program("ssh".into())), ["ssh", "-p", "2222", "git@h", "c"]);
        assert_eq!(words(Ssh::Program("/x/plink.exe".into()))[1], "-P");
        let line = "ssh -i 'a key'";
        let expected = ["sh", "-c", "ssh -i 'a key' \"$@\"", line, "-p", "2222", "git@h", "c"];
        assert_eq!(words(Ssh::Line(line.into())), expected);
        for url in ["ssh://-oProxyCommand=x/r", "h:-r", "ssh://h:2x/r"] {
            let (place, _) = Place::parse(url).unwrap();
            assert!(place.runs("c", &Ssh::Program("ssh".into())).is_err(), "{url}");
        }
    }
}
