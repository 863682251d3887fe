//! Output of a request, and the source of its name.

use crate::destination::OwnDestination;
use std::fmt;
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// Destination of the bytes.
#[non_exhaustive]
pub enum Output {
    /// A file in the request's directory, named after the URL.
    Named,
    /// This file; a relative path is taken from the request's directory.
    File(PathBuf),
    /// Into a destination of the caller's own. Nothing is kept for another run.
    Own(Arc<dyn OwnDestination>),
    /// In order, into a writer, which is moved to a thread of its own. Nothing is kept for another run.
    Stream(Writer),
}

/// Source of the name that a file is saved under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NameSource {
    /// The request itself.
    Request,
    /// A list or a document.
    List,
    /// The server.
    Server,
    /// The last part of the URL.
    Url,
}

impl NameSource {
    /// Name of the source in JSON events.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::List => "list",
            Self::Server => "server",
            Self::Url => "url",
        }
    }
}

/// Writer of the caller's own. Its lock is never waited for: it makes a request one that threads may share.
pub struct Writer(Mutex<Box<dyn Write + Send>>);

impl Writer {
    /// Takes the writer.
    pub fn new(writer: impl Write + Send + 'static) -> Self {
        Self(Mutex::new(Box::new(writer)))
    }

    pub(crate) fn into_box(self) -> Box<dyn Write + Send> {
        // It is not written to while it is here.
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Output {
    /// True if no file is made.
    pub(crate) fn is_no_file(&self) -> bool {
        matches!(self, Self::Stream(_) | Self::Own(_))
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named => f.write_str("Named"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Own(_) => f.write_str("Own"),
            Self::Stream(_) => f.write_str("Stream"),
        }
    }
}
