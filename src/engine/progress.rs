//! Progress of a download: plain values that a watcher can read without slowing it.

pub use crate::error::Phase;
use crate::plan::ByteRange;
use std::time::Duration;

/// Known reason for a limited rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Slowness {
    /// The server asked for fewer connections, or for a pause.
    Server,
    /// The limit that the caller has set.
    Limit,
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
