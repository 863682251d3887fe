//! What a directory must be told: names are durable only after it was synced.

use std::fs::{self, File};
use std::io;
use std::path::Path;

/// A directory in which names are about to appear. It is opened before they do: where too many files are open already,
/// that is found out while nothing has happened yet.
pub(crate) struct Directory(File);

impl Directory {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        #[expect(clippy::disallowed_methods, reason = "a directory handle, to sync it")]
        File::open(path).map(Self)
    }

    /// After it returns, the names in it are on disk (fsync(2): a file's own sync does not do this).
    pub(crate) fn sync(&self) -> io::Result<()> {
        match self.0.sync_all() {
            // Some file systems cannot sync a directory, and need not.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
            synced => synced,
        }
    }
}

/// The directory of a file, in a form that can be opened.
pub(crate) fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes what happened to the names in `directory` durable.
pub(crate) fn sync_directory(directory: &Path) -> io::Result<()> {
    Directory::open(directory)?.sync()
}

/// Removes one of haul's own files; one that is not there is no failure.
pub(crate) fn remove_own(path: &Path) -> io::Result<()> {
    #[expect(clippy::disallowed_methods, reason = "callers name a part file or a manifest of theirs")]
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}
