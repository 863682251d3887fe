//! `--find-checksum`: lists of digests beside a file.

use super::digests::Listed;
use super::document::Document;
use super::runtime::small_runtime;
use super::setup::{By, Setup};
use crate::error::{Error, Kind};
use crate::{Client, Digest, Job, NamedBy, Request};
use std::collections::BTreeMap;
use tokio::runtime::Runtime;

/// Lists that are looked for, in order: those of the file alone, and those of its directory.
const OF_THE_FILE: [&str; 4] = [".sha256", ".sha256sum", ".sha512", ".sha512sum"];
const OF_THE_DIRECTORY: [&str; 5] =
    ["SHA256SUMS", "sha256sum.txt", "sha256sums.txt", "checksums.txt", "SHA512SUMS"];

/// Search for lists, with those of directories that were found; `None` for those that are not there.
pub(super) struct Beside<'a> {
    setup: &'a Setup,
    client: Client,
    runtime: Runtime,
    known: BTreeMap<String, Option<Listed>>,
}

impl<'a> Beside<'a> {
    pub(super) fn new(setup: &'a Setup) -> Result<Self, Error> {
        let (client, runtime) = (setup.client_for_documents()?, small_runtime()?);
        Ok(Self { setup, client, runtime, known: BTreeMap::new() })
    }

    /// Ends the search. A thread still busy with a name lookup does not keep the process alive.
    pub(super) fn end(self) {
        self.runtime.shutdown_background();
    }

    /// Digests that a list beside the file at `url` states of it, and the URL of the list, redacted.
    ///
    /// # Errors
    /// `Checksum` if no list states one; those of a server that cannot be reached.
    pub(super) fn find(&mut self, job: &Job) -> Result<(Vec<Digest>, String), Error> {
        let url = job.url.as_str();
        let bare = url.split(['?', '#']).next().unwrap_or(url);
        let (directory, name) = bare.rsplit_once('/').unwrap_or((bare, ""));
        let own = OF_THE_FILE.iter().map(|suffix| (format!("{bare}{suffix}"), false));
        let shared = OF_THE_DIRECTORY.iter().map(|list| (format!("{directory}/{list}"), true));
        let mut tried = Vec::new();
        for (list, is_shared) in own.chain(shared) {
            let found = match self.known.get(&list).filter(|_| is_shared) {
                Some(known) => known.as_ref(),
                None => {
                    let read = self.read(&list, &job.named_by)?;
                    self.known.entry(list.clone()).insert_entry(read).into_mut().as_ref()
                }
            };
            let paths = [vec![percent_encoding::percent_decode_str(name).decode_utf8_lossy().into_owned()]];
            let digests = found.and_then(|listed| listed.of(&paths).ok());
            if let (Some(digests), Some(listed)) = (digests, found) {
                return Ok((digests, listed.shown().to_owned()));
            }
            tried.push(list.rsplit('/').next().unwrap_or_default().to_owned());
        }
        let cause =
            format!("no list beside {} states its digest; looked for {}", shown(bare), tried.join(", "));
        Err(Error::new(Kind::Checksum, cause)
            .with_hint("leave out --find-checksum, or name the list with --checksum-file"))
    }

    /// Reads a list, if there is one. A page that says so in words is none.
    fn read(&self, url: &str, named_by: &NamedBy) -> Result<Option<Listed>, Error> {
        // A list gets the secrets that the file itself gets.
        let home = match named_by {
            NamedBy::Document(home) => Some(home.as_deref().map(Request::new).transpose()?),
            _ => None,
        };
        let by = home.as_ref().map_or(By::User, |home| By::Document(home.as_ref().map(Request::address)));
        let request = self.setup.request_of_document(url, by)?;
        match Document::fetch_on(&self.runtime, request, &self.client) {
            Ok(document) => Ok(Listed::read(&document).ok()),
            Err(error) if matches!(error.kind(), Kind::NotFound | Kind::Http | Kind::Auth) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn shown(url: &str) -> String {
    Request::new(url).map_or_else(|_| "the file".to_owned(), |request| request.address().to_string())
}
