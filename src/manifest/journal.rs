//! Journal on disk: appended to at each checkpoint, rewritten after it was opened or has grown.

use super::hold::Hold;
use super::raw::Raw;
use super::record::{FileRecord, Record, VERSION};
use super::run::{Run, melted, piece_size};
use crate::error::Error;
use crate::storage::{Storage, Target, parent, remove_own, sync_directory};
use crate::sys::{self, Errno};
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

/// An open manifest.
pub(crate) struct Journal {
    /// `None` as long as nothing was written: then the manifest is left as it was found.
    file: Option<Box<dyn Storage>>,
    path: PathBuf,
    record: FileRecord,
    /// `None` on simulated disks.
    hold: Option<Hold>,
    /// Every claim, for the next rewrite of the journal.
    runs: Vec<Run>,
    /// Bytes in the file now, and right after the last rewrite.
    length: u64,
    compact_length: u64,
    /// The file that it is of, whose directory may lead elsewhere by now.
    target: Option<Target>,
}

/// The journal is rewritten once it exceeds twice its size after the last rewrite by more than this many bytes.
const SLACK: u64 = 256 << 10;

impl Journal {
    /// Writes a first manifest, or replaces the one at `path`: to a temporary file, synced, then renamed, so that at
    /// any moment the old one or the new one is there, whole.
    pub(crate) fn create(path: PathBuf, record: FileRecord, runs: Vec<Run>) -> io::Result<Self> {
        let runs = melted(runs, piece_size(record.representation.complete_length));
        let (file, length) = write_anew(&path, &record, &runs)?;
        let hold = Some(Hold::new(&path, head(&record).into()));
        Ok(Self {
            file: Some(Box::new(file)),
            path,
            record,
            hold,
            runs,
            length,
            compact_length: length,
            target: None,
        })
    }

    /// The same, of this target: it is written anew only while that stays in its root.
    ///
    /// # Errors
    /// `Unsafe` if it does not; one that was just written is removed then.
    pub(crate) fn of(self, target: &Target) -> Result<Self, Error> {
        match self.is_taken_over() {
            true => target.check_created(&self.path)?,
            false => target.check_root()?,
        }
        Ok(Self { target: Some(target.clone()), ..self })
    }

    /// First manifest in an empty file, for simulated disks that crash.
    #[cfg(test)]
    pub(crate) fn over(file: Box<dyn Storage>, record: FileRecord) -> io::Result<Self> {
        let text = head(&record);
        file.write_at(0, text.as_bytes())?;
        file.sync()?;
        let length = text.len() as u64;
        let (path, hold) = (PathBuf::new(), None);
        Ok(Self {
            file: Some(file),
            path,
            record,
            hold,
            runs: vec![],
            length,
            compact_length: length,
            target: None,
        })
    }

    /// Continues with the manifest at `path` as `raw` was read from it. The first write rewrites it with `record` and
    /// takes it over; a run that writes nothing leaves it as it was.
    pub(crate) fn resume(path: PathBuf, raw: &Raw, record: FileRecord, runs: Vec<Run>) -> Self {
        let hold = Some(Hold::new(&path, raw.head.clone()));
        Self { file: None, path, record, hold, runs, length: 0, compact_length: 0, target: None }
    }

    /// Returns true if this run has written to it.
    pub(crate) fn is_taken_over(&self) -> bool {
        self.file.is_some()
    }

    /// Appends claims of ranges that became durable, and makes the claims themselves durable.
    ///
    /// # Errors
    /// After a failure nothing is known about the tail of the file; the caller stops writing to it. Readers cut it at
    /// the first damaged line.
    pub(crate) fn append(&mut self, records: &[Record], runs: &[Run]) -> io::Result<()> {
        self.runs.extend_from_slice(runs);
        if !self.is_taken_over() || self.length > 2 * self.compact_length + SLACK {
            self.write_anew()?;
            if records.is_empty() {
                return Ok(());
            }
            return self.write(records.iter().map(Record::to_line));
        }
        let claims = runs.iter().map(|run| Record::from(*run).to_line());
        self.write(records.iter().map(Record::to_line).chain(claims))
    }

