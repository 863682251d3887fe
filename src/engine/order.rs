//! A request as the disk sees it.

use super::named_by::NamedBy;
use super::request::IfExists;
use crate::error::{Error, Kind};
use crate::plan::Address;
use crate::verify::Digest;

/// What is wanted, as far as the disk is concerned.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    pub(crate) address: Address,
    pub(crate) named_by: NamedBy,
    /// As they are recorded.
    pub(crate) mirrors: Vec<String>,
    pub(crate) digests: Vec<Digest>,
    pub(crate) size: Option<u64>,
    pub(crate) if_exists: IfExists,
    pub(crate) restart: bool,
    pub(crate) may_restart: bool,
}

impl Order {
    /// Whether a file with these digests, in the order of those that are wanted, is the wanted one.
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
