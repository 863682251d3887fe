//! aria2c's command line: its flags in haul's words, and its exit codes.

use super::{bounded, output};
use crate::formats::escape;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;

/// Meaning of a flag.
#[derive(Clone, Copy)]
enum Means {
    /// The same value with haul's flag.
    Value(&'static str),
    /// haul's flag if the value is `true`, the first, or `false`, the second; an empty one for none.
    Switch(&'static str, &'static str),
    /// A value in seconds.
    Seconds(&'static [&'static str]),
    /// Combined with others once all flags are known.
    Later,
    /// Takes a value, and changes nothing about the files.
    Nothing,
    /// The same for a switch.
    NothingSwitch,
    /// Cannot be done.
    Never(&'static str),
}

use Means::{Later, Never, Nothing, NothingSwitch, Seconds, Switch, Value};

const NO_TORRENTS: &str = "BitTorrent is not supported";

/// aria2c's flags: the long name, the short one, and the meaning.
const FLAGS: &[(&str, Option<char>, Means)] = &[
    ("all-proxy", None, Later),
    ("allow-overwrite", None, Later),
    ("always-resume", None, NothingSwitch),
    ("async-dns", None, NothingSwitch),
    ("auto-file-renaming", None, Later),
    ("auto-save-interval", None, Nothing),
    ("bt-tracker", None, Nothing),
    ("ca-certificate", None, Value("--cacert")),
    ("certificate", None, Value("--cert")),
    ("check-certificate", None, Switch("", "--insecure")),
    ("check-integrity", Some('V'), NothingSwitch),
    ("checksum", None, Value("--checksum")),
    ("conditional-get", None, NothingSwitch),
    ("conf-path", None, Later),
    ("connect-timeout", None, Seconds(&["--connect-timeout"])),
    ("console-log-level", None, Nothing),
    ("content-disposition-default-utf8", None, NothingSwitch),
    ("continue", Some('c'), Later),
    ("daemon", Some('D'), Never("a daemon is run by a service manager: haul serve")),
    ("deferred-input", None, NothingSwitch),
    ("dht-listen-port", None, Nothing),
    ("dir", Some('d'), Value("--dir")),
    ("disable-ipv6", None, Switch("--ipv4", "")),
    ("disk-cache", None, Nothing),
    ("download-result", None, Nothing),
    ("dry-run", None, Switch("--dry-run", "")),
    ("enable-color", None, NothingSwitch),
    ("enable-dht", None, NothingSwitch),
    ("enable-http-keep-alive", None, NothingSwitch),
    ("enable-http-pipelining", None, NothingSwitch),
    ("enable-mmap", None, NothingSwitch),
    ("enable-rpc", None, Later),
    ("event-poll", None, Nothing),
    ("file-allocation", None, Nothing),
    ("follow-metalink", None, Nothing),
    ("follow-torrent", None, Nothing),
    ("force-save", None, NothingSwitch),
    ("force-sequential", Some('Z'), Later),
    ("header", None, Value("--header")),
    ("help", Some('h'), Later),
    ("http-accept-gzip", None, NothingSwitch),
    ("http-no-cache", None, NothingSwitch),
    ("http-passwd", None, Later),
    ("http-proxy", None, Later),
    ("http-user", None, Later),
    ("https-proxy", None, Later),
    ("human-readable", None, NothingSwitch),
    ("input-file", Some('i'), Value("--input-file")),
    ("interface", None, Value("--interface")),
    ("keep-unfinished-download-result", None, NothingSwitch),
    ("listen-port", None, Nothing),
    ("load-cookies", None, Value("--load-cookies")),
    ("log", Some('l'), Nothing),
    ("log-level", None, Nothing),
    ("lowest-speed-limit", None, Later),
    ("max-concurrent-downloads", Some('j'), Value("--jobs")),
    ("max-connection-per-server", Some('x'), Later),
    ("max-download-limit", None, Later),
    ("max-download-result", None, Nothing),
    ("max-file-not-found", None, Nothing),
    ("max-overall-download-limit", None, Later),
    ("max-overall-upload-limit", None, Nothing),
    ("max-resume-failure-tries", None, Nothing),
    ("max-tries", Some('m'), Later),
    ("max-upload-limit", Some('u'), Nothing),
    ("metalink-file", Some('M'), Value("--metalink")),
    ("min-split-size", Some('k'), Value("--min-split-size")),
    ("min-tls-version", None, Nothing),
    ("multiple-interface", None, Nothing),
    ("netrc-path", None, Value("--netrc-file")),
    ("no-conf", None, Later),
    ("no-file-allocation-limit", None, Nothing),
    ("no-netrc", Some('n'), NothingSwitch),
    ("no-proxy", None, Value("--noproxy")),
    ("no-want-digest-header", None, NothingSwitch),
    ("optimize-concurrent-downloads", None, NothingSwitch),
    ("out", Some('o'), Value("--output")),
    ("parameterized-uri", Some('P'), Never("parameterized URIs are not supported: list the URLs")),
    ("pause", None, NothingSwitch),
    ("piece-length", None, Nothing),
    ("private-key", None, Value("--key")),
    ("quiet", Some('q'), Switch("--quiet", "")),
    ("realtime-chunk-checksum", None, NothingSwitch),
    ("referer", None, Later),
    ("remote-time", Some('R'), Switch("--remote-time", "")),
    ("remove-control-file", None, Switch("--restart", "")),
    ("retry-wait", None, Nothing),
    ("reuse-uri", None, NothingSwitch),
    ("rlimit-nofile", None, Nothing),
    ("rpc-allow-origin-all", None, Later),
    ("rpc-listen-all", None, Later),
    ("rpc-listen-port", None, Later),
    ("rpc-max-request-size", None, Nothing),
    ("rpc-passwd", None, Nothing),
    ("rpc-save-upload-metadata", None, NothingSwitch),
    ("rpc-secret", None, Later),
    ("rpc-user", None, Nothing),
    ("save-cookies", None, Nothing),
    ("save-not-found", None, NothingSwitch),
    ("save-session", None, Later),
    ("save-session-interval", None, Nothing),
    ("seed-ratio", None, Nothing),
    ("seed-time", None, Nothing),
    ("show-console-readout", None, NothingSwitch),
    ("show-files", Some('S'), Never(NO_TORRENTS)),
    ("split", Some('s'), Later),
    ("stderr", None, NothingSwitch),
    ("stream-piece-selector", None, Nothing),
    ("summary-interval", None, Nothing),
    ("timeout", Some('t'), Seconds(&["--stall-timeout", "--first-byte-timeout"])),
    ("torrent-file", Some('T'), Never(NO_TORRENTS)),
    ("truncate-console-readout", None, NothingSwitch),
    ("uri-selector", None, Nothing),
    ("use-head", None, NothingSwitch),
    ("user-agent", Some('U'), Value("--user-agent")),
    ("version", Some('v'), Later),
    ("all-proxy-passwd", None, Nothing),
    ("all-proxy-user", None, Nothing),
    ("allow-piece-length-change", None, NothingSwitch),
    ("async-dns-server", None, Nothing),
    ("bt-detach-seed-only", None, NothingSwitch),
    ("bt-enable-hook-after-hash-check", None, NothingSwitch),
    ("bt-enable-lpd", None, NothingSwitch),
    ("bt-exclude-tracker", None, Nothing),
    ("bt-external-ip", None, Nothing),
    ("bt-force-encryption", None, NothingSwitch),
    ("bt-hash-check-seed", None, NothingSwitch),
    ("bt-load-saved-metadata", None, NothingSwitch),
    ("bt-lpd-interface", None, Nothing),
    ("bt-max-open-files", None, Nothing),
    ("bt-max-peers", None, Nothing),
    ("bt-metadata-only", None, NothingSwitch),
    ("bt-min-crypto-level", None, Nothing),
    ("bt-prioritize-piece", None, Nothing),
    ("bt-remove-unselected-file", None, NothingSwitch),
    ("bt-request-peer-speed-limit", None, Nothing),
    ("bt-require-crypto", None, NothingSwitch),
    ("bt-save-metadata", None, NothingSwitch),
    ("bt-seed-unverified", None, NothingSwitch),
    ("bt-stop-timeout", None, Nothing),
    ("bt-tracker-connect-timeout", None, Nothing),
    ("bt-tracker-interval", None, Nothing),
    ("bt-tracker-timeout", None, Nothing),
    ("dht-entry-point", None, Nothing),
    ("dht-entry-point6", None, Nothing),
    ("dht-file-path", None, Nothing),
    ("dht-file-path6", None, Nothing),
    ("dht-listen-addr6", None, Nothing),
    ("dht-message-timeout", None, Nothing),
    ("dscp", None, Nothing),
    ("enable-async-dns6", None, NothingSwitch),
    ("enable-dht6", None, NothingSwitch),
    ("enable-peer-exchange", None, NothingSwitch),
    ("ftp-passwd", None, Nothing),
    ("ftp-pasv", None, NothingSwitch),
    ("ftp-proxy", None, Nothing),
    ("ftp-proxy-passwd", None, Nothing),
    ("ftp-proxy-user", None, Nothing),
    ("ftp-reuse-connection", None, NothingSwitch),
    ("ftp-type", None, Nothing),
    ("ftp-user", None, Nothing),
    ("gid", None, Nothing),
    ("hash-check-only", None, NothingSwitch),
    ("http-auth-challenge", None, NothingSwitch),
    ("http-proxy-passwd", None, Nothing),
    ("http-proxy-user", None, Nothing),
    ("https-proxy-passwd", None, Nothing),
    ("https-proxy-user", None, Nothing),
    ("index-out", None, Nothing),
    ("max-mmap-limit", None, Nothing),
    ("metalink-base-uri", None, Nothing),
    ("metalink-enable-unique-protocol", None, NothingSwitch),
    ("metalink-language", None, Nothing),
    ("metalink-location", None, Nothing),
    ("metalink-os", None, Nothing),
    ("metalink-preferred-protocol", None, Nothing),
    ("metalink-version", None, Nothing),
    ("on-bt-download-complete", None, Nothing),
    ("on-download-complete", None, Nothing),
    ("on-download-error", None, Nothing),
    ("on-download-pause", None, Nothing),
    ("on-download-start", None, Nothing),
    ("on-download-stop", None, Nothing),
    ("pause-metadata", None, NothingSwitch),
    ("peer-agent", None, Nothing),
    ("peer-id-prefix", None, Nothing),
    ("proxy-method", None, Nothing),
    ("rpc-certificate", None, Nothing),
    ("rpc-private-key", None, Nothing),
    ("rpc-secure", None, NothingSwitch),
    ("select-file", None, Nothing),
    ("server-stat-if", None, Nothing),
    ("server-stat-of", None, Nothing),
    ("server-stat-timeout", None, Nothing),
    ("socket-recv-buffer-size", None, Nothing),
    ("ssh-host-key-md", None, Nothing),
    ("startup-idle-time", None, Nothing),
    ("stop", None, Nothing),
    ("stop-with-process", None, Nothing),
];

/// Flags that some option of aria2 contradicts here, told once.
const UNHEARD: [(&str, &str); 5] = [
    ("lowest-speed-limit", "a slow connection is replaced, and a slow server is not given up"),
    ("on-download-complete", "haul runs commands with --on-done"),
    ("on-download-error", "haul runs commands with --on-error"),
    ("on-download-start", "there is no such hook"),
    ("stop", "end haul with a signal"),
];

/// Options that the daemon takes over for all jobs, and those that make it.
const OF_DAEMON: [&str; 11] = [
    "ca-certificate",
    "certificate",
    "check-certificate",
    "connect-timeout",
    "disable-ipv6",
    "interface",
    "max-concurrent-downloads",
    "min-split-size",
    "no-proxy",
    "private-key",
    "timeout",
];
const OF_RPC: [&str; 13] = [
    "conf-path",
    "continue",
    "dir",
    "enable-rpc",
    "max-connection-per-server",
    "max-overall-download-limit",
    "no-conf",
    "rpc-allow-origin-all",
    "rpc-listen-all",
    "rpc-listen-port",
    "rpc-secret",
    "save-session",
    "split",
];

/// Options that may be given several times.
const CUMULATIVE: [&str; 2] = ["header", "checksum"];
const PROXIES: [&str; 3] = ["all-proxy", "https-proxy", "http-proxy"];

/// Code of aria2 for an option that it does not know, or that makes no sense.
const BAD_OPTION: u8 = 28;

/// Request that a command line of aria2c makes.
#[derive(Debug, PartialEq)]
pub(super) enum Asked {
    Version,
    Help,
    /// The same in haul's words, and notes about what cannot be honoured.
    Haul {
        args: Vec<OsString>,
        notes: Vec<String>,
        secret: Option<String>,
    },
}

/// Returns the arguments for aria2c, if haul is called by its name or told to be it.
pub(super) fn called(args: &[OsString]) -> Option<&[OsString]> {
    let (program, rest) = args.split_first()?;
    let name = Path::new(program).file_name().unwrap_or_default().to_string_lossy();
    if name.contains("aria2c") {
        return Some(rest);
    }
    match rest.split_first() {
        Some((first, rest)) if first == "aria2c" => Some(rest),
        _ => None,
    }
}

/// Options as they were given, in order.
#[derive(Default)]
struct Given {
    options: Vec<(&'static str, String)>,
    urls: Vec<String>,
}

impl Given {
    fn last(&self, name: &str) -> Option<&str> {
        self.options.iter().rev().find(|(given, _)| *given == name).map(|(_, value)| &value[..])
    }

