//! `--input-file`: lists given meaning.

use super::args::Options;
use super::{output, session};
use crate::error::Error;
use crate::formats::escape;
use crate::formats::input_list::{self, Entry};
use crate::{Digest, Request};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// A larger list is no list.
const LARGEST: u64 = 256 << 20;

/// A list that was read, and not looked into yet.
pub(super) struct List {
    text: String,
    /// What the person calls it, escaped.
    shown: String,
}

impl List {
    /// Reads it; `-` is the standard input.
    pub(super) fn read(path: &Path) -> Result<Self, Error> {
        let shown = escape::for_terminal(&path.to_string_lossy()).into_owned();
        let text = read(path).map_err(|error| Error::usage(format!("cannot read {shown}: {error}")))?;
        Ok(Self { text, shown })
    }

    /// What it asks for, one after the other, and on which line.
    pub(super) fn requests<'a>(
        &'a self,
        options: &'a Options,
    ) -> impl Iterator<Item = Result<(usize, Request), Error>> + 'a {
        input_list::entries(&self.text).map(move |entry| {
            let entry = entry.map_err(|error| Error::usage(format!("{}: {error}", self.shown)))?;
            let request = request(&entry, options).map_err(|error| self.at(entry.line, &error))?;
            Ok((entry.line, request))
        })
    }

    /// An error that lies in this line.
    pub(super) fn at(&self, line: usize, error: &Error) -> Error {
        let placed = Error::new(error.kind(), format!("{}: line {line}: {error}", self.shown));
        match error.hint() {
            Some(hint) => placed.with_hint(hint),
            None => placed,
        }
    }

    /// Says which of its options are left out.
    pub(super) fn say_what_is_left_out(&self) {
        let mut entries = input_list::entries(&self.text);
        entries.by_ref().for_each(drop);
        for (line, option) in entries.left_out {
            let option = escape::for_terminal(option);
            let shown = &self.shown;
            output::say(format_args!("haul: warning: {shown}: line {line}: the option {option} is left out"));
        }
    }
}

fn read(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    if path.as_os_str() == "-" {
        std::io::stdin().take(LARGEST).read_to_string(&mut text)?;
    } else {
        #[expect(clippy::disallowed_methods, reason = "a file that the user names")]
        File::open(path)?.take(LARGEST).read_to_string(&mut text)?;
    }
    if text.len() as u64 == LARGEST {
        return Err(std::io::Error::other("it is too large"));
    }
    Ok(text)
}

fn request(entry: &Entry, options: &Options) -> Result<Request, Error> {
    let mut request = session::request(&entry.url, options)?;
    if let Some(below) = &entry.directory {
        request = request.directory(options.dir.as_deref().unwrap_or(Path::new(".")).join(below));
    }
    if let Some(name) = &entry.output {
        request = request.output(name);
    }
    for mirror in &entry.mirrors {
        request = request.mirror(mirror)?;
    }
    for checksum in &entry.checksums {
        request = request.digest(checksum.parse::<Digest>()?);
    }
    for header in &entry.headers {
        // Unlike on the command line, an @ means nothing: a list may not name files to be sent.
        let (name, value) =
            header.split_once(':').ok_or_else(|| Error::usage("a header is written as 'Name: value'"))?;
        request = request.header(name, value.trim_matches([' ', '\t']));
    }
    request.check_mirrors()?;
    Ok(request)
}
