//! `--input-file` and `--metalink`: turns list entries into requests.

use super::bounded;
use super::output;
use super::setup::{By, Setup};
use crate::error::Error;
use crate::formats::input_list::{self, Entry};
use crate::formats::redaction;
use crate::formats::{escape, metalink};
use crate::{Address, Digest, ParseDigestError, Request};
use std::path::Path;

/// Size limit of an input list, in bytes.
const LARGEST: u64 = 256 << 20;

/// An input list or a Metalink document.
pub(super) struct List {
    content: Content,
    /// Name as the user gave it, escaped.
    shown: String,
}

enum Content {
    /// Text that is not parsed yet, since it may be long.
    Text(String),
    /// Files of a Metalink document, and the address it was fetched from.
    Files(Vec<Entry>, Option<Address>),
}

impl List {
    /// Reads an input list; `-` is the standard input.
    pub(super) fn read(path: &Path) -> Result<Self, Error> {
        let shown = escape::for_terminal(&redaction::named(&path.to_string_lossy())).into_owned();
        let text = bounded::read_or_stdin(path, LARGEST)
            .map_err(|error| Error::usage(format!("cannot read {shown}: {error}")))
            .map_err(|error| match redaction::is_like_url(&path.to_string_lossy()) {
                true => error.with_hint("a list is a file, or the standard input: haul URL -o - | haul -i -"),
                false => error,
            })?;
        Ok(Self { content: Content::Text(text), shown })
    }

    /// Reads a Metalink document, from a server if it is named by a URL.
    pub(super) fn metalink(named: &str, setup: &Setup) -> Result<Self, Error> {
        let document = setup.document(named, By::User)?;
        let files = metalink::parse(&document.text);
        let files = files.map_err(|why| document.refused(escape::clip(&why, 300)))?;
        Ok(Self { content: Content::Files(files, document.home), shown: document.shown })
    }

    /// Returns true for a Metalink document that no server sent: none of its URLs gets the secrets given for a URL.
    pub(super) fn is_of_no_server(&self) -> bool {
        matches!(self.content, Content::Files(_, None))
    }

    /// Requests of the list in order, each with its line number.
    pub(super) fn requests<'a>(
        &'a self,
        setup: &'a Setup,
    ) -> Box<dyn Iterator<Item = Result<(usize, Request), Error>> + 'a> {
        let placed = |entry: &Entry, request: Result<Request, Error>| match request {
            Ok(request) => Ok((entry.line, request)),
            Err(error) => Err(self.at(entry.line, &error)),
        };
        match &self.content {
            Content::Text(text) => Box::new(input_list::entries(text).map(move |entry| {
                let entry = entry.map_err(|error| Error::usage(format!("{}: {error}", self.shown)))?;
                placed(&entry, listed(&entry, setup))
            })),
            Content::Files(files, home) => {
                Box::new(files.iter().map(move |entry| placed(entry, described(entry, home.as_ref(), setup))))
            }
        }
    }

    /// Adds the list and the line to an error.
    pub(super) fn at(&self, line: usize, error: &Error) -> Error {
        error.retold(format!("{}: line {line}: {error}", self.shown))
    }

    /// Name as the user gave it, escaped.
    pub(super) fn shown(&self) -> &str {
        &self.shown
    }

    /// Note that a name in the list was changed to a safe one.
    pub(super) fn changed(&self, line: usize, saved: &str) -> String {
        let saved = escape::shown(saved);
        format!(
            "haul: note: {}: line {line}: saved as {saved}, since the name in the list is not a safe one",
            self.shown
        )
    }

    /// Warns of options in the list that haul ignores.
    pub(super) fn say_what_is_left_out(&self) {
        let Content::Text(text) = &self.content else {
            return;
        };
        let mut entries = input_list::entries(text);
        entries.by_ref().for_each(drop);
        let more = entries.left_out.len().saturating_sub(MOST_LEFT_OUT);
        for (line, option) in entries.left_out.into_iter().take(MOST_LEFT_OUT) {
            let option = escape::shown(option);
            let shown = &self.shown;
            output::say(format_args!("haul: warning: {shown}: line {line}: the option {option} is left out"));
        }
        if more > 0 {
            output::say(format_args!("haul: warning: {}: {more} more options are left out", self.shown));
        }
    }
}

/// Ignored options named in warnings; the rest are counted.
const MOST_LEFT_OUT: usize = 20;

/// Builds the request for an entry of the user's own list.
fn listed(entry: &Entry, setup: &Setup) -> Result<Request, Error> {
    let mut request = saved_as(entry, setup, setup.request(&entry.url, By::User)?);
    for mirror in &entry.mirrors {
        request = request.mirror(mirror)?;
    }
    for checksum in &entry.checksums {
        request = request.digest(checksum.parse::<Digest>()?);
    }
    for header in &entry.headers {
        // Unlike on the command line, an @ has no meaning: a list may not name files to be sent.
        let (name, value) =
            header.split_once(':').ok_or_else(|| Error::usage("a header is written as 'Name: value'"))?;
        request = request.header(name, value.trim_matches([' ', '\t']));
    }
    let request = setup.with_listed_digests(request)?;
    request.check_digests()?;
    request.check_mirrors()?;
    Ok(request)
}

/// Builds the request for a file of a Metalink document. Its mirrors are used only if a digest proves that they hold
/// the same file, and if the bytes of a bad one could be taken back, unlike in a stream.
fn described(entry: &Entry, home: Option<&Address>, setup: &Setup) -> Result<Request, Error> {
    // An entry that is no URL says nothing about the others.
    let mut sources =
        std::iter::once(&entry.url).chain(&entry.mirrors).filter(|url| Request::new(url).is_ok());
    let url = sources.next().unwrap_or(&entry.url);
    let mut request = saved_as(entry, setup, setup.request(url, By::Document(home))?);
    for checksum in &entry.checksums {
        match checksum.parse::<Digest>() {
            Ok(digest) => request = request.digest(digest),
            // Digests of algorithms that haul does not compute are skipped.
            Err(ParseDigestError::UnknownAlgorithm { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    request = setup.with_listed_digests(request)?;
    request.check_digests()?;
    if !request.digests.is_empty() && !setup.streams() {
        for mirror in sources {
            request = request.mirror(mirror)?;
        }
    }
    Ok(request)
}

/// Names the file, unless the command line does, and the directory below the user's, which is created for it.
fn saved_as(entry: &Entry, setup: &Setup, mut request: Request) -> Request {
    if setup.options.output.is_none() {
        request.named.clone_from(&entry.output);
        request.below.clone_from(&entry.directory);
    }
    match entry.size {
        Some(size) => request.size(size),
        None => request,
    }
}