    fn number(&self, name: &str) -> Result<Option<u64>, String> {
        let parsed = |value: &str| value.parse().map_err(|_| format!("--{name} takes a number"));
        self.last(name).map(parsed).transpose()
    }

    fn is_on(&self, name: &str) -> bool {
        self.last(name) == Some("true")
    }
}

fn find(name: &str) -> Option<&'static (&'static str, Option<char>, Means)> {
    FLAGS.iter().find(|(long, ..)| *long == name)
}

fn is_switch(name: &str, means: Means) -> bool {
    const SWITCHES: [&str; 9] = [
        "allow-overwrite",
        "auto-file-renaming",
        "continue",
        "enable-rpc",
        "force-sequential",
        "help",
        "no-conf",
        "rpc-allow-origin-all",
        "rpc-listen-all",
    ];
    matches!(means, Switch(..) | NothingSwitch)
        || SWITCHES.contains(&name)
        || name == "version"
        || name == "daemon"
}

fn parse(args: &[OsString]) -> Result<Given, String> {
    let mut given = Given::default();
    let mut words = args.iter().map(|arg| arg.to_string_lossy().into_owned()).peekable();
    let mut only_urls = false;
    while let Some(word) = words.next() {
        if only_urls || !word.starts_with('-') || word == "-" {
            given.urls.push(word);
        } else if word == "--" {
            only_urls = true;
        } else if let Some(long) = word.strip_prefix("--") {
            let (name, value) =
                long.split_once('=').map_or((long, None), |(name, value)| (name, Some(value.to_owned())));
            let (name, _, means) = find(name).ok_or_else(|| format!("unrecognized option --{name}"))?;
            let value = match value {
                Some(value) => value,
                None if is_switch(name, *means) => "true".to_owned(),
                None => words.next().ok_or_else(|| format!("--{name} needs a value"))?,
            };
            given.options.push((*name, value));
        } else {
            short(&word[1..], &mut words, &mut given)?;
        }
    }
    Ok(given)
}

/// Short flags: several switches in one word, or one with its value behind it or in the next word.
fn short(letters: &str, words: &mut impl Iterator<Item = String>, given: &mut Given) -> Result<(), String> {
    for (at, letter) in letters.char_indices() {
        let known = FLAGS.iter().find(|(_, short, _)| *short == Some(letter));
        let (name, _, means) = known.ok_or_else(|| format!("unrecognized option -{letter}"))?;
        let rest = &letters[at + letter.len_utf8()..];
        if is_switch(name, *means) {
            match rest {
                tag if *name == "help" && tag.starts_with('#') => {
                    given.options.push((*name, "true".to_owned()));
                    return Ok(());
                }
                // A value can stand behind it.
                "true" | "false" | "=true" | "=false" => {
                    given.options.push((*name, rest.trim_start_matches('=').to_owned()));
                    return Ok(());
                }
                _ => given.options.push((*name, "true".to_owned())),
            }
            continue;
        }
        let value = match rest {
            "" => words.next().ok_or_else(|| format!("-{letter} needs a value"))?,
            rest => rest.trim_start_matches('=').to_owned(),
        };
        given.options.push((*name, value));
        return Ok(());
    }
    Ok(())
}

/// Reads a file of options, `name=value` a line.
fn with_file(given: &mut Given, text: &str) {
    let mut options = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some((name, value)) = line.split_once('=')
            && let Some((name, ..)) = find(name.trim())
        {
            options.push((*name, value.trim().to_owned()));
        }
    }
    // Flags count more, so they come last.
    options.append(&mut given.options);
    given.options = options;
}

