//! `[host."PATTERN"]` in the configuration: values for some hosts only.

use super::{bounded, values};
use crate::error::Error;
use crate::formats::size::parse_size;
use crate::{Connections, HostSettings, Job, Proxy, Request};
use std::path::PathBuf;
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
    proxy: Option<String>,
    insecure: bool,
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
            || pattern.trim_start_matches("*.").contains('*')
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
                "proxy" => rule.proxy = Some(text()?),
                "insecure" => {
                    rule.insecure = value.as_bool().ok_or_else(|| wrong(key, "true or false is wanted"))?;
                }
                _ => return Err(wrong(key, "haul knows no such key for a host")),
            }
        }
        Ok(rule)
    }

    /// Leaves out the values of these keys, which a flag or the environment says.
    pub(super) fn leave_out(&mut self, keys: &[&str]) {
        for key in keys {
            match *key {
                "connections" => self.connections = None,
                "user-agent" => self.user_agent = None,
                "bearer-file" => self.bearer_file = None,
                "proxy" => self.proxy = None,
                _ => {}
            }
        }
    }

    fn settings(&self) -> Option<HostSettings> {
        let mut settings = HostSettings::new(&self.pattern);
        settings.insecure = self.insecure;
        settings.proxy = self.proxy.as_deref().map(|proxy| match proxy {
            "" => Proxy::Direct,
            proxy => Proxy::Through(proxy.to_owned()),
        });
        (settings.insecure || settings.proxy.is_some()).then_some(settings)
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
            ("limit-rate", self.limit_rate.map(|rate| rate.to_string())),
            ("user-agent", self.user_agent.clone()),
            ("header-file", path(&self.header_file)),
            ("bearer-file", path(&self.bearer_file)),
            (
                "proxy",
                self.proxy.as_deref().map(|proxy| crate::formats::redaction::named(proxy).into_owned()),
            ),
            ("insecure", self.insecure.then(|| "true".to_owned())),
        ];
        all.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
    }
}

/// Settings of the client for the rules.
pub(super) fn settings(rules: &[HostRule]) -> Vec<HostSettings> {
    rules.iter().filter_map(HostRule::settings).collect()
}

/// Adds to a job what the rules say of its host, the more exact ones last; `with_secrets` if they may be sent there.
///
/// # Errors
/// `Usage` if a file with secrets cannot be read.
pub(super) fn apply(rules: &[HostRule], job: &mut Job, with_secrets: bool) -> Result<(), Error> {
    if rules.is_empty() {
        return Ok(());
    }
    let request = Request::new(&job.url)?;
    let origin = request.address().origin();
    let host = origin.host();
    let mut applying: Vec<_> =
        rules.iter().filter(|rule| HostSettings::new(&rule.pattern).applies_to(host)).collect();
    applying.sort_by_key(|rule| (!rule.pattern.starts_with("*."), rule.pattern.len()));
    for rule in applying {
        if let Some(Connections::AtMost(count)) = rule.connections {
            job.options.connections = Some(count);
        }
        if rule.limit_rate.is_some() {
            job.options.limit_rate = rule.limit_rate;
        }
        if let Some(agent) = &rule.user_agent {
            job.add_headers(&[format!("User-Agent: {agent}")])?;
        }
        if !with_secrets {
            continue;
        }
        let read = |path: &PathBuf| {
            bounded::read(path, LARGEST).map_err(|error| {
                Error::usage(format!("host {}: cannot read {}: {error}", rule.pattern, path.display()))
            })
        };
        if let Some(path) = &rule.header_file {
            let text = read(path)?;
            let lines: Vec<_> =
                text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect();
            job.add_headers(&lines)?;
        }
        if let Some(path) = &rule.bearer_file {
            job.bearer = Some(read(path)?.trim_end_matches(['\n', '\r']).to_owned());
        }
    }
    Ok(())
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
    fn what_makes_no_sense_is_named_by_its_key() {
        for (text, key) in [
            ("[host.\"h\"]\nconections = 1", "conections"),
            ("[host.\"h\"]\nconnections = 0", "connections"),
            ("[host.\"h\"]\ninsecure = \"yes\"", "insecure"),
            ("[host.\"h/x\"]", "h/x"),
            ("[host.\"a.*.b\"]", "a.*.b"),
            ("[host]\nh = 1", "h"),
        ] {
            let table: toml::Table = text.parse().unwrap();
            let (pattern, value) = table["host"].as_table().unwrap().iter().next().unwrap();
            assert_eq!(HostRule::read(pattern, value).unwrap_err().0, key, "{text}");
        }
    }
}
