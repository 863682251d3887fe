//! aria2's options as a job, and what is made of those that haul does not know.

use super::answer::Fault;
use crate::{IfExists, Job, JobChange, JobOptions, Login};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

/// Key of the tag that keeps the options of a job as they were given.
pub(super) const TAG: &str = "aria2";

/// Options that would give a caller more than downloads.
const DANGEROUS: [&str; 16] = [
    "conf-path",
    "input-file",
    "log",
    "on-bt-download-complete",
    "on-download-complete",
    "on-download-error",
    "on-download-pause",
    "on-download-start",
    "on-download-stop",
    "rpc-certificate",
    "rpc-private-key",
    "rpc-secret",
    "save-cookies",
    "save-session",
    "server-stat-of",
    "load-cookies",
];

/// Tries of a job that is to be tried without end.
const ENDLESS: u32 = 1_000_000;

/// An option with an effect.
struct Known {
    name: &'static str,
    reach: Reach,
    /// True if it changes a job that was added already.
    is_live: bool,
}

/// Jobs that an option is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// The one job that it is given for.
    One,
    /// A job, or each new job if it is given for all.
    Each,
    /// The daemon.
    All,
    /// None: haul always does so.
    Always,
}

const fn known(name: &'static str, reach: Reach) -> Known {
    Known { name, reach, is_live: false }
}

const fn live(name: &'static str) -> Known {
    Known { name, reach: Reach::Each, is_live: true }
}

/// Options with an effect.
const KNOWN: [Known; 29] = [
    live("all-proxy"),
    live("all-proxy-passwd"),
    live("all-proxy-user"),
    live("allow-overwrite"),
    live("auto-file-renaming"),
    known("checksum", Reach::One),
    live("connect-timeout"),
    known("continue", Reach::Always),
    known("dir", Reach::Each),
    known("file-allocation", Reach::Always),
    known("gid", Reach::One),
    live("header"),
    known("http-passwd", Reach::Each),
    known("http-user", Reach::Each),
    live("max-connection-per-server"),
    known("max-concurrent-downloads", Reach::All),
    live("max-download-limit"),
    known("max-overall-download-limit", Reach::All),
    live("max-tries"),
    live("min-split-size"),
    known("out", Reach::One),
    known("pause", Reach::Each),
    known("position", Reach::One),
    live("referer"),
    live("remote-time"),
    live("retry-wait"),
    live("split"),
    live("timeout"),
    live("user-agent"),
];

/// Options of a job that say nothing else, in aria2's words, where they have a meaning here.
const USUAL_OF_JOB: [(&str, &str); 34] = [
    ("allow-overwrite", "false"),
    ("allow-piece-length-change", "false"),
    ("always-resume", "true"),
    ("async-dns", "true"),
    ("auto-file-renaming", "true"),
    ("check-integrity", "false"),
    ("conditional-get", "false"),
    ("connect-timeout", "10"),
    ("content-disposition-default-utf8", "false"),
    ("continue", "true"),
    ("dry-run", "false"),
    ("enable-http-keep-alive", "true"),
    ("enable-http-pipelining", "false"),
    ("enable-mmap", "false"),
    ("file-allocation", "falloc"),
    ("follow-metalink", "false"),
    ("follow-torrent", "false"),
    ("force-save", "false"),
    ("hash-check-only", "false"),
    ("http-accept-gzip", "false"),
    ("http-no-cache", "false"),
    ("lowest-speed-limit", "0"),
    ("max-connection-per-server", "32"),
    ("max-download-limit", "0"),
    ("max-file-not-found", "0"),
    ("max-tries", "9"),
    ("min-split-size", "1048576"),
    ("parameterized-uri", "false"),
    ("remote-time", "false"),
    ("retry-wait", "0"),
    ("reuse-uri", "true"),
    ("split", "32"),
    ("timeout", "30"),
    ("user-agent", concat!("haul/", env!("CARGO_PKG_VERSION"))),
];

/// The same for the daemon.
const USUAL_OF_DAEMON: [(&str, &str); 9] = [
    ("auto-save-interval", "0"),
    ("enable-rpc", "true"),
    ("max-concurrent-downloads", "4"),
    ("max-download-result", "1000"),
    ("max-overall-download-limit", "0"),
    ("max-overall-upload-limit", "0"),
    ("optimize-concurrent-downloads", "false"),
    ("rpc-secure", "false"),
    ("save-session-interval", "0"),
];