/// Says in haul's words what a command line of aria2c asks for; `read` gives the text of a file of options.
///
/// # Errors
/// A message for what makes no sense, or cannot be done.
pub(super) fn asked(
    args: &[OsString],
    read: impl Fn(Option<&str>) -> Result<Option<String>, String>,
) -> Result<Asked, String> {
    let notes = Vec::new();
    let mut given = parse(args)?;
    if given.is_on("version") {
        return Ok(Asked::Version);
    }
    if given.last("help").is_some() {
        return Ok(Asked::Help);
    }
    if !given.is_on("no-conf")
        && let Some(text) = read(given.last("conf-path"))?
    {
        with_file(&mut given, &text);
    }
    if let Some(url) = given.urls.iter().find(|url| url.starts_with("magnet:") || url.ends_with(".torrent")) {
        return Err(format!("{NO_TORRENTS}: {url}"));
    }
    if given.is_on("enable-rpc") {
        return serving(&given, notes);
    }
    take_metalink_files(&mut given)?;
    let mut line = Line { args: vec!["haul".into()], notes };
    line.add("--no-config", None);
    line.translate_all(&given, |_| true)?;
    line.put_together(&given)?;
    line.sources(&given);
    Ok(Asked::Haul { args: line.args, notes: line.notes, secret: None })
}

