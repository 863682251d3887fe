//! Digests that a user expects of a file, and the hashers that compute them.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use crc::{CRC_32_ISO_HDLC, CRC_64_NVME, Crc, Table};
use sha2::Digest as _;

/// A hash function that haul can compute and compare.
///
/// Parsing accepts the names in common use, in any case:
///
/// ```
/// use haul::Algorithm;
///
/// assert_eq!("SHA-256".parse(), Ok(Algorithm::Sha256));
/// assert_eq!("b3".parse(), Ok(Algorithm::Blake3));
/// assert_eq!(Algorithm::Sha256.to_string(), "sha256");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Algorithm {
    /// SHA-256 (FIPS 180-4).
    Sha256,
    /// SHA-512 (FIPS 180-4).
    Sha512,
    /// SHA-1 (RFC 3174). Finds damage, not forgery.
    Sha1,
    /// MD5 (RFC 1321). Finds damage, not forgery.
    Md5,
    /// `BLAKE2b` with 64 bytes of output (RFC 7693), as printed by `b2sum`.
    Blake2b,
    /// BLAKE3 with 32 bytes of output, as printed by `b3sum`.
    Blake3,
    /// CRC-32C (Castagnoli), in the order of the network. Finds damage, not forgery; only servers state it.
    Crc32c,
    /// CRC-32, as in gzip, in the order of the network. Finds damage, not forgery; only servers state it.
    Crc32,
    /// CRC-64/NVME, in the order of the network. Finds damage, not forgery; only servers state it.
    Crc64Nvme,
}

impl Algorithm {
    /// Every algorithm that a user may name, in the order error messages name them. A checksum that is made for damage is no proof to ask
    /// for.
    const ALL: [Self; 6] = [Self::Sha256, Self::Sha512, Self::Blake2b, Self::Blake3, Self::Sha1, Self::Md5];

    /// Returns true if no way is known to make two files with the same digest.
    ///
    /// A digest that is not collision resistant still finds accidental damage, but it says nothing about a
    /// file whose author had a reason to prepare a second one (RFC 6151 for MD5, RFC 6194 for SHA-1; anybody can for a CRC).
    #[must_use]
    pub fn is_collision_resistant(self) -> bool {
        matches!(self, Self::Sha256 | Self::Sha512 | Self::Blake2b | Self::Blake3)
    }

    /// Length of a digest in bytes.
    #[must_use]
    pub fn output_len(self) -> usize {
        match self {
            Self::Sha512 | Self::Blake2b => 64,
            Self::Sha256 | Self::Blake3 => 32,
            Self::Sha1 => 20,
            Self::Md5 => 16,
            Self::Crc64Nvme => 8,
            Self::Crc32c | Self::Crc32 => 4,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
            Self::Sha1 => "sha1",
            Self::Md5 => "md5",
            Self::Blake2b => "blake2b",
            Self::Blake3 => "blake3",
            Self::Crc32c => "crc32c",
            Self::Crc32 => "crc32",
            Self::Crc64Nvme => "crc64nvme",
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Algorithm {
    type Err = ParseDigestError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name.to_ascii_lowercase().as_str() {
            "sha256" | "sha-256" => Ok(Self::Sha256),
            "sha512" | "sha-512" => Ok(Self::Sha512),
            "sha1" | "sha-1" => Ok(Self::Sha1),
            "md5" | "md-5" => Ok(Self::Md5),
            "blake2b" | "blake2b-512" | "blake2b512" | "b2" => Ok(Self::Blake2b),
            "blake3" | "b3" => Ok(Self::Blake3),
            _ => Err(ParseDigestError::UnknownAlgorithm { name: excerpt(name) }),
        }
    }
}

/// A digest and the algorithm that computed it.
///
/// It is written and stored as `sha256:HEX`. Parsing accepts the forms in common use:
///
/// ```
/// use haul::Digest;
///
/// let digest: Digest = "md5:D41D8CD98F00B204E9800998ECF8427E".parse()?;
/// assert_eq!(digest.to_string(), "md5:d41d8cd98f00b204e9800998ecf8427e");
///
/// assert_eq!("MD5=d41d8cd98f00b204e9800998ecf8427e".parse(), Ok(digest.clone()));
/// assert_eq!("md5-1B2M2Y8AsgTpgAmY7PhCfg==".parse(), Ok(digest));
/// # Ok::<(), haul::ParseDigestError>(())
/// ```
///
/// The last form is that of W3C Subresource Integrity; its padding may be left out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest {
    algorithm: Algorithm,
    /// Exactly `algorithm.output_len()` bytes.
    bytes: Box<[u8]>,
}

impl Digest {
    /// Parses a digest written in hexadecimal, in any case (RFC 4648 §8).
    ///
    /// # Errors
    ///
    /// Refuses a character that is not a hexadecimal digit, and a length that `algorithm` does not produce.
    ///
    /// ```
    /// use haul::{Algorithm, Digest};
    ///
    /// let error = Digest::from_hex(Algorithm::Md5, "d41d8c").unwrap_err();
    /// assert_eq!(error.to_string(), "an md5 digest has 32 hex digits, this has 6");
    /// ```
    pub fn from_hex(algorithm: Algorithm, hex: &str) -> Result<Self, ParseDigestError> {
        check_characters(hex, Encoding::Hex)?;
        check_length(algorithm, hex, Encoding::Hex)?;
        let bytes = hex.as_bytes().chunks_exact(2).map(byte_of_pair).collect();
        Ok(Self { algorithm, bytes })
    }

