//! A command line of haul, made from one of aria2c's.

use super::flags::{CUMULATIVE, Means, PROXIES, find};
use super::given::Given;
use std::ffi::OsString;

use Means::{Later, Never, Nothing, NothingSwitch, Seconds, Switch, Value};

/// A command line of haul that is being put together.
pub(super) struct Line {
    pub(super) args: Vec<OsString>,
    pub(super) notes: Vec<String>,
}

impl Line {
    pub(super) fn add(&mut self, flag: &str, value: Option<&str>) {
        match value {
            // A value may begin with a dash.
            Some(value) => self.args.push(format!("{flag}={value}").into()),
            None => self.args.push(flag.into()),
        }
    }

    /// Translates the `wanted` options; of one that is given several times the last counts.
    pub(super) fn translate_all(
        &mut self,
        given: &Given,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<(), String> {
        for (at, (name, value)) in given.options.iter().enumerate() {
            let is_last = given.options[at + 1..].iter().all(|(later, _)| later != name);
            if wanted(name) && (is_last || CUMULATIVE.contains(name)) {
                self.translate(name, value)?;
            }
        }
        // haul has one proxy for all; the one for all schemes counts more.
        let proxies: Vec<_> = PROXIES.iter().filter_map(|name| given.last(name)).collect();
        if let Some(proxy) = proxies.first().filter(|_| wanted("all-proxy")) {
            self.add("--proxy", Some(proxy));
            if proxies.iter().any(|other| other != proxy) {
                self.notes.push("one proxy serves all schemes; the others are left out".to_owned());
            }
        }
        Ok(())
    }

    fn translate(&mut self, name: &str, value: &str) -> Result<(), String> {
        let Some((_, _, means)) = find(name) else {
            return Ok(());
        };
        match means {
            Value(flag) => self.add(flag, Some(value)),
            Switch(on, off) => {
                let flag = if value == "true" { on } else { off };
                if !flag.is_empty() {
                    self.add(flag, None);
                }
            }
            Seconds(flags) => {
                let seconds: u64 = value.parse().map_err(|_| format!("--{name} takes seconds"))?;
                // aria2 has no limit with 0, and haul has none of that kind.
                flags
                    .iter()
                    .filter(|_| seconds > 0)
                    .for_each(|flag| self.add(flag, Some(&format!("{seconds}s"))));
            }
            Never(why) if value != "false" => return Err((*why).to_owned()),
            Later | Nothing | NothingSwitch | Never(_) => {}
        }
        Ok(())
    }

    /// Flags of haul that stand for several of aria2's.
    pub(super) fn put_together(&mut self, given: &Given) -> Result<(), String> {
        self.connections(given)?;
        let limit = ["max-overall-download-limit", "max-download-limit"]
            .into_iter()
            .find_map(|name| given.last(name).filter(|value| *value != "0"));
        if let Some(limit) = limit {
            self.add("--limit-rate", Some(limit));
        }
        match given.number("max-tries")? {
            Some(0) => self.add("--retry", Some("1000000")),
            Some(tries) => self.add("--retry", Some(&(tries - 1).to_string())),
            None => {}
        }
        if given.is_on("allow-overwrite") {
            self.add("--if-exists", Some("overwrite"));
        } else if !given.is_on("continue") && given.last("auto-file-renaming") != Some("false") {
            self.add("--if-exists", Some("rename"));
        }
        if let Some(user) = given.last("http-user") {
            self.add("--user", Some(&format!("{user}:{}", given.last("http-passwd").unwrap_or_default())));
        }
        if let Some(referer) = given.last("referer").filter(|referer| !referer.is_empty()) {
            self.add("--header", Some(&format!("Referer: {referer}")));
        }
        if let Some(path) = given.last("save-session") {
            self.add("--failed", Some(path));
        }
        Ok(())
    }

    pub(super) fn connections(&mut self, given: &Given) -> Result<(), String> {
        let numbers = [given.number("split")?, given.number("max-connection-per-server")?];
        if let Some(connections) = numbers.into_iter().flatten().min() {
            // haul gives one file no more than 64.
            self.add("--connections", Some(&connections.clamp(1, 64).to_string()));
        }
        Ok(())
    }

    /// URLs are sources of one file, unless they are to be files of their own.
    pub(super) fn sources(&mut self, given: &Given) {
        let has_digest = given.last("checksum").is_some();
        let (first, others) = match given.urls.split_first() {
            None => return,
            Some(_) if given.is_on("force-sequential") => {
                self.args.push("--".into());
                return self.args.extend(given.urls.iter().map(OsString::from));
            }
            Some(split) => split,
        };
        if has_digest {
            others.iter().for_each(|url| self.add("--mirror", Some(url)));
        } else if !others.is_empty() {
            self.notes.push(
                "several URLs of one file need --checksum; only the first is used (-Z makes files of them)"
                    .to_owned(),
            );
        }
        self.args.push("--".into());
        self.args.push(first.into());
    }
}