fn texts_of(table: &[(&str, &str)]) -> Map<String, Value> {
    table.iter().map(|(name, value)| ((*name).to_owned(), Value::from(*value))).collect()
}

/// Options of a job that says nothing.
pub(super) fn usual_of_job() -> Map<String, Value> {
    texts_of(&USUAL_OF_JOB)
}

/// Options of the daemon and of each job, if nothing is said.
pub(super) fn usual_of_all() -> Map<String, Value> {
    let mut all = texts_of(&USUAL_OF_JOB);
    all.extend(texts_of(&USUAL_OF_DAEMON));
    all
}

fn find(option: &str) -> Option<&'static Known> {
    KNOWN.iter().find(|known| known.name == option)
}

/// Returns true if an option for all jobs is taken over by each new one.
pub(super) fn is_of_each(option: &str) -> bool {
    find(option).is_some_and(|known| known.reach == Reach::Each)
}

/// Returns true if an option can be that of one job only.
pub(super) fn is_of_one(option: &str) -> bool {
    find(option).is_some_and(|known| known.reach == Reach::One)
}

/// Returns true if an option changes a job that was added already.
pub(super) fn is_live(option: &str) -> bool {
    find(option).is_some_and(|known| known.is_live)
}

/// Options of a new job without an effect.
fn unknown_of_job(given: &Map<String, Value>) -> Vec<String> {
    let has_effect = |key: &str| find(key).is_some_and(|known| known.reach != Reach::All);
    given.keys().filter(|key| !has_effect(key)).cloned().collect()
}

/// Options for all jobs without an effect.
pub(super) fn unknown_of_all(given: &Map<String, Value>) -> Vec<String> {
    given.keys().filter(|key| find(key).is_none()).cloned().collect()
}

/// A job and what else its options say.
#[derive(Debug)]
pub(super) struct ParsedJob {
    pub(super) job: Job,
    pub(super) paused: bool,
    pub(super) gid: Option<String>,
    /// Options without an effect.
    pub(super) unknown: Vec<String>,
}

/// Turns URIs and options into a job whose file lies below `root`.
///
/// # Errors
/// A fault that names the option.
pub(super) fn asked(uris: &[String], given: &Map<String, Value>, root: &Path) -> Result<ParsedJob, Fault> {
    let (url, mirrors) = uris.split_first().ok_or_else(|| Fault::failed("No URI to download."))?;
    if url.starts_with("magnet:") {
        return Err(Fault::failed("BitTorrent and magnet links are not supported."));
    }
    refuse_dangerous(given)?;
    let mut job = Job::new(url.as_str());
    job.options = job_options(given)?;
    job.options.name_of_answer = Some(true);
    if job.options.if_exists.is_none() && renames(given)? {
        job.options.if_exists = Some(IfExists::Rename);
    }
    let digest = text(given, "checksum")?;
    job.digests.extend(digest);
    // aria2 takes several URIs for the same file on trust; without a digest only the first is used.
    if !job.digests.is_empty() {
        job.mirrors = mirrors.to_vec();
    }
    place(&mut job, given, root)?;
    let lines = header_lines(given)?.into_iter().chain(own_lines(given)?).collect::<Vec<_>>();
    job.add_headers(&lines).map_err(|error| Fault::failed(error.to_string()))?;
    if let Some(user) = text(given, "http-user")? {
        let password = text(given, "http-passwd")?.unwrap_or_default();
        job.login = Some(Login { user, password });
    }
    let kept = Value::Object(without_secrets(given)).to_string();
    job.tags.insert(TAG.to_owned(), kept);
    let unknown = unknown_of_job(given);
    Ok(ParsedJob { job, paused: flag(given, "pause")?.unwrap_or(false), gid: text(given, "gid")?, unknown })
}

/// Returns true if a file whose name is taken gets another one: aria2 does so, unless it is told not to, or to go on.
fn renames(given: &Map<String, Value>) -> Result<bool, Fault> {
    let goes_on = flag(given, "continue")?.unwrap_or(false);
    Ok(flag(given, "auto-file-renaming")?.unwrap_or(!goes_on))
}

/// # Errors
/// A fault for an option that reads or writes other files, or runs programs.
pub(super) fn refuse_dangerous(given: &Map<String, Value>) -> Result<(), Fault> {
    match given.keys().find(|key| DANGEROUS.contains(&key.as_str())) {
        Some(key) => Err(Fault::failed(format!("The option {key} is not allowed here."))),
        None => Ok(()),
    }
}

