//! `[host."PATTERN"]` in the configuration: values for some hosts only.

use super::keyring::Keyring;
use super::{bounded, values};
use crate::error::Error;
use crate::formats::size::parse_size;
use crate::{Connections, HostSettings, Job, Login, Proxy, PublicKeyPin, Request};
use std::cmp::Reverse;
use std::fmt;
use std::path::{Path, PathBuf};
use toml::Value;

/// Size limit of a file with secrets, in bytes.
const LARGEST: u64 = 64 << 10;

/// Values for the hosts of a pattern.
#[derive(Clone, Debug, Default)]
pub(super) struct HostRule {
    pub(super) pattern: String,
    connections: Option<Connections>,
    limit_rate: Option<u64>,
    user_agent: Option<String>,
    header_file: Option<PathBuf>,
    bearer_file: Option<PathBuf>,
    bearer_command: Option<Keyring>,
    /// Name that goes with the password.
    user: Option<String>,
    password_command: Option<Keyring>,
    proxy: Option<String>,
    pins: Vec<PublicKeyPin>,
    insecure: bool,
    /// Places of the keys in the configuration.
    places: Vec<(String, Place)>,
}

/// Place in the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Name of the file, escaped.
    pub(super) file: String,
    /// Line number, counted from 1.
    pub(super) line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: line {}", self.file, self.line)
    }
}

impl HostRule {
    /// Reads a table.
    ///
    /// # Errors
    /// A key and a message.
    pub(super) fn read(pattern: &str, table: &Value) -> Result<Self, (String, String)> {
        let wrong = |key: &str, why: &str| (key.to_owned(), why.to_owned());
        let Value::Table(table) = table else {
            return Err(wrong(pattern, "a table is wanted"));
        };
        if pattern.is_empty()
            || pattern.contains(['/', ':', ' '])
            || pattern.strip_prefix("*.").unwrap_or(pattern).contains('*')
        {
            return Err(wrong(pattern, "a host, or *. and a domain, is wanted"));
        }
        let mut rule = Self { pattern: pattern.to_owned(), ..Self::default() };
        for (key, value) in table {
            let text = || {
                value
                    .as_str()
                    .map(str::to_owned)
                    .ok_or_else(|| wrong(key, "a text in quotation marks is wanted"))
            };
            let number = || match value {
                Value::Integer(number) => Ok(number.to_string()),
                _ => text(),
            };
            match key.as_str() {
                "connections" => {
                    rule.connections = Some(values::connections(&number()?).map_err(|why| wrong(key, &why))?);
                }
                "limit-rate" => {
                    rule.limit_rate =
                        Some(parse_size(&number()?).map_err(|why| wrong(key, &why.to_string()))?);
                }
                "user-agent" => {
                    rule.user_agent = Some(values::user_agent(&text()?).map_err(|why| wrong(key, &why))?);
                }
                "header-file" => rule.header_file = Some(text()?.into()),
                "bearer-file" => rule.bearer_file = Some(text()?.into()),
                "bearer-command" => {
                    rule.bearer_command = Some(Keyring::read(value).map_err(|why| wrong(key, &why))?);
                }
                "user" => rule.user = Some(user_name(&text()?).map_err(|why| wrong(key, &why))?),
                "password-command" => {
                    rule.password_command = Some(Keyring::read(value).map_err(|why| wrong(key, &why))?);
                }
                "pin" => rule.pins = pins(value).map_err(|why| wrong(key, &why))?,
                "proxy" => {
                    let proxy = text()?;
                    values::proxy(&proxy).map_err(|why| wrong(key, &why))?;
                    rule.proxy = Some(proxy);
                }
                "insecure" => {
                    rule.insecure = value.as_bool().ok_or_else(|| wrong(key, "true or false is wanted"))?;
                }
                _ => return Err(wrong(key, "haul knows no such key for a host")),
            }
        }
        match rule.odd_secret() {
            Some((key, why)) => Err(wrong(key, why)),
            None => Ok(rule),
        }
    }

