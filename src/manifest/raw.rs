//! A manifest as read: its lines are whole, and nothing more is known.

use super::record::{Crc, FileRecord, Record, VERSION, checked};
use super::run::Run;
use crate::plan::ByteRange;
use crate::storage::{owner, parent};
use crate::sys::{self, Errno};
use std::io::{self, Read as _};
use std::path::Path;

/// Size limit in bytes: the largest manifest of haul, just before it is rewritten, is smaller.
const LARGEST: u64 = 256 << 20;

/// The records of a manifest, up to the first damaged one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Raw {
    /// The first two lines as they are.
    pub(crate) head: Vec<u8>,
    pub(crate) file: FileRecord,
    /// Claims, without withdrawn ones; later claims replace earlier ones that they overlap.
    pub(crate) runs: Vec<Run>,
    pub(crate) rejected: Option<Vec<String>>,
    /// Number of sound bytes; the rest was torn off.
    pub(crate) sound: u64,
    pub(crate) torn: bool,
    /// True if others may write to the file.
    pub(crate) shared: bool,
}

/// Reason that a manifest could not be read.
#[derive(Debug)]
pub(crate) enum ReadError {
    Missing,
    /// It exists, but its first lines are not those of a manifest.
    Unusable(&'static str),
    /// A newer haul wrote it.
    Newer(u32),
    /// A link, a FIFO, another user's file: planted.
    Planted(&'static str),
    Io(io::Error),
}

impl Raw {
    /// Reads the manifest at `path`, following no link.
    pub(crate) fn read(path: &Path) -> Result<Self, ReadError> {
        let mut file = match sys::open_to_read(path) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Err(ReadError::Missing),
            Err(Errno::LOOP) => return Err(ReadError::Planted("a symbolic link")),
            Err(error) => return Err(ReadError::Io(error.into())),
        };
        let metadata = file.metadata().map_err(ReadError::Io)?;
        if let Some(flaw) = owner::flaw(&metadata, parent(path)) {
            return Err(ReadError::Planted(flaw));
        }
        if metadata.len() > LARGEST {
            return Err(ReadError::Unusable("it is too large"));
        }
        let mut bytes = Vec::new();
        file.by_ref().take(LARGEST).read_to_end(&mut bytes).map_err(ReadError::Io)?;
        let raw = Self::parse(&bytes)?;
        Ok(Self { shared: owner::others_may_write(&metadata, parent(path)), ..raw })
    }

    /// Parses the bytes of a manifest.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, ReadError> {
        let mut lines = Lines { rest: bytes, sound: 0 };
        let version =
            lines.next_line().and_then(version).ok_or(ReadError::Unusable("its first line is damaged"))?;
        if version > VERSION {
            return Err(ReadError::Newer(version));
        }
        let Some(Record::File(file)) = lines.next_line().and_then(Record::from_line) else {
            return Err(ReadError::Unusable("its second line is damaged"));
        };
        let mut raw = Self {
            head: bytes[..lines.sound as usize].to_vec(),
            file: *file,
            runs: Vec::new(),
            rejected: None,
            sound: lines.sound,
            torn: false,
            shared: false,
        };
        let mut claims = Claims::default();
        while let Some(line) = lines.next_line() {
            match Record::from_line(line) {
                Some(Record::Have(start, end, Crc(crc))) if start < end => {
                    claims.insert(Run { range: ByteRange::new(start, end), crc });
                }
                Some(Record::Lost(start, end)) => claims.remove(ByteRange::new(start, end)),
                Some(Record::Rejected(digests)) => raw.rejected = Some(digests),
                _ => break,
            }
            raw.sound = lines.sound;
        }
        raw.torn = raw.sound < bytes.len() as u64;
        raw.runs = claims.0.into_values().collect();
        Ok(raw)
    }
}

/// Reads the version on its own, so that a newer one is recognised whatever else its line holds.
fn version(line: &[u8]) -> Option<u32> {
    let json: serde_json::Value = serde_json::from_slice(checked(line)?).ok()?;
    json.get("haul")?.as_u64().and_then(|version| u32::try_from(version).ok())
}

/// Splits a journal into its lines, each ended by a line break: an unended one was torn.
struct Lines<'a> {
    rest: &'a [u8],
    sound: u64,
}

impl<'a> Lines<'a> {
    fn next_line(&mut self) -> Option<&'a [u8]> {
        let end = self.rest.iter().position(|byte| *byte == b'\n')?;
        let (line, rest) = self.rest.split_at(end);
        self.rest = &rest[1..];
        self.sound += end as u64 + 1;
        Some(line)
    }
}

/// Claimed runs by start, disjoint.
#[derive(Default)]
struct Claims(std::collections::BTreeMap<u64, Run>);

impl Claims {
    fn insert(&mut self, run: Run) {
        self.remove(run.range);
        self.0.insert(run.range.start(), run);
    }

    /// Withdraws every run that overlaps `range`, wholly: half a run has no checksum.
    fn remove(&mut self, range: ByteRange) {
        while let Some((&start, run)) = self.0.range(..range.end()).next_back() {
            if run.range.end() <= range.start() {
                break;
            }
            self.0.remove(&start);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixture(name: &str) -> Result<Raw, ReadError> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/manifests").join(name);
        Raw::parse(&std::fs::read(path).unwrap())
    }

    fn claims(raw: &Raw) -> Vec<(u64, u64)> {
        raw.runs.iter().map(|run| (run.range.start(), run.range.end())).collect()
    }

    #[test]
    fn a_manifest_of_version_1_is_read_for_good() {
        let raw = fixture("v1-valid.haul").unwrap();
        let expected = [(0, 524_288), (1_048_576, 1_052_672), (2_097_152, 2_162_688), (2_162_688, 2_228_224)];
        assert_eq!(claims(&raw), expected);
        assert!(!raw.torn && raw.rejected.is_none());
        assert!(claims(&fixture("v1-least.haul").unwrap()).is_empty());
        let taken_over = fixture("v1-taken-over.haul").unwrap();
        assert_eq!(claims(&taken_over), [(0, 1_048_576)]);
        assert!(taken_over.file.holder.is_some_and(|holder| holder.len() == 32));
        let rejected = fixture("v1-rejected.haul").unwrap();
        assert!(rejected.rejected.is_some() && rejected.runs.len() == 3);
    }

    // T081
    #[test]
    fn what_lies_behind_damage_is_not_believed() {
        for (name, sound, count) in
            [("v1-torn.haul", 595, 3), ("v1-damaged.haul", 524, 3), ("v1-unknown-record.haul", 430, 1)]
        {
            let raw = fixture(name).unwrap();
            assert!(raw.torn, "{name}");
            assert_eq!((raw.sound, raw.runs.len()), (sound, count), "{name}");
        }
    }

    // T082
    #[test]
    fn a_newer_manifest_is_not_read() {
        assert!(matches!(fixture("v2-newer.haul"), Err(ReadError::Newer(2))));
    }
}
