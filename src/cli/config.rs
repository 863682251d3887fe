//! The configuration file: defaults of a user, never of a directory.

use super::args::Options;
use super::host_rules::HostRule;
use super::places;
use super::values;
use crate::error::Error;
use crate::formats::escape;
use crate::formats::size::{parse_duration, parse_size};
use clap::ValueEnum;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;
use toml::{Table, Value};

/// Fills in the options that flags and environment leave open.
///
/// # Errors
/// `Usage`, with the file, the line and the key, for any invalid entry of the file, even if it is not used.
pub(super) fn fill(options: Options) -> Result<Options, Error> {
    if options.no_config {
        return Ok(options);
    }
    let Some((path, text)) = read()? else {
        return Ok(options);
    };
    fill_from(&path, &text, options)
}

fn fill_from(path: &Path, text: &str, mut options: Options) -> Result<Options, Error> {
    let mut config = Config::parse(path, text)?;
    let open = [
        ("cacert", options.cacert.is_none()),
        ("cert", options.cert.is_none()),
        ("interface", options.interface.is_none()),
    ];
    let given = open.iter().filter(|(key, is_open)| *is_open && config.table.contains_key(*key));
    options.configured = given.map(|(key, _)| (*key, config.place(key))).collect();
    options.hosts = config.hosts()?;
    let said = [
        ("connections", options.connections.is_some()),
        ("user-agent", options.user_agent.is_some()),
        ("bearer-file", options.bearer_file.is_some() || options.user.is_some()),
        ("proxy", options.proxy.is_some()),
        ("pin", !options.pin.is_empty()),
    ];
    let said: Vec<_> = said.iter().filter(|(_, is_said)| *is_said).map(|(key, _)| *key).collect();
    options.hosts.iter_mut().for_each(|rule| rule.leave_out(&said));
    take(&mut options.dir, config.path("dir")?);
    take(&mut options.if_exists, config.one_of("if-exists")?);
    take(&mut options.connections, config.connections()?);
    take(&mut options.jobs, config.number("jobs", 1..=u16::MAX)?);
    take(&mut options.min_split_size, config.some_size("min-split-size")?);
    take(&mut options.limit_rate, config.size("limit-rate")?);
    take(&mut options.max_size, config.size("max-size")?);
    take(&mut options.retry, config.number("retry", 0..=u32::MAX)?);
    take(&mut options.retry_max_time, config.time("retry-max-time")?);
    take(&mut options.connect_timeout, config.some_time("connect-timeout")?);
    take(&mut options.first_byte_timeout, config.some_time("first-byte-timeout")?);
    take(&mut options.stall_timeout, config.some_time("stall-timeout")?);
    take(&mut options.max_redirs, config.number("max-redirs", 0..=usize::MAX)?);
    take(&mut options.user_agent, config.parsed("user-agent", values::user_agent)?);
    take(&mut options.cacert, config.path("cacert")?);
    let (cert, key) = (config.path("cert")?, config.path("key")?);
    // A certificate and its key belong together.
    if options.cert.is_none() {
        options.cert = cert;
        take(&mut options.key, key);
    }
    let (ipv4, ipv6) = (config.flag("ipv4")?, config.flag("ipv6")?);
    if ipv4 && ipv6 {
        return Err(config.wrong("ipv6", "of ipv4 and ipv6 only one can be true"));
    }
    if !options.ipv4 && !options.ipv6 {
        (options.ipv4, options.ipv6) = (ipv4, ipv6);
    }
    take(&mut options.interface, config.parsed("interface", values::interface)?);
    options.netrc_if_there = config.flag("netrc")?;
    options.remote_time |= config.flag("remote-time")?;
    options.background |= config.flag("background")?;
    options.no_find_mirrors |= config.flag("no-find-mirrors")?;
    options.no_memory |= config.flag("no-memory")?;
    take(&mut options.progress, config.one_of("progress")?);
    take(&mut options.color, config.one_of("color")?);
    config.refuse_the_rest()?;
    Ok(options)
}

/// The file, if there is a home for it.
pub(super) fn path() -> Option<PathBuf> {
    places::config("config.toml")
}

/// Place of a key in the file.
pub(super) fn place_of(key: &str) -> String {
    let Ok(Some((path, text))) = read() else {
        return "config.toml".to_owned();
    };
    let line = text.lines().position(|line| key_of(line) == Some(key)).map_or(1, |at| at + 1);
    format!("{}: line {line}", path.display())
}

