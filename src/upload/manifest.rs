//! Record of an upload that is not complete: what the store has, and what is needed to go on with it. One file for a destination, locked.
//!
//! The order of a crash: the upload exists before its record does, and is recorded before its first part is sent; a part is recorded once the
//! store has it, with the state of the hashes at its end. The record goes after the object is there.

use super::hashes::State;
use super::sizes::Sizes;
use crate::error::{Error, Kind, Remedy};
use crate::storage::LogFile;
use serde::{Deserialize, Serialize};
use sha2::Digest as _;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A part that the store has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Part {
    pub(super) number: u32,
    pub(super) etag: String,
    pub(super) size: u64,
    /// Its CRC-64/NVME in base64, as the store has confirmed it.
    pub(super) checksum: String,
    /// States of the hashes at its end.
    pub(super) states: Vec<State>,
}

/// An upload, and the version of the source that goes into it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Begun {
    pub(super) version: u32,
    /// The destination, and the URL of the source, without secrets.
    pub(super) destination: String,
    pub(super) source: String,
    pub(super) upload: String,
    pub(super) sizes: Sizes,
    pub(super) size: Option<u64>,
    pub(super) etag: Option<String>,
    pub(super) last_modified: Option<String>,
    pub(super) date: Option<String>,
    pub(super) media_type: Option<String>,
}

/// An object about to be completed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Completing {
    pub(super) size: u64,
    pub(super) digests: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Record {
    Begun(Begun),
    Part(Part),
    Completing(Completing),
}

/// Version of the format.
pub(super) const VERSION: u32 = 1;

/// Content of a manifest.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) begun: Option<Begun>,
    pub(super) parts: BTreeMap<u32, Part>,
    pub(super) completing: Option<Completing>,
}

/// A manifest that the parts on their way share.
pub(super) type Shared = Arc<Mutex<Manifest>>;

/// Locks a shared manifest.
pub(super) fn locked(shared: &Shared) -> MutexGuard<'_, Manifest> {
    // A record is written as a whole, or the download fails.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An open manifest: no other process has it.
pub(super) struct Manifest {
    log: LogFile,
    path: PathBuf,
}

impl Manifest {
    /// Path of the manifest of a destination.
    pub(super) fn path(directory: &Path, destination: &str) -> PathBuf {
        let hash = sha2::Sha256::digest(destination.as_bytes());
        let name = hash[..16].iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
        directory.join(name)
    }

    /// Opens the manifest, which is created if there is none.
    ///
    /// # Errors
    /// `Locked` if another process has it, `Unsafe` for one of a newer version or that others could have written, `Disk`.
    pub(super) fn open(path: &Path) -> Result<(Self, Found), Error> {
        let (mut found, mut newer) = (Found::default(), false);
        let opened = LogFile::open(path, |record| match serde_json::from_str(record) {
            Ok(Record::Begun(begun)) => {
                newer |= begun.version > VERSION || {
                    found.begun = Some(begun);
                    false
                }
            }
            Ok(Record::Part(part)) => {
                found.parts.insert(part.number, part);
            }
            Ok(Record::Completing(completing)) => found.completing = Some(completing),
            Err(_) => newer = true,
        });
        let (log, _) = opened.map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => {
                Error::new(Kind::Locked, "another process uploads to the same object")
                    .with_remedy(Remedy::WaitOrRename)
            }
            io::ErrorKind::PermissionDenied | io::ErrorKind::InvalidData => {
                let cause =
                    format!("the record of the upload, {}, cannot be trusted: {error}", path.display());
                Error::new(Kind::Unsafe, cause).with_remedy(Remedy::RemoveByHand)
            }
            _ => Error::disk("cannot open the record of the upload,", path, &error),
        })?;
        if newer {
            let cause = format!("a newer haul has begun this upload ({})", path.display());
            return Err(Error::new(Kind::Unsafe, cause).with_remedy(Remedy::NewerHaul));
        }
        Ok((Self { log, path: path.to_owned() }, found))
    }

    fn add(&mut self, record: &Record) -> Result<(), Error> {
        let text =
            serde_json::to_string(record).map_err(|error| Error::new(Kind::Other, error.to_string()))?;
        let added = self.log.append(&[text]);
        added.map_err(|error| Error::disk("cannot write the record of the upload,", &self.path, &error))
    }

    /// Records an upload in place of all that was recorded before.
    pub(super) fn begin(&mut self, begun: Begun) -> Result<(), Error> {
        let text = serde_json::to_string(&Record::Begun(begun));
        let text = text.map_err(|error| Error::new(Kind::Other, error.to_string()))?;
        let begun = self.log.replace(std::iter::once(text));
        begun.map_err(|error| Error::disk("cannot write the record of the upload,", &self.path, &error))
    }

    pub(super) fn part(&mut self, part: Part) -> Result<(), Error> {
        self.add(&Record::Part(part))
    }

    pub(super) fn completing(&mut self, completing: Completing) -> Result<(), Error> {
        self.add(&Record::Completing(completing))
    }

    /// Removes it: the object is there, or the upload is given up.
    pub(super) fn remove(&self) {
        // A manifest that stays is read by the next run, which finds that the store knows no such upload.
        let _ = self.log.remove();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begun(version: u32) -> Begun {
        Begun {
            version,
            destination: "s3://bucket/key".into(),
            source: "http://h/f".into(),
            upload: "u".into(),
            sizes: Sizes::Equal(5),
            size: Some(10),
            etag: None,
            last_modified: None,
            date: None,
            media_type: None,
        }
    }

    #[test]
    fn what_was_recorded_is_found_by_the_next_process_and_by_one_at_a_time() {
        let home = tempfile::tempdir().unwrap();
        let path = Manifest::path(&home.path().join("uploads"), "s3://bucket/key");
        let (mut manifest, found) = Manifest::open(&path).unwrap();
        assert_eq!(found, Found::default());
        manifest.begin(begun(1)).unwrap();
        let part = Part { number: 1, etag: "\"e\"".into(), size: 5, checksum: "c".into(), states: vec![] };
        manifest.part(part.clone()).unwrap();
        assert_eq!(Manifest::open(&path).err().unwrap().kind(), Kind::Locked);
        drop(manifest);
        let (manifest, found) = Manifest::open(&path).unwrap();
        assert_eq!((found.begun, found.parts), (Some(begun(1)), [(1, part)].into()));
        manifest.remove();
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 0);
    }

    #[test]
    fn a_record_of_a_newer_version_is_refused_and_stays() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("m");
        let (mut manifest, _) = Manifest::open(&path).unwrap();
        manifest.begin(begun(VERSION + 1)).unwrap();
        drop(manifest);
        assert_eq!(Manifest::open(&path).err().unwrap().kind(), Kind::Unsafe);
        assert!(path.exists());
    }
}
