//! `--failed FILE`: what was not saved, as a list that can be run again.

use super::args::Options;
use super::base::Base;
use crate::Job;
use crate::error::Error;
use crate::formats::escape;
use crate::sys;
use serde_json::json;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

/// Refuses a list that cannot be written, before anything is fetched.
///
/// # Errors
/// `Usage` for a directory, and for a name in a directory that does not exist.
pub(super) fn check(path: &Path) -> Result<(), Error> {
    let shown = escape::for_terminal(&path.to_string_lossy()).into_owned();
    let refused = |why: &str| {
        Err(Error::usage(format!("--failed: {shown}: {why}")).with_hint("name a file: --failed left.txt"))
    };
    if path.is_dir() || path.file_name().is_none() {
        return refused("it is a directory");
    }
    match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        Some(parent) if !parent.is_dir() => refused("its directory does not exist"),
        _ => Ok(()),
    }
}

/// Line of a list for a job, before the options of the command line are added to it, but for their directory.
pub(super) fn line(job: &Job, base: &Base) -> String {
    let directory = match (base, &job.dir, &job.below) {
        (_, Some(place), _) => Some(place.to_string_lossy().into_owned()),
        (Base::Below(above), None, Some(below)) => Some(format!("{above}/{below}")),
        (Base::Below(above), None, None) => Some(above.clone()),
        (_, None, below) => below.clone(),
    };
    let headers: Vec<_> = job.headers.values().flatten().collect();
    let mut object = json!({ "url": job.url });
    for (key, value) in [
        ("output", json!(job.name)),
        ("dir", json!(directory)),
        ("size", json!(job.size)),
        ("mirrors", json!(job.mirrors)),
        ("checksum", json!(job.digests)),
        ("headers", json!(headers)),
    ] {
        if !value.is_null() && value != json!([]) {
            object[key] = value;
        }
    }
    object.to_string()
}

/// Entry of a list in aria2's form, as aria2 writes it with `--save-session`.
pub(super) fn aria2_entry(job: &Job, options: &Options) -> String {
    let dir = job.dir.as_ref().or(options.dir.as_ref()).map_or(".".into(), |dir| dir.to_string_lossy());
    let out = job.name.clone().or_else(|| Some(job.output.as_ref()?.to_string_lossy().into_owned()));
    let out = out.or_else(|| Some(options.output.as_ref()?.to_string_lossy().into_owned()));
    let gid = crate::rpc::new_secret().map(|secret| secret[..16].to_owned()).ok();
    let mut entry: String =
        std::iter::once(&job.url).chain(&job.mirrors).map(|url| format!("{url}\t")).collect();
    let mut put = |name: &str, value: &str| {
        if !value.contains(['\n', '\r']) {
            entry.push_str(&format!("\n {name}={value}"));
        }
    };
    gid.iter().for_each(|gid| put("gid", gid));
    put("dir", &dir);
    out.iter().for_each(|out| put("out", out));
    job.digests.iter().for_each(|digest| put("checksum", &digest.replacen(':', "=", 1)));
    job.headers.values().flatten().for_each(|line| put("header", line));
    if let Some(agent) = &options.user_agent {
        put("user-agent", agent);
    }
    entry
}

/// The list that is being written. It takes its name once it is complete, so that one that is being read stays whole.
pub(super) struct Unsaved {
    file: BufWriter<File>,
    path: PathBuf,
    beside: PathBuf,
    /// Comment that comes before the first line.
    remark: Option<String>,
}

impl Unsaved {
    pub(super) fn create(path: &Path, base: &Base) -> Result<Self, Error> {
        check(path)?;
        let remark = match base {
            Base::Elsewhere(place) => {
                Some(format!("# To be run with -d {place:?}, since a list names no directory elsewhere."))
            }
            Base::Here | Base::Below(_) => None,
        };
        let mut beside = path.as_os_str().to_owned();
        beside.push(format!(".{}.tmp", std::process::id()));
        let beside = PathBuf::from(beside);
        // It may hold headers, and signed URLs.
        let file = sys::private(OpenOptions::new().write(true).create_new(true)).open(&beside);
        let file = file.map_err(|error| Error::disk("cannot write", path, &error))?;
        Ok(Self { file: BufWriter::new(file), path: path.to_owned(), beside, remark })
    }

    pub(super) fn add(&mut self, line: &str) -> io::Result<()> {
        if let Some(remark) = self.remark.take() {
            writeln!(self.file, "{remark}")?;
        }
        writeln!(self.file, "{line}")
    }

    /// Gives the list its name.
    #[expect(clippy::disallowed_methods, reason = "a list of the run is no download")]
    pub(super) fn finish(mut self) -> Result<(), Error> {
        let finished = self.file.flush().and_then(|()| fs::rename(&self.beside, &self.path));
        finished.map_err(|error| {
            let _ = fs::remove_file(&self.beside);
            Error::disk("cannot write", &self.path, &error)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::JobList;

    #[test]
    fn a_line_asks_for_the_same_again() {
        let text = r#"{"url": "http://h/a?b", "output": "c", "dir": "d", "sha256": "nonsense", "headers": ["A: b"], "mirrors": ["http://g/a"], "size": 5}"#;
        let job = JobList::parse(text).next().unwrap().unwrap().job;
        let again = JobList::parse(&line(&job, &Base::Here)).next().unwrap().unwrap().job;
        assert_eq!(again, job);
        assert_eq!(line(&Job::new("http://h/a"), &Base::Here), r#"{"url":"http://h/a"}"#);
    }

    #[test]
    fn a_line_says_the_directory_of_the_run_where_a_list_can() {
        let dir = |given: Option<&str>, configured, below: Option<&str>| {
            let job = Job { below: below.map(str::to_owned), ..Job::new("http://h/a") };
            let line = line(&job, &Base::of(given.map(Path::new), configured));
            JobList::parse(&line).next().unwrap().unwrap().job.below
        };
        assert_eq!(dir(Some("out/./x/"), false, None).as_deref(), Some("out/x"));
        assert_eq!(dir(Some("./out"), false, Some("b")).as_deref(), Some("out/b"));
        assert_eq!(dir(None, true, Some("b")).as_deref(), Some("b"));
        for (given, configured) in [("/out", false), ("../out", false), ("out", true), (".", true)] {
            assert_eq!(dir(Some(given), configured, None), None, "{given}");
            assert!(matches!(Base::of(Some(Path::new(given)), configured), Base::Elsewhere(_)), "{given}");
        }
    }
}