    /// Parses a digest written in the standard base64 alphabet, padded or not (RFC 4648 §4).
    ///
    /// # Errors
    ///
    /// Refuses a character outside the alphabet, and a length that `algorithm` does not produce.
    pub fn from_base64(algorithm: Algorithm, base64: &str) -> Result<Self, ParseDigestError> {
        let text = base64.trim_end_matches('=');
        check_characters(text, Encoding::Base64)?;
        check_length(algorithm, text, Encoding::Base64)?;
        // Alphabet and length are right, so only bits after the last byte can be wrong.
        let bytes = STANDARD_NO_PAD.decode(text).map_err(|_| ParseDigestError::StrayBits)?;
        Ok(Self { algorithm, bytes: bytes.into() })
    }

    /// Algorithm of this digest.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Bytes of the digest, [`Algorithm::output_len`] of them.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The digest in lower-case hexadecimal, without the name of the algorithm.
    #[must_use]
    pub fn to_hex(&self) -> String {
        const DIGITS: [char; 16] =
            ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
        self.bytes
            .iter()
            .flat_map(|byte| [byte >> 4, byte & 0xf])
            .map(|nibble| DIGITS[usize::from(nibble)])
            .collect()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm, self.to_hex())
    }
}

impl FromStr for Digest {
    type Err = ParseDigestError;

    fn from_str(spec: &str) -> Result<Self, Self::Err> {
        let spec = spec.trim();
        if let Some((algorithm, base64)) = split_integrity(spec) {
            return Self::from_base64(algorithm, base64);
        }
        let (name, hex) = spec.split_once([':', '=']).ok_or(ParseDigestError::MissingAlgorithm)?;
        Self::from_hex(name.trim().parse()?, hex.trim())
    }
}

/// Splits `sha256-BASE64` (W3C Subresource Integrity §3.5).
///
/// A name may itself contain one dash, so the separator is the first or the second dash: the later one that has a known
/// name in front of it. The hexadecimal forms never match, as no name contains `:` or `=`.
fn split_integrity(spec: &str) -> Option<(Algorithm, &str)> {
    let split_at = |(dash, _): (usize, &str)| {
        let algorithm = spec[..dash].parse().ok()?;
        Some((algorithm, &spec[dash + 1..]))
    };
    spec.match_indices('-').take(2).filter_map(split_at).last()
}

/// Reason that a text is not a digest.
///
/// The messages address the author of the text. Quoted parts of it are shortened and free of control characters, since
/// the text may come from a file that a server sent.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ParseDigestError {
    /// The text does not name an algorithm.
    MissingAlgorithm,
    /// The name in front of the digest is not one that haul knows.
    UnknownAlgorithm {
        /// Beginning of the name as it was given.
        name: String,
    },
    /// The digest is shorter or longer than one of the algorithm.
    WrongLength {
        /// Algorithm that was named.
        algorithm: Algorithm,
        /// Encoding of the digest.
        encoding: Encoding,
        /// Number of characters in such a digest.
        expected: usize,
        /// Number of characters given.
        found: usize,
    },
    /// A character does not belong in a digest.
    BadCharacter {
        /// Encoding of the digest.
        encoding: Encoding,
        /// First such character.
        character: char,
        /// Its position, counted in characters from 1.
        position: usize,
    },
    /// The last base64 character carries bits that no encoder sets (RFC 4648 §3.5).
    StrayBits,
}

