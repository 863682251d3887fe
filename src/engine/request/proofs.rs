//! Proofs that a request gives or is given: digests, a signature, pieces.

use super::super::report::{ProvedBy, Transport};
use super::Request;
use crate::error::{Error, Kind, Remedy};
use crate::verify::{Algorithm, Digest, MinisignSignature, Pieces, Signer};
use std::num::NonZeroU64;
use std::sync::Arc;

impl Request {
    /// The finished file must have this digest; may be given several times, with one digest for each algorithm: a
    /// download with two that contradict one another fails at once, with an error of kind `Usage`.
    #[must_use]
    pub fn digest(mut self, digest: Digest) -> Self {
        match self.digests.iter().find(|other| other.algorithm() == digest.algorithm()) {
            None => self.digests.push(digest),
            Some(other) if *other == digest => {}
            Some(other) => {
                self.contradiction.get_or_insert_with(|| (other.clone(), digest));
            }
        }
        self
    }

    /// As [`Self::digest`], for a digest that a document states, which came over this way; the report names it.
    #[must_use]
    pub fn digest_of(self, digest: Digest, document: impl Into<String>, over: Transport) -> Self {
        let mut request = self.digest(digest.clone());
        request.proved_by.push((digest, ProvedBy::document(document, over)));
        request
    }

    /// As [`Self::digest_of`], for a document whose signature was [verified](MinisignSignature::verify); the report names its signer.
    #[must_use]
    pub fn digest_of_signed(self, digest: Digest, document: impl Into<String>, signer: &Signer) -> Self {
        let mut request = self.digest(digest.clone());
        let by = ProvedBy::SignedDocument { document: document.into(), signer: signer.clone() };
        request.proved_by.push((digest, by));
        request
    }

    /// The finished file must be the one that was signed: it is verified as a whole, whatever part of it an earlier run has fetched, and
    /// gets its name only then. The digest that was signed is computed while the file comes in. A signature proves the bytes as a
    /// digest does, so that ranges may be joined without a strong validator.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let key: haul::MinisignKey = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3".parse()?;
    /// let text = std::fs::read_to_string("disk.img.minisig")?;
    /// let request = haul::Request::new("https://example.org/disk.img")?
    ///     .signature(key.signature(&text, "disk.img.minisig")?)?;
    /// # let _ = request;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `Checksum` for a [legacy](MinisignSignature::is_legacy) signature.
    pub fn signature(mut self, signature: MinisignSignature) -> Result<Self, Error> {
        refuse_legacy(&signature)?;
        self.signature = Some(Arc::new(signature));
        Ok(self)
    }

    /// Returns true if a digest, a signature or, for a file on disk, strong digests of all [pieces](Self::pieces) are given, which prove the
    /// bytes wherever they come from.
    #[must_use]
    pub fn is_proven(&self) -> bool {
        !self.digests.is_empty() || self.signature.is_some() || self.proving_pieces().is_some()
    }

    /// Hash functions of the digests and of the signature.
    pub(crate) fn algorithms(&self) -> Vec<Algorithm> {
        crate::destination::algorithms(&self.digests, self.signature.is_some())
    }

    /// States digests of the pieces of the file, each of `length` bytes, in order. If the file has not the [digest](Self::digest) that it must
    /// have, they show which pieces are wrong: a source that gave one is left out, and only these pieces are fetched again. Without a
    /// digest or a signature of the whole they prove a file on disk if each of them is collision resistant, and have no effect otherwise.
    ///
    /// ```
    /// # fn main() -> Result<(), haul::Error> {
    /// let length = std::num::NonZeroU64::new(1 << 20).expect("not zero");
    /// let pieces = vec!["md5:d41d8cd98f00b204e9800998ecf8427e".parse()?, "md5:0cc175b9c0f1b6a831c399e269772661".parse()?];
    /// let request = haul::Request::new("https://example.org/disk.img")?.pieces(length, pieces);
    /// # let _ = request;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn pieces(mut self, length: NonZeroU64, digests: Vec<Digest>) -> Self {
        self.pieces = Some(Arc::new(Pieces::new(length, digests)));
        self
    }

    /// Names the document that states the digests of the [pieces](Self::pieces), which came over this way.
    #[must_use]
    pub fn pieces_stated_by(mut self, document: impl Into<String>, over: Transport) -> Self {
        self.pieces_by = ProvedBy::document(document, over);
        self
    }

    /// The pieces, if they prove the file because neither a digest nor a signature of the whole does.
    pub(crate) fn proving_pieces(&self) -> Option<&Arc<Pieces>> {
        let alone = self.digests.is_empty() && self.signature.is_none() && !self.output.is_no_file();
        self.pieces.as_ref().filter(|pieces| alone && pieces.strong().is_some())
    }

    /// Refuses two different digests of one algorithm, which are never both right.
    pub(crate) fn check_digests(&self) -> Result<(), Error> {
        match &self.contradiction {
            None => Ok(()),
            Some((one, other)) => Err(contradictory(one, other)),
        }
    }
}

/// Refuses a signature that cannot be verified as the bytes come.
pub(in super::super) fn refuse_legacy(signature: &MinisignSignature) -> Result<(), Error> {
    if !signature.is_legacy() {
        return Ok(());
    }
    let cause = format!(
        "{}: a signature of the legacy form is over all bytes of a file at once, and is taken for lists only",
        signature.document()
    );
    Err(Error::new(Kind::Checksum, cause).with_remedy(Remedy::SignHashed))
}

/// Error for two different digests of one file.
pub(in super::super) fn contradictory(one: &Digest, other: &Digest) -> Error {
    Error::usage(format!("two different digests of one file are given: {one} and {other}"))
        .with_remedy(Remedy::OneDigest)
}
