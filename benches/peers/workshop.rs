//! The directory of everything: payload, server, outputs. In memory if possible, so that no disk is measured; removed
//! at the end.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::Outcome;

const MEMORY: &str = "/dev/shm";
const NAME: &str = "haul-peers-";

/// A temporary directory of this process.
pub(crate) struct Workshop {
    root: PathBuf,
    in_memory: bool,
}

impl Workshop {
    /// Creates one on a file system with `needed` free bytes.
    pub(crate) fn open(needed: u64) -> Outcome<Self> {
        let in_memory = room(Path::new(MEMORY)) >= needed;
        let parent = if in_memory {
            PathBuf::from(MEMORY)
        } else {
            eprintln!(
                "notice: {MEMORY} has no {needed} free bytes: the files are on disk, which is measured too"
            );
            std::env::temp_dir()
        };
        if room(&parent) < needed {
            return Err(format!("{} has no {needed} free bytes", parent.display()).into());
        }
        Self::make(&parent, "", in_memory)
    }

    /// Creates a second one, in this directory.
    pub(crate) fn open_in(parent: &Path, needed: u64) -> Outcome<Self> {
        if room(parent) < needed {
            return Err(format!("{} has no {needed} free bytes", parent.display()).into());
        }
        Self::make(parent, "-second", is_in_memory(parent))
    }

    fn make(parent: &Path, suffix: &str, in_memory: bool) -> Outcome<Self> {
        remove_left_over(parent);
        let root = parent.join(format!("{NAME}{}{suffix}", std::process::id()));
        fs::create_dir(&root)?;
        // nginx's workers drop root and still have to read the payload.
        fs::set_permissions(&root, Permissions::from_mode(0o755))?;
        Ok(Self { root, in_memory })
    }

    pub(crate) const fn in_memory(&self) -> bool {
        self.in_memory
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Creates an empty directory of this name, in place of any earlier one.
    pub(crate) fn fresh(&self, name: &str) -> io::Result<PathBuf> {
        let path = self.root.join(name);
        match fs::remove_dir_all(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => fs::create_dir(&path)?,
        }
        fs::set_permissions(&path, Permissions::from_mode(0o755))?;
        Ok(path)
    }
}

impl Drop for Workshop {
    fn drop(&mut self) {
        // A failure cannot be handled here; the next run removes leftovers.
        let _ = fs::remove_dir_all(&self.root);
    }
}

fn room(path: &Path) -> u64 {
    rustix::fs::statvfs(path).map_or(0, |stat| stat.f_bavail * stat.f_frsize)
}

/// Returns true if data written there never reaches a disk.
pub(crate) fn is_in_memory(path: &Path) -> bool {
    const TMPFS_MAGIC: u64 = 0x0102_1994;
    rustix::fs::statfs(path).is_ok_and(|system| system.f_type as u64 == TMPFS_MAGIC)
}

/// Removes the directories of interrupted runs: gigabytes of memory would stay in use otherwise.
fn remove_left_over(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let owner = name.to_str().and_then(|name| name.strip_prefix(NAME)?.split('-').next());
        if owner.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