/// Text encoding of a digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Encoding {
    /// Two hexadecimal digits a byte (RFC 4648 §8).
    Hex,
    /// The standard base64 alphabet (RFC 4648 §4).
    Base64,
}

impl Encoding {
    fn allows(self, character: char) -> bool {
        match self {
            Self::Hex => character.is_ascii_hexdigit(),
            Self::Base64 => character.is_ascii_alphanumeric() || matches!(character, '+' | '/'),
        }
    }

    /// Number of characters for `len` bytes, without padding.
    fn text_len(self, len: usize) -> usize {
        match self {
            Self::Hex => len * 2,
            Self::Base64 => (len * 4).div_ceil(3),
        }
    }

    fn unit(self) -> &'static str {
        match self {
            Self::Hex => "hex digit",
            Self::Base64 => "base64 character",
        }
    }
}

impl fmt::Display for ParseDigestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MissingAlgorithm => {
                f.write_str("the algorithm is missing; write it in front, as in sha256:HEX")
            }
            Self::UnknownAlgorithm { name } => {
                let known = Algorithm::ALL.map(Algorithm::name).join(", ");
                write!(f, "unknown digest algorithm {name:?}; known are {known}")
            }
            Self::WrongLength { algorithm, encoding, expected, found } => {
                // "md5" begins with a vowel sound.
                let article = if *algorithm == Algorithm::Md5 { "an" } else { "a" };
                let unit = encoding.unit();
                write!(f, "{article} {algorithm} digest has {expected} {unit}s, this has {found}")
            }
            Self::BadCharacter { encoding, character, position } => {
                let unit = encoding.unit();
                write!(f, "character {position} of the digest, {character:?}, is not a {unit}")
            }
            Self::StrayBits => {
                f.write_str("the last base64 character of the digest is not one an encoder writes")
            }
        }
    }
}

impl std::error::Error for ParseDigestError {}

fn check_characters(text: &str, encoding: Encoding) -> Result<(), ParseDigestError> {
    match text.chars().zip(1..).find(|(c, _)| !encoding.allows(*c)) {
        None => Ok(()),
        Some((character, position)) => Err(ParseDigestError::BadCharacter { encoding, character, position }),
    }
}

fn check_length(algorithm: Algorithm, text: &str, encoding: Encoding) -> Result<(), ParseDigestError> {
    let expected = encoding.text_len(algorithm.output_len());
    let found = text.len();
    if found == expected {
        return Ok(());
    }
    Err(ParseDigestError::WrongLength { algorithm, encoding, expected, found })
}

/// Converts two hexadecimal digits to a byte. The caller has checked that they are digits.
fn byte_of_pair(pair: &[u8]) -> u8 {
    pair.iter().fold(0, |byte, digit| (byte << 4) | nibble(*digit))
}

fn nibble(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        // Setting this bit turns an upper-case letter into a lower-case one.
        _ => (digit | 0x20).wrapping_sub(b'a').wrapping_add(10),
    }
}

/// Beginning of a name, enough to recognise it. The rest may be a whole file.
fn excerpt(name: &str) -> String {
    name.chars().take(32).collect()
}

static CRC_32: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_32_ISO_HDLC);
static CRC_64: Crc<u64, Table<16>> = Crc::<u64, Table<16>>::new(&CRC_64_NVME);

