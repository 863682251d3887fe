//! `--input-file` and `--metalink`: the downloads of lists.

use super::output;
use super::setup::{By, Setup, Wanted, stated_by};
use super::spool::Spool;
use crate::error::{Error, Kind};
use crate::formats::{escape, redaction};
use crate::sys::process;
use crate::{Address, Job, JobList, Listed, Transport};
use std::fs::File;
use std::io::{self, BufRead};
use std::path::Path;

/// An input list or a Metalink document.
pub(super) struct List {
    content: Content,
    /// Name as the user gave it, escaped.
    shown: String,
}

enum Content {
    /// Text that is parsed anew each time, since it may be long.
    Text(Spool),
    /// Files of a Metalink document, and the address it was fetched from.
    Files(Vec<Listed>, Option<Address>),
}

impl List {
    /// Reads an input list; `-` is the standard input.
    pub(super) fn read(path: &Path) -> Result<Self, Error> {
        let text = opened(path).and_then(Spool::of).map_err(|error| unreadable(path, &error))?;
        Ok(Self { content: Content::Text(text), shown: shown(path) })
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
        let is_ours = |listed: &Result<(Place, Wanted), Error>| {
            // An error is everybody's.
            listed.as_ref().map_or(true, |(_, wanted)| setup.is_ours(wanted))
        };
        let all: Box<dyn Iterator<Item = _>> = match &self.content {
            Content::Text(text) => {
                Box::new(parsed(text.from(0), setup).map(move |listed| of_text(&self.shown, listed, setup)))
            }
            Content::Files(files, home) => Box::new(
                files.iter().zip(0..).map(move |(file, at)| self.of_file(file, at, home.as_ref(), setup)),
            ),
        };
        Box::new(all.filter(is_ours))
    }

    /// Reads a download again, by the position of its place.
    pub(super) fn again(&self, position: u64, setup: &Setup) -> Result<Wanted, Error> {
        let found = match &self.content {
            Content::Text(text) => {
                parsed(text.from(position), setup).next().map(|listed| of_text(&self.shown, listed, setup))
            }
            Content::Files(files, home) => files
                .get(usize::try_from(position).unwrap_or(usize::MAX))
                .map(|file| self.of_file(file, position, home.as_ref(), setup)),
        };
        let gone = || Error::new(Kind::Other, format!("{}: it has changed since it was read", self.shown));
        found.ok_or_else(gone)?.map(|(_, wanted)| wanted)
    }

    fn of_file(
        &self,
        file: &Listed,
        at: u64,
        home: Option<&Address>,
        setup: &Setup,
    ) -> Result<(Place, Wanted), Error> {
        let by = By::Document(home);
        let wanted = wanted(file.job.clone(), by, setup);
        let mut wanted = wanted.map_err(|error| at_line(&self.shown, file.line, &error))?;
        let over = Transport::of(home);
        if !setup.has_digest_of_one() {
            wanted.request = stated_by((&self.shown, over), &file.job.digests, &[], wanted.request)?;
        }
        wanted.request = wanted.request.pieces_stated_by(&self.shown, over);
        let changed_name = file.changed_name.clone();
        Ok((Place { line: file.line, position: at, changed_name, left_out: Vec::new() }, wanted))
    }

    /// Adds the list and the line to an error.
    pub(super) fn at(&self, line: usize, error: &Error) -> Error {
        at_line(&self.shown, line, error)
    }

    /// Name as the user gave it, escaped.
    pub(super) fn shown(&self) -> &str {
        &self.shown
    }
}

/// Note that a list is empty.
pub(super) const NOTHING: &str = "haul: note: the list names nothing to download";

/// Note that some URLs are duplicates.
pub(super) fn repeated(count: usize) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("haul: note: {count} URL{plural} asked for again: each is fetched once")
}

/// Opens an input list; `-` is the standard input.
pub(super) fn opened(path: &Path) -> io::Result<File> {
    if path.as_os_str() == "-" {
        return process::standard_input();
    }
    #[expect(clippy::disallowed_methods, reason = "a file that the user names")]
    File::open(path)
}

/// Name of a list as the user gave it, escaped.
pub(super) fn shown(path: &Path) -> String {
    escape::for_terminal(&redaction::named(&path.to_string_lossy())).into_owned()
}