    /// A key for secrets that does not go with the others, and the reason.
    fn odd_secret(&self) -> Option<(&'static str, &'static str)> {
        let bearer = self.bearer_file.is_some() || self.bearer_command.is_some();
        match (&self.bearer_file, &self.bearer_command, &self.user, &self.password_command) {
            (Some(_), Some(_), ..) => {
                Some(("bearer-command", "of bearer-file and bearer-command only one can count"))
            }
            (.., Some(_), None) => {
                Some(("user", "it needs a password-command; nothing else gives a password here"))
            }
            (.., None, Some(_)) => {
                Some(("password-command", "it needs the name that the password is for: user = \"NAME\""))
            }
            (.., Some(_), Some(_)) if bearer => {
                Some(("password-command", "of a token and a password only one can count"))
            }
            _ => None,
        }
    }

    /// Says where each key stands.
    pub(super) fn placed(mut self, place_of: impl Fn(&str) -> Place) -> Self {
        self.places = self.shown().into_iter().map(|(key, _)| (key.to_owned(), place_of(key))).collect();
        self
    }

    /// Place of a key, if it is known.
    pub(super) fn place(&self, key: &str) -> Option<&Place> {
        self.places.iter().find(|(placed, _)| placed == key).map(|(_, place)| place)
    }

    /// Error for the value of a key.
    fn wrong(&self, key: &str, why: impl fmt::Display) -> Error {
        let place = self.place(key).map_or_else(String::new, |place| format!("{place}: "));
        Error::usage(format!("{place}host {}: {why}", self.pattern))
    }

    /// Reads the files that the rule names.
    ///
    /// # Errors
    /// `Usage` for one that cannot be read.
    pub(super) fn check_files(&self) -> Result<(), Error> {
        for (key, path) in [("header-file", &self.header_file), ("bearer-file", &self.bearer_file)] {
            path.as_deref().map_or(Ok(String::new()), |path| self.text_of(key, path))?;
        }
        Ok(())
    }

    /// Leaves out the values of these keys, which a flag or the environment says.
    pub(super) fn leave_out(&mut self, keys: &[&str]) {
        for key in keys {
            match *key {
                "connections" => self.connections = None,
                "user-agent" => self.user_agent = None,
                "bearer-file" => {
                    (self.bearer_file, self.bearer_command) = (None, None);
                    (self.user, self.password_command) = (None, None);
                }
                "pin" => self.pins.clear(),
                "proxy" => self.proxy = None,
                _ => {}
            }
        }
    }

    fn has_secret(&self) -> bool {
        self.bearer_file.is_some() || self.bearer_command.is_some() || self.password_command.is_some()
    }

    /// Adds the token, or the name and the password.
    fn add_secret(&self, job: &mut Job) -> Result<(), Error> {
        let asked = |key: &str, keyring: &Keyring| {
            let secret = keyring.secret().map(str::to_owned);
            secret.map_err(|error| error.retold(self.wrong(key, format_args!("{key}: {error}")).to_string()))
        };
        if let Some(path) = &self.bearer_file {
            job.bearer = Some(self.text_of("bearer-file", path)?.trim_end_matches(['\n', '\r']).to_owned());
        }
        if let Some(keyring) = &self.bearer_command {
            job.bearer = Some(asked("bearer-command", keyring)?);
        }
        if let (Some(user), Some(keyring)) = (&self.user, &self.password_command) {
            job.login = Some(Login { user: user.clone(), password: asked("password-command", keyring)? });
        }
        Ok(())
    }

    /// Text of a file with secrets.
    fn text_of(&self, key: &str, path: &Path) -> Result<String, Error> {
        let wrong = |error| self.wrong(key, format_args!("{key}: cannot read {}: {error}", path.display()));
        bounded::read(path, LARGEST).map_err(wrong)
    }

    /// A host is more exact than a domain, and a longer domain than a shorter one.
    fn exactness(&self) -> (bool, usize) {
        (!self.pattern.starts_with("*."), self.pattern.len())
    }

    fn settings(&self) -> Option<HostSettings> {
        let mut settings = HostSettings::new(&self.pattern);
        settings.insecure = self.insecure;
        settings.pins.clone_from(&self.pins);
        settings.proxy = self.proxy.as_deref().map(|proxy| match proxy {
            "" => Proxy::Direct,
            proxy => Proxy::Through(proxy.to_owned()),
        });
        settings.user_agent.clone_from(&self.user_agent);
        let says_something = settings.insecure
            || settings.proxy.is_some()
            || settings.user_agent.is_some()
            || !settings.pins.is_empty();
        says_something.then_some(settings)
    }