/// Takes a Metalink document on disk, named like a URL, as that of `--metalink-file`.
fn take_metalink_files(given: &mut Given) -> Result<(), String> {
    let is_document =
        |url: &String| !url.contains("://") && (url.ends_with(".meta4") || url.ends_with(".metalink"));
    let documents: Vec<_> = given.urls.extract_if(.., |url| is_document(url)).collect();
    let named = given.options.iter().filter(|(name, _)| *name == "metalink-file").count();
    if documents.len() + named > 1 {
        return Err("one Metalink document can be read at once".to_owned());
    }
    given.options.extend(documents.into_iter().map(|document| ("metalink-file", document)));
    Ok(())
}

/// `--enable-rpc`: the daemon.
fn serving(given: &Given, notes: Vec<String>) -> Result<Asked, String> {
    let mut line = Line { args: vec!["haul".into(), "serve".into()], notes };
    line.add("--no-config", None);
    let host = if given.is_on("rpc-listen-all") { "0.0.0.0" } else { "127.0.0.1" };
    line.add("--listen", Some(&format!("{host}:{}", given.last("rpc-listen-port").unwrap_or("6800"))));
    line.add("--root", Some(given.last("dir").unwrap_or(".")));
    if given.is_on("rpc-allow-origin-all") {
        line.add("--allow-origin", Some("*"));
    }
    line.translate_all(given, |name| {
        OF_DAEMON.contains(&name) || matches!(find(name), Some((_, _, Never(_))))
    })?;
    if let Some(limit) = given.last("max-overall-download-limit").filter(|limit| *limit != "0") {
        line.add("--limit-rate", Some(limit));
    }
    line.connections(given)?;
    let is_heard = |name: &&str| {
        let quiet = matches!(find(name), Some((_, _, Nothing | NothingSwitch)));
        quiet || OF_DAEMON.contains(name) || PROXIES.contains(name) || OF_RPC.contains(name)
    };
    let unheard: Vec<_> =
        given.options.iter().map(|(name, _)| *name).filter(|name| !is_heard(name)).collect();
    for name in unheard {
        line.notes.push(format!(
            "--{name} is said for each job by the clients of the daemon, and is left out here"
        ));
    }
    if !given.urls.is_empty() || given.last("input-file").is_some() {
        line.notes
            .push("URLs and lists are given to the daemon by its clients, and are left out here".to_owned());
    }
    if given.last("save-session").is_some() {
        line.notes.push("the daemon keeps its jobs by itself; --save-session is left out".to_owned());
    }
    line.notes.sort();
    line.notes.dedup();
    Ok(Asked::Haul {
        args: line.args,
        notes: line.notes,
        secret: given.last("rpc-secret").map(str::to_owned),
    })
}

