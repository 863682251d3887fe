//! Detached signatures of minisign: Ed25519 over the BLAKE2b-512 digest of a file, or, in the legacy form, over its bytes.

use super::digest::{Algorithm, Digest};
use crate::error::{Error, Kind, Remedy};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use minisign_verify::{PublicKey, Signature};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Algorithms of signatures: over the bytes themselves, and over their digest.
const OF_BYTES: [u8; 2] = *b"Ed";
const OF_DIGEST: [u8; 2] = *b"ED";
/// Length of a secret key, in bytes.
const SECRET_KEY: usize = 158;
/// Size limit of the text of a signature, in bytes: most of it are comments.
const LARGEST: usize = 16 << 10;

/// A public key of minisign.
///
/// It is parsed from the line that minisign prints, or from the text of a `.pub` file:
///
/// ```
/// let key: haul::MinisignKey = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3".parse()?;
/// assert_eq!(key.id(), "E7620F1842B4E81F");
/// # Ok::<(), haul::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct MinisignKey {
    key: PublicKey,
    id: u64,
    /// The key in base64.
    text: String,
}

impl FromStr for MinisignKey {
    type Err = Error;

    /// # Errors
    /// `Usage` for a text that is no public key.
    fn from_str(text: &str) -> Result<Self, Error> {
        // A `.pub` file has a comment above the key.
        let line = text.trim().lines().last().unwrap_or_default().trim();
        if STANDARD.decode(line).is_ok_and(|bytes| bytes.len() == SECRET_KEY) {
            return Err(Error::usage("this is a secret key of minisign, and the public key is needed"));
        }
        let read = PublicKey::from_base64(line).ok().zip(id_in(line));
        let (key, id) = read.ok_or_else(|| {
            Error::usage("a public key of minisign is a line of 56 characters that begins with RW")
        })?;
        Ok(Self { key, id, text: line.to_owned() })
    }
}

impl MinisignKey {
    /// Identifier of the key, as minisign prints it.
    #[must_use]
    pub fn id(&self) -> String {
        shown(self.id)
    }

    /// Reads a detached signature, the text of a `.minisig` file, which has to be one of this key; `document` is the name or the URL
    /// of the file, for errors and reports. Nothing is verified yet.
    ///
    /// # Errors
    /// `Checksum` for a text that is no signature, and for a signature of another key.
    pub fn signature(&self, text: &str, document: impl Into<String>) -> Result<MinisignSignature, Error> {
        let document = document.into();
        let refused = |why: String| Error::new(Kind::Checksum, format!("{document}: {why}"));
        let is_one = text.len() <= LARGEST && Signature::decode(text).is_ok();
        let id = text.lines().nth(1).and_then(id_in).filter(|_| is_one);
        let id = id.ok_or_else(|| refused("it is no signature of minisign".to_owned()))?;
        if id != self.id {
            return Err(refused(format!(
                "it was made with the key {}, and not with {}",
                shown(id),
                self.id()
            ))
            .with_remedy(Remedy::SignersKey));
        }
        Ok(MinisignSignature { key: self.clone(), text: text.to_owned(), document })
    }
}

impl fmt::Display for MinisignKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for MinisignKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MinisignKey").field(&self.id()).finish()
    }
}

/// A detached signature, and the key that it has to be verified with.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "SignatureRecord", into = "SignatureRecord")]
pub struct MinisignSignature {
    key: MinisignKey,
    text: String,
    document: String,
}

/// Signer of verified bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Signer {
    /// Identifier of the key.
    pub key_id: String,
    /// Comment that was signed together with the bytes.
    pub trusted_comment: String,
}

impl MinisignSignature {
    /// The key that it has to be verified with.
    #[must_use]
    pub fn key(&self) -> &MinisignKey {
        &self.key
    }

    /// Text of the `.minisig` file.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Name or URL of the `.minisig` file.
    #[must_use]
    pub fn document(&self) -> &str {
        &self.document
    }

    /// Returns true for the legacy form, which is verified over all bytes at once.
    #[must_use]
    pub fn is_legacy(&self) -> bool {
        self.bytes().is_some_and(|bytes| bytes.starts_with(&OF_BYTES))
    }

