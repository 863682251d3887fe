//! Report of a finished download.

use crate::plan::Address;
use crate::verify::{Algorithm, Digest, Signer};
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
    /// A document, such as a list of digests.
    #[non_exhaustive]
    Document {
        /// Its name or URL, redacted.
        name: String,
        /// Way that it came.
        over: Transport,
    },
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

impl ProvedBy {
    /// A document that came over this way.
    pub fn document(name: impl Into<String>, over: Transport) -> Self {
        Self::Document { name: name.into(), over }
    }

    /// True if anybody on the way can have changed what it states.
    pub(crate) fn is_unprotected(&self) -> bool {
        matches!(self, Self::Document { over: Transport::Http, .. })
    }
}

/// Way that a document came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Transport {
    /// From a file of the user's, or from the standard input.
    Local,
    /// Over https.
    Https,
    /// Over http, where anybody on the way can change it.
    Http,
}

impl Transport {
    /// Way of a document that was fetched from this address, or from none.
    #[must_use]
    pub fn of(home: Option<&Address>) -> Self {
        match home {
            None => Self::Local,
            Some(home) if home.is_https() => Self::Https,
            Some(_) => Self::Http,
        }
    }
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

/// Digests of all pieces of the file, which prove it where no digest of the whole is known.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PieceProof {
    /// Number of pieces.
    pub count: usize,
    /// Algorithm of their digests.
    pub algorithm: Algorithm,
    /// Their publisher.
    pub by: ProvedBy,
    /// True if the digests came over http, where anybody on the way can change them.
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
    /// The same digests with their publishers; empty if none is published.
    pub proofs: Vec<Proof>,
    /// The digests of pieces that proved the file, if none of the whole was given.
    pub pieces: Option<PieceProof>,
    /// Maximum number of connections in use at once.
    pub connections: usize,
    /// Number of retries.
    pub retries: u32,
}