    fn write_anew(&mut self) -> io::Result<()> {
        let target = self.target.clone();
        if let Some(Err(error)) = target.as_ref().map(Target::check_root) {
            return Err(io::Error::other(error.to_string()));
        }
        let anew = Self::create(self.path.clone(), self.record.clone(), std::mem::take(&mut self.runs))?;
        *self = Self { target, ..anew };
        Ok(())
    }

    fn write(&mut self, lines: impl Iterator<Item = String>) -> io::Result<()> {
        let text: String = lines.collect();
        let file = self.file.as_ref().ok_or(io::ErrorKind::NotFound)?;
        file.write_at(self.length, text.as_bytes())?;
        file.sync()?;
        self.length += text.len() as u64;
        Ok(())
    }

    /// Withdraws claims, durably.
    pub(crate) fn withdraw(&mut self, ranges: &[crate::plan::ByteRange]) -> io::Result<()> {
        self.runs.retain(|run| ranges.iter().all(|range| range.intersection(run.range).is_empty()));
        if !self.is_taken_over() {
            return self.write_anew();
        }
        let lines: Vec<_> = ranges.iter().map(|range| Record::lost(*range).to_line()).collect();
        self.write(lines.into_iter())
    }

    /// The claimed runs.
    pub(crate) fn runs(&self) -> &[Run] {
        &self.runs
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Check that this run still holds the file.
    pub(crate) fn hold(&self) -> Option<&Hold> {
        self.hold.as_ref()
    }

    /// Checks that this run still holds the file. Blocking.
    ///
    /// # Errors
    /// Those of [`Hold::check`].
    pub(crate) fn check(&self) -> Result<(), Error> {
        self.hold.as_ref().map_or(Ok(()), Hold::check)
    }
}

fn write_anew(path: &Path, record: &FileRecord, runs: &[Run]) -> io::Result<(File, u64)> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    let temporary = PathBuf::from(temporary);
    let file = create_exclusively(&temporary)?;
    let written = fill(file, record, runs).and_then(|made| {
        sys::rename(&temporary, path)?;
        sync_directory(parent(path))?;
        Ok(made)
    });
    if written.is_err() {
        // The old manifest remains; the unfinished new one is removed.
        let _ = remove_own(&temporary);
    }
    written
}

fn fill(mut file: File, record: &FileRecord, runs: &[Run]) -> io::Result<(File, u64)> {
    let mut text = head(record);
    text.extend(runs.iter().map(|run| Record::from(*run).to_line()));
    file.write_all(text.as_bytes())?;
    file.sync_data()?;
    Ok((file, text.len() as u64))
}

/// The first two lines.
fn head(record: &FileRecord) -> String {
    [Record::Haul(VERSION), Record::File(Box::new(record.clone()))].iter().map(Record::to_line).collect()
}

fn create_exclusively(path: &Path) -> io::Result<File> {
    match sys::create_new(path) {
        // Left by a run that died here. The part file's lock keeps other runs out; unlinking removes a planted link,
        // not its target.
        Err(Errno::EXIST) => {
            if !may_be_left_over(path)? {
                let why = format!("{} is there, and it is not haul's", path.display());
                return Err(io::Error::new(io::ErrorKind::AlreadyExists, why));
            }
            remove_own(path)?;
            Ok(sys::create_new(path)?)
        }
        opened => Ok(opened?),
    }
}

