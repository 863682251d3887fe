//! Request data that the disk side needs.

use super::provenance::NamedBy;
use crate::error::{Error, Kind, Remedy};
use crate::plan::Address;
use crate::verify::{Algorithm, Digest, MinisignSignature, Pieces, Published, RECORDED};
use std::sync::Arc;

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

/// Hash functions of these digests and, for a file that is `signed`, that of its signature.
pub(crate) fn algorithms(digests: &[Digest], signed: bool) -> Vec<Algorithm> {
    let mut all: Vec<_> = digests.iter().map(Digest::algorithm).collect();
    if signed && !all.contains(&Algorithm::Blake2b) {
        all.push(Algorithm::Blake2b);
    }
    all
}

/// A request as far as the disk is concerned.
#[derive(Clone, Debug)]
pub(crate) struct FileSpec {
    pub(crate) address: Address,
    pub(crate) named_by: NamedBy,
    /// As recorded in the manifest.
    pub(crate) mirrors: Vec<String>,
    pub(crate) digests: Vec<Digest>,
    /// Signature of the file.
    /// Documents that state these digests.
    pub(crate) stated_by: Vec<(Digest, String)>,
    pub(crate) signature: Option<Arc<MinisignSignature>>,
    /// Digests that the server states: all strong ones, or else those of one algorithm. They count if nothing else proves the file.
    pub(crate) published: Vec<Published>,
    /// True once sources are asked that only the published digest proves: then the manifest records it.
    pub(crate) mirrored: bool,
    /// Digests of pieces that prove the file, if neither a digest nor a signature of the whole is given.
    pub(crate) pieces: Option<Arc<Pieces>>,
    pub(crate) size: Option<u64>,
    pub(crate) if_exists: IfExists,
    pub(crate) restart: bool,
    pub(crate) may_restart: bool,
}

impl FileSpec {
    /// Returns true if the request gives a digest, a signature or strong digests of all pieces: the bytes decide then, wherever they come
    /// from.
    pub(crate) fn is_proven(&self) -> bool {
        !self.digests.is_empty() || self.signature.is_some() || self.pieces.is_some()
    }

    /// True if something proves bytes from any source.
    pub(crate) fn may_have_mirrors(&self) -> bool {
        self.is_proven() || self.mirrored
    }

    /// Digests for the manifest, which the next run has to expect.
    pub(crate) fn recorded(&self) -> Vec<String> {
        let digests = if self.mirrored { self.expected() } else { self.digests.clone() };
        digests.iter().map(ToString::to_string).collect()
    }

    /// Digests of the whole file that are known: those given, or else the first of those that the server states.
    pub(crate) fn expected(&self) -> Vec<Digest> {
        match self.published.first() {
            Some(published) if self.digests.is_empty() => vec![published.digest.clone()],
            _ => self.digests.clone(),
        }
    }

    /// Hash functions of the digests given and of the signature, or else those of the digests that the server states.
    pub(crate) fn algorithms(&self) -> Vec<Algorithm> {
        let mut all = algorithms(&self.digests, self.signature.is_some());
        if all.is_empty() {
            for algorithm in self.published.iter().map(|published| published.digest.algorithm()) {
                if !all.contains(&algorithm) {
                    all.push(algorithm);
                }
            }
        }
        all
    }

    /// Checks the digests of a file, one by each of the [algorithms](Self::algorithms).
    ///
    /// # Errors
    /// `Checksum`, with both digests, or with the signature.
    pub(crate) fn check(&self, actual: &[Digest]) -> Result<(), Error> {
        if !self.is_proven() {
            return self.check_published(actual);
        }
        let by = |algorithm| actual.iter().find(|digest| digest.algorithm() == algorithm);
        let computed = |algorithm| by(algorithm).ok_or_else(|| Error::defect("a digest was not computed"));
        for expected in &self.digests {
            let actual = computed(expected.algorithm())?;
            if actual != expected {
                let by = self.stated_by.iter().find(|(digest, _)| digest == expected);
                let cause = match by {
                    Some((_, name)) => {
                        format!("checksum mismatch: {name} states {expected}, and the file has {actual}")
                    }
                    None => format!("checksum mismatch: expected {expected}, got {actual}"),
                };
                return Err(Error::new(Kind::Checksum, cause));
            }
        }
        match &self.signature {
            Some(signature) => signature.verify_digest(computed(Algorithm::Blake2b)?).map(drop),
            None => Ok(()),
        }
    }

    /// A destination that cannot be read back has no digest, and is not refused for that.
    fn check_published(&self, actual: &[Digest]) -> Result<(), Error> {
        let of = |algorithm| actual.iter().find(|digest| digest.algorithm() == algorithm);
        let wrong = self.published.iter().find_map(|published| {
            let actual = of(published.digest.algorithm())?;
            (published.digest != *actual).then_some((published, actual))
        });
        wrong.map_or(Ok(()), |(Published { digest, field }, actual)| {
            let (by, remedy) = match *field {
                RECORDED => (format!("an earlier run has recorded {digest}"), Remedy::StartOver),
                field => (format!("the server states {digest} ({field})"), Remedy::OwnDigest),
            };
            let cause = format!("checksum mismatch: {by}, and the file has {actual}");
            Err(Error::new(Kind::Checksum, cause).with_remedy(remedy))
        })
    }
}
