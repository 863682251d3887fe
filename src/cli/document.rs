//! Text that the user names by a file or by a URL: digest lists, Metalink documents.

use super::bounded;
use super::runtime::runtime;
use super::signals;
use crate::error::{Error, Kind};
use crate::formats::escape;
use crate::formats::redaction;
use crate::{Address, Client, Connections, Request};
use std::fmt;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::runtime::Runtime;

/// Size limit, in bytes; larger files are no lists.
const LARGEST: usize = 8 << 20;

/// Text of a document and its origin, as described in the module.
pub(super) struct Document {
    pub(super) text: String,
    /// Name as the user gave it, escaped, and without secrets.
    pub(super) shown: String,
    /// Address it was fetched from; `None` for a local file.
    pub(super) home: Option<Address>,
}

impl Document {
    /// Reads a file; `-` is the standard input.
    pub(super) fn read(named: &str) -> Result<Self, Error> {
        let shown = escape::for_terminal(&redaction::named(named)).into_owned();
        let read = bounded::read_or_stdin(Path::new(named), LARGEST as u64);
        let text = read.map_err(|error| Error::usage(format!("cannot read {shown}: {error}")))?;
        Ok(Self { text, shown, home: None })
    }

    /// Fetches it from a server into memory.
    pub(super) fn fetch(request: Request, client: &Client) -> Result<Self, Error> {
        let runtime = runtime()?;
        let fetched = Self::fetch_on(&runtime, request, client);
        // A thread still busy with a name lookup must not keep the process alive.
        runtime.shutdown_background();
        fetched
    }

    /// As [`Self::fetch`], on a runtime that is there already.
    pub(super) fn fetch_on(runtime: &Runtime, request: Request, client: &Client) -> Result<Self, Error> {
        let home = request.address().clone();
        let shown = home.to_string();
        let kept = Kept::default();
        let request = request.stream(kept.clone()).connections(Connections::AtMost(1));
        let outcome = runtime.block_on(async {
            let mut signals = signals::listen()?;
            tokio::select! {
                outcome = client.start(request).join() => outcome,
                number = signals.end() => Err(signals::interrupted(number, &format!("reading {shown}"))),
            }
        });
        let mut kept = kept.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.overflowed {
            return Err(Error::new(Kind::Http, format!("{shown} is too large to be a list")));
        }
        outcome?;
        let text = String::from_utf8(std::mem::take(&mut kept.bytes));
        let text = text.map_err(|_| Error::new(Kind::Http, format!("{shown} is no text in UTF-8")))?;
        Ok(Self { text, shown, home: Some(home) })
    }

    /// Error for an invalid document: the server's fault, or the user's if it is a local file.
    pub(super) fn refused(&self, why: impl fmt::Display) -> Error {
        let kind = if self.home.is_some() { Kind::Http } else { Kind::Usage };
        Error::new(kind, format!("{}: {why}", self.shown))
    }

    /// Last component of its path.
    pub(super) fn name(&self) -> &str {
        let path = self.home.as_ref().map_or(self.shown.as_str(), Address::path);
        path.rsplit('/').next().unwrap_or_default()
    }
}

/// Collects in memory the bytes written to it.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Taken>>);

#[derive(Default)]
struct Taken {
    bytes: Vec<u8>,
    overflowed: bool,
}

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.overflowed |= kept.bytes.len() + bytes.len() > LARGEST;
        if kept.overflowed {
            return Err(too_large());
        }
        kept.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn too_large() -> io::Error {
    io::Error::other("it is too large to be a list")
}
