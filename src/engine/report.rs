//! What a finished download has to tell.

use crate::verify::Digest;
use std::path::PathBuf;
use std::time::Duration;

/// A download that ended well.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Report {
    /// The URL, redacted.
    pub url: String,
    /// Where the file is; `None` for a stream.
    pub path: Option<PathBuf>,
    /// Whether the finished file was there already, so that there was nothing to do.
    pub already_there: bool,
    /// Its length in bytes.
    pub size: u64,
    /// Payload taken off the network in this run, in bytes; 0 where there was nothing to do.
    pub fetched: u64,
    /// How much of that is not in the file, in bytes: it had come on another connection already, was not wanted any more, or
    /// was thrown away when everything had to begin anew.
    pub wasted: u64,
    /// Bytes that an earlier run had left.
    pub resumed: u64,
    /// Since it was its turn; see [`Jobs`](crate::Jobs).
    pub elapsed: Duration,
    /// How much of that was spent waiting for the digest after everything was written: what hashing cost beyond the
    /// transfer.
    pub verifying: Duration,
    /// Where bytes came from in this run: the URL and those of the mirrors that helped, redacted.
    pub sources: Vec<String>,
    /// The digests that were checked.
    pub digests: Vec<Digest>,
    /// The most connections in use at once.
    pub connections: usize,
    /// How often something was tried again.
    pub retries: u32,
}