/// A command line of haul that is being put together.
struct Line {
    args: Vec<OsString>,
    notes: Vec<String>,
}

impl Line {
    fn add(&mut self, flag: &str, value: Option<&str>) {
        match value {
            // A value may begin with a dash.
            Some(value) => self.args.push(format!("{flag}={value}").into()),
            None => self.args.push(flag.into()),
        }
    }

    /// Translates the `wanted` options; of one that is given several times the last counts.
    fn translate_all(&mut self, given: &Given, wanted: impl Fn(&str) -> bool) -> Result<(), String> {
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
        if let Some((_, why)) = UNHEARD.iter().find(|(unheard, _)| *unheard == name) {
            self.notes.push(format!("--{name} is not honoured: {why}"));
        }
        Ok(())
    }

    /// Flags of haul that stand for several of aria2's.
    fn put_together(&mut self, given: &Given) -> Result<(), String> {
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

    fn connections(&mut self, given: &Given) -> Result<(), String> {
        let numbers = [given.number("split")?, given.number("max-connection-per-server")?];
        if let Some(connections) = numbers.into_iter().flatten().min() {
            // haul gives one file no more than 64.
            self.add("--connections", Some(&connections.clamp(1, 64).to_string()));
        }
        Ok(())
    }

    /// URLs are sources of one file, unless they are to be files of their own.
    fn sources(&mut self, given: &Given) {
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

/// Code of aria2 for one of haul.
pub(super) fn exit_code(code: u8) -> u8 {
    match code {
        2 => BAD_OPTION,
        4 => 24,
        5 => 22,
        // The common reason is a full disk, which is aria2's 9 as well.
        9 => 9,
        7 | 13 => 1,
        10 => 13,
        11 => 15,
        12 => 32,
        128.. => 7,
        same => same,
    }
}

/// Text of `aria2c --version`, with the line that programs look for.
pub(super) fn version() -> String {
    format!(
        "aria2 version 1.37.0 (haul {})\n\n** Configuration **\nEnabled Features: Async DNS, HTTPS, Message Digest, Metalink\n\
         Hash Algorithms: sha-1, sha-256, sha-512, md5\n",
        env!("CARGO_PKG_VERSION")
    )
}

pub(super) const HELP: &str = "\
Usage: aria2c [OPTIONS] [URI]...
haul in place of aria2c: the flags about files, connections, requests, lists and the RPC are taken.
See haul --help for haul's own command line, which does the same and more.
";

/// Tells what cannot be honoured, once.
pub(super) fn tell(notes: &[String]) {
    for note in notes {
        output::say(format_args!("haul: note: {}", escape::shown(note)));
    }
}

/// Marker beside an unfinished file, for scripts that look for one of aria2's.
pub(super) fn marker(path: &Path) -> std::path::PathBuf {
    let mut name = path.file_name().unwrap_or(OsStr::new("")).to_owned();
    name.push(".aria2");
    path.with_file_name(name)
}

/// Content of a marker of an unfinished file.
const MARKER: &str = "haul: the file beside this is unfinished; run the same command again\n";

/// Writes a marker, unless there is a file of that name, which may be aria2's own.
pub(super) fn write_marker(path: &Path) -> io::Result<()> {
    File::create_new(path)?.write_all(MARKER.as_bytes())
}

/// Removes a marker, if it is haul's.
#[expect(clippy::disallowed_methods, reason = "a marker is no download")]
pub(super) fn remove_marker(path: &Path) -> io::Result<()> {
    match bounded::read(path, MARKER.len() as u64) {
        Ok(text) if text == MARKER => std::fs::remove_file(path),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(args: &[&str]) -> (Vec<String>, Vec<String>) {
        let args: Vec<_> = args.iter().map(OsString::from).collect();
        match asked(&args, |_| Ok(None)).unwrap() {
            Asked::Haul { args, notes, .. } => {
                let args = args.iter().skip(1).map(|arg| arg.to_string_lossy().into_owned()).collect();
                (args, notes)
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_drivers_pass_is_said_in_hauls_words() {
        let url = "http://h/f";
        for (args, line) in [
            // yt-dlp
            (
                &[
                    "-c",
                    "--no-conf",
                    "--console-log-level=warn",
                    "--summary-interval=0",
                    "--download-result=hide",
                    "--http-accept-gzip=true",
                    "--file-allocation=none",
                    "-x16",
                    "-j16",
                    "-s16",
                    "--header",
                    "A: b",
                    "--check-certificate=false",
                    "--remote-time=true",
                    "--dir",
                    "d/",
                    "--out",
                    "f.part",
                    "--auto-file-renaming=false",
                    "--",
                    url,
                ][..],
                "--no-config --jobs=16 --header=A: b --insecure --remote-time --dir=d/ --output=f.part --connections=16 -- http://h/f",
            ),
            // apt-fast
            (
                &[
                    "--no-conf",
                    "-c",
                    "-j",
                    "5",
                    "-x",
                    "5",
                    "-s",
                    "5",
                    "-i",
                    "list",
                    "--min-split-size=1M",
                    "--stream-piece-selector=default",
                    "--connect-timeout=600",
                    "--timeout=600",
                    "-m0",
                ],
                "--no-config --jobs=5 --input-file=list --min-split-size=1M --connect-timeout=600s --stall-timeout=600s \
                 --first-byte-timeout=600s --connections=5 --retry=1000000",
            ),
            (
                &["-x", "16", "-s", "4", "--checksum=md5=0", url, "http://g/f"],
                "--no-config --checksum=md5=0 --connections=4 --if-exists=rename --mirror=http://g/f -- http://h/f",
            ),
            (
                &["-Zq", "--allow-overwrite=true", url, "http://g/g"],
                "--no-config --quiet --if-exists=overwrite -- http://h/f http://g/g",
            ),
            (
                &["--http-user=me", "--http-passwd=pw", "--referer=r", "-m3", "-c", url],
                "--no-config --retry=2 --user=me:pw --header=Referer: r -- http://h/f",
            ),
            (&["-ctrue", "-o", "-x", url], "--no-config --output=-x -- http://h/f"),
            (
                &["-d", "x", "-d", "y", "--http-proxy=p:1", "--all-proxy=q:1", "-c", url],
                "--no-config --dir=y --proxy=q:1 -- http://h/f",
            ),
        ] {
            assert_eq!(said(args).0.join(" "), line, "{args:?}");
        }
    }

    #[test]
    fn what_cannot_be_honoured_is_named() {
        let (line, notes) =
            said(&["--lowest-speed-limit=1K", "--bt-max-peers", "5", "-c", "http://h/f", "http://g/f"]);
        assert_eq!(notes.len(), 2, "{notes:?}");
        assert!(line.ends_with(&["--".to_owned(), "http://h/f".to_owned()]));
        for args in [
            &["-T", "x.torrent"][..],
            &["magnet:?xt=x"],
            &["-D", "http://h"],
            &["-P", "http://h"],
            &["-!"],
            &["-o"],
            &["--nonsense", "http://h"],
            &["-x", "abc", "http://h"],
        ] {
            let args: Vec<_> = args.iter().map(OsString::from).collect();
            assert!(asked(&args, |_| Ok(None)).is_err(), "{args:?}");
        }
    }

    #[test]
    fn a_file_of_options_counts_less_than_flags_and_not_with_no_conf() {
        let read = |_: Option<&str>| Ok(Some("# c\nsplit=8\ndir=/d\nnonsense=1\n".to_owned()));
        let words = |args: &[&str]| {
            let args: Vec<_> = args.iter().map(OsString::from).collect();
            match asked(&args, read).unwrap() {
                Asked::Haul { args, .. } => {
                    args.iter().map(|arg| arg.to_string_lossy().into_owned()).collect::<Vec<_>>()
                }
                other => panic!("{other:?}"),
            }
        };
        let line = words(&["-s2", "-c", "http://h/f"]);
        assert!(
            line.contains(&"--connections=2".to_owned()) && line.contains(&"--dir=/d".to_owned()),
            "{line:?}"
        );
        let line = words(&["--no-conf", "-c", "http://h/f"]);
        assert!(!line.contains(&"--dir=/d".to_owned()), "{line:?}");
    }

    #[test]
    fn the_rpc_is_the_daemon() {
        let args: Vec<_> = ["--enable-rpc", "--rpc-listen-port=6801", "--rpc-secret=s", "-d", "/d", "-j2"]
            .map(OsString::from)
            .into();
        let Asked::Haul { args, secret, .. } = asked(&args, |_| Ok(None)).unwrap() else { panic!() };
        let line: Vec<_> = args.iter().map(|arg| arg.to_string_lossy().into_owned()).collect();
        assert_eq!(line.join(" "), "haul serve --no-config --listen=127.0.0.1:6801 --root=/d --jobs=2");
        assert_eq!(secret.as_deref(), Some("s"));
    }

    #[test]
    fn haul_is_aria2c_where_it_is_called_so() {
        let called = |args: &[&str]| {
            let args: Vec<_> = args.iter().map(OsString::from).collect();
            called(&args).map(<[OsString]>::len)
        };
        assert_eq!(called(&["/usr/bin/aria2c", "-v"]), Some(1));
        assert_eq!(called(&["haul-aria2c"]), Some(0));
        assert_eq!(called(&["haul", "aria2c", "a", "b"]), Some(2));
        assert_eq!(called(&["haul", "http://h/aria2c"]), None);
    }
}