/// Error for a list that cannot be read.
pub(super) fn unreadable(path: &Path, error: &io::Error) -> Error {
    let error = Error::usage(format!("cannot read {}: {error}", shown(path)));
    match redaction::is_like_url(&path.to_string_lossy()) {
        true => error.with_hint("a list is a file, or the standard input: haul URL -o - | haul -i -"),
        false => error,
    }
}

/// The jobs of a list. One for aria2c may name directories anywhere.
fn parsed<R: BufRead>(text: R, setup: &Setup) -> JobList<R> {
    let list = JobList::read(text);
    if setup.options.as_aria2 { list.naming_places() } else { list }
}

/// A download of the input list with the name `shown`, and its place.
pub(super) fn of_text(
    shown: &str,
    listed: Result<Listed, Error>,
    setup: &Setup,
) -> Result<(Place, Wanted), Error> {
    let listed = listed.map_err(|error| error.retold(format!("{shown}: {error}")))?;
    let Listed { line, job, changed_name, position, left_out, .. } = listed;
    match wanted(job, By::User, setup) {
        Ok(wanted) => Ok((Place { line, position, changed_name, left_out }, wanted)),
        Err(error) => Err(at_line(shown, line, &error)),
    }
}

/// Adds the list and the line to an error.
pub(super) fn at_line(shown: &str, line: usize, error: &Error) -> Error {
    error.retold(format!("{shown}: line {line}: {error}"))
}

/// Place of a download in its list.
pub(super) struct Place {
    pub(super) line: usize,
    /// Position from which it can be read again.
    pub(super) position: u64,
    /// Name that it is saved under, if the name in the list is not a safe one.
    pub(super) changed_name: Option<String>,
    /// Options that haul ignores, with their lines.
    pub(super) left_out: Vec<(usize, String)>,
}

/// Reports what is otherwise than in a list, up to a number of lines.
pub(super) struct Remarks<'a> {
    shown: &'a str,
    quiet: bool,
    changed: usize,
    left_out: usize,
}

impl<'a> Remarks<'a> {
    /// Changed names and ignored options that are told; the rest are counted.
    const CHANGED: usize = 10;
    const LEFT_OUT: usize = 20;

    pub(super) fn new(shown: &'a str, quiet: bool) -> Self {
        Self { shown, quiet, changed: 0, left_out: 0 }
    }

    pub(super) fn of(&mut self, place: &Place, wanted: &Wanted) {
        let (shown, line) = (self.shown, place.line);
        let changed = place.changed_name.as_ref().filter(|_| wanted.job.output.is_none() && !self.quiet);
        if let Some(saved) = changed {
            self.changed += 1;
            if self.changed <= Self::CHANGED {
                output::say(format_args!(
                    "haul: note: {shown}: line {line}: saved as {}, since the name in the list is not a safe one",
                    escape::shown(saved)
                ));
            }
        }
        for (line, option) in &place.left_out {
            self.left_out += 1;
            if self.left_out <= Self::LEFT_OUT {
                let option = escape::shown(option);
                output::say(format_args!(
                    "haul: warning: {shown}: line {line}: the option {option} is left out"
                ));
            }
        }
    }

    /// Reports the number of those that were not told.
    pub(super) fn end(&self) {
        if let Some(more @ 1..) = self.changed.checked_sub(Self::CHANGED) {
            output::say(format_args!("haul: note: {}: {more} more names are changed", self.shown));
        }
        if let Some(more @ 1..) = self.left_out.checked_sub(Self::LEFT_OUT) {
            output::say(format_args!("haul: warning: {}: {more} more options are left out", self.shown));
        }
    }
}

/// Resolves the job of a list. The mirrors of a document are used only if a digest proves that they hold the same file, and if the
/// bytes of a bad one could be taken back, unlike in a stream.
fn wanted(mut job: Job, by: By<'_>, setup: &Setup) -> Result<Wanted, Error> {
    // aria2 takes several URLs of one file on trust; without a digest only the first is used.
    if matches!(by, By::Document(_)) || setup.options.as_aria2 {
        let mut described = job.clone();
        setup.add_listed_digests(&mut described)?;
        if setup.streams() || !(described.is_proven() || setup.has_digest_of_one()) {
            job.mirrors.clear();
        }
    }
    setup.resolved(job, by)
}