/// Values of all keys of the file, as text; `None` for those that are not given.
pub(super) fn values(options: &Options) -> Vec<(&'static str, Option<String>)> {
    let flag = |flag: bool| flag.then(|| "true".to_owned());
    let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
    let number = |number: Option<u64>| number.map(|number| number.to_string());
    let time = |time: Option<Duration>| time.map(|time| format!("{}s", time.as_secs_f64()));
    let name = |name: Option<clap::builder::PossibleValue>| name.map(|name| name.get_name().to_owned());
    let connections = options.connections.map(|connections| match connections {
        crate::Connections::AtMost(count) => count.to_string(),
        _ => "auto".to_owned(),
    });
    vec![
        ("dir", path(&options.dir)),
        ("if-exists", name(options.if_exists.and_then(|value| value.to_possible_value()))),
        ("connections", connections),
        ("jobs", number(options.jobs.map(u64::from))),
        ("min-split-size", number(options.min_split_size)),
        ("limit-rate", number(options.limit_rate)),
        ("max-size", number(options.max_size)),
        ("retry", number(options.retry.map(u64::from))),
        ("retry-max-time", time(options.retry_max_time)),
        ("connect-timeout", time(options.connect_timeout)),
        ("first-byte-timeout", time(options.first_byte_timeout)),
        ("stall-timeout", time(options.stall_timeout)),
        ("max-redirs", options.max_redirs.map(|number| number.to_string())),
        ("user-agent", options.user_agent.clone()),
        ("cacert", path(&options.cacert)),
        ("cert", path(&options.cert)),
        ("key", path(&options.key)),
        ("netrc", flag(options.netrc || options.netrc_if_there)),
        ("ipv4", flag(options.ipv4)),
        ("ipv6", flag(options.ipv6)),
        ("interface", options.interface.as_ref().map(|interface| format!("{interface:?}"))),
        ("remote-time", flag(options.remote_time)),
        ("background", flag(options.background)),
        ("no-find-mirrors", flag(options.no_find_mirrors)),
        ("no-memory", flag(options.no_memory)),
        ("progress", name(options.progress.and_then(|value| value.to_possible_value()))),
        ("color", name(options.color.and_then(|value| value.to_possible_value()))),
    ]
}

fn take<T>(option: &mut Option<T>, default: Option<T>) {
    if option.is_none() {
        *option = default;
    }
}

/// `$XDG_CONFIG_HOME/haul/config.toml`, whose keys are long flags. Each key is removed as it is read.
struct Config<'a> {
    path: &'a Path,
    text: &'a str,
    table: Table,
}

impl<'a> Config<'a> {
    fn parse(path: &'a Path, text: &'a str) -> Result<Self, Error> {
        let table = text.parse().map_err(|error: toml::de::Error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let number = before.matches('\n').count();
            let key =
                text.lines().nth(number).and_then(key_of).map_or(String::new(), |key| format!("{key}: "));
            at(path, number + 1, &format!("{key}{}", error.message().replace('\n', " ")))
        })?;
        Ok(Self { path, text, table })
    }

    /// Error for the value of a key.
    fn wrong(&self, key: &str, why: impl Display) -> Error {
        Error::usage(format!("{}: {why}", self.place(key)))
    }

    /// Location of a key: file, line and the key itself.
    fn place(&self, key: &str) -> String {
        let line = self.text.lines().position(|line| key_of(line) == Some(key)).map_or(1, |at| at + 1);
        format!("{}: line {line}: {key}", shown(self.path))
    }

    /// Removes a key and converts its value with `read`.
    fn taken<T>(
        &mut self,
        key: &str,
        read: impl Fn(&Value) -> Result<T, String>,
    ) -> Result<Option<T>, Error> {
        let value = self.table.remove(key);
        value.map(|value| read(&value).map_err(|why| self.wrong(key, why))).transpose()
    }

    fn parsed<T>(
        &mut self,
        key: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>, Error> {
        self.taken(key, |value| parse(value.as_str().ok_or("a text in quotation marks is wanted")?))
    }

    fn path(&mut self, key: &str) -> Result<Option<PathBuf>, Error> {
        self.parsed(key, |text| Ok(PathBuf::from(text)))
    }

    fn one_of<T: ValueEnum>(&mut self, key: &str) -> Result<Option<T>, Error> {
        self.parsed(key, |text| {
            T::from_str(text, false).map_err(|_| {
                let known = T::value_variants().iter().filter_map(ValueEnum::to_possible_value);
                let known: Vec<_> = known.map(|value| value.get_name().to_owned()).collect();
                format!("{text:?} is none of {}", known.join(", "))
            })
        })
    }

    /// A size; without a unit it may be a TOML number.
    fn size(&mut self, key: &str) -> Result<Option<u64>, Error> {
        self.taken(key, |value| parse_size(&number_or_text(value)?).map_err(|error| error.to_string()))
    }

    fn some_size(&mut self, key: &str) -> Result<Option<u64>, Error> {
        self.taken(key, |value| values::split_size(&number_or_text(value)?))
    }

    fn time(&mut self, key: &str) -> Result<Option<Duration>, Error> {
        self.taken(key, |value| parse_duration(&number_or_text(value)?).map_err(|error| error.to_string()))
    }

    fn some_time(&mut self, key: &str) -> Result<Option<Duration>, Error> {
        self.taken(key, |value| values::some_time(&number_or_text(value)?))
    }

    fn connections(&mut self) -> Result<Option<crate::Connections>, Error> {
        self.taken("connections", |value| values::connections(&number_or_text(value)?))
    }

    fn number<T: TryFrom<i64> + PartialOrd + Display>(
        &mut self,
        key: &str,
        within: RangeInclusive<T>,
    ) -> Result<Option<T>, Error> {
        self.taken(key, |value| {
            let number = value.as_integer().ok_or("a number is wanted")?;
            let number = T::try_from(number).ok().filter(|number| within.contains(number));
            number.ok_or_else(|| format!("a number from {} to {} is wanted", within.start(), within.end()))
        })
    }

    fn flag(&mut self, key: &str) -> Result<bool, Error> {
        let flag = self.taken(key, |value| value.as_bool().ok_or("true or false is wanted".to_owned()))?;
        Ok(flag.unwrap_or(false))
    }

    fn hosts(&mut self) -> Result<Vec<HostRule>, Error> {
        let Some(hosts) = self.table.remove("host") else {
            return Ok(Vec::new());
        };
        let Value::Table(hosts) = hosts else {
            return Err(self.wrong("host", "a table for each host is wanted, as [host.\"*.example.org\"]"));
        };
        let read = |(pattern, table): (&String, &Value)| {
            HostRule::read(pattern, table).map_err(|(key, why)| {
                let header =
                    |line: &str| line.trim_start().starts_with('[') && line.contains(pattern.as_str());
                let begins = self.text.lines().position(header).unwrap_or(0);
                let below =
                    self.text.lines().skip(begins).position(|line| key_of(line) == Some(key.as_str()));
                at(self.path, begins + below.unwrap_or(0) + 1, &format!("{key}: {why}"))
            })
        };
        hosts.iter().map(read).collect()
    }

    fn refuse_the_rest(&self) -> Result<(), Error> {
        let unknown = self.table.keys().next();
        unknown.map_or(Ok(()), |key| Err(self.wrong(key, "haul knows no such key")))
    }
}

