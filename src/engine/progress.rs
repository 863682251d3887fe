//! How far a download is: plain values that a watcher can look at without slowing it.

use crate::plan::ByteRange;
use std::time::Duration;

/// What a download is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// Waiting for its turn.
    #[default]
    Queued,
    /// Asking the server, or looking at what is on disk.
    Starting,
    /// Bytes are coming, or being asked for.
    Transferring,
    /// Everything is there and is being checked.
    Verifying,
    /// It is over.
    Ended,
}

/// Why it is not faster, where that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Slowness {
    /// The server asked for fewer connections, or for a pause.
    Server,
    /// The limit that the caller has set.
    Limit,
    /// The digest is not computed as fast as bytes come.
    Hash,
}

/// What one connection is working on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionView {
    /// The range it was given.
    pub range: ByteRange,
    /// How far in the file it has come.
    pub position: u64,
    /// It has delivered nothing for a while.
    pub stalled: bool,
}

/// A snapshot of a download. All counts are bytes.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Progress {
    /// What it is doing.
    pub phase: Phase,
    /// Whether a connection to the server itself was made; a proxy before it does not count.
    pub reached: bool,
    /// The complete length, once the server has said it.
    pub size: Option<u64>,
    /// What an earlier run had left and was kept.
    pub resumed: u64,
    /// Payload taken off the network in this run.
    pub received: u64,
    /// Bytes of the file that are written, those of earlier runs included.
    pub written: u64,
    /// Bytes of the file that are safely on disk and recorded.
    pub durable: u64,
    /// How far the file is hashed; `None` where no digest is wanted.
    pub verified: Option<u64>,
    /// Bytes a second over the last seconds.
    pub rate: Option<f64>,
    /// The time the rest will take at this rate.
    pub eta: Option<Duration>,
    /// Since the download was started.
    pub elapsed: Duration,
    /// What each connection is working on, in order of position.
    pub connections: Vec<ConnectionView>,
    /// What is written, as ranges in order: at most 64, the smallest gaps left out.
    pub ranges: Vec<ByteRange>,
    /// Why it is not faster, where that is known.
    pub slowed_by: Option<Slowness>,
}
