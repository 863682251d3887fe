//! Things that happen to a download and that somebody may want to know.

use std::path::PathBuf;
use std::time::Duration;

/// Something that happened. Texts are redacted; they are not escaped for a terminal.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// The server has answered and the file is made.
    Started {
        /// The URL, redacted.
        url: String,
        /// Where the file will be; `None` for a stream.
        path: Option<PathBuf>,
        /// The complete length in bytes.
        size: Option<u64>,
        /// Bytes kept from an earlier run.
        resumed: u64,
        /// How many connections may be used.
        connections: usize,
    },
    /// Something failed and is tried again.
    Retry {
        /// What failed.
        cause: String,
        /// The HTTP status, where one was the reason.
        status: Option<u16>,
        /// How long nothing is asked.
        wait: Duration,
        /// Rounds of failure in a row, this one included.
        attempt: u32,
    },
    /// A source of the file is not asked any more; the others go on.
    Source {
        /// Its URL, redacted.
        url: String,
        /// Why.
        cause: String,
    },
    /// Something a person should read.
    Notice(Notice, String),
}

/// What kind of notice it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice {
    /// What was on disk is discarded, and why.
    Restarting,
    /// One connection serves everything, and why.
    SingleConnection,
    /// A connection fell silent and was replaced.
    Stalled,
    /// Damaged ranges were found on disk and are fetched again.
    Repairing,
    /// The file system could not reserve the space.
    NotReserved,
    /// The file system would not do something for a finished file on which no promise hangs.
    NotSupported,
    /// There is nothing to do.
    AlreadyComplete,
    /// What HEAD said of the file: advice, which decides nothing.
    Head,
    /// A web page came, and the name is not that of one.
    WebPage,
    /// The file system does not take the name, and the file has another one.
    Renamed,
}

impl Notice {
    /// The name as it stands in JSON events.
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
        }
    }
}