fn number_or_text(value: &Value) -> Result<String, String> {
    match value {
        Value::Integer(number) => Ok(number.to_string()),
        Value::String(text) => Ok(text.clone()),
        _ => Err("a number, or a text in quotation marks, is wanted".to_owned()),
    }
}

/// Key that is assigned in a line.
fn key_of(line: &str) -> Option<&str> {
    line.split_once('=').map(|(key, _)| key.trim().trim_matches(['"', '\'']))
}

fn at(path: &Path, line: usize, why: &str) -> Error {
    Error::usage(format!("{}: line {line}: {why}", shown(path)))
}

fn read() -> Result<Option<(PathBuf, String)>, Error> {
    let Some(path) = places::config("config.toml") else {
        return Ok(None);
    };
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Some((path, text))),
        Err(error) if is_nothing(&error) => Ok(None),
        Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
            Err(Error::usage(format!("cannot read {}: it is no text in UTF-8", shown(&path))))
        }
        // For example the home of another user, in a container or after su: no reason to fetch nothing.
        Err(error) => {
            super::output::say(format_args!("haul: warning: cannot read {}: {error}", shown(&path)));
            Ok(None)
        }
    }
}

/// Returns true if there is no such file, which includes a home that is a file or does not exist.
fn is_nothing(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory)
}

fn shown(path: &Path) -> String {
    escape::for_terminal(&path.to_string_lossy()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_makes_no_sense_is_told_with_its_line() {
        for (line, told) in [
            ("jobs = 0", "jobs: a number from 1"),
            ("jobs = -1", "jobs: a number from 1"),
            ("jobs = \"4\"", "jobs: a number is wanted"),
            ("retry = 1.5", "retry: a number is wanted"),
            ("connections = true", "connections: a number, or a text"),
            ("connections = 65", "connections: from 1 to 64"),
            ("limit-rate = \"2 apples\"", "limit-rate: "),
            ("min-split-size = 0", "min-split-size: a size above 0"),
            ("stall-timeout = \"0s\"", "stall-timeout: a time above 0"),
            ("dir = 3", "dir: a text"),
            ("if-exists = \"maybe\"", "if-exists: \"maybe\" is none of auto, skip"),
            ("netrc = \"yes\"", "netrc: true or false"),
            ("interface = 4", "interface: a text"),
            ("colour = \"never\"", "colour: haul knows no such key"),
            ("\"colour\" = 1", "colour: haul knows no such key"),
            ("jobs = ", "jobs: "),
            ("jobs = 1", "jobs: duplicate key"),
        ] {
            let text =
                format!("# mine\n\n{line}\n{}", if told.contains("duplicate") { "jobs = 2\n" } else { "" });
            let path = Path::new("/c/config.toml");
            let error = read_all(path, &text).unwrap_err().to_string();
            let number = if told.contains("duplicate") { 4 } else { 3 };
            let told = format!("/c/config.toml: line {number}: {told}");
            assert!(error.starts_with(&told), "{line}: {error}");
        }
    }

    #[test]
    fn sizes_and_times_may_be_numbers() {
        let text = "max-size = 1024\nconnections = \"auto\"\nlimit-rate = \"2M\"\nretry-max-time = 90";
        let options = read_all(Path::new("c"), text).unwrap();
        assert_eq!((options.max_size, options.limit_rate), (Some(1024), Some(2 << 20)));
        assert_eq!(options.retry_max_time, Some(Duration::from_secs(90)));
    }

    fn read_all(path: &Path, text: &str) -> Result<Options, Error> {
        fill_from(path, text, Options::default())
    }
}
