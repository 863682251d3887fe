//! Sync of directories: names are durable only after it.

use super::lacks::is_refusal;
use super::target::SIDE_FILES;
use std::fs::{self, File};
use std::io;
use std::path::Path;

/// A directory in which names are about to appear. It is opened before they do, so that running out of file descriptors
/// is noticed while nothing has happened yet.
///
/// Holds no handle if the directory may be written but not read, since it cannot be opened for syncing then.
pub(crate) struct Directory(Option<File>);

impl Directory {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        #[expect(clippy::disallowed_methods, reason = "a directory handle, to sync it")]
        match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(Self(None)),
            opened => opened.map(|file| Self(Some(file))),
        }
    }

    /// Syncs the directory; on true, the names in it are on disk (fsync(2): a file's own sync does not do this).
    /// Returns false if that is not possible, as on some network file systems, or if there is no handle.
    pub(crate) fn sync(&self) -> io::Result<bool> {
        match self.0.as_ref().map(File::sync_all) {
            None => Ok(false),
            Some(Err(error)) if is_refusal(&error) => Ok(false),
            Some(synced) => synced.map(|()| true),
        }
    }
}

/// Number of entries up to which a directory is listed.
const ENTRIES: usize = 20_000;

/// Returns true if no name in the directory is one of an unfinished file; false if it has too many entries to tell soon.
pub(crate) fn has_no_side_files(directory: &Path) -> bool {
    let Ok(entries) = fs::read_dir(directory) else {
        return false;
    };
    let mut seen = 0;
    for entry in entries {
        seen += 1;
        let is_side_file = |name: &str| SIDE_FILES.iter().any(|suffix| name.ends_with(suffix));
        let Ok(name) = entry.map(|entry| entry.file_name()) else {
            return false;
        };
        if seen > ENTRIES || is_side_file(&name.to_string_lossy()) {
            return false;
        }
    }
    true
}

/// Directory of a file, in a form that can be opened.
pub(crate) fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes changes of names in `directory` durable, if the file system can.
pub(crate) fn sync_directory(directory: &Path) -> io::Result<()> {
    Directory::open(directory)?.sync().map(drop)
}

/// Removes one of haul's own files; a missing one is no error.
pub(crate) fn remove_own(path: &Path) -> io::Result<()> {
    #[expect(clippy::disallowed_methods, reason = "callers name a part file or a manifest of theirs")]
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}