/// Change of a job by options that are given once it was added, and those without an effect then.
///
/// # Errors
/// A fault that names the option.
pub(super) fn change(job: &Job, given: &Map<String, Value>) -> Result<(JobChange, Vec<String>), Fault> {
    refuse_dangerous(given)?;
    let before = kept(job);
    let mut after = before.clone();
    if given.contains_key("all-proxy") {
        // The name and password were those of the proxy before.
        PROXY.iter().for_each(|option| drop(after.remove(*option)));
    }
    after.extend(
        given.iter().filter(|(key, _)| is_live(key)).map(|(key, value)| (key.clone(), value.clone())),
    );
    let mut options = job_options(given)?;
    if PROXY.iter().any(|option| given.contains_key(*option)) {
        options.proxy = proxy(&after)?;
    }
    let headers = match HEADERS.iter().any(|option| given.contains_key(*option)) {
        true => Some(changed_headers(job, given, &before, &after)?),
        false => None,
    };
    let tags = [(TAG.to_owned(), Value::Object(without_secrets(&after)).to_string())].into();
    let unheard = given.keys().filter(|key| !is_live(key)).cloned().collect();
    Ok((JobChange { options, headers, tags, ..JobChange::default() }, unheard))
}

/// Options of a job as they were given, without secrets.
pub(super) fn kept(job: &Job) -> Map<String, Value> {
    job.tags.get(TAG).and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

/// Options that become headers, and those that become a proxy.
const HEADERS: [&str; 3] = ["header", "referer", "user-agent"];
const PROXY: [&str; 3] = ["all-proxy", "all-proxy-passwd", "all-proxy-user"];

/// Headers of the job with the options `after` a change, where it had `before`. Those that the options of the job do not show, since they
/// are secrets, stay unless others are given.
fn changed_headers(
    job: &Job,
    given: &Map<String, Value>,
    before: &Map<String, Value>,
    after: &Map<String, Value>,
) -> Result<BTreeMap<String, Vec<String>>, Fault> {
    let mut plain = Job::new(job.url.as_str());
    let old = own_lines(before)?;
    let lines: Vec<_> = if given.contains_key("header") {
        header_lines(given)?
    } else {
        job.headers.values().flatten().filter(|line| !old.contains(line)).cloned().collect()
    };
    let lines: Vec<_> = lines.into_iter().chain(own_lines(after)?).collect();
    plain.add_headers(&lines).map_err(|error| Fault::failed(error.to_string()))?;
    Ok(plain.headers)
}

/// Options that may be shown.
pub(super) fn without_secrets(given: &Map<String, Value>) -> Map<String, Value> {
    const SECRETS: [&str; 3] = ["header", "http-passwd", "all-proxy-passwd"];
    let shown = |key: &String, value: &Value| match value.as_str() {
        Some(proxy) if key == "all-proxy" => without_login(proxy).into(),
        _ => value.clone(),
    };
    given
        .iter()
        .filter(|(key, _)| !SECRETS.contains(&key.as_str()))
        .map(|(key, value)| (key.clone(), shown(key, value)))
        .collect()
}

/// URL of a proxy without its user name and password.
fn without_login(proxy: &str) -> String {
    let (scheme, rest) = proxy.split_once("://").map_or(("", proxy), |(scheme, rest)| (scheme, rest));
    let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    if scheme.is_empty() { host.to_owned() } else { format!("{scheme}://{host}") }
}

/// The proxy that options name, with the user name and password beside it.
fn proxy(given: &Map<String, Value>) -> Result<Option<String>, Fault> {
    let Some(proxy) = text(given, "all-proxy")? else {
        return Ok(None);
    };
    let user = text(given, "all-proxy-user")?.filter(|user| !user.is_empty());
    let (Some(user), false) = (user, proxy.trim().is_empty()) else {
        return Ok(Some(proxy));
    };
    let password = text(given, "all-proxy-passwd")?.unwrap_or_default();
    let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let plain = without_login(&proxy);
    let (scheme, host) = plain.split_once("://").unwrap_or(("http", &plain));
    Ok(Some(format!("{scheme}://{}:{}@{host}", encoded(&user), encoded(&password))))
}

/// Options of a job that may change while it runs.
pub(super) fn job_options(given: &Map<String, Value>) -> Result<JobOptions, Fault> {
    let mut options = JobOptions::default();
    let at_once = [positive(given, "split")?, positive(given, "max-connection-per-server")?];
    options.connections = at_once.into_iter().flatten().min().map(|count| count as usize);
    options.limit_rate = size(given, "max-download-limit")?;
    options.min_split = size(given, "min-split-size")?.filter(|bytes| *bytes > 0);
    // 0 stands for tries without end.
    options.retries = number(given, "max-tries")?.map(|tries| match tries {
        0 => ENDLESS,
        tries => u32::try_from(tries - 1).unwrap_or(ENDLESS).min(ENDLESS),
    });
    options.retry_wait = seconds(given, "retry-wait", 0)?;
    options.connect_timeout = seconds(given, "connect-timeout", 1)?;
    options.timeout = seconds(given, "timeout", 1)?;
    options.remote_time = flag(given, "remote-time")?;
    options.proxy = proxy(given)?;
    options.if_exists = match (flag(given, "allow-overwrite")?, flag(given, "auto-file-renaming")?) {
        (Some(true), _) => Some(IfExists::Overwrite),
        (_, Some(true)) => Some(IfExists::Rename),
        _ => None,
    };
    Ok(options)
}

/// Puts the file below `root`, whatever the options say.
fn place(job: &mut Job, given: &Map<String, Value>, root: &Path) -> Result<(), Fault> {
    let directory = match text(given, "dir")?.filter(|dir| !dir.is_empty()) {
        Some(dir) => below(root, Path::new(&dir), "dir")?,
        None => root.to_owned(),
    };
    if let Some(out) = text(given, "out")?.filter(|out| !out.is_empty()) {
        if Path::new(&out).is_absolute() {
            return Err(Fault::failed("The option out is a path below dir."));
        }
        job.output = Some(below(&directory, Path::new(&out), "out")?);
    }
    job.dir = Some(directory);
    Ok(())
}

/// `path`, seen from `root`, if it lies below it by its text.
pub(super) fn below(root: &Path, path: &Path, option: &str) -> Result<PathBuf, Fault> {
    let leaves = || Fault::failed(format!("The option {option} leads out of the directory of the daemon."));
    if path.components().any(|part| part == Component::ParentDir) {
        return Err(leaves());
    }
    let joined = root.join(path);
    if joined.starts_with(root) { Ok(joined) } else { Err(leaves()) }
}

/// Checks that no link on the way to `path` leads out of `root`. Blocking.
///
/// # Errors
/// A fault if one does.
pub(super) fn refuse_links_out(root: &Path, path: &Path) -> Result<(), Fault> {
    let root = root.canonicalize().map_err(|error| Fault::failed(format!("{}: {error}", root.display())))?;
    // Directories that do not exist yet are created below one that does.
    let there = path.ancestors().find_map(|ancestor| ancestor.canonicalize().ok());
    match there {
        Some(there) if there.starts_with(&root) => Ok(()),
        _ => Err(Fault::failed("The path leads out of the directory of the daemon by a link.")),
    }
}

/// Lines of the option `header`.
fn header_lines(given: &Map<String, Value>) -> Result<Vec<String>, Fault> {
    let mut lines = Vec::new();
    match given.get("header") {
        None => {}
        Some(Value::Array(all)) => {
            for value in all {
                let line = value.as_str().ok_or_else(|| wrong("header"))?;
                lines.push(line.to_owned());
            }
        }
        Some(Value::String(text)) => lines.extend(text.lines().map(str::to_owned)),
        Some(_) => return Err(wrong("header")),
    }
    lines.retain(|line| !line.trim().is_empty());
    Ok(lines)
}

/// Lines of the options that are headers of their own.
pub(super) fn own_lines(given: &Map<String, Value>) -> Result<Vec<String>, Fault> {
    let mut lines = Vec::new();
    for (option, name) in [("referer", "Referer"), ("user-agent", "User-Agent")] {
        if let Some(value) = text(given, option)?.filter(|value| !value.is_empty()) {
            if value.contains(|c: char| c.is_control() && c != '\t') {
                return Err(wrong(option));
            }
            lines.push(format!("{name}: {value}"));
        }
    }
    Ok(lines)
}

fn wrong(option: &str) -> Fault {
    Fault::failed(format!("The value of the option {option} is not usable."))
}

/// Value of an option; a list stands for its last element.
pub(super) fn text(given: &Map<String, Value>, option: &str) -> Result<Option<String>, Fault> {
    match given.get(option) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(Value::Number(number)) => Ok(Some(number.to_string())),
        Some(Value::Bool(flag)) => Ok(Some(flag.to_string())),
        Some(_) => Err(wrong(option)),
    }
}

