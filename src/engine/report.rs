//! Report of a finished download.

use crate::verify::{Digest, Signer};
use std::path::PathBuf;
use std::time::Duration;

/// Publisher of a digest.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProvedBy {
    /// The request.
    Request,
    /// The server of the file, in this field of a response.
    Server(&'static str),
    /// A document, such as a list of digests; its name or URL, redacted.
    Document(String),
    /// A document whose signature was verified.
    SignedDocument {
        /// Name or URL of the document, redacted.
        document: String,
        /// Signer of the document.
        signer: Signer,
    },
    /// A signature of the file itself.
    Signature {
        /// Name or URL of the signature, redacted.
        document: String,
        /// Signer of the file.
        signer: Signer,
    },
}

/// A digest that the file was found to have.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Proof {
    /// The digest.
    pub digest: Digest,
    /// Its publisher.
    pub by: ProvedBy,
    /// True if it finds damage, but no forgery: two files may have the digest, or it came over http,
    /// where anybody on the way can change it.
    pub is_weak: bool,
}

/// A download that succeeded.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Report {
    /// The URL, redacted.
    pub url: String,
    /// Path of the file; `None` for a stream.
    pub path: Option<PathBuf>,
    /// True if the finished file existed already, so that there was nothing to do.
    pub already_there: bool,
    /// Its length in bytes.
    pub size: u64,
    /// Payload taken off the network in this run, in bytes; 0 if there was nothing to do.
    pub fetched: u64,
    /// Fetched bytes that are not in the file: they had arrived on another connection already, were not needed any
    /// more, or were discarded by a restart.
    pub wasted: u64,
    /// Bytes kept from an earlier run.
    pub resumed: u64,
    /// Time since its turn began; see [`Jobs`](crate::Jobs).
    pub elapsed: Duration,
    /// Part of that spent waiting for the digest after everything was written: the cost of hashing beyond the transfer.
    pub verifying: Duration,
    /// Sources of the bytes of this run: the URL and those of the mirrors that helped, redacted.
    pub sources: Vec<String>,
    /// The digests that were checked.
    pub digests: Vec<Digest>,
    /// The same digests with their publishers; empty if nobody has published one.
    pub proofs: Vec<Proof>,
    /// Maximum number of connections in use at once.
    pub connections: usize,
    /// Number of retries.
    pub retries: u32,
}
