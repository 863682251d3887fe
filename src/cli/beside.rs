//! `--find-checksum` and `--minisign`: lists of digests and signatures beside a file.

use super::digests::Listed;
use super::document::Document;
use super::runtime::small_runtime;
use super::setup::{By, Setup, Wanted};
use super::signatures;
use crate::error::{Error, Kind};
use crate::{Client, Job, MinisignKey, MinisignSignature, NamedBy, Request};
use std::collections::BTreeMap;
use tokio::runtime::Runtime;

/// Lists that are looked for, in order: those of the file alone, and those of its directory.
const OF_THE_FILE: [&str; 4] = [".sha256", ".sha256sum", ".sha512", ".sha512sum"];
const OF_THE_DIRECTORY: [&str; 5] =
    ["SHA256SUMS", "sha256sum.txt", "sha256sums.txt", "checksums.txt", "SHA512SUMS"];

/// Search for lists and signatures, with the lists of directories that were found.
pub(super) struct Beside<'a> {
    setup: &'a Setup,
    client: Client,
    runtime: Runtime,
    known: BTreeMap<String, Found>,
}

/// Outcome of the search for one list.
enum Found {
    Absent,
    /// A list without a signature, where one is wanted.
    Unsigned,
    List(Box<Listed>),
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

    /// Adds to a download the digest that a list beside its file states, or the signature of the file.
    ///
    /// # Errors
    /// `Checksum` if there is none, or a wrong one; those of a server that cannot be reached.
    pub(super) fn proven(&mut self, wanted: Wanted) -> Result<Wanted, Error> {
        let Wanted { job, request, line } = wanted;
        let finds_list = self.setup.options.digests.find_checksum && request.digests().is_empty();
        let request = match self.setup.key.clone() {
            _ if finds_list => self.find(&job, request)?,
            Some(key) => request.signature(self.signature(&key, &job)?)?,
            None => request,
        };
        Ok(Wanted { job, request, line })
    }

    /// Adds the digests that a list beside the file states of it. With a key, a list counts only if it is signed.
    fn find(&mut self, job: &Job, request: Request) -> Result<Request, Error> {
        let url = job.url.as_str();
        let bare = url.split(['?', '#']).next().unwrap_or(url);
        let (directory, name) = bare.rsplit_once('/').unwrap_or((bare, ""));
        let paths = [vec![percent_encoding::percent_decode_str(name).decode_utf8_lossy().into_owned()]];
        let own = OF_THE_FILE.iter().map(|suffix| (format!("{bare}{suffix}"), false));
        let shared = OF_THE_DIRECTORY.iter().map(|list| (format!("{directory}/{list}"), true));
        let mut tried = Vec::new();
        for (list, is_shared) in own.chain(shared) {
            if !is_shared || !self.known.contains_key(&list) {
                let found = self.look_for(&list, &job.named_by)?;
                self.known.insert(list.clone(), found);
            }
            let name = list.rsplit('/').next().unwrap_or_default();
            match self.known.get(&list) {
                Some(Found::List(listed)) => match listed.of(&paths) {
                    Ok(digests) => return Ok(listed.stating(&digests, request)),
                    Err(_) => tried.push(name.to_owned()),
                },
                Some(Found::Unsigned) => tried.push(format!("{name} (not signed)")),
                Some(Found::Absent) | None => tried.push(name.to_owned()),
            }
        }
        let cause =
            format!("no list beside {} states its digest; looked for {}", shown(bare), tried.join(", "));
        Err(Error::new(Kind::Checksum, cause)
            .with_hint("leave out --find-checksum, or name the list with --checksum-file"))
    }

    /// Reads a list, if there is one. A page that says so in words is none.
    fn look_for(&self, url: &str, named_by: &NamedBy) -> Result<Found, Error> {
        let document = match self.fetch(url, named_by) {
            Ok(document) => document,
            Err(error) if signatures::is_absence(&error) => return Ok(Found::Absent),
            Err(error) => return Err(error),
        };
        let Ok(listed) = Listed::read(&document) else {
            return Ok(Found::Absent);
        };
        let Some(key) = &self.setup.key else {
            return Ok(Found::List(Box::new(listed)));
        };
        let signature = match self.fetch(&signatures::url_beside(url), named_by) {
            Err(error) if signatures::is_absence(&error) => return Ok(Found::Unsigned),
            outcome => signatures::fetched(key, &document.shown, outcome)?,
        };
        let signer = signatures::signer(&document, &signature)?;
        Ok(Found::List(Box::new(listed.signed_by(Some(signer)))))
    }

    /// Signature beside the file.
    fn signature(&self, key: &MinisignKey, job: &Job) -> Result<MinisignSignature, Error> {
        if job.range.is_some() {
            return Err(Error::usage("a signature is of a whole file, and this is a part of one")
                .with_hint("give the digest of the part with --sha256 HEX"));
        }
        let url = signatures::url_beside(&job.url);
        signatures::fetched(key, &shown(&url), self.fetch(&url, &job.named_by))
    }

    /// Fetches a document, which gets the secrets that the file itself gets.
    fn fetch(&self, url: &str, named_by: &NamedBy) -> Result<Document, Error> {
        let home = match named_by {
            NamedBy::Document(home) => Some(home.as_deref().map(Request::new).transpose()?),
            _ => None,
        };
        let by = home.as_ref().map_or(By::User, |home| By::Document(home.as_ref().map(Request::address)));
        let request = self.setup.request_of_document(url, by)?;
        Document::fetch_on(&self.runtime, request, &self.client)
    }
}

fn shown(url: &str) -> String {
    Request::new(url).map_or_else(|_| "the file".to_owned(), |request| request.address().to_string())
}