    /// Values as they are shown, each with its key.
    pub(super) fn shown(&self) -> Vec<(&'static str, String)> {
        let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
        let connections = self.connections.map(|connections| match connections {
            Connections::AtMost(count) => count.to_string(),
            _ => "auto".to_owned(),
        });
        let all = [
            ("connections", connections),
            ("limit-rate", self.limit_rate.map(values::size_text)),
            ("user-agent", self.user_agent.clone()),
            ("header-file", path(&self.header_file)),
            ("bearer-file", path(&self.bearer_file)),
            ("bearer-command", self.bearer_command.as_ref().map(Keyring::shown)),
            ("user", self.user.clone()),
            ("password-command", self.password_command.as_ref().map(Keyring::shown)),
            (
                "proxy",
                self.proxy.as_deref().map(|proxy| crate::formats::redaction::named(proxy).into_owned()),
            ),
            ("pin", Some(joined(&self.pins)).filter(|pins| !pins.is_empty())),
            ("insecure", self.insecure.then(|| "true".to_owned())),
        ];
        all.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
    }
}

/// Name of a user, without a password.
fn user_name(text: &str) -> Result<String, String> {
    match text.contains(':') {
        true => Err("a name is wanted; its password comes from password-command".to_owned()),
        false => Ok(text.to_owned()),
    }
}

/// Pins as a text, with semicolons between them, or as a list of such.
fn pins(value: &Value) -> Result<Vec<PublicKeyPin>, String> {
    let texts: Option<Vec<_>> = match value {
        Value::Array(all) => all.iter().map(Value::as_str).collect(),
        value => value.as_str().map(|text| vec![text]),
    };
    let texts = texts.ok_or("a text in quotation marks is wanted, or a list of such")?;
    texts.iter().flat_map(|text| text.split(';')).map(values::pin).collect()
}

fn joined(pins: &[PublicKeyPin]) -> String {
    pins.iter().map(ToString::to_string).collect::<Vec<_>>().join(";")
}

/// Settings of the client for the rules. The first that applies counts, so the more exact ones come first.
pub(super) fn settings(rules: &[HostRule]) -> Vec<HostSettings> {
    let mut rules: Vec<_> = rules.iter().collect();
    rules.sort_by_key(|rule| Reverse(rule.exactness()));
    rules.into_iter().filter_map(HostRule::settings).collect()
}

