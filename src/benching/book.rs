//! A manifest, written through the public interface.

use crate::manifest::{FileRecord, Journal, Raw, Run};
use crate::plan::ByteRange;
use crate::plan::representation::Representation;
use crate::storage::Identity;
use std::io;
use std::path::Path;

/// Ranges that are claimed to be durable, with checksums that are of nothing.
#[derive(Clone, Debug)]
pub struct Claims(Vec<Run>);

impl Claims {
    /// A claim of each range.
    #[must_use]
    pub fn of(ranges: &[ByteRange]) -> Self {
        Self(ranges.iter().map(|&range| Run { range, crc: range.start() as u32 }).collect())
    }
}

/// An open manifest.
pub struct Book(Journal);

impl Book {
    /// Writes a manifest anew, as a compaction does: a temporary file, synced and renamed.
    ///
    /// # Errors
    /// Errors of the file system.
    pub fn create(path: &Path, length: u64, claims: &Claims) -> io::Result<Self> {
        let record = FileRecord {
            url: "http://host/file".to_owned(),
            representation: Representation { complete_length: Some(length), ..Representation::default() },
            digests: Vec::new(),
            signature: None,
            document: None,
            mirrors: Vec::new(),
            holder: None,
            part: Identity { device: 1, inode: 2 },
        };
        Journal::create(path.to_owned(), record, claims.0.clone()).map(Self)
    }

    /// Reads the manifest and takes it over.
    ///
    /// # Errors
    /// Errors of the file system, and one for a file that is no manifest.
    pub fn open(path: &Path) -> io::Result<Self> {
        let raw = Raw::read(path).map_err(|why| io::Error::other(format!("{why:?}")))?;
        Journal::create(path.to_owned(), raw.file, raw.runs).map(Self)
    }

    /// Appends the claims of one checkpoint, synced.
    ///
    /// # Errors
    /// Errors of the file system.
    pub fn append(&mut self, claims: &Claims) -> io::Result<()> {
        self.0.append(&[], &claims.0)
    }

    /// Number of ranges that it claims.
    #[must_use]
    pub fn claims(&self) -> usize {
        self.0.runs().len()
    }
}
