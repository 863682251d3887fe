//! What a directory must be told: names are durable only after it was synced.

use std::fs::{self, File};
use std::io;
use std::path::Path;

/// After it returns, the names in `directory` are on disk (fsync(2): a file's own sync does not do this).
pub(crate) fn sync_directory(directory: &Path) -> io::Result<()> {
    #[expect(clippy::disallowed_methods, reason = "a directory handle, to sync it")]
    let handle = File::open(directory)?;
    match handle.sync_all() {
        // Some file systems cannot sync a directory, and need not.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
        synced => synced,
    }
}

/// Removes one of haul's own files; one that is not there is no failure.
pub(crate) fn remove_own(path: &Path) -> io::Result<()> {
    #[expect(clippy::disallowed_methods, reason = "callers name a part file or a manifest of theirs")]
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}
