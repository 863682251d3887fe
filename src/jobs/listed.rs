//! Jobs of the files that lists and Metalink documents name.

use super::job::{Job, NamedBy, PieceDigests};
use crate::engine::{Request, strongest};
use crate::error::Error;
use crate::formats::escape;
use crate::formats::file_name::ForeignName;
use crate::formats::input_list::{self, Entries};
use crate::formats::metalink::{self, Described};
use crate::plan::Address;
use crate::verify::{Digest, ParseDigestError};
use std::io::BufRead;

/// Longest reason given for a document that cannot be used, in characters.
const LONGEST_REASON: usize = 300;

/// A job and its place in the text that names it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Listed {
    /// Line number, counted from 1.
    pub line: usize,
    /// The job, unchecked.
    pub job: Job,
    /// Name that it is saved under, if the name in the text is not a safe one.
    pub changed_name: Option<String>,
    /// Position of the first byte of its line in an input list, from which the job can be read again.
    pub position: u64,
    /// Options that are not taken from a list, each with its line.
    pub left_out: Vec<(usize, String)>,
}

/// The jobs of an input list, parsed one at a time as the text comes: URLs, JSON lines, or the format of aria2. A list states
/// files, not how to fetch them. After an error it goes on with the next file.
///
/// ```
/// let mut list = haul::JobList::parse("https://example.org/a\nhttps://example.org/b\n  out=c\n");
/// let names: Vec<_> = list.by_ref().map(|listed| Ok(listed?.job.name)).collect::<Result<_, haul::Error>>()?;
/// assert_eq!(names, [None, Some("c".to_owned())]);
/// # Ok::<(), haul::Error>(())
/// ```
#[derive(Debug)]
pub struct JobList<R>(Entries<R>);

impl<'a> JobList<&'a [u8]> {
    /// Jobs of the list in `text`.
    #[must_use]
    pub fn parse(text: &'a str) -> Self {
        Self(input_list::entries(text))
    }
}

impl<R: BufRead> JobList<R> {
    /// Jobs of the list that `reader` gives. No more of it is kept than the file that is being read.
    #[must_use]
    pub fn read(reader: R) -> Self {
        Self(Entries::new(reader))
    }

    /// Lets the list name directories anywhere, as aria2 does: for a list of the user's own.
    #[must_use]
    pub fn naming_places(mut self) -> Self {
        self.0.names_places = true;
        self
    }

    /// Takes each line for a whole file, so that none waits for the next line: for a list that is still being written. Options on
    /// lines of their own are errors then.
    #[must_use]
    pub fn one_a_line(mut self) -> Self {
        self.0.one_a_line = true;
        self
    }
}

impl<R: BufRead> Iterator for JobList<R> {
    type Item = Result<Listed, Error>;

    /// # Errors
    /// `Usage` with the line, for an entry that cannot be read.
    fn next(&mut self) -> Option<Self::Item> {
        let entry = self.0.next()?.map_err(|error| Error::usage(error.to_string()));
        Some(entry.and_then(|mut entry| {
            let of_line = |error: Error| error.retold(format!("line {}: {error}", entry.line));
            let mut listed =
                proposed(entry.line, &entry.url, entry.output.as_ref(), entry.directory.as_ref());
            listed.position = entry.position;
            listed.job.size = entry.size;
            listed.job.mirrors.clone_from(&entry.mirrors);
            listed.job.dir.clone_from(&entry.place);
            listed.job.digests.clone_from(&entry.checksums);
            listed.job.add_headers(&entry.headers).map_err(of_line)?;
            listed.left_out = std::mem::take(&mut entry.left_out);
            Ok(listed)
        }))
    }
}

/// The jobs of a Metalink document (RFC 5854, and version 3 before it) that came from `home`, or from no server. Digests of algorithms that
/// are not computed here are skipped.
///
/// # Errors
/// `Usage` with the line, if it is no Metalink document.
pub fn metalink(text: &str, home: Option<&Address>) -> Result<Vec<Listed>, Error> {
    let files = metalink::parse(text).map_err(|why| Error::usage(escape::clip(&why, LONGEST_REASON)))?;
    let has_source = |file: &Described| match file.urls.is_empty() {
        true => Err(Error::usage(format!(
            "line {}: {} has no http or https source",
            file.line,
            escape::shown(&file.name.to_string())
        ))),
        false => described(file, home),
    };
    files.iter().map(has_source).collect()
}

/// As [`metalink`], of files that are there already: a file without a source has a job with an empty URL, which says what the file has to be
/// and cannot be carried out.
///
/// # Errors
/// `Usage` with the line, if it is no Metalink document.
pub fn metalink_of_files(text: &str) -> Result<Vec<Listed>, Error> {
    let files = metalink::parse(text).map_err(|why| Error::usage(escape::clip(&why, LONGEST_REASON)))?;
    files.iter().map(|file| described(file, None)).collect()
}

