//! A file of records that grows at its end: read whole at the start, synced after each batch, for its user and one process
//! alone. A record that a crash has torn is cut off.

use super::{owner, parent, sync_directory};
use crate::sys::{self, Facts as _};
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, BufWriter, Write as _};
use std::path::{Path, PathBuf};

/// Maximum length of a record in bytes; a longer one counts as corrupt.
const LONGEST: usize = 4 << 20;

/// Records of one line each, with a checksum before each.
#[derive(Debug)]
pub(crate) struct LogFile {
    path: PathBuf,
    file: File,
    /// Locked as long as it is open; the log itself may be replaced.
    _lock: File,
}

/// Content found in the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) records: usize,
    /// Bytes cut off at the end, because they are no whole record.
    pub(crate) torn: u64,
}

impl LogFile {
    /// Opens or creates the log, and hands each record to `take`, in order. Missing directories are made for the user alone.
    ///
    /// # Errors
    /// `WouldBlock` if another process has it, `PermissionDenied` for a file that others could have written, `InvalidData`
    /// for damage before the last record, and those of the file system.
    pub(crate) fn open(path: &Path, mut take: impl FnMut(&str)) -> io::Result<(Self, Found)> {
        sys::create_private_directories(parent(path))?;
        let lock = sys::open_or_create(&beside(path, "lock"))?;
        sys::lock(&lock)?;
        let file = sys::open_or_create(path)?;
        let metadata = file.metadata()?;
        let foreign = owner::flaw(&metadata, parent(path)).is_some()
            || owner::others_may_write(&metadata, parent(path));
        if foreign {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        if metadata.mode_bits() & 0o077 != 0 {
            // It holds secrets, and others may read it.
            sys::set_mode(&file, 0o600)?;
        }
        let (mut found, mut end) = (Found::default(), 0);
        let mut reader = BufReader::with_capacity(1 << 16, &file);
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = io::Read::take(&mut reader, LONGEST as u64).read_until(b'\n', &mut line)?;
            if read == 0 {
                break;
            }
            let Some(record) = checked(&line) else {
                // Damage in the middle is no torn end, and nothing after it can be trusted.
                if reader.fill_buf()?.is_empty() {
                    break;
                }
                return Err(io::Error::new(io::ErrorKind::InvalidData, "a record is damaged"));
            };
            take(record);
            found.records += 1;
            end += read as u64;
        }
        found.torn = metadata.len().saturating_sub(end);
        if found.torn > 0 {
            file.set_len(end)?;
        }
        io::Seek::seek(&mut &file, io::SeekFrom::Start(end))?;
        if metadata.len() == 0 {
            sync_directory(parent(path))?;
        }
        Ok((Self { path: path.to_owned(), file, _lock: lock }, found))
    }

    /// Adds records durably. After an error nothing of them is to be relied upon, and the log must not be used any more.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn append(&mut self, records: &[String]) -> io::Result<()> {
        let text: String = records.iter().map(|record| line(record)).collect();
        self.file.write_all(text.as_bytes())?;
        self.file.sync_data()
    }

    /// Replaces all records: first the new file is durable, then it takes the name.
    ///
    /// # Errors
    /// Those of the file system; the log is as it was then.
    pub(crate) fn replace(&mut self, records: impl Iterator<Item = String>) -> io::Result<()> {
        let temporary = beside(&self.path, "tmp");
        let _ = sys::unlink(&temporary);
        let file = sys::create_new(&temporary)?;
        let mut writer = BufWriter::new(&file);
        for record in records {
            writer.write_all(line(&record).as_bytes())?;
        }
        writer.flush()?;
        drop(writer);
        file.sync_all()?;
        sys::rename(&temporary, &self.path)?;
        // Whatever comes next: this is the file that has the name.
        self.file = file;
        sync_directory(parent(&self.path))
    }
}

#[cfg(feature = "s3")]
impl LogFile {
    /// Removes the log, and at last the file that locks it.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn remove(&self) -> io::Result<()> {
        sys::unlink(&self.path)?;
        sync_directory(parent(&self.path))?;
        Ok(sys::unlink(&beside(&self.path, "lock"))?)
    }
}

fn beside(path: &Path, extension: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(extension);
    name.into()
}

fn line(record: &str) -> String {
    format!("{:08x} {record}\n", crc32c::crc32c(record.as_bytes()))
}

/// The record of a whole line whose checksum is right.
fn checked(line: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(line.strip_suffix(b"\n")?).ok()?;
    let (sum, record) = text.split_at_checked(8)?;
    let record = record.strip_prefix(' ')?;
    (u32::from_str_radix(sum, 16).ok()? == crc32c::crc32c(record.as_bytes())).then_some(record)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::read;
    use std::os::unix::fs::PermissionsExt as _;

    #[expect(clippy::disallowed_methods, reason = "damage is written past everything that knows better")]
    fn write(path: &Path, bytes: &[u8]) {
        std::fs::write(path, bytes).unwrap();
    }

    fn records(path: &Path) -> io::Result<(Vec<String>, Found)> {
        let mut records = Vec::new();
        let (_, found) = LogFile::open(path, |record| records.push(record.to_owned()))?;
        Ok((records, found))
    }

    fn of(records: &[&str]) -> Vec<String> {
        records.iter().map(|record| (*record).to_owned()).collect()
    }

    #[test]
    fn records_come_back_in_order_and_a_torn_end_is_cut_off_wherever_it_was_torn() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("state/queue");
        let (mut log, found) = LogFile::open(&path, |_| panic!("it is new")).unwrap();
        assert_eq!(found, Found::default());
        log.append(&of(&["one", "two"])).unwrap();
        log.append(&of(&["three"])).unwrap();
        drop(log);
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let whole = read(&path).unwrap();
        let last = whole.len() - line("three").len();
        for end in last..=whole.len() {
            write(&path, &whole[..end]);
            let (kept, found) = records(&path).unwrap();
            let complete = end == whole.len();
            assert_eq!(kept, of(if complete { &["one", "two", "three"] } else { &["one", "two"] }));
            assert_eq!(found.torn, if complete { 0 } else { (end - last) as u64 });
            assert_eq!(path.metadata().unwrap().len(), if complete { end } else { last } as u64);
        }
    }

    #[test]
    fn damage_in_the_middle_is_an_error_and_nothing_is_cut_off() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("queue");
        let (mut log, _) = LogFile::open(&path, |_| {}).unwrap();
        log.append(&of(&["one", "two"])).unwrap();
        drop(log);
        let mut bytes = read(&path).unwrap();
        bytes[10] ^= 1;
        write(&path, &bytes);
        assert_eq!(records(&path).unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert_eq!(read(&path).unwrap(), bytes);
    }

    #[test]
    fn a_second_process_is_refused_also_after_the_records_were_replaced() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("queue");
        let (mut log, _) = LogFile::open(&path, |_| {}).unwrap();
        log.append(&of(&["one", "two", "three"])).unwrap();
        log.replace(of(&["three"]).into_iter()).unwrap();
        assert_eq!(records(&path).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        log.append(&of(&["four"])).unwrap();
        drop(log);
        assert_eq!(records(&path).unwrap().0, of(&["three", "four"]));
    }

    #[test]
    fn a_file_that_others_could_have_written_is_not_read() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("queue");
        drop(LogFile::open(&path, |_| {}).unwrap());
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).unwrap();
        assert_eq!(records(&path).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
    }
}
