//! The configuration file: defaults of a user, never of a directory.

use super::args::Options;
use super::host_rules::{HostRule, Place};
use super::places;
use super::values;
use crate::ClientSettings;
use crate::error::Error;
use crate::formats::escape;
use crate::formats::size::{parse_duration, parse_size};
use clap::ValueEnum;
use std::collections::BTreeMap;
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
        ("dir", options.dir.is_none()),
    ];
    options.has_configured_dir = config.table.contains_key("dir");
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
pub(super) fn place_of(key: &str) -> Option<Place> {
    let (path, text) = read().ok()??;
    Some(Place { file: shown(&path), line: line_of(&text, key) })
}

fn line_of(text: &str, key: &str) -> usize {
    text.lines().position(|line| key_of(line) == Some(key)).map_or(1, |at| at + 1)
}

/// Line of a key in the table of a host, or that of the table if it has no line of its own.
fn line_in_host(text: &str, pattern: &str, key: &str) -> usize {
    let is_table = |line: &str| line.trim_start().starts_with('[');
    let names = |line: &str| {
        let named = line.trim().strip_prefix("[host.").and_then(|rest| rest.split_once(']'));
        named.is_some_and(|(name, _)| name.trim().trim_matches(['"', '\'']) == pattern)
    };
    let header = text.lines().position(names);
    // A table may also be written in one line, or below [host].
    let Some(begins) = header else {
        return text.lines().position(|line| line.contains(pattern)).map_or(1, |at| at + 1);
    };
    let mut below = text.lines().skip(begins + 1).take_while(|line| !is_table(line));
    begins + 1 + below.position(|line| key_of(line) == Some(key)).map_or(0, |at| at + 1)
}

/// Values of the keys that nothing gives; none of a key without a default.
pub(super) fn default_of(key: &str) -> Option<String> {
    let settings = ClientSettings::default();
    Some(match key {
        "if-exists" | "connections" | "progress" | "color" => "auto".to_owned(),
        "jobs" => "4, and up to 32 small ones".to_owned(),
        "min-split-size" => "1M".to_owned(),
        "limit-rate" | "max-size" => "0 (no limit)".to_owned(),
        "retry" => settings.retries.to_string(),
        "connect-timeout" => values::time_text(settings.connect_timeout),
        "first-byte-timeout" => values::time_text(settings.first_byte_timeout),
        "stall-timeout" => values::time_text(settings.stall_timeout),
        "max-redirs" => settings.max_redirects.to_string(),
        "user-agent" => settings.user_agent,
        "netrc" | "ipv4" | "ipv6" | "remote-time" | "background" | "no-find-mirrors" | "no-memory" => {
            "false".to_owned()
        }
        _ => return None,
    })
}

/// Values of all keys of the file, as text; `None` for those that are not given.
pub(super) fn values(options: &Options) -> Vec<(&'static str, Option<String>)> {
    let flag = |flag: bool| flag.then(|| "true".to_owned());
    let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
    let number = |number: Option<u64>| number.map(|number| number.to_string());
    let size = |size: Option<u64>| size.map(values::size_text);
    let time = |time: Option<Duration>| time.map(values::time_text);
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
        ("min-split-size", size(options.min_split_size)),
        ("limit-rate", size(options.limit_rate)),
        ("max-size", size(options.max_size)),
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
        format!("{}: line {}: {key}", shown(self.path), line_of(self.text, key))
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
            let line = |key: &str| line_in_host(self.text, pattern, key);
            let place = |key: &str| Place { file: shown(self.path), line: line(key) };
            let rule = HostRule::read(pattern, table)
                .map_err(|(key, why)| at(self.path, line(&key), &format!("{key}: {why}")))?;
            Ok(rule.placed(place))
        };
        let rules: Vec<_> = hosts.iter().map(read).collect::<Result<_, Error>>()?;
        self.refuse_twins(&rules)?;
        Ok(rules)
    }

    /// Refuses two tables for the same host, of which the case of the letters would decide.
    fn refuse_twins(&self, rules: &[HostRule]) -> Result<(), Error> {
        let line = |rule: &HostRule| line_in_host(self.text, &rule.pattern, "");
        let mut seen: BTreeMap<String, &HostRule> = BTreeMap::new();
        for rule in rules {
            if let Some(other) = seen.insert(rule.pattern.to_ascii_lowercase(), rule) {
                let (first, second) = (line(rule).min(line(other)), line(rule).max(line(other)));
                let why = format!(
                    "host {} has a table already, in line {first}",
                    rule.pattern.to_ascii_lowercase()
                );
                return Err(at(self.path, second, &why));
            }
        }
        Ok(())
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
    fn keys_of_hosts_are_found_in_their_own_table() {
        let text = "# [host.\"h\"]\njobs = 2\n[host.\"xh\"]\nproxy = \"\"\n[host.\"h\"]\n\ninsecure = true\n[host.'*.h']\nproxy = \"\"\n";
        for (pattern, key, line) in
            [("h", "insecure", 7), ("xh", "proxy", 4), ("*.h", "proxy", 9), ("h", "proxy", 5)]
        {
            assert_eq!(line_in_host(text, pattern, key), line, "{pattern} {key}");
        }
        let text = "[host.\"h.example\"]\nconnections = 1\n[host.\"H.example\"]\nconnections = 2\n";
        let error = read_all(Path::new("/c"), text).unwrap_err().to_string();
        assert_eq!(error, "/c: line 3: host h.example has a table already, in line 1");
        let text = "[host.\"h\"]\n\nproxy = \"foo://x\"\n";
        let error = read_all(Path::new("/c"), text).unwrap_err().to_string();
        assert!(error.starts_with("/c: line 3: proxy: "), "{error}");
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