pub(super) fn flag(given: &Map<String, Value>, option: &str) -> Result<Option<bool>, Fault> {
    match text(given, option)?.as_deref() {
        None | Some("") => Ok(None),
        Some("true") => Ok(Some(true)),
        Some("false") => Ok(Some(false)),
        Some(_) => Err(wrong(option)),
    }
}

pub(super) fn number(given: &Map<String, Value>, option: &str) -> Result<Option<u64>, Fault> {
    text(given, option)?.map(|text| text.trim().parse().map_err(|_| wrong(option))).transpose()
}

pub(super) fn positive(given: &Map<String, Value>, option: &str) -> Result<Option<u64>, Fault> {
    match number(given, option)? {
        Some(0) => Err(wrong(option)),
        number => Ok(number),
    }
}

/// Seconds from `least` to ten minutes, as aria2 takes them.
fn seconds(given: &Map<String, Value>, option: &str, least: u64) -> Result<Option<u64>, Fault> {
    match number(given, option)? {
        Some(seconds) if !(least..=600).contains(&seconds) => Err(wrong(option)),
        seconds => Ok(seconds),
    }
}

/// A size with K or M for 1024 and 1024², as aria2 takes it.
pub(super) fn size(given: &Map<String, Value>, option: &str) -> Result<Option<u64>, Fault> {
    let parsed = |text: String| crate::formats::size::parse_size(&text).map_err(|_| wrong(option));
    text(given, option)?.map(parsed).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn options(value: &Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    fn taken(value: &Value) -> Result<ParsedJob, Fault> {
        asked(&["http://h/f".to_owned(), "http://g/f".to_owned()], &options(value), Path::new("/root/of"))
    }

    #[test]
    fn options_become_a_job() {
        let digest = format!("sha-256={}", "0".repeat(64));
        let asked = taken(&json!({
            "out": "a/b", "dir": "/root/of/d", "split": "8", "max-connection-per-server": "4", "min-split-size": "1M",
            "max-download-limit": "100K", "header": ["A: b", "C: d"], "referer": "r", "user-agent": "u", "checksum": digest,
            "http-user": "me", "http-passwd": "pw", "pause": "true", "gid": "0123456789abcdef", "remote-time": "true",
            "allow-overwrite": "true", "seed-ratio": "1.0", "continue": "true",
        }))
        .unwrap();
        let ParsedJob { job, paused, gid, unknown } = asked;
        assert_eq!(job.output.as_deref(), Some(Path::new("/root/of/d/a/b")));
        assert_eq!(job.headers["http://h:80"], ["A: b", "C: d", "Referer: r", "User-Agent: u"]);
        assert_eq!((job.digests, job.mirrors), (vec![digest], vec!["http://g/f".to_owned()]));
        assert_eq!(job.options.connections, Some(4));
        assert_eq!([job.options.min_split, job.options.limit_rate], [Some(1 << 20), Some(100 << 10)]);
        assert_eq!(job.options.if_exists, Some(IfExists::Overwrite));
        assert!(paused && gid.as_deref() == Some("0123456789abcdef"));
        assert_eq!(unknown, ["seed-ratio"]);
        assert!(!job.tags[TAG].contains("pw"));
    }

    #[test]
    fn each_option_is_in_the_table_once_and_in_order() {
        let places = [Reach::One, Reach::Each, Reach::All, Reach::Always];
        for reach in places {
            let names: Vec<_> =
                KNOWN.iter().filter(|known| known.reach == reach).map(|known| known.name).collect();
            assert!(names.windows(2).all(|pair| pair[0] < pair[1]), "{names:?}");
        }
        let named = ["checksum", "gid", "out", "position"];
        assert!(KNOWN.iter().filter(|known| is_of_one(known.name)).map(|known| known.name).eq(named));
        assert!(KNOWN.iter().all(|known| !known.is_live || is_of_each(known.name)));
        assert!(KNOWN.iter().all(|known| !DANGEROUS.contains(&known.name)));
    }

    #[test]
    fn a_proxy_gets_the_name_and_password_beside_it_and_shows_neither() {
        for (given, proxy, shown) in [
            (json!({ "all-proxy": "http://p:1" }), "http://p:1", "http://p:1"),
            (json!({ "all-proxy": "http://u:s@p:1" }), "http://u:s@p:1", "http://p:1"),
            (json!({ "all-proxy": "u:s@p:1" }), "u:s@p:1", "p:1"),
            (
                json!({ "all-proxy": "socks5://p:1", "all-proxy-user": "u@v", "all-proxy-passwd": "s/s" }),
                "socks5://u%40v:s%2Fs@p:1",
                "socks5://p:1",
            ),
            (json!({ "all-proxy": "p:1", "all-proxy-user": "u" }), "http://u:@p:1", "p:1"),
            (json!({ "all-proxy": "", "all-proxy-user": "u" }), "", ""),
        ] {
            let ParsedJob { job, unknown, .. } = taken(&given).unwrap();
            assert_eq!((job.options.proxy.as_deref(), unknown.len()), (Some(proxy), 0), "{given}");
            assert_eq!(kept(&job)["all-proxy"], shown);
            assert!(!job.tags[TAG].contains("s/s"));
        }
        assert_eq!(taken(&json!({ "all-proxy-user": "u" })).unwrap().job.options.proxy, None);
    }

    #[test]
    fn a_change_replaces_what_it_names_and_leaves_the_rest() {
        let given =
            json!({ "header": ["A: b"], "referer": "r", "user-agent": "u", "split": "4", "dir": "d" });
        let job = taken(&given).unwrap().job;
        let headers = |given: Value| {
            let (change, unheard) = change(&job, &options(&given)).unwrap();
            assert!(unheard.is_empty());
            change.headers.map(|headers| headers["http://h:80"].clone())
        };
        assert_eq!(headers(json!({ "user-agent": "v" })).unwrap(), ["A: b", "Referer: r", "User-Agent: v"]);
        assert_eq!(headers(json!({ "header": "C: d\nE: f" })).unwrap()[..2], ["C: d", "E: f"]);
        assert_eq!(headers(json!({ "header": [] })).unwrap(), ["Referer: r", "User-Agent: u"]);
        assert_eq!(headers(json!({ "referer": "" })).unwrap(), ["A: b", "User-Agent: u"]);
        assert_eq!(headers(json!({ "split": "2" })), None);
        let (changed, unheard) =
            change(&job, &options(&json!({ "split": "2", "all-proxy": "http://p:1", "gid": "x" }))).unwrap();
        assert_eq!((changed.options.connections, unheard), (Some(2), vec!["gid".to_owned()]));
        assert_eq!(changed.options.proxy.as_deref(), Some("http://p:1"));
        let through = json!({ "all-proxy": "http://p:1", "all-proxy-user": "u", "all-proxy-passwd": "s" });
        let job = taken(&through).unwrap().job;
        let proxy = |given: Value| change(&job, &options(&given)).unwrap().0.options.proxy;
        assert_eq!(proxy(json!({ "all-proxy": "http://q:1" })).as_deref(), Some("http://q:1"));
        assert_eq!(proxy(json!({ "all-proxy-passwd": "t" })).as_deref(), Some("http://u:t@p:1"));
        let kept: Value = serde_json::from_str(&changed.tags[TAG]).unwrap();
        assert_eq!([&kept["split"], &kept["dir"], &kept["gid"]], [&json!("2"), &json!("d"), &Value::Null]);
        for wrong in [
            json!({ "split": "0" }),
            json!({ "user-agent": "a\r\nB: c" }),
            json!({ "conf-path": "e" }),
            json!({ "header": 5 }),
        ] {
            assert!(change(&job, &options(&wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn no_option_leads_out_of_the_root_or_into_other_files() {
        for value in [
            json!({ "dir": "/etc" }),
            json!({ "dir": "../x" }),
            json!({ "dir": "/root/of/../x" }),
            json!({ "dir": "/root/office" }),
            json!({ "out": "/etc/passwd" }),
            json!({ "out": "../../x" }),
            json!({ "on-download-complete": "rm" }),
            json!({ "save-session": "/x" }),
            json!({ "load-cookies": "/x" }),
            json!({ "pause": "maybe" }),
            json!({ "split": "many" }),
            json!({ "split": ["1"] }),
            json!({ "header": 5 }),
        ] {
            assert!(taken(&value).is_err(), "{value}");
        }
        assert!(asked(&["magnet:?xt=urn:btih:x".to_owned()], &Map::new(), Path::new("/")).is_err());
        assert!(asked(&[], &Map::new(), Path::new("/")).is_err());
    }

    #[test]
    fn a_link_that_leads_out_is_found() {
        let root = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/tmp", root.path().join("out")).unwrap();
        std::fs::create_dir(root.path().join("in")).unwrap();
        assert!(refuse_links_out(root.path(), &root.path().join("in/new/f")).is_ok());
        assert!(refuse_links_out(root.path(), &root.path().join("out/f")).is_err());
        assert!(refuse_links_out(root.path(), &root.path().join("out")).is_err());
    }
}
