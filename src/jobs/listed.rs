//! Jobs of the files that lists and Metalink documents name.

use super::job::{Job, NamedBy, PieceDigests};
use crate::engine::Request;
use crate::error::Error;
use crate::formats::input_list::{self, Entries, Entry, StatedPieces};
use crate::formats::{escape, metalink};
use crate::plan::Address;
use crate::verify::{Algorithm, Digest, ParseDigestError};
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
            let mut listed = proposed(&entry, &entry.url);
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
    files.iter().map(|file| described(file, home)).collect()
}

fn described(entry: &Entry, home: Option<&Address>) -> Result<Listed, Error> {
    // An entry that is no URL says nothing about the others.
    let mut sources =
        std::iter::once(&entry.url).chain(&entry.mirrors).filter(|url| Request::new(url).is_ok());
    let mut listed = proposed(entry, sources.next().unwrap_or(&entry.url));
    let job = &mut listed.job;
    job.named_by = NamedBy::Document(home.map(|home| home.origin().to_string()));
    job.mirrors = sources.cloned().collect();
    for checksum in &entry.checksums {
        match checksum.parse::<Digest>() {
            Ok(_) => job.digests.push(checksum.clone()),
            Err(ParseDigestError::UnknownAlgorithm { .. }) => {}
            Err(error) => {
                let error = Error::from(error);
                return Err(error.retold(format!("line {}: {error}", entry.line)));
            }
        }
    }
    job.pieces = strongest(&entry.pieces).map(Box::new);
    Ok(listed)
}

/// The digests of pieces by the best of the hash functions that are computed here.
fn strongest(stated: &[StatedPieces]) -> Option<PieceDigests> {
    let known = stated.iter().filter_map(|pieces| Some((pieces.function.parse::<Algorithm>().ok()?, pieces)));
    let usable = known.filter(|(_, pieces)| pieces.length > 0 && !pieces.digests.is_empty());
    let (algorithm, pieces) = usable.max_by_key(|(algorithm, _)| algorithm.is_collision_resistant())?;
    let StatedPieces { length, digests, .. } = pieces.clone();
    Some(PieceDigests { length, algorithm: algorithm.to_string(), digests })
}

fn proposed(entry: &Entry, url: &str) -> Listed {
    let mut job = Job::new(url);
    job.name = entry.output.as_ref().map(ToString::to_string);
    job.below = entry.directory.as_ref().map(ToString::to_string);
    job.size = entry.size;
    let Entry { line, position, .. } = *entry;
    Listed { line, job, changed_name: changed_name(entry), position, left_out: Vec::new() }
}

/// Name of the file, if the list has another one that cannot be used as it is.
fn changed_name(entry: &Entry) -> Option<String> {
    let whole = match (&entry.output, &entry.directory) {
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
    }
}
