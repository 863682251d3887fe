//! The configuration file: defaults of a user, never of a directory.

use super::args::{Exists, Options, Style, When};
use crate::error::Error;
use crate::formats::size::{parse_duration, parse_size};
use serde::Deserialize;
use std::path::PathBuf;

/// `$XDG_CONFIG_HOME/haul/config.toml`. Keys are the long flags.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct Config {
    dir: Option<PathBuf>,
    if_exists: Option<Exists>,
    connections: Option<Count>,
    jobs: Option<u16>,
    min_split_size: Option<String>,
    limit_rate: Option<String>,
    retry: Option<u32>,
    retry_max_time: Option<String>,
    connect_timeout: Option<String>,
    first_byte_timeout: Option<String>,
    stall_timeout: Option<String>,
    max_redirs: Option<usize>,
    user_agent: Option<String>,
    cacert: Option<PathBuf>,
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
    interface: Option<String>,
    ipv4: Option<bool>,
    ipv6: Option<bool>,
    netrc: Option<bool>,
    remote_time: Option<bool>,
    progress: Option<Style>,
    color: Option<When>,
}

/// A number, or `"auto"`.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Count {
    Number(i64),
    Word(String),
}

/// Fills what flags and environment left open.
pub(super) fn fill(mut options: Options) -> Result<Options, Error> {
    if options.no_config {
        return Ok(options);
    }
    let Some((path, text)) = read()? else {
        return Ok(options);
    };
    let wrong = |why: String| Error::usage(format!("{}: {}", path.display(), why.replace('\n', " ")));
    let config: Config = toml::from_str(&text).map_err(|error| wrong(error.message().to_owned()))?;
    let size = |text: &String| parse_size(text).map_err(|error| wrong(error.to_string()));
    let time = |text: &String| parse_duration(text).map_err(|error| wrong(error.to_string()));
    if options.connections.is_none() {
        let text = config.connections.map(|count| match count {
            Count::Number(count) => count.to_string(),
            Count::Word(word) => word,
        });
        options.connections = text.map(|text| super::args::connections(&text).map_err(wrong)).transpose()?;
    }
    options.dir = options.dir.or(config.dir);
    options.if_exists = options.if_exists.or(config.if_exists);
    options.jobs = options.jobs.or(config.jobs.filter(|jobs| *jobs > 0));
    options.min_split_size =
        options.min_split_size.or(config.min_split_size.as_ref().map(size).transpose()?);
    options.limit_rate = options.limit_rate.or(config.limit_rate.as_ref().map(size).transpose()?);
    options.retry = options.retry.or(config.retry);
    options.retry_max_time =
        options.retry_max_time.or(config.retry_max_time.as_ref().map(time).transpose()?);
    options.connect_timeout =
        options.connect_timeout.or(config.connect_timeout.as_ref().map(time).transpose()?);
    options.first_byte_timeout =
        options.first_byte_timeout.or(config.first_byte_timeout.as_ref().map(time).transpose()?);
    options.stall_timeout = options.stall_timeout.or(config.stall_timeout.as_ref().map(time).transpose()?);
    options.max_redirs = options.max_redirs.or(config.max_redirs);
    options.user_agent = options.user_agent.or(config.user_agent);
    options.cacert = options.cacert.or(config.cacert);
    // A certificate and its key belong together.
    if options.cert.is_none() {
        (options.cert, options.key) = (config.cert, options.key.or(config.key));
    }
    if !options.ipv4 && !options.ipv6 {
        (options.ipv4, options.ipv6) = (config.ipv4.unwrap_or(false), config.ipv6.unwrap_or(false));
        if options.ipv4 && options.ipv6 {
            return Err(wrong("of ipv4 and ipv6 only one can be true".to_owned()));
        }
    }
    if options.interface.is_none() {
        let interface = |text: String| text.parse().map_err(|error: Error| wrong(error.to_string()));
        options.interface = config.interface.map(interface).transpose()?;
    }
    options.netrc_if_there = config.netrc.unwrap_or(false);
    options.remote_time |= config.remote_time.unwrap_or(false);
    options.progress = options.progress.or(config.progress);
    options.color = options.color.or(config.color);
    Ok(options)
}

fn read() -> Result<Option<(PathBuf, String)>, Error> {
    let base = std::env::var_os("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".config")));
    let Some(path) = base.map(|base| base.join("haul").join("config.toml")) else {
        return Ok(None);
    };
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Some((path, text))),
        Err(error) if is_nothing(&error) => Ok(None),
        Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
            Err(Error::usage(format!("cannot read {}: it is no text in UTF-8", shown(&path))))
        }
        // As in the home of another user, in a container or after su: that is no reason to fetch nothing.
        Err(error) => {
            super::output::say(format_args!("haul: warning: cannot read {}: {error}", shown(&path)));
            Ok(None)
        }
    }
}

/// There is no such file: a home that is a file, or that is nowhere, has none either.
fn is_nothing(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory)
}

fn shown(path: &std::path::Path) -> String {
    crate::formats::escape::for_terminal(&path.to_string_lossy()).into_owned()
}
