//! Progress of a download: plain values that a watcher can read without slowing it.

pub use crate::error::Phase;
use crate::plan::ByteRange;
use crate::plan::slowness::{Reason, Refused, Silent};
use std::time::Duration;

/// Known reason for a limited rate. It is told once it has held for about a second.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Slowness {
    /// A limit that the caller has set.
    Limit {
        /// Bytes a second.
        rate: u64,
    },
    /// Other traffic fills the line, and the download yields to it.
    Yielding,
    /// Bytes in order wait for the reader of a pipe, or for a destination that takes them in order.
    Reader,
    /// Most of the time is spent in writing.
    Disk,
    /// All bytes are on disk, and the hash is behind them.
    Hash {
        /// Bytes that are not hashed yet.
        behind: u64,
    },
    /// A server refused further connections, or asks for a pause.
    Server {
        /// Its host, with the port if that is not the usual one.
        host: String,
        /// HTTP status of the refusal; `None` for a connection that was refused or broke.
        status: Option<u16>,
        /// Pause that it asked for, as long as it lasts.
        wait: Option<Duration>,
    },
    /// A connection has brought nothing for seconds, while others deliver.
    Silent {
        /// Host that it goes to, with the port if that is not the usual one.
        host: String,
        /// Time without a byte.
        quiet: Duration,
    },
}

impl Slowness {
    /// Name of the reason in JSON events.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Limit { .. } => "limit",
            Self::Yielding => "yielding",
            Self::Reader => "reader",
            Self::Disk => "disk",
            Self::Hash { .. } => "hash",
            Self::Server { .. } => "server",
            Self::Silent { .. } => "silent",
        }
    }

    /// The reason with the hosts of its sources.
    pub(crate) fn of(reason: Reason, host_of: impl Fn(usize) -> String) -> Self {
        match reason {
            Reason::Limit(rate) => Self::Limit { rate: rate.get() },
            Reason::Yielding => Self::Yielding,
            Reason::Reader => Self::Reader,
            Reason::Disk => Self::Disk,
            Reason::Hash { behind } => Self::Hash { behind: behind.get() },
            Reason::Refused(Refused { source, status, wait }) => {
                Self::Server { host: host_of(source), status, wait }
            }
            Reason::Silent(Silent { source, quiet }) => Self::Silent { host: host_of(source), quiet },
        }
    }
}

/// State of one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionView {
    /// The assigned range.
    pub range: ByteRange,
    /// Current position in the file.
    pub position: u64,
    /// True if it has delivered nothing for a while.
    pub stalled: bool,
}

/// A snapshot of a download. All counts are bytes.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Progress {
    /// Current phase.
    pub phase: Phase,
    /// True once a connection to the server itself was made; a proxy before it does not count.
    pub reached: bool,
    /// The complete length, once the server has stated it.
    pub size: Option<u64>,
    /// Bytes kept from an earlier run.
    pub resumed: u64,
    /// Payload taken off the network in this run.
    pub received: u64,
    /// Bytes of the file that are written, those of earlier runs included.
    pub written: u64,
    /// Bytes of the file that are safely on disk and recorded.
    pub durable: u64,
    /// Bytes hashed so far; `None` if no digest is expected.
    pub verified: Option<u64>,
    /// Bytes per second over the last seconds.
    pub rate: Option<f64>,
    /// Time that the rest will take at this rate.
    pub eta: Option<Duration>,
    /// Time since the download was started.
    pub elapsed: Duration,
    /// State of each connection, in order of position.
    pub connections: Vec<ConnectionView>,
    /// Written ranges in order: at most 64, the smallest gaps left out.
    pub ranges: Vec<ByteRange>,
    /// Reason for a limited rate, if known.
    pub slowed_by: Option<Slowness>,
}
