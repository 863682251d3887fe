//! A job as a message: its text, its identifier, and the place of the list that it comes from.

use crate::error::{Error, Kind};
use crate::jobs::Job;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::path::{Component, Path};

/// Version of the messages, also in the metadata of the streams.
pub(super) const VERSION: u32 = 1;
/// Longest message, in bytes; that is the default limit of a NATS server.
const LONGEST: usize = 1 << 20;
/// Header with the name of the list.
pub(super) const LIST: &str = "Haul-List";
/// Header with the line in the list.
pub(super) const LINE: &str = "Haul-Line";

/// A job that is to be submitted.
#[derive(Clone, Debug)]
pub(crate) struct Posting {
    /// The job as the list states it.
    pub(crate) job: Job,
    /// Name of the list, escaped, and the line.
    pub(crate) place: Place,
}

/// Place that a job comes from, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) list: Option<String>,
    pub(crate) line: Option<u64>,
}

/// Text of a message.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Letter {
    v: u32,
    job: Job,
}

impl Posting {
    /// # Errors
    /// `Usage` for a job that no message can hold.
    pub(super) fn encode(&self) -> Result<Vec<u8>, Error> {
        let text = serde_json::to_vec(&Letter { v: VERSION, job: self.job.clone() });
        let text = text.map_err(|_| Error::usage("a job has only paths that are UTF-8"))?;
        match text.len() {
            0..=LONGEST => Ok(text),
            _ => Err(Error::usage(format!("a job takes at most {LONGEST} bytes as JSON"))),
        }
    }
}

/// Reads a message. The job stays below the directory of the worker, and replaces no file.
///
/// # Errors
/// `Usage` for a text that is no job; `Unsafe` for a path that leaves the directory. No error shows the text, which may hold secrets.
pub(super) fn decode(text: &[u8]) -> Result<Job, Error> {
    if text.len() > LONGEST {
        return Err(Error::usage(format!("no job: it takes {} bytes", text.len())));
    }
    let letter: Letter = serde_json::from_slice(text).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        Error::usage(format!("no job: {} at line {line}, column {column}", fault(&error)))
    })?;
    if letter.v != VERSION {
        return Err(Error::usage(format!("no job: its version is {}, and {VERSION} is known", letter.v)));
    }
    let job = letter.job;
    for path in [&job.output, &job.dir].into_iter().flatten() {
        if !is_below(path) {
            return Err(Error::new(Kind::Unsafe, "the job names a path outside the directory of the worker"));
        }
    }
    Ok(job)
}

fn fault(error: &serde_json::Error) -> &'static str {
    match error.classify() {
        serde_json::error::Category::Eof => "the text ends early",
        serde_json::error::Category::Data => "a field is missing, unknown or of another type",
        _ => "the text is no JSON",
    }
}

fn is_below(path: &Path) -> bool {
    path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
}

/// Identifier of a job in the queue, by all that it states: 32 hexadecimal digits. A line that was corrected is another job.
pub(crate) fn id_of(job: &Job) -> String {
    // A job that is no JSON is refused before it is sent.
    let hash = Sha256::digest(serde_json::to_vec(job).unwrap_or_default());
    hash[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn posting(job: Job) -> Posting {
        Posting { job, place: Place::default() }
    }

    #[test]
    fn a_job_survives_its_message() {
        let mut job = Job::new("https://example.org/f");
        job.name = Some("d/f".into());
        assert_eq!(decode(&posting(job.clone()).encode().unwrap()).unwrap(), job);
    }

    #[test]
    fn a_text_that_is_no_job_is_refused_without_being_shown() {
        for (text, why) in [
            (&b"geheim"[..], "no JSON"),
            (b"{\"v\":1,\"job\":{\"url\":", "ends early"),
            (b"{\"v\":1,\"job\":{\"url\":\"x\",\"geheim\":1}}", "unknown"),
            (b"{\"v\":2,\"job\":{\"url\":\"geheim\"}}", "version is 2"),
            (b"\xff\xfe", "no JSON"),
            (b"", "ends early"),
        ] {
            let said = decode(text).unwrap_err().to_string();
            assert!(said.contains(why) && !said.contains("geheim"), "{said}");
        }
        assert!(decode(&vec![b' '; LONGEST + 1]).is_err());
        let mut long = Job::new("https://example.org/f");
        long.tags.insert("long".into(), "x".repeat(LONGEST));
        assert!(posting(long).encode().is_err());
    }

    #[test]
    fn a_job_leaves_no_directory() {
        for (path, is_safe) in
            [("a/b", true), ("/etc/passwd", false), ("../x", false), ("a/../../x", false), ("./a", true)]
        {
            let mut job = Job::new("https://example.org/f");
            job.output = Some(path.into());
            assert_eq!(decode(&posting(job.clone()).encode().unwrap()).is_ok(), is_safe, "{path}");
            (job.dir, job.output) = (job.output, None);
            assert_eq!(decode(&posting(job).encode().unwrap()).is_ok(), is_safe, "{path}");
        }
    }

    #[test]
    fn equal_jobs_have_one_identifier_and_a_corrected_one_has_another() {
        let mut job = Job::new("https://example.org/f");
        let id = id_of(&job);
        assert_eq!(id.len(), 32);
        assert_eq!(id_of(&job.clone()), id);
        for change in [
            (|job| job.name = Some("g".into())) as fn(&mut Job),
            |job| job.digests.push("sha256:00".into()),
            |job| job.range = Some("0-9".into()),
        ] {
            let before = id_of(&job);
            change(&mut job);
            assert_ne!(id_of(&job), before);
        }
    }
}
