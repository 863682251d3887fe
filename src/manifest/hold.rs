//! Ownership of a file: it belongs to the last run that has written itself into the manifest. Locks show the same, but
//! not on every file system, and not between hosts.

use crate::error::{Error, Kind, Remedy};
use crate::storage::parent;
use crate::sys;
use std::fs;
use std::hash::{BuildHasher as _, RandomState};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// Unique name for a run.
pub(crate) fn new_holder() -> String {
    // Each of them is seeded by the operating system's randomness.
    let random = || RandomState::new().hash_one(std::process::id());
    format!("{:016x}{:016x}", random(), random())
}

/// Head of the manifest as this run wrote it when it took the file over, or as it found it and will replace it. As long
/// as it is there, no other run has taken the file over.
#[derive(Clone, Debug)]
pub(crate) struct Hold {
    path: PathBuf,
    head: Vec<u8>,
}

/// Error for a manifest that could not be written: a file of ours that is gone was taken over by another run.
pub(crate) fn unwritten(path: &Path, error: &io::Error) -> Error {
    if error.kind() == io::ErrorKind::NotFound && has_directory(path) {
        return lost(path, "has taken over the download to");
    }
    Error::disk("cannot write", path, error)
}

impl Hold {
    pub(super) fn new(path: &Path, head: Vec<u8>) -> Self {
        Self { path: path.to_owned(), head }
    }

    /// Checks that this run still holds the file. Blocking.
    ///
    /// # Errors
    /// `Locked` if another run has taken it over, or has finished or removed it; `Disk`.
    pub(crate) fn check(&self) -> Result<(), Error> {
        match self.stands() {
            Ok(true) => Ok(()),
            Ok(false) => Err(lost(&self.path, "has taken over the download to")),
            Err(error) if error.kind() == io::ErrorKind::NotFound && has_directory(&self.path) => {
                Err(lost(&self.path, "has finished or removed"))
            }
            Err(error) => Err(Error::disk("cannot read", &self.path, &error)),
        }
    }

    fn stands(&self) -> io::Result<bool> {
        let file = sys::open_to_read(&self.path)?;
        let mut head = Vec::with_capacity(self.head.len());
        file.take(self.head.len() as u64).read_to_end(&mut head)?;
        Ok(head == self.head)
    }
}

fn has_directory(path: &Path) -> bool {
    fs::symlink_metadata(parent(path)).is_ok()
}

fn lost(path: &Path, what: &str) -> Error {
    Error::new(Kind::Locked, format!("another process {what} {}", path.with_extension("").display()))
        .with_remedy(Remedy::WaitOrRename)
}

#[cfg(test)]
mod tests {
    use super::super::journal::Journal;
    use super::super::record::FileRecord;
    use super::*;
    use crate::plan::representation::Representation;
    use crate::storage::Identity;

    fn taken_over(path: &Path) -> Journal {
        let record = FileRecord {
            url: "http://h/f".to_owned(),
            representation: Representation::default(),
            digests: vec![],
            signature: None,
            document: None,
            mirrors: Vec::new(),
            holder: Some(new_holder()),
            part: Identity { device: 1, inode: 2 },
        };
        Journal::create(path.to_owned(), record, vec![]).unwrap()
    }

    #[test]
    fn of_runs_that_take_a_file_over_the_last_one_has_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("f.haul");
        let mut runs: Vec<Journal> = Vec::new();
        for _ in 0..4 {
            runs.push(taken_over(&path));
            let (last, before) = runs.split_last_mut().unwrap();
            last.append(&[], &[]).unwrap();
            assert!(last.check().is_ok());
            for earlier in before {
                // Later writes of an earlier run change nothing.
                earlier.append(&[], &[]).unwrap();
                assert_eq!(earlier.check().unwrap_err().kind(), Kind::Locked);
            }
        }
    }

    #[test]
    fn a_manifest_that_is_gone_is_not_this_runs() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("f.haul");
        let journal = taken_over(&path);
        crate::storage::remove_own(&path).unwrap();
        assert_eq!(journal.check().unwrap_err().kind(), Kind::Locked);
        drop(directory);
        assert_eq!(journal.check().unwrap_err().kind(), Kind::Disk);
    }
}
