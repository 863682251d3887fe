//! Values of flags and of the configuration, as texts.

use crate::formats::shard::Shard;
use crate::formats::size::{parse_duration, parse_size};
use crate::formats::url_text::url_text;
use crate::{Interface, Proxy, PublicKeyPin, Request, Resolve};
use clap::builder::{OsStringValueParser, TypedValueParser};
use std::time::Duration;

/// The most connections one file may be given.
const MOST_CONNECTIONS: usize = 64;

pub(super) fn connections(text: &str) -> Result<crate::Connections, String> {
    if text == "auto" {
        return Ok(crate::Connections::Auto);
    }
    match text.parse() {
        Ok(count @ 1..=MOST_CONNECTIONS) => Ok(crate::Connections::AtMost(count)),
        Ok(_) => Err(format!("from 1 to {MOST_CONNECTIONS} connections are possible")),
        Err(_) if text.contains("://") => {
            Err("-x is the number of connections; a proxy is given with --proxy".to_owned())
        }
        Err(_) => Err("a number or auto is wanted".to_owned()),
    }
}

/// A URL as it was typed or pasted, in any encoding.
pub(super) fn url() -> impl TypedValueParser<Value = String> {
    OsStringValueParser::new().map(|typed| url_text(typed.as_encoded_bytes()).into_owned())
}

/// A time above zero: a limit of zero would fail everything.
pub(super) fn some_time(text: &str) -> Result<Duration, String> {
    match parse_duration(text) {
        Ok(Duration::ZERO) => Err("a time above 0 is wanted".to_owned()),
        Ok(time) => Ok(time),
        Err(error) => Err(error.to_string()),
    }
}

pub(super) fn resolve(text: &str) -> Result<Resolve, String> {
    text.parse().map_err(|error: crate::Error| error.to_string())
}

/// Proxy by its URL; an empty text means none.
pub(super) fn proxy(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Ok(());
    }
    // The host of a request says nothing about its proxy.
    let request =
        Request::new("http://localhost/").and_then(|request| request.proxy(&Proxy::Through(text.to_owned())));
    request.map(drop).map_err(|error| error.to_string())
}

/// Size as a person would write it, such as 2M.
pub(super) fn size_text(bytes: u64) -> String {
    let units = [(1 << 40, "T"), (1 << 30, "G"), (1 << 20, "M"), (1 << 10, "K")];
    match units.into_iter().find(|(unit, _)| bytes > 0 && bytes.is_multiple_of(*unit)) {
        Some((unit, name)) => format!("{}{name}", bytes / unit),
        None => bytes.to_string(),
    }
}

/// Time as a person would write it, such as 90s or 1.5s.
pub(super) fn time_text(time: Duration) -> String {
    format!("{}s", time.as_secs_f64())
}

pub(super) fn user_agent(text: &str) -> Result<String, String> {
    let is_sent = |c: char| c == '\t' || !c.is_control();
    match text.chars().all(is_sent) {
        true => Ok(text.to_owned()),
        false => Err("it holds characters that no header may".to_owned()),
    }
}

pub(super) fn interface(text: &str) -> Result<Interface, String> {
    text.parse().map_err(|error: crate::Error| error.to_string())
}

pub(super) fn pin(text: &str) -> Result<PublicKeyPin, String> {
    text.parse().map_err(|error: crate::Error| error.to_string())
}

pub(super) fn split_size(text: &str) -> Result<u64, String> {
    match parse_size(text) {
        Ok(0) => Err("a size above 0 is wanted".to_owned()),
        Ok(size) => Ok(size),
        Err(_) if text.contains("://") => {
            Err("-k is the smallest size to split; a certificate is accepted unseen with --insecure"
                .to_owned())
        }
        Err(error) => Err(error.to_string()),
    }
}

pub(super) fn shard(text: &str) -> Result<Shard, String> {
    Shard::parse(text, |name| std::env::var(name).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_shown_as_it_would_be_written() {
        for (bytes, text) in [
            (0, "0"),
            (2, "2"),
            (1000, "1000"),
            (2048, "2K"),
            (3 << 20, "3M"),
            (1 << 40, "1T"),
            (1025, "1025"),
        ] {
            assert_eq!(size_text(bytes), text);
            assert_eq!(parse_size(text), Ok(bytes));
        }
    }

    #[test]
    fn a_foreign_meaning_of_a_flag_is_explained() {
        assert!(connections("http://proxy:3128").unwrap_err().contains("--proxy"));
        assert!(split_size("https://host/f").unwrap_err().contains("--insecure"));
        assert!(connections("0").is_err() && connections("65").is_err());
    }
}