/// Adds to a job what the rules say of its host, the more exact ones last; `with_secrets` if they may be sent there.
///
/// # Errors
/// `Usage` if a file with secrets cannot be read, or a command gives none.
pub(super) fn apply(rules: &[HostRule], job: &mut Job, with_secrets: bool) -> Result<(), Error> {
    if rules.is_empty() {
        return Ok(());
    }
    let request = Request::new(&job.url)?;
    let origin = request.address().origin();
    let host = origin.host();
    let mut applying: Vec<_> =
        rules.iter().filter(|rule| HostSettings::new(&rule.pattern).applies_to(host)).collect();
    applying.sort_by_key(|rule| rule.exactness());
    for rule in &applying {
        if let Some(Connections::AtMost(count)) = rule.connections {
            job.options.connections = Some(count);
        }
        if rule.limit_rate.is_some() {
            job.options.limit_rate = rule.limit_rate;
        }
        if with_secrets && let Some(path) = &rule.header_file {
            let text = rule.text_of("header-file", path)?;
            let lines: Vec<_> =
                text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect();
            job.add_headers(&lines)?;
        }
    }
    // No command of another rule is run: it might prompt for a password.
    match applying.iter().rev().find(|rule| rule.has_secret()) {
        Some(rule) if with_secrets => rule.add_secret(job),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str) -> Vec<HostRule> {
        let table: toml::Table = text.parse().unwrap();
        let hosts = table["host"].as_table().unwrap();
        hosts.iter().map(|(pattern, table)| HostRule::read(pattern, table).unwrap()).collect()
    }

    #[test]
    fn the_more_exact_rule_counts_and_secrets_only_where_they_may_be_sent() {
        let directory = tempfile::tempdir().unwrap();
        let token = directory.path().join("token");
        std::io::Write::write_all(&mut std::fs::File::create_new(&token).unwrap(), b"t0ken\n").unwrap();
        let rules = rules(&format!(
            "[host.\"*.example\"]\nconnections = 2\nlimit-rate = \"1M\"\n[host.\"a.example\"]\nconnections = 5\n\
             bearer-file = \"{}\"\n",
            token.display()
        ));
        for (url, with_secrets, connections, bearer) in [
            ("http://a.example/f", true, Some(5), Some("t0ken")),
            ("http://a.example/f", false, Some(5), None),
            ("http://b.example/f", true, Some(2), None),
            ("http://example/f", true, None, None),
        ] {
            let mut job = Job::new(url);
            apply(&rules, &mut job, with_secrets).unwrap();
            assert_eq!((job.options.connections, job.bearer.as_deref()), (connections, bearer), "{url}");
        }
    }

    #[test]
    fn the_command_of_the_most_exact_rule_is_run_and_no_other() {
        let rules = rules(
            "[host.\"*.example\"]\nbearer-command = [\"false\"]\n\
             [host.\"a.example\"]\nuser = \"me\"\npassword-command = [\"echo\", \"pw\"]\n\
             [host.\"b.example\"]\nbearer-command = [\"echo\", \"t0ken\"]\n",
        );
        let login = || Some(Login { user: "me".to_owned(), password: "pw".to_owned() });
        for (url, bearer, login) in
            [("http://a.example/f", None, login()), ("http://b.example/f", Some("t0ken"), None)]
        {
            let mut job = Job::new(url);
            apply(&rules, &mut job, true).unwrap();
            assert_eq!((job.bearer.as_deref(), job.login), (bearer, login), "{url}");
        }
        let mut job = Job::new("http://c.example/f");
        apply(&rules, &mut job, false).unwrap();
        let error = apply(&rules, &mut job, true).unwrap_err();
        assert_eq!(error.kind(), crate::Kind::Usage);
        assert_eq!(error.to_string(), "host *.example: bearer-command: false ended with exit status: 1");
    }

    #[test]
    fn settings_begin_with_those_of_the_most_exact_rule() {
        let pin = "sha256//47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
        let rules = rules(&format!(
            "[host.\"*.example\"]\npin = \"{pin};{pin}\"\n[host.\"*.b.example\"]\nproxy = \"\"\n\
             [host.\"z.example\"]\npin = [\"{pin}\"]\n[host.\"q\"]\nconnections = 1\n"
        ));
        let settings = settings(&rules);
        let found: Vec<_> =
            settings.iter().map(|settings| (&settings.pattern[..], settings.pins.len())).collect();
        assert_eq!(found, [("z.example", 1), ("*.b.example", 0), ("*.example", 2)]);
    }

    #[test]
    fn what_makes_no_sense_is_named_by_its_key() {
        for (text, key) in [
            ("[host.\"h\"]\nconections = 1", "conections"),
            ("[host.\"h\"]\nconnections = 0", "connections"),
            ("[host.\"h\"]\ninsecure = \"yes\"", "insecure"),
            ("[host.\"h\"]\npin = \"sha256//short\"", "pin"),
            ("[host.\"h\"]\npin = 1", "pin"),
            ("[host.\"h\"]\nbearer-command = \"pass show x\"", "bearer-command"),
            ("[host.\"h\"]\nbearer-command = [\"x\"]\nbearer-file = \"t\"", "bearer-command"),
            ("[host.\"h\"]\npassword-command = [\"x\"]", "password-command"),
            ("[host.\"h\"]\nuser = \"me\"", "user"),
            ("[host.\"h\"]\nuser = \"me:pw\"\npassword-command = [\"x\"]", "user"),
            (
                "[host.\"h\"]\nuser = \"me\"\npassword-command = [\"x\"]\nbearer-file = \"t\"",
                "password-command",
            ),
            ("[host.\"h/x\"]", "h/x"),
            ("[host.\"a.*.b\"]", "a.*.b"),
            ("[host.\"*.*.x\"]", "*.*.x"),
            ("[host.\"*\"]", "*"),
            ("[host.\"h\"]\nproxy = \"foo://x\"", "proxy"),
            ("[host]\nh = 1", "h"),
        ] {
            let table: toml::Table = text.parse().unwrap();
            let (pattern, value) = table["host"].as_table().unwrap().iter().next().unwrap();
            assert_eq!(HostRule::read(pattern, value).unwrap_err().0, key, "{text}");
        }
    }
}
