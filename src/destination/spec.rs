//! Request data that the disk side needs.

use super::provenance::NamedBy;
use crate::error::{Error, Kind, Remedy};
use crate::plan::Address;
use crate::verify::{Digest, Published};

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
    /// Digests that the server states, all of one algorithm. They count if none is given.
    pub(crate) published: Vec<Published>,
    pub(crate) size: Option<u64>,
    pub(crate) if_exists: IfExists,
    pub(crate) restart: bool,
    pub(crate) may_restart: bool,
}

impl FileSpec {
    /// Digests to be computed: those given, or else one of those that the server states.
    pub(crate) fn expected(&self) -> Vec<Digest> {
        match self.published.first() {
            Some(published) if self.digests.is_empty() => vec![published.digest.clone()],
            _ => self.digests.clone(),
        }
    }

    /// Checks the digests of a file against the expected ones, which are in the same order.
    ///
    /// # Errors
    /// `Checksum`, with both digests.
    pub(crate) fn check(&self, actual: &[Digest]) -> Result<(), Error> {
        if self.digests.is_empty() {
            return self.check_published(actual);
        }
        if self.digests.len() != actual.len() {
            return Err(Error::defect("a digest was not computed"));
        }
        let wrong = self.digests.iter().zip(actual).find(|(expected, actual)| expected != actual);
        wrong.map_or(Ok(()), |(expected, actual)| {
            Err(Error::new(Kind::Checksum, format!("checksum mismatch: expected {expected}, got {actual}")))
        })
    }

    /// A destination that cannot be read back has no digest, and is not refused for that.
    fn check_published(&self, actual: &[Digest]) -> Result<(), Error> {
        let wrong = actual.first().and_then(|actual| {
            let wrong = self.published.iter().find(|published| published.digest != *actual)?;
            Some((wrong, actual))
        });
        wrong.map_or(Ok(()), |(Published { digest, field }, actual)| {
            let cause =
                format!("checksum mismatch: the server states {digest} ({field}), and the file has {actual}");
            Err(Error::new(Kind::Checksum, cause).with_remedy(Remedy::OwnDigest))
        })
    }
}
