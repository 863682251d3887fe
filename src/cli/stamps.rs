//! Files that were found to have their digest, with the marks by which a later change shows.

use super::places;
use crate::error::Error;
use crate::sys::{self, Facts as _};
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs::{self, Metadata, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// Size limit of the file, in bytes.
const LARGEST: u64 = 512 << 20;

/// Marks of a file: any write changes one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Marks {
    size: u64,
    inode: u64,
    /// In nanoseconds since 1970.
    modified: i128,
    changed: i128,
}

impl Marks {
    fn of(found: &Metadata) -> Self {
        let time = |(seconds, nanos): (i64, i64)| i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
        Self {
            size: found.len(),
            inode: found.identity().1,
            modified: time(found.modified_at()),
            changed: time(found.changed_at()),
        }
    }
}

/// The stamps of one lock.
pub(super) struct Stamps {
    path: Option<PathBuf>,
    known: HashMap<String, (Marks, String)>,
    is_changed: bool,
}

impl Stamps {
    /// Reads those of the lock at `lock`; what cannot be read is not known.
    pub(super) fn read(lock: &Path) -> Self {
        let whole = lock.canonicalize().unwrap_or_else(|_| lock.to_owned());
        let digest = Sha256::digest(whole.to_string_lossy().as_bytes());
        let name = digest.iter().take(8).fold(String::new(), |name, byte| name + &format!("{byte:02x}"));
        let path = places::state(&format!("sync-{name}"));
        let text =
            path.as_deref().and_then(|path| super::bounded::read(path, LARGEST).ok()).unwrap_or_default();
        Self { known: text.lines().filter_map(parsed).collect(), path, is_changed: false }
    }

    /// Returns true if the file had this digest, and has not changed since.
    pub(super) fn vouches_for(&self, name: &str, found: &Metadata, sha256: &str) -> bool {
        self.known.get(name).is_some_and(|(marks, digest)| digest == sha256 && *marks == Marks::of(found))
    }

    /// Records that a file has this digest.
    pub(super) fn saw(&mut self, name: &str, found: &Metadata, sha256: &str) {
        self.known.insert(name.to_owned(), (Marks::of(found), sha256.to_owned()));
        self.is_changed = true;
    }

    /// Writes them. They only save time, so a failure changes nothing.
    #[expect(clippy::disallowed_methods, reason = "the stamps are no download")]
    pub(super) fn write(&self) -> Result<(), Error> {
        let Some(path) = self.path.as_deref().filter(|_| self.is_changed) else {
            return Ok(());
        };
        let mut text = String::new();
        for (name, (marks, sha256)) in &self.known {
            let Marks { size, inode, modified, changed } = marks;
            // A line break in a name would be another stamp.
            if !name.contains('\n') {
                let _ = writeln!(text, "{sha256} {size} {inode} {modified} {changed} {name}");
            }
        }
        let written = (|| {
            if let Some(directory) = path.parent() {
                sys::create_private_directories(directory)?;
            }
            let beside = path.with_extension(format!("{}.tmp", std::process::id()));
            let mut options = OpenOptions::new();
            options.write(true).create(true).truncate(true);
            let mut file = sys::private(&mut options).open(&beside)?;
            file.write_all(text.as_bytes())?;
            fs::rename(&beside, path)
        })();
        written.map_err(|error| Error::disk("cannot write", path, &error))
    }
}

fn parsed(line: &str) -> Option<(String, (Marks, String))> {
    let mut fields = line.splitn(6, ' ');
    let sha256 = fields.next()?.to_owned();
    let (size, inode) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    let (modified, changed) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some((fields.next()?.to_owned(), (Marks { size, inode, modified, changed }, sha256)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_vouches_for_a_file_until_it_changes() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a b");
        let write = |text: &str| {
            let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(&path).unwrap();
            file.write_all(text.as_bytes()).unwrap();
            file.sync_all().unwrap();
            fs::metadata(&path).unwrap()
        };
        let mut stamps = Stamps { path: None, known: HashMap::new(), is_changed: false };
        let found = write("one");
        stamps.saw("a b", &found, "00");
        assert!(stamps.vouches_for("a b", &found, "00"));
        assert!(!stamps.vouches_for("a b", &found, "11") && !stamps.vouches_for("c", &found, "00"));
        assert!(!stamps.vouches_for("a b", &write("more"), "00"));
        let (marks, _) = stamps.known["a b"].clone();
        let Marks { size, inode, modified, changed } = marks;
        let line = format!("00 {size} {inode} {modified} {changed} a b");
        assert_eq!(parsed(&line), Some(("a b".to_owned(), (marks, "00".to_owned()))));
        assert_eq!(parsed("nonsense"), None);
    }
}
