//! `--failed FILE`: what was not saved, as a list that can be run again.

use super::args::Options;
use crate::Job;
use crate::error::Error;
use crate::sys;
use serde_json::json;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

/// Line of a list for a job, before the options of the command line are added to it.
pub(super) fn line(job: &Job) -> String {
    let headers: Vec<_> = job.headers.values().flatten().collect();
    let mut object = json!({ "url": job.url });
    for (key, value) in [
        ("output", json!(job.name)),
        ("dir", json!(job.below.clone().or_else(|| Some(job.dir.as_ref()?.to_string_lossy().into_owned())))),
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
}

impl Unsaved {
    pub(super) fn create(path: &Path) -> Result<Self, Error> {
        let mut beside = path.as_os_str().to_owned();
        beside.push(format!(".{}.tmp", std::process::id()));
        let beside = PathBuf::from(beside);
        // It may hold headers, and signed URLs.
        let file = sys::private(OpenOptions::new().write(true).create_new(true)).open(&beside);
        let file = file.map_err(|error| Error::disk("cannot write", path, &error))?;
        Ok(Self { file: BufWriter::new(file), path: path.to_owned(), beside })
    }

    pub(super) fn add(&mut self, line: &str) -> io::Result<()> {
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
        let again = JobList::parse(&line(&job)).next().unwrap().unwrap().job;
        assert_eq!(again, job);
        assert_eq!(line(&Job::new("http://h/a")), r#"{"url":"http://h/a"}"#);
    }
}