    /// Verifies a document that is held in memory, such as a list of digests.
    ///
    /// ```
    /// # fn main() -> Result<(), haul::Error> {
    /// let key: haul::MinisignKey = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3".parse()?;
    /// let text = "untrusted comment: signature from minisign secret key\n\
    ///     RUQf6LRCGA9i559r3g7V1qNyJDApGip8MfqcadIgT9CuhV3EMhHoN1mGTkUidF/z7SrlQgXdy8ofjb7bNJJylDOocrCo8KLzZwo=\n\
    ///     trusted comment: timestamp:1556193335\tfile:test\n\
    ///     y/rUw2y8/hOUYjZU71eHp/Wo1KZ40fGy2VJEDl34XMJM+TX48Ss/17u3IvIfbVR1FkZZSNCisQbuQY+bHwhEBg==\n";
    /// let signature = key.signature(text, "SHA256SUMS.minisig")?;
    /// assert_eq!(signature.verify(b"test")?.trusted_comment, "timestamp:1556193335\tfile:test");
    /// assert!(signature.verify(b"Test").is_err());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `Checksum` if the key has not signed these bytes.
    pub fn verify(&self, bytes: &[u8]) -> Result<Signer, Error> {
        self.verified(&self.text, bytes)
    }

    /// Verifies a file by its digest.
    ///
    /// # Errors
    /// `Checksum` if the key has not signed a file of this BLAKE2b-512 digest.
    pub(crate) fn verify_digest(&self, digest: &Digest) -> Result<Signer, Error> {
        let text = self.of_its_digest().filter(|_| digest.algorithm() == Algorithm::Blake2b);
        let text = text.ok_or_else(|| self.mismatch())?;
        self.verified(&text, digest.as_bytes())
    }

    /// The same signature, labelled as one over bytes: these are the digest, which was computed together with the others.
    fn of_its_digest(&self) -> Option<String> {
        let bytes = self.bytes().filter(|bytes| bytes.starts_with(&OF_DIGEST))?;
        let relabelled = STANDARD.encode([&OF_BYTES[..], bytes.get(2..)?].concat());
        let lines = self.text.lines().enumerate();
        let lines: Vec<_> = lines.map(|(at, line)| if at == 1 { &relabelled } else { line }).collect();
        Some(lines.join("\n"))
    }

    fn verified(&self, text: &str, bytes: &[u8]) -> Result<Signer, Error> {
        let signature = Signature::decode(text).map_err(|_| self.mismatch())?;
        self.key.key.verify(bytes, &signature, true).map_err(|_| self.mismatch())?;
        Ok(Signer { key_id: self.key.id(), trusted_comment: signature.trusted_comment().to_owned() })
    }

    fn mismatch(&self) -> Error {
        let cause = format!(
            "signature mismatch: this is not what the key {} has signed ({})",
            self.key.id(),
            self.document
        );
        Error::new(Kind::Checksum, cause).with_remedy(Remedy::CompareSignature)
    }

    /// Bytes of its second line: the algorithm, the identifier of the key, and the signature.
    fn bytes(&self) -> Option<Vec<u8>> {
        STANDARD.decode(self.text.lines().nth(1)?).ok()
    }
}

impl fmt::Debug for MinisignSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MinisignSignature")
            .field("key", &self.key)
            .field("document", &self.document)
            .finish_non_exhaustive()
    }
}

/// A signature as it is recorded in a manifest.
#[derive(Serialize, Deserialize)]
struct SignatureRecord {
    key: String,
    text: String,
    document: String,
}

impl From<MinisignSignature> for SignatureRecord {
    fn from(signature: MinisignSignature) -> Self {
        let MinisignSignature { key, text, document } = signature;
        Self { key: key.to_string(), text, document }
    }
}

impl TryFrom<SignatureRecord> for MinisignSignature {
    type Error = Error;

    fn try_from(record: SignatureRecord) -> Result<Self, Error> {
        record.key.parse::<MinisignKey>()?.signature(&record.text, record.document)
    }
}

/// Identifier of the key in a line of base64, whose bytes begin with an algorithm.
fn id_in(line: &str) -> Option<u64> {
    let bytes = STANDARD.decode(line).ok()?;
    Some(u64::from_le_bytes(bytes.get(2..10)?.try_into().ok()?))
}