/// Returns true if the file in the place of a temporary manifest is one, whole or cut short, or a link, which holds
/// nothing.
fn may_be_left_over(path: &Path) -> io::Result<bool> {
    let file = match sys::open_to_read(path) {
        Err(Errno::LOOP | Errno::NOENT) => return Ok(true),
        opened => opened?,
    };
    if !file.metadata()?.is_file() {
        return Ok(false);
    }
    let mut start = Vec::new();
    file.take(HEAD.len() as u64 + 8).read_to_end(&mut start)?;
    let (crc, json) = start.split_at(start.len().min(8));
    Ok(crc.iter().all(u8::is_ascii_hexdigit) && HEAD.as_bytes().starts_with(json))
}

/// Text after the checksum of the first line.
const HEAD: &str = " {\"haul\":";

#[cfg(test)]
mod tests {
    use super::super::ReadError;
    use super::*;
    use crate::plan::ByteRange;
    use crate::plan::representation::Representation;
    use crate::storage::Identity;

    fn record() -> FileRecord {
        FileRecord {
            url: "http://h/f".to_owned(),
            representation: Representation { complete_length: Some(1 << 30), ..Representation::default() },
            digests: vec![],
            signature: None,
            document: None,
            mirrors: Vec::new(),
            holder: None,
            part: Identity { device: 1, inode: 2 },
        }
    }

    fn run(start: u64, end: u64) -> Run {
        Run { range: ByteRange::new(start, end), crc: (start * 31 + end) as u32 }
    }

    #[test]
    fn what_was_appended_is_read_back() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("f.haul");
        let mut journal = Journal::create(path.clone(), record(), vec![]).unwrap();
        journal.append(&[], &[run(0, 10), run(1 << 21, 1 << 22)]).unwrap();
        journal.withdraw(&[ByteRange::new(0, 1)]).unwrap();
        let raw = Raw::read(&path).unwrap();
        assert_eq!(raw.file, record());
        assert_eq!(raw.runs, [run(1 << 21, 1 << 22)]);
        assert!(!raw.torn);
    }

    #[test]
    fn a_journal_does_not_grow_without_bound() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("f.haul");
        let mut journal = Journal::create(path.clone(), record(), vec![]).unwrap();
        for at in 0..20_000 {
            journal.append(&[], &[run(at * 10, at * 10 + 10)]).unwrap();
        }
        assert!(std::fs::metadata(&path).unwrap().len() < 2 * SLACK);
        let runs = Raw::read(&path).unwrap().runs;
        assert_eq!(runs.iter().map(|run| run.range.len()).sum::<u64>(), 200_000);
    }

    // T081
    #[test]
    fn a_journal_that_was_torn_anywhere_is_believed_up_to_there() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("f.haul");
        let mut journal = Journal::create(path.clone(), record(), vec![]).unwrap();
        journal.append(&[], &[run(0, 10), run(1 << 21, 1 << 22)]).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let whole = Raw::parse(&bytes).unwrap();
        for length in 0..bytes.len() {
            match Raw::parse(&bytes[..length]) {
                Ok(raw) => {
                    assert_eq!(raw.file, whole.file);
                    assert_eq!(raw.runs[..], whole.runs[..raw.runs.len()]);
                    assert_eq!(raw.torn, raw.sound < length as u64);
                }
                Err(ReadError::Unusable(_)) => {}
                Err(other) => panic!("cut at {length}: {other:?}"),
            }
        }
    }

    // T082
    #[test]
    fn a_newer_format_is_recognised_whatever_its_lines_hold() {
        let json = "{\"haul\":2,\"novelty\":true}";
        let text = format!("{:08x} {json}\nwhatever\n", crc32c::crc32c(json.as_bytes()));
        assert!(matches!(Raw::parse(text.as_bytes()), Err(ReadError::Newer(2))));
    }

    #[test]
    fn half_a_claim_is_no_claim() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("f.haul");
        let mut journal = Journal::create(path.clone(), record(), vec![run(0, 100)]).unwrap();
        journal.append(&[], &[run(50, 60)]).unwrap();
        assert_eq!(Raw::read(&path).unwrap().runs, [run(50, 60)]);
    }
}
