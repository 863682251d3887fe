//! A small file with state that may be lost: read whole, replaced whole, for its user alone.

use super::owner;
use crate::sys;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

/// A longer file is not read.
const LONGEST: u64 = 1 << 20;

/// State below the user's own directories. It is neither synced nor locked: the last writer wins, and a crash leaves the
/// earlier state, the later one or none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StateFile {
    path: PathBuf,
}

impl StateFile {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// The text, unless there is none, or a file that others could have written.
    pub(crate) fn read(&self) -> Option<String> {
        let file = sys::open_to_read(&self.path).ok()?;
        let metadata = file.metadata().ok()?;
        let directory = self.directory();
        let sound = owner::flaw(&metadata, directory).is_none()
            && !owner::others_may_write(&metadata, directory)
            && metadata.len() <= LONGEST;
        let mut text = String::new();
        (sound && file.take(LONGEST).read_to_string(&mut text).is_ok()).then_some(text)
    }

    /// Replaces the text. Directories that are missing are made, for the user alone.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn replace(&self, text: &str) -> io::Result<()> {
        let directory = self.directory();
        sys::create_private_directories(directory)?;
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        let temporary = directory.join(format!(".{name}.{}", std::process::id()));
        // One that a process of the same number left behind.
        let _ = sys::unlink(&temporary);
        let written = sys::create_new(&temporary)?.write_all(text.as_bytes());
        let replaced = written.and_then(|()| Ok(sys::rename(&temporary, &self.path)?));
        if replaced.is_err() {
            let _ = sys::unlink(&temporary);
        }
        replaced
    }

    fn directory(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("."))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    #[test]
    fn what_was_written_is_read_and_only_its_user_may() {
        let home = tempfile::tempdir().unwrap();
        let file = StateFile::new(home.path().join("state/haul/hosts"));
        assert_eq!(file.read(), None);
        file.replace("one").unwrap();
        file.replace("two").unwrap();
        assert_eq!(file.read().as_deref(), Some("two"));
        let mode = |path: &str| home.path().join(path).metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("state/haul"), mode("state/haul/hosts")), (0o700, 0o600));
        assert_eq!(std::fs::read_dir(home.path().join("state/haul")).unwrap().count(), 1);
    }

    #[test]
    fn a_link_a_pipe_and_a_file_that_others_could_have_written_are_not_read() {
        let home = tempfile::tempdir().unwrap();
        let real = StateFile::new(home.path().join("real"));
        real.replace("text").unwrap();
        symlink(home.path().join("real"), home.path().join("link")).unwrap();
        assert_eq!(StateFile::new(home.path().join("link")).read(), None);
        let own = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mkfifoat(rustix::fs::CWD, home.path().join("pipe"), own).unwrap();
        assert_eq!(StateFile::new(home.path().join("pipe")).read(), None);
        std::fs::set_permissions(home.path().join("real"), std::fs::Permissions::from_mode(0o666)).unwrap();
        assert_eq!(real.read(), None);
        assert_eq!(StateFile::new(home.path().to_owned()).read(), None);
    }

    #[test]
    fn a_directory_that_cannot_be_written_to_is_an_error_and_leaves_nothing() {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join("hosts")).unwrap();
        assert!(StateFile::new(home.path().join("hosts")).replace("text").is_err());
        assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 1);
    }
}
