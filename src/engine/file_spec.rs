//! Request data that the disk side needs.

use super::named_by::NamedBy;
use super::request::IfExists;
use crate::error::{Error, Kind};
use crate::plan::Address;
use crate::verify::Digest;

/// A request as far as the disk is concerned.
#[derive(Clone, Debug)]
pub(crate) struct FileSpec {
    pub(crate) address: Address,
    pub(crate) named_by: NamedBy,
    /// As recorded in the manifest.
    pub(crate) mirrors: Vec<String>,
    pub(crate) digests: Vec<Digest>,
    pub(crate) size: Option<u64>,
    pub(crate) if_exists: IfExists,
    pub(crate) restart: bool,
    pub(crate) may_restart: bool,
}

impl FileSpec {
    /// Checks the digests of a file against the expected ones, which are in the same order.
    ///
    /// # Errors
    /// `Checksum`, with both digests.
    pub(crate) fn check(&self, actual: &[Digest]) -> Result<(), Error> {
        if self.digests.len() != actual.len() {
            return Err(Error::defect("a digest was not computed"));
        }
        let wrong = self.digests.iter().zip(actual).find(|(expected, actual)| expected != actual);
        wrong.map_or(Ok(()), |(expected, actual)| {
            Err(Error::new(Kind::Checksum, format!("checksum mismatch: expected {expected}, got {actual}")))
        })
    }
}