fn shown(id: u64) -> String {
    format!("{id:016X}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::Hasher;

    // Made with minisign for its own tests: a key, and its signatures of the bytes `test` in both forms.
    const KEY: &str = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";
    const LEGACY: &str = "untrusted comment: signature from minisign secret key\n\
        RWQf6LRCGA9i59SLOFxz6NxvASXDJeRtuZykwQepbDEGt87ig1BNpWaVWuNrm73YiIiJbq71Wi+dP9eKL8OC351vwIasSSbXxwA=\n\
        trusted comment: timestamp:1555779966\tfile:test\n\
        QtKMXWyYcwdpZAlPF7tE2ENJkRd1ujvKjlj1m9RtHTBnZPa5WKU5uWRs5GoP5M/VqE81QFuMKI5k/SfNQUaOAA==\n";
    const HASHED: &str = "untrusted comment: signature from minisign secret key\n\
        RUQf6LRCGA9i559r3g7V1qNyJDApGip8MfqcadIgT9CuhV3EMhHoN1mGTkUidF/z7SrlQgXdy8ofjb7bNJJylDOocrCo8KLzZwo=\n\
        trusted comment: timestamp:1556193335\tfile:test\n\
        y/rUw2y8/hOUYjZU71eHp/Wo1KZ40fGy2VJEDl34XMJM+TX48Ss/17u3IvIfbVR1FkZZSNCisQbuQY+bHwhEBg==\n";

    fn signature(text: &str) -> MinisignSignature {
        KEY.parse::<MinisignKey>().unwrap().signature(text, "f.minisig").unwrap()
    }

    fn digest(algorithm: Algorithm, bytes: &[u8]) -> Digest {
        let mut hasher = Hasher::new(algorithm);
        hasher.update(bytes);
        hasher.finish()
    }

    #[test]
    fn a_key_is_read_as_a_line_or_as_a_file_and_nothing_else_is_one() {
        let key: MinisignKey = KEY.parse().unwrap();
        let file = format!("untrusted comment: minisign public key E7620F1842B4E81F\r\n{KEY}\r\n");
        assert_eq!(file.parse::<MinisignKey>().unwrap(), key);
        assert_eq!((key.id(), key.to_string()), ("E7620F1842B4E81F".to_owned(), KEY.to_owned()));
        let longer = format!("{KEY}AAAA");
        for text in ["", "RW", &KEY[1..], &KEY[..52], &longer, "not a key at all", HASHED] {
            let error = text.parse::<MinisignKey>().unwrap_err();
            assert!(error.kind() == Kind::Usage && error.to_string().contains("RW"), "{text}: {error}");
        }
        let secret = STANDARD.encode([7; SECRET_KEY]).parse::<MinisignKey>().unwrap_err();
        assert!(secret.to_string().contains("secret key"), "{secret}");
    }

    #[test]
    fn signatures_of_minisign_are_verified_over_bytes_and_over_their_digest() {
        for (text, is_legacy) in [(LEGACY, true), (HASHED, false), (&HASHED.replace('\n', "\r\n"), false)] {
            let signature = signature(text);
            assert_eq!(signature.is_legacy(), is_legacy);
            let signer = signature.verify(b"test").unwrap();
            assert_eq!(signer.key_id, "E7620F1842B4E81F");
            assert!(signer.trusted_comment.ends_with("\tfile:test"), "{signer:?}");
            assert_eq!(signature.verify(b"Test").unwrap_err().kind(), Kind::Checksum);
            let by_digest = signature.verify_digest(&digest(Algorithm::Blake2b, b"test"));
            // The digest is not what a legacy signature is over.
            assert_eq!(by_digest.ok(), Some(signer).filter(|_| !is_legacy));
            for other in [digest(Algorithm::Blake2b, b"Test"), digest(Algorithm::Sha512, b"test")] {
                assert!(signature.verify_digest(&other).is_err(), "{other}");
            }
        }
    }

    #[test]
    fn the_trusted_comment_is_signed_and_the_untrusted_one_is_not() {
        let untrusted = HASHED.replacen("signature from", "whatever of", 1);
        assert!(signature(&untrusted).verify(b"test").is_ok());
        let trusted = signature(&HASHED.replacen("file:test", "file:best", 1));
        assert!(trusted.verify(b"test").is_err());
        assert!(trusted.verify_digest(&digest(Algorithm::Blake2b, b"test")).is_err());
    }

    #[test]
    fn a_text_that_is_no_signature_of_the_key_is_refused_with_its_name() {
        let key: MinisignKey = KEY.parse().unwrap();
        let short: Vec<_> = HASHED.lines().take(3).collect();
        let large = format!("{HASHED}{}", " ".repeat(LARGEST));
        let foreign = HASHED.replacen("RUQf6LRC", "RUQf6LRD", 1);
        for (text, said) in [
            ("", "no signature of minisign"),
            ("<html>not found</html>", "no signature of minisign"),
            (&short.join("\n"), "no signature of minisign"),
            (&large, "no signature of minisign"),
            (&foreign, "made with the key E7620F1843B4E81F, and not with E7620F1842B4E81F"),
        ] {
            let error = key.signature(text, "f.minisig").unwrap_err();
            assert_eq!(error.kind(), Kind::Checksum);
            assert!(
                error.to_string().starts_with("f.minisig: ") && error.to_string().contains(said),
                "{error}"
            );
        }
    }

    #[test]
    fn a_signature_survives_its_record_and_a_damaged_record_is_refused() {
        let signature = signature(HASHED);
        let record = serde_json::to_string(&signature).unwrap();
        assert_eq!(serde_json::from_str::<MinisignSignature>(&record).unwrap(), signature);
        let damaged = record.replacen(KEY, &KEY[1..], 1);
        assert!(serde_json::from_str::<MinisignSignature>(&damaged).is_err());
    }
}
