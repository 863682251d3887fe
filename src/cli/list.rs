//! `--input-file` and `--metalink`: the downloads of lists.

use super::bounded;
use super::output;
use super::setup::{By, Setup, Wanted, stated_by};
use crate::error::Error;
use crate::formats::{escape, redaction};
use crate::{Address, Job, JobList, Listed};
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
    Files(Vec<Listed>, Option<Address>),
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
        let files = crate::metalink(&document.text, document.home.as_ref());
        let files = files.map_err(|error| document.refused(error))?;
        Ok(Self { content: Content::Files(files, document.home), shown: document.shown })
    }

    /// Returns true for a Metalink document that no server sent: none of its URLs gets the secrets given for a URL.
    pub(super) fn is_of_no_server(&self) -> bool {
        matches!(self.content, Content::Files(_, None))
    }

    /// Downloads of the list in order, each with its place.
    pub(super) fn requests<'a>(
        &'a self,
        setup: &'a Setup,
    ) -> Box<dyn Iterator<Item = Result<(Place, Wanted), Error>> + 'a> {
        let placed = |listed: Listed, by: By<'_>| {
            let Listed { line, job, changed_name, .. } = listed;
            match wanted(job, by, setup) {
                Ok(wanted) => Ok((Place { line, changed_name }, wanted)),
                Err(error) => Err(self.at(line, &error)),
            }
        };
        let is_ours = |listed: &Result<(Place, Wanted), Error>| {
            // An error is everybody's.
            listed.as_ref().map_or(true, |(_, wanted)| setup.is_ours(wanted))
        };
        let all: Box<dyn Iterator<Item = _>> = match &self.content {
            Content::Text(text) => Box::new(parsed(text, setup).map(move |listed| {
                let listed = listed.map_err(|error| self.of(&error))?;
                placed(listed, By::User)
            })),
            Content::Files(files, home) => Box::new(files.iter().cloned().map(move |file| {
                let digests = file.job.digests.clone();
                let (place, mut wanted) = placed(file, By::Document(home.as_ref()))?;
                if !setup.has_digest_of_one() {
                    wanted.request = stated_by(&self.shown, &digests, &[], wanted.request)?;
                }
                Ok((place, wanted))
            })),
        };
        Box::new(all.filter(is_ours))
    }

    /// Adds the list to an error that names the line.
    fn of(&self, error: &Error) -> Error {
        error.retold(format!("{}: {error}", self.shown))
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
        let mut list = JobList::parse(text);
        list.by_ref().for_each(drop);
        let more = list.left_out().len().saturating_sub(MOST_LEFT_OUT);
        for (line, option) in list.left_out().iter().take(MOST_LEFT_OUT) {
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

/// The jobs of a list. One for aria2c may name directories anywhere.
fn parsed<'a>(text: &'a str, setup: &Setup) -> JobList<'a> {
    let list = JobList::parse(text);
    if setup.options.as_aria2 { list.naming_places() } else { list }
}

/// Place of a download in its list.
pub(super) struct Place {
    pub(super) line: usize,
    /// Name that it is saved under, if the name in the list is not a safe one.
    pub(super) changed_name: Option<String>,
}

/// Resolves the job of a list. The mirrors of a document are used only if a digest proves that they hold the same file, and if the
/// bytes of a bad one could be taken back, unlike in a stream.
fn wanted(mut job: Job, by: By<'_>, setup: &Setup) -> Result<Wanted, Error> {
    // aria2 takes several URLs of one file on trust; without a digest only the first is used.
    if matches!(by, By::Document(_)) || setup.options.as_aria2 {
        let mut described = job.clone();
        setup.add_listed_digests(&mut described)?;
        if setup.streams() || (described.digests.is_empty() && !setup.has_digest_of_one()) {
            job.mirrors.clear();
        }
    }
    setup.resolved(job, by)
}
