//! Directories of one test: for files published by the server, files written by the server, and files saved by haul.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

/// The published file's name.
pub(crate) const NAME: &str = "file.bin";

/// The directories, removed with it.
pub(crate) struct Site {
    dir: TempDir,
}

impl Site {
    /// A site that publishes these bytes.
    pub(crate) fn publishing(bytes: &[u8]) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        // Apache started as root drops to an unprivileged user, who has to read here.
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).expect("the directory is ours");
        let site = Self { dir };
        for name in ["root", "server", "saved"] {
            fs::create_dir(site.dir.path().join(name)).expect("the directory is ours and empty");
        }
        site.publish(bytes, 0);
        site
    }

    /// Replaces the published bytes. A new `version` is a new modification time, long ago: Apache gives a weak ETag to
    /// a file changed within the last second, and no server's Last-Modified proves anything about it.
    pub(crate) fn publish(&self, bytes: &[u8], version: u64) {
        let path = self.root().join(NAME);
        fs::write(&path, bytes).expect("the directory is ours");
        let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(1_577_836_800 + 86_400 * version);
        let file = File::options().write(true).open(&path).expect("it was just written");
        file.set_modified(modified).expect("the file is ours");
    }

    /// Directory that the server publishes.
    pub(crate) fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    /// Directory that the server writes to.
    pub(crate) fn server_dir(&self) -> PathBuf {
        self.dir.path().join("server")
    }

    /// Path where haul saves.
    pub(crate) fn target(&self) -> PathBuf {
        self.dir.path().join("saved").join(NAME)
    }

    /// Names of all files that haul left.
    pub(crate) fn saved(&self) -> Vec<String> {
        let entries = fs::read_dir(self.dir.path().join("saved")).expect("the directory is ours");
        let name = |entry: fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
        let mut names: Vec<_> = entries.map(|entry| name(entry.expect("readable"))).collect();
        names.sort();
        names
    }

    /// Fails the test unless the file is there, with exactly these bytes, and nothing beside it.
    pub(crate) fn assert_saved(&self, bytes: &[u8]) {
        assert_eq!(self.saved(), [NAME], "the file and nothing beside it");
        let found = fs::read(self.target()).expect("it is listed");
        // Not assert_eq, which would print megabytes.
        assert!(found == bytes, "the saved file differs from the published one");
    }
}
