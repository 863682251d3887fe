//! Signatures as minisign makes them, with keys made from a seed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use blake2::{Blake2b512, Digest as _};
use rustls::SignatureScheme;
use rustls::crypto::ring::sign::any_eddsa_type;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::sign::SigningKey;
use std::sync::Arc;

/// An Ed25519 key in PKCS #8 up to its seed (RFC 8410 §7).
const BEFORE_SEED: [u8; 16] = [0x30, 46, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];

/// A key pair of minisign.
pub(crate) struct Minisign {
    key: Arc<dyn SigningKey>,
    id: [u8; 8],
}

impl Minisign {
    pub(crate) fn new(seed: u8) -> Self {
        let der = [&BEFORE_SEED[..], &[seed; 32]].concat();
        Self { key: any_eddsa_type(&PrivatePkcs8KeyDer::from(der)).unwrap(), id: [seed; 8] }
    }

    /// The public key in one line, as minisign prints it.
    pub(crate) fn public(&self) -> String {
        let spki = self.key.public_key().unwrap();
        STANDARD.encode([b"Ed", &self.id[..], &spki[spki.len() - 32..]].concat())
    }

    /// Identifier of the key, as minisign prints it.
    pub(crate) fn id(&self) -> String {
        format!("{:016X}", u64::from_le_bytes(self.id))
    }

    /// Text of the `.minisig` file of these bytes.
    pub(crate) fn sign(&self, bytes: &[u8], comment: &str) -> String {
        self.text(*b"ED", &Blake2b512::digest(bytes), comment)
    }

    /// The same in the form of old versions.
    pub(crate) fn sign_legacy(&self, bytes: &[u8], comment: &str) -> String {
        self.text(*b"Ed", bytes, comment)
    }

    fn text(&self, algorithm: [u8; 2], message: &[u8], comment: &str) -> String {
        let signature = self.ed25519(message);
        let global = self.ed25519(&[&signature[..], comment.as_bytes()].concat());
        let first = STANDARD.encode([&algorithm[..], &self.id, &signature].concat());
        let last = STANDARD.encode(global);
        format!("untrusted comment: a test\n{first}\ntrusted comment: {comment}\n{last}\n")
    }

    fn ed25519(&self, message: &[u8]) -> Vec<u8> {
        self.key.choose_scheme(&[SignatureScheme::ED25519]).unwrap().sign(message).unwrap()
    }
}
