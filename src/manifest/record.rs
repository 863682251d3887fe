//! One line of the journal.

use super::run::Run;
use crate::plan::ByteRange;
use crate::plan::representation::Representation;
use crate::storage::Identity;
use crate::verify::MinisignSignature;
use serde::{Deserialize, Serialize};

/// The version this program writes, and the newest it reads.
pub(crate) const VERSION: u32 = 1;

/// Content of a line. Unknown records of the same version count as a damaged line: a reader that does not understand a
/// claim or a withdrawal must not go on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Record {
    /// The first line: the version of the format.
    Haul(u32),
    /// The second line: the resource, and the part file.
    File(Box<FileRecord>),
    /// A durable range: start, end, and the CRC-32C of its bytes.
    Have(u64, u64, Crc),
    /// A range that is no longer claimed.
    Lost(u64, u64),
    /// The complete file was refused: it hashes to these digests instead of the expected ones.
    Rejected(Vec<String>),
}

/// Resource and part file that the manifest belongs to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct FileRecord {
    /// The user's URL, without userinfo and with secrets hidden.
    pub(crate) url: String,
    #[serde(flatten)]
    pub(crate) representation: Representation,
    /// The expected digests, as `algorithm:hex`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) digests: Vec<String>,
    /// The signature that the file must have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) signature: Option<MinisignSignature>,
    /// The origin of the document that named the URL, empty if it came from no server; absent if the user named it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) document: Option<String>,
    /// Other URLs of the same file, as `url` is written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) mirrors: Vec<String>,
    /// The run that took the file over last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) holder: Option<String>,
    #[serde(flatten)]
    pub(crate) part: Identity,
}

/// A CRC-32C as eight hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Crc(pub(crate) u32);

impl Serialize for Crc {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:08x}", self.0))
    }
}

impl<'de> Deserialize<'de> for Crc {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let crc = u32::from_str_radix(&text, 16).ok().filter(|_| text.len() == 8);
        crc.map(Self).ok_or_else(|| serde::de::Error::custom("a checksum has eight hex digits"))
    }
}

impl From<Run> for Record {
    fn from(run: Run) -> Self {
        Self::Have(run.range.start(), run.range.end(), Crc(run.crc))
    }
}

impl Record {
    /// The record as a line: its checksum, a space, JSON, a line break.
    pub(crate) fn to_line(&self) -> String {
        // Every variant is plain data with string keys, which JSON can always hold.
        let json = serde_json::to_string(self).unwrap_or_default();
        format!("{:08x} {json}\n", crc32c::crc32c(json.as_bytes()))
    }

    /// Parses a line without its line break; `None` if it is damaged in any way.
    pub(crate) fn from_line(line: &[u8]) -> Option<Self> {
        let json = checked(line)?;
        serde_json::from_slice(json).ok()
    }

    pub(crate) fn lost(range: ByteRange) -> Self {
        Self::Lost(range.start(), range.end())
    }
}

/// JSON of a line whose checksum is right.
pub(super) fn checked(line: &[u8]) -> Option<&[u8]> {
    let (crc, json) = line.split_at_checked(9)?;
    let digits = crc.strip_suffix(b" ")?;
    let lower_hex = digits.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let stated = u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    (lower_hex && stated == crc32c::crc32c(json)).then_some(json)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_reads_like_what_it_says() {
        let record = Record::Have(0, 1_048_576, Crc(0xdead_beef));
        let line = record.to_line();
        assert!(line.ends_with("{\"have\":[0,1048576,\"deadbeef\"]}\n"), "{line}");
        assert_eq!(Record::from_line(line.trim_end().as_bytes()), Some(record));
    }

    // T081
    #[test]
    fn no_flipped_bit_goes_unnoticed() {
        let line = Record::Have(0, 1_048_576, Crc(0xdead_beef)).to_line();
        let line = line.trim_end().as_bytes();
        for bit in 0..line.len() * 8 {
            let mut damaged = line.to_vec();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Record::from_line(&damaged), None, "bit {bit}");
        }
    }
}
