//! Request data that the disk side needs.

use super::provenance::NamedBy;
use crate::error::{Error, Kind};
use crate::plan::Address;
use crate::verify::Digest;

/// Action if the target exists already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum IfExists {
    /// Succeed if it is the requested file, fail if not: nothing is ever replaced silently.
    #[default]
    Auto,
    /// Succeed without looking.
    Skip,
    /// Replace it, once the new file is complete.
    Overwrite,
    /// Save under the first free of `NAME.1`, `NAME.2`, …
    Rename,
    /// Fail.
    Error,
}

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
