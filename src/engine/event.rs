//! Events of a download that a caller may want to report.

use std::path::PathBuf;
use std::time::Duration;

/// An event of a download. Texts are redacted; they are not escaped for a terminal.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// The server has answered and the file is created.
    Started {
        /// The URL, redacted.
        url: String,
        /// Target path; `None` for a stream.
        path: Option<PathBuf>,
        /// The complete length in bytes.
        size: Option<u64>,
        /// Bytes kept from an earlier run.
        resumed: u64,
        /// Maximum number of connections.
        connections: usize,
    },
    /// Something failed and is retried.
    Retry {
        /// The failure.
        cause: String,
        /// The HTTP status, if one was the reason.
        status: Option<u16>,
        /// Time during which nothing is requested.
        wait: Duration,
        /// Rounds of failure in a row, including this one.
        attempt: u32,
    },
    /// A source of the file is not used any more; the others go on.
    Source {
        /// Its URL, redacted.
        url: String,
        /// The reason.
        cause: String,
    },
    /// A source that the server of the file names, or a document of it, is asked as well.
    SourceAdded {
        /// Its URL, redacted.
        url: String,
        /// The one that named it.
        cause: String,
    },
    /// A source that the server of the file names, or a document of it, is not asked.
    SourceRefused {
        /// Its URL, redacted.
        url: String,
        /// The reason.
        cause: String,
    },
    /// A message that a person should read.
    Notice(Notice, String),
}

/// Kind of notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice {
    /// The data on disk is discarded; the text gives the reason.
    Restarting,
    /// Everything is fetched on one connection; the text gives the reason.
    SingleConnection,
    /// A connection fell silent and was replaced.
    Stalled,
    /// Damaged ranges were found on disk and are fetched again.
    Repairing,
    /// The file system could not reserve the space.
    NotReserved,
    /// The file system refused an operation on a finished file that no guarantee depends on.
    NotSupported,
    /// There is nothing to do.
    AlreadyComplete,
    /// Description of the file by HEAD: advice, which decides nothing.
    Head,
    /// A web page was sent under a name that is not that of one.
    WebPage,
    /// The file system does not accept the name, so the file has another one.
    Renamed,
    /// A command to the running download is not carried out; the text gives the reason.
    Refused,
    /// Mirrors that the server names are not used; the text gives the reason.
    Mirrors,
    /// Content of a document that the server names for the file, or the reason why it is not used.
    Document,
}

impl Notice {
    /// Name of the kind in JSON events.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Restarting => "restarting",
            Self::SingleConnection => "single_connection",
            Self::Stalled => "stalled",
            Self::Repairing => "repairing",
            Self::NotReserved => "not_reserved",
            Self::NotSupported => "not_supported",
            Self::AlreadyComplete => "already_complete",
            Self::Head => "head",
            Self::WebPage => "web_page",
            Self::Renamed => "renamed",
            Self::Refused => "refused",
            Self::Mirrors => "mirrors",
            Self::Document => "document",
        }
    }
}
