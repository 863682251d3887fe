//! Ownership of files. A file is *ours* if its owner is also the owner of a file created here and now: network shares
//! map all users to one, or root to one without rights, and a user namespace gives them other numbers.

use crate::sys::{self, Facts as _};
use std::fs::Metadata;
use std::path::{Path, PathBuf};

/// Write permissions of the group and of others.
pub(super) const OTHERS_WRITE: u32 = 0o022;

/// Reason not to trust the file in `directory` as one of haul's; `None` if it is sound. A second name counts as well:
/// through it the file can be opened in a place that others may write to.
pub(crate) fn flaw(file: &Metadata, directory: &Path) -> Option<&'static str> {
    if !file.is_file() {
        Some("not a regular file")
    } else if file.names() > 1 {
        Some("a file with a second name")
    } else if !is_ours(file, directory) {
        Some("another user's file")
    } else {
        None
    }
}

/// Returns true if the owner of the file in `directory` is also the owner of files created there now.
pub(crate) fn is_ours(file: &Metadata, directory: &Path) -> bool {
    file.owner() == sys::own_user()
        || Newborn::in_directory(directory).is_some_and(|newborn| newborn.owner == file.owner())
}

/// Returns true if the group or others may write to the file in `directory`. If even a file created for its owner alone
/// gets these permissions, the file system has one mode for all files, and the bits mean nothing.
pub(crate) fn others_may_write(file: &Metadata, directory: &Path) -> bool {
    let granted = file.mode_bits() & OTHERS_WRITE;
    granted != 0 && Newborn::in_directory(directory).is_none_or(|newborn| granted & !newborn.mode != 0)
}

/// Owner and mode of a file created here and now for its owner alone.
struct Newborn {
    owner: u32,
    mode: u32,
}

impl Newborn {
    /// Creates one; `None` if that is not possible, so that only the user of the process is known.
    fn in_directory(directory: &Path) -> Option<Self> {
        let metadata = nameless(directory).or_else(|| named(directory))?;
        Some(Self { owner: metadata.owner(), mode: metadata.mode_bits() })
    }
}

fn nameless(directory: &Path) -> Option<Metadata> {
    sys::create_unnamed(directory, 0o600).ok()?.metadata().ok()
}

/// Creates a file with a name for a moment, on file systems without unnamed files.
fn named(directory: &Path) -> Option<Metadata> {
    // A process of another machine may have taken the name.
    let made = (0..16).find_map(|number| {
        let path: PathBuf = directory.join(format!(".haul-{}-{number}", std::process::id()));
        Some((sys::create_new(&path).ok()?, path))
    });
    let (file, path) = made?;
    let metadata = file.metadata().ok();
    super::remove_own(&path).ok()?;
    metadata
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    fn file(directory: &Path, mode: u32) -> Metadata {
        #[expect(clippy::disallowed_methods, reason = "a file that is looked at")]
        let file = File::create(directory.join("file")).unwrap();
        sys::set_mode(&file, mode).unwrap();
        file.metadata().unwrap()
    }

    #[test]
    fn a_file_that_was_made_here_is_ours_and_nothing_is_left_of_the_look_at_that() {
        let directory = tempfile::tempdir().unwrap();
        for newborn in [nameless(directory.path()), named(directory.path())].into_iter().flatten() {
            assert!(is_ours(&newborn, directory.path()));
            assert!(!others_may_write(&newborn, directory.path()));
        }
        assert!(named(directory.path()).is_some());
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn it_is_told_who_may_write() {
        let directory = tempfile::tempdir().unwrap();
        for (mode, others) in [(0o600, false), (0o644, false), (0o664, true), (0o602, true), (0o666, true)] {
            assert_eq!(others_may_write(&file(directory.path(), mode), directory.path()), others, "{mode:o}");
        }
    }

    #[test]
    fn neither_a_directory_nor_a_file_with_two_names_is_taken_for_one_of_hauls() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(flaw(&file(directory.path(), 0o600), directory.path()), None);
        assert!(flaw(&directory.path().metadata().unwrap(), directory.path()).is_some());
        std::fs::hard_link(directory.path().join("file"), directory.path().join("again")).unwrap();
        assert!(flaw(&directory.path().join("file").metadata().unwrap(), directory.path()).is_some());
    }
}
