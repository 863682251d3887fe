//! aria2's options as a job, and what is made of those that haul does not know.

use super::answer::Fault;
use crate::{IfExists, Job, JobOptions, Login};
use serde_json::{Map, Value};
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

/// Options with an effect.
const KNOWN: [&str; 20] = [
    "allow-overwrite",
    "auto-file-renaming",
    "checksum",
    "continue",
    "dir",
    "file-allocation",
    "gid",
    "header",
    "http-passwd",
    "http-user",
    "max-connection-per-server",
    "max-download-limit",
    "min-split-size",
    "out",
    "pause",
    "position",
    "referer",
    "remote-time",
    "split",
    "user-agent",
];

/// A job and what else its options say.
#[derive(Debug)]
pub(super) struct Asked {
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
pub(super) fn asked(uris: &[String], given: &Map<String, Value>, root: &Path) -> Result<Asked, Fault> {
    let (url, mirrors) = uris.split_first().ok_or_else(|| Fault::failed("No URI to download."))?;
    if url.starts_with("magnet:") {
        return Err(Fault::failed("BitTorrent and magnet links are not supported."));
    }
    refuse_dangerous(given)?;
    let mut job = Job::new(url.as_str());
    job.options = job_options(given)?;
    let digest = text(given, "checksum")?;
    job.digests.extend(digest);
    // aria2 takes several URIs for the same file on trust; without a digest only the first is used.
    if !job.digests.is_empty() {
        job.mirrors = mirrors.to_vec();
    }
    place(&mut job, given, root)?;
    headers(&mut job, given)?;
    if let Some(user) = text(given, "http-user")? {
        let password = text(given, "http-passwd")?.unwrap_or_default();
        job.login = Some(Login { user, password });
    }
    let kept = Value::Object(without_secrets(given)).to_string();
    job.tags.insert(TAG.to_owned(), kept);
    let unknown = given.keys().filter(|key| !KNOWN.contains(&key.as_str())).cloned().collect();
    Ok(Asked { job, paused: flag(given, "pause")?.unwrap_or(false), gid: text(given, "gid")?, unknown })
}

/// # Errors
/// A fault for an option that reads or writes other files, or runs programs.
pub(super) fn refuse_dangerous(given: &Map<String, Value>) -> Result<(), Fault> {
    match given.keys().find(|key| DANGEROUS.contains(&key.as_str())) {
        Some(key) => Err(Fault::failed(format!("The option {key} is not allowed here."))),
        None => Ok(()),
    }
}

fn without_secrets(given: &Map<String, Value>) -> Map<String, Value> {
    const SECRETS: [&str; 3] = ["header", "http-passwd", "all-proxy-passwd"];
    given
        .iter()
        .filter(|(key, _)| !SECRETS.contains(&key.as_str()))
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect()
}

/// Options of a job that may change while it runs.
pub(super) fn job_options(given: &Map<String, Value>) -> Result<JobOptions, Fault> {
    let mut options = JobOptions::default();
    let at_once = [number(given, "split")?, number(given, "max-connection-per-server")?];
    options.connections = at_once.into_iter().flatten().min().map(|count| (count.max(1)) as usize);
    options.limit_rate = size(given, "max-download-limit")?;
    options.min_split = size(given, "min-split-size")?.filter(|bytes| *bytes > 0);
    options.remote_time = flag(given, "remote-time")?;
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
fn below(root: &Path, path: &Path, option: &str) -> Result<PathBuf, Fault> {
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

fn headers(job: &mut Job, given: &Map<String, Value>) -> Result<(), Fault> {
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
    for (option, name) in [("referer", "Referer"), ("user-agent", "User-Agent")] {
        if let Some(value) = text(given, option)?.filter(|value| !value.is_empty()) {
            lines.push(format!("{name}: {value}"));
        }
    }
    lines.retain(|line| !line.trim().is_empty());
    job.add_headers(&lines).map_err(|error| Fault::failed(error.to_string()))
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

    fn taken(value: &Value) -> Result<Asked, Fault> {
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
        let Asked { job, paused, gid, unknown } = asked;
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
