//! `--input-file`: lists given meaning.

use super::args::Options;
use super::session;
use crate::error::Error;
use crate::formats::escape;
use crate::formats::input_list::{self, Entry};
use crate::{Digest, Request};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// A larger list is no list.
const LARGEST: u64 = 256 << 20;

/// The requests of a list; `-` is the standard input.
pub(super) fn requests(path: &Path, options: &Options) -> Result<Vec<Request>, Error> {
    let shown = escape::for_terminal(&path.to_string_lossy()).into_owned();
    let text = read(path).map_err(|error| Error::usage(format!("cannot read {shown}: {error}")))?;
    let list = input_list::parse(&text).map_err(|error| Error::usage(format!("{shown}: {error}")))?;
    for (line, option) in &list.left_out {
        let option = escape::for_terminal(option);
        eprintln!("haul: warning: {shown}: line {line}: the option {option} is left out");
    }
    let requests = list.entries.iter().map(|entry| {
        request(entry, options)
            .map_err(|error| Error::new(error.kind(), format!("{shown}: line {}: {error}", entry.line)))
    });
    requests.collect()
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