/// Computes a digest incrementally.
#[derive(Clone)]
pub(crate) enum Hasher {
    Sha256(sha2::Sha256),
    Sha512(sha2::Sha512),
    Sha1(sha1::Sha1),
    Md5(md5::Md5),
    Blake2b(blake2::Blake2b512),
    /// Boxed because its state is ten times that of the others.
    Blake3(Box<blake3::Hasher>),
    Crc32c(u32),
    Crc32(crc::Digest<'static, u32, Table<16>>),
    Crc64Nvme(crc::Digest<'static, u64, Table<16>>),
}

impl Hasher {
    /// Creates a hasher that has hashed no bytes yet.
    pub(crate) fn new(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Sha256 => Self::Sha256(sha2::Sha256::new()),
            Algorithm::Sha512 => Self::Sha512(sha2::Sha512::new()),
            Algorithm::Sha1 => Self::Sha1(sha1::Sha1::new()),
            Algorithm::Md5 => Self::Md5(md5::Md5::new()),
            Algorithm::Blake2b => Self::Blake2b(blake2::Blake2b512::new()),
            Algorithm::Blake3 => Self::Blake3(Box::default()),
            Algorithm::Crc32c => Self::Crc32c(0),
            Algorithm::Crc32 => Self::Crc32(CRC_32.digest()),
            Algorithm::Crc64Nvme => Self::Crc64Nvme(CRC_64.digest()),
        }
    }

    /// Hashes the bytes that follow those hashed so far.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(state) => state.update(bytes),
            Self::Sha512(state) => state.update(bytes),
            Self::Sha1(state) => state.update(bytes),
            Self::Md5(state) => state.update(bytes),
            Self::Blake2b(state) => state.update(bytes),
            Self::Blake3(state) => {
                state.update(bytes);
            }
            Self::Crc32c(state) => *state = crc32c::crc32c_append(*state, bytes),
            Self::Crc32(state) => state.update(bytes),
            Self::Crc64Nvme(state) => state.update(bytes),
        }
    }

    /// Returns the digest of all bytes hashed.
    pub(crate) fn finish(self) -> Digest {
        let algorithm = self.algorithm();
        let bytes: Box<[u8]> = match self {
            Self::Sha256(state) => state.finalize().as_slice().into(),
            Self::Sha512(state) => state.finalize().as_slice().into(),
            Self::Sha1(state) => state.finalize().as_slice().into(),
            Self::Md5(state) => state.finalize().as_slice().into(),
            Self::Blake2b(state) => state.finalize().as_slice().into(),
            Self::Blake3(state) => state.finalize().as_slice().into(),
            Self::Crc32c(state) => state.to_be_bytes().into(),
            Self::Crc32(state) => state.finalize().to_be_bytes().into(),
            Self::Crc64Nvme(state) => state.finalize().to_be_bytes().into(),
        };
        Digest { algorithm, bytes }
    }

    /// State from which another process can go on; `None` for algorithms whose state cannot be taken out.
    #[cfg(feature = "s3")]
    pub(crate) fn state(&self) -> Option<Vec<u8>> {
        use sha2::digest::common::hazmat::SerializableState as _;
        Some(match self {
            Self::Sha256(state) => state.serialize().as_slice().to_vec(),
            Self::Sha512(state) => state.serialize().as_slice().to_vec(),
            Self::Sha1(state) => state.serialize().as_slice().to_vec(),
            Self::Md5(state) => state.serialize().as_slice().to_vec(),
            Self::Crc32c(state) => state.to_be_bytes().to_vec(),
            Self::Crc32(state) => state.clone().finalize().to_be_bytes().to_vec(),
            Self::Crc64Nvme(state) => state.clone().finalize().to_be_bytes().to_vec(),
            Self::Blake2b(_) | Self::Blake3(_) => return None,
        })
    }

    /// Hasher that goes on from a [state](Self::state); `None` if it is none of the algorithm.
    #[cfg(feature = "s3")]
    pub(crate) fn restored(algorithm: Algorithm, state: &[u8]) -> Option<Self> {
        use sha2::digest::common::hazmat::SerializableState;
        fn read<T: SerializableState>(state: &[u8]) -> Option<T> {
            T::deserialize(state.try_into().ok()?).ok()
        }
        Some(match algorithm {
            Algorithm::Sha256 => Self::Sha256(read(state)?),
            Algorithm::Sha512 => Self::Sha512(read(state)?),
            Algorithm::Sha1 => Self::Sha1(read(state)?),
            Algorithm::Md5 => Self::Md5(read(state)?),
            Algorithm::Crc32c => Self::Crc32c(u32::from_be_bytes(state.try_into().ok()?)),
            // Both are reflected, so that the register before the last inversion is the initial value with its bits reversed.
            Algorithm::Crc32 => {
                let ended = u32::from_be_bytes(state.try_into().ok()?);
                Self::Crc32(CRC_32.digest_with_initial((!ended).reverse_bits()))
            }
            Algorithm::Crc64Nvme => {
                let ended = u64::from_be_bytes(state.try_into().ok()?);
                Self::Crc64Nvme(CRC_64.digest_with_initial((!ended).reverse_bits()))
            }
            Algorithm::Blake2b | Algorithm::Blake3 => return None,
        })
    }

    /// Algorithm of this hasher.
    pub(crate) fn algorithm(&self) -> Algorithm {
        match self {
            Self::Sha256(_) => Algorithm::Sha256,
            Self::Sha512(_) => Algorithm::Sha512,
            Self::Sha1(_) => Algorithm::Sha1,
            Self::Md5(_) => Algorithm::Md5,
            Self::Blake2b(_) => Algorithm::Blake2b,
            Self::Blake3(_) => Algorithm::Blake3,
            Self::Crc32c(_) => Algorithm::Crc32c,
            Self::Crc32(_) => Algorithm::Crc32,
            Self::Crc64Nvme(_) => Algorithm::Crc64Nvme,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ABC_SHA256: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn digest_of(algorithm: Algorithm, pieces: &[&[u8]]) -> Digest {
        let mut hasher = Hasher::new(algorithm);
        for piece in pieces {
            hasher.update(piece);
        }
        hasher.finish()
    }

    #[cfg(feature = "s3")]
    #[test]
    fn a_hash_goes_on_from_its_state_in_another_process_wherever_it_was_taken() {
        let bytes: Vec<u8> = (0..1000_u32).map(|n| (n * 7 % 251) as u8).collect();
        let algorithms = [
            Algorithm::Sha256,
            Algorithm::Sha512,
            Algorithm::Sha1,
            Algorithm::Md5,
            Algorithm::Crc32c,
            Algorithm::Crc32,
            Algorithm::Crc64Nvme,
        ];
        for algorithm in algorithms {
            for at in [0, 1, 63, 64, 65, 500, 1000] {
                let mut first = Hasher::new(algorithm);
                first.update(&bytes[..at]);
                let mut second = Hasher::restored(algorithm, &first.state().unwrap()).unwrap();
                second.update(&bytes[at..]);
                assert_eq!(second.finish(), digest_of(algorithm, &[&bytes]), "{algorithm} at {at}");
            }
            assert!(Hasher::restored(algorithm, b"x").is_none(), "{algorithm}");
        }
        assert!(Hasher::new(Algorithm::Blake3).state().is_none());
    }

    fn message(spec: &str) -> String {
        spec.parse::<Digest>().unwrap_err().to_string()
    }

    #[test]
    fn each_algorithm_gives_its_published_digest_of_abc() {
        let published = [
            (Algorithm::Sha256, ABC_SHA256),
            (
                Algorithm::Sha512,
                "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
                 2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
            ),
            (Algorithm::Sha1, "a9993e364706816aba3e25717850c26c9cd0d89d"),
            (Algorithm::Md5, "900150983cd24fb0d6963f7d28e17f72"),
            (
                Algorithm::Blake2b,
                "ba80a53f981c4d0d6a2797b69f12f6e94c212f14685ac4b74b12bb6fdbffa2d1\
                 7d87c5392aab792dc252d5de4533cc9518d38aa8dbf1925ab92386edd4009923",
            ),
            (Algorithm::Blake3, "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85"),
        ];
        for (algorithm, hex) in published {
            assert_eq!(digest_of(algorithm, &[b"a", b"", b"bc"]).to_hex(), hex);
            assert_eq!(hex.len(), algorithm.output_len() * 2);
            assert_eq!(Hasher::new(algorithm).algorithm(), algorithm);
        }
    }

    #[test]
    fn each_checksum_gives_the_check_value_of_its_catalogue() {
        for (algorithm, hex) in [
            (Algorithm::Crc32c, "e3069283"),
            (Algorithm::Crc32, "cbf43926"),
            (Algorithm::Crc64Nvme, "ae8b14860a799888"),
        ] {
            let digest = digest_of(algorithm, &[b"1234", b"", b"56789"]);
            assert_eq!((digest.to_hex(), digest.algorithm()), (hex.to_owned(), algorithm));
            assert_eq!(hex.len(), algorithm.output_len() * 2);
            assert!(!algorithm.is_collision_resistant() && !Algorithm::ALL.contains(&algorithm));
            assert!(digest.to_string().parse::<Digest>().is_err(), "no user asks for {algorithm}");
        }
    }

    #[test]
    fn every_accepted_spelling_gives_the_same_digest() {
        let expected = digest_of(Algorithm::Sha256, &[b"abc"]);
        let upper = ABC_SHA256.to_uppercase();
        for spec in [
            format!("sha256:{ABC_SHA256}"),
            format!("sha256={ABC_SHA256}"),
            format!("sha-256={ABC_SHA256}"),
            format!("SHA-256:{upper}"),
            format!("  sha256: {ABC_SHA256}\n"),
            "sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=".into(),
            "sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0".into(),
            "sha-256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=".into(),
        ] {
            assert_eq!(spec.parse(), Ok(expected.clone()), "{spec}");
        }
    }

    #[test]
    fn every_known_name_is_accepted_in_any_case() {
        let names = [
            ("sha256 sha-256 SHA256 Sha-256", Algorithm::Sha256),
            ("sha512 sha-512 SHA-512", Algorithm::Sha512),
            ("sha1 sha-1 SHA1", Algorithm::Sha1),
            ("md5 MD5", Algorithm::Md5),
            ("blake2b blake2b-512 BLAKE2b b2", Algorithm::Blake2b),
            ("blake3 BLAKE3 b3", Algorithm::Blake3),
        ];
        for (spellings, algorithm) in names {
            for name in spellings.split(' ') {
                assert_eq!(name.parse(), Ok(algorithm), "{name}");
            }
        }
    }

    #[test]
    fn a_digest_is_written_as_name_colon_lower_case_hex() {
        let digest = digest_of(Algorithm::Sha256, &[b"abc"]);
        assert_eq!(digest.to_string(), format!("sha256:{ABC_SHA256}"));
    }

    #[test]
    fn only_sha1_and_md5_are_not_collision_resistant() {
        let weak: Vec<_> =
            Algorithm::ALL.into_iter().filter(|algorithm| !algorithm.is_collision_resistant()).collect();
        assert_eq!(weak, [Algorithm::Sha1, Algorithm::Md5]);
    }

    #[test]
    fn an_unknown_algorithm_is_answered_with_the_known_ones() {
        assert_eq!(
            message("crc32:00000000"),
            "unknown digest algorithm \"crc32\"; known are sha256, sha512, blake2b, blake3, sha1, md5"
        );
    }

    #[test]
    fn a_bare_digest_is_answered_with_the_form_to_write() {
        assert_eq!(message(ABC_SHA256), "the algorithm is missing; write it in front, as in sha256:HEX");
    }

    #[test]
    fn a_wrong_length_is_named_with_the_right_one() {
        assert_eq!(
            message(&format!("sha256:{}", &ABC_SHA256[1..])),
            "a sha256 digest has 64 hex digits, this has 63"
        );
        assert_eq!(message("sha256-AAAA"), "a sha256 digest has 43 base64 characters, this has 4");
        assert_eq!(message("md5:"), "an md5 digest has 32 hex digits, this has 0");
    }

    #[test]
    fn a_bad_character_is_named_with_its_position() {
        assert_eq!(
            message("md5:d41g8cd98f00b204e9800998ecf8427e"),
            "character 4 of the digest, 'g', is not a hex digit"
        );
        assert_eq!(message("sha256-ungW-48B"), "character 5 of the digest, '-', is not a base64 character");
    }

    #[test]
    fn base64_that_no_encoder_writes_is_refused() {
        assert_eq!("md5-1B2M2Y8AsgTpgAmY7PhCfh==".parse::<Digest>(), Err(ParseDigestError::StrayBits));
    }

    #[test]
    fn a_message_never_carries_control_characters_of_the_input() {
        for spec in ["\x1b[31m\u{202e}:00", "md5:\x1b", "md5:\u{202e}", "md5:\u{9b}"] {
            let text = message(spec);
            assert!(!text.contains(|c: char| c.is_control() || c == '\u{202e}'), "{text}");
        }
    }

    proptest! {
        #[test]
        fn parsing_a_digest_never_panics(spec in any::<String>()) {
            let _ = spec.parse::<Digest>().map_err(|error| error.to_string());
        }

        #[test]
        fn parsing_something_like_a_digest_never_panics(
            spec in "(sha-?256|b2|blake2b-512|md5)[:=-][0-9a-fA-F=+/é-]{0,90}",
        ) {
            let _ = spec.parse::<Digest>().map_err(|error| error.to_string());
        }

        #[test]
        fn what_is_written_is_read_back(payload in any::<Vec<u8>>(), which in 0..6_usize) {
            let digest = digest_of(Algorithm::ALL[which], &[&payload]);
            prop_assert_eq!(digest.to_string().parse(), Ok(digest.clone()));
            let integrity = format!("{}-{}", digest.algorithm(), STANDARD_NO_PAD.encode(digest.as_bytes()));
            prop_assert_eq!(integrity.parse(), Ok(digest));
        }
    }
}