fn described(file: &Described, home: Option<&Address>) -> Result<Listed, Error> {
    let line = file.line;
    // An entry that is no URL says nothing about the others.
    let mut sources = file.urls.iter().filter(|url| Request::new(url).is_ok());
    let url = sources.next().or(file.urls.first()).map_or("", String::as_str);
    let mut listed = proposed(line, url, Some(&file.name), None);
    let job = &mut listed.job;
    job.size = file.size;
    job.named_by = NamedBy::Document(home.map(|home| home.origin().to_string()));
    job.mirrors = sources.cloned().collect();
    for digest in &file.digests {
        match digest.parse::<Digest>() {
            Ok(_) => job.digests.push(digest.clone()),
            Err(ParseDigestError::UnknownAlgorithm { .. }) => {}
            Err(error) => {
                let error = Error::from(error);
                return Err(error.retold(format!("line {line}: {error}")));
            }
        }
    }
    job.pieces = strongest(&file.pieces).map(|(algorithm, pieces)| {
        let (length, digests) = (pieces.length, pieces.digests.clone());
        Box::new(PieceDigests { length, algorithm: algorithm.to_string(), digests })
    });
    Ok(listed)
}

fn proposed(line: usize, url: &str, name: Option<&ForeignName>, below: Option<&ForeignName>) -> Listed {
    let mut job = Job::new(url);
    job.name = name.map(ToString::to_string);
    job.below = below.map(ToString::to_string);
    Listed { line, job, changed_name: changed_name(name, below), position: 0, left_out: Vec::new() }
}

/// Name of the file, if the list has another one that cannot be used as it is.
fn changed_name(name: Option<&ForeignName>, below: Option<&ForeignName>) -> Option<String> {
    let whole = match (name, below) {
        (Some(name), Some(directory)) => name.clone().within(directory),
        (Some(name), None) | (None, Some(name)) => name.clone(),
        (None, None) => return None,
    };
    whole.is_changed().then(|| whole.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::{Defaults, resolve};
    use std::path::PathBuf;

    fn path(listed: &Listed) -> PathBuf {
        resolve(&listed.job, &Defaults::default()).unwrap().planned_path().unwrap()
    }

    #[test]
    fn a_name_of_a_list_becomes_a_safe_one_and_the_change_is_known() {
        let list: Vec<_> = JobList::parse("http://h/a\n  out=b/.c\n  dir=d\nhttp://h/e\n").collect();
        let [changed, plain] = &list[..] else { panic!("{list:?}") };
        let (changed, plain) = (changed.as_ref().unwrap(), plain.as_ref().unwrap());
        assert_eq!(path(changed), PathBuf::from("d/b/c"));
        assert_eq!(changed.changed_name.as_deref(), Some("d/b/c"));
        assert_eq!((path(plain), plain.line), (PathBuf::from("e"), 4));
        assert_eq!(plain.changed_name, None);
    }

    #[test]
    fn a_job_can_be_read_again_from_its_position() {
        let text = "# two\nhttp://h/a\n  out=b\n  split=4\n{\"url\": \"http://h/c\"}\nhttp://h/d\n";
        let all: Vec<_> = JobList::parse(text).map(Result::unwrap).collect();
        assert_eq!(all.iter().map(|listed| listed.line).collect::<Vec<_>>(), [2, 5, 6]);
        assert_eq!(all[0].left_out, [(4, "split".to_owned())]);
        for listed in all {
            let from_there = &text.as_bytes()[listed.position as usize..];
            assert_eq!(JobList::read(from_there).next().unwrap().unwrap().job, listed.job);
        }
    }

    #[test]
    fn headers_of_a_list_are_for_the_origin_of_its_url() {
        let text = r#"{"url": "http://h:81/a", "headers": ["A: b"], "sha256": "nonsense"}"#;
        let listed = JobList::parse(text).next().unwrap().unwrap();
        assert_eq!(listed.job.headers["http://h:81"], ["A: b"]);
        assert_eq!(listed.job.digests, ["sha256:nonsense"]);
        assert_eq!(resolve(&listed.job, &Defaults::default()).unwrap_err().field, "digests");
    }

    #[test]
    fn a_document_names_its_server_and_no_digest_that_is_not_computed() {
        let hex = "0".repeat(64);
        let text = format!(
            "<metalink xmlns=\"urn:ietf:params:xml:ns:metalink\"><file name=\"f\"><hash type=\"sha-256\">{hex}</hash>\
             <hash type=\"tiger\">00</hash><url>http://a/f</url><url>ftp://b/f</url><url>http://c/f</url></file></metalink>"
        );
        let home = Request::new("https://d:8443/l.meta4").unwrap();
        let jobs = metalink(&text, Some(home.address())).unwrap();
        let [Listed { job, .. }] = &jobs[..] else { panic!("{jobs:?}") };
        assert_eq!(job.named_by, NamedBy::Document(Some("https://d:8443".into())));
        assert_eq!((&job.url[..], job.digests.len()), ("http://a/f", 1));
        assert_eq!(job.mirrors, ["http://c/f"]);
        assert!(metalink("<html/>", None).is_err());
        let error = metalink("<metalink>\n<file name=\"x\"><url>ftp://b/f</url></file></metalink>", None)
            .unwrap_err();
        assert_eq!(error.to_string(), "line 2: x has no http or https source");
    }
}
