//! Attributes of files that not every system has: owners, modes, inodes.

use std::fs::{File, Metadata, Permissions};
use std::io;
#[cfg(feature = "cli")]
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::Path;

/// Facts about a file beyond those of the standard library.
pub(crate) trait Facts {
    /// Device and inode: two names with the same lead to one file.
    fn identity(&self) -> (u64, u64);
    /// Number of the user that owns it.
    fn owner(&self) -> u32;
    /// Type and permissions.
    fn mode_bits(&self) -> u32;
    /// Number of names.
    fn names(&self) -> u64;
    /// Bytes of disk space.
    fn allocated(&self) -> u64;
    /// Time of the last change of the bytes, in seconds and nanoseconds since 1970.
    fn modified_at(&self) -> (i64, i64);
    /// Time of the last change of the bytes or of an attribute, in seconds and nanoseconds since 1970.
    #[cfg(feature = "cli")]
    fn changed_at(&self) -> (i64, i64);
    fn is_char_device(&self) -> bool;
    #[cfg(feature = "cli")]
    fn is_socket(&self) -> bool;
}

impl Facts for Metadata {
    fn identity(&self) -> (u64, u64) {
        (self.dev(), self.ino())
    }

    fn owner(&self) -> u32 {
        self.uid()
    }

    fn mode_bits(&self) -> u32 {
        self.mode()
    }

    fn names(&self) -> u64 {
        self.nlink()
    }

    fn allocated(&self) -> u64 {
        self.blocks().saturating_mul(512)
    }

    fn modified_at(&self) -> (i64, i64) {
        (self.mtime(), self.mtime_nsec())
    }

    #[cfg(feature = "cli")]
    fn changed_at(&self) -> (i64, i64) {
        (self.ctime(), self.ctime_nsec())
    }

    fn is_char_device(&self) -> bool {
        self.file_type().is_char_device()
    }

    #[cfg(feature = "cli")]
    fn is_socket(&self) -> bool {
        self.file_type().is_socket()
    }
}

/// Sets the permissions of an open file.
///
/// # Errors
/// Those of fchmod(2).
pub(crate) fn set_mode(file: &File, mode: u32) -> io::Result<()> {
    file.set_permissions(Permissions::from_mode(mode))
}

/// Number of the user that this process acts as.
pub(crate) fn own_user() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Creates a directory and those above it as far as they are missing, for their owner alone.
///
/// # Errors
/// Those of the file system.
pub(crate) fn create_private_directories(path: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Lets a file that is created be for its owner alone.
#[cfg(feature = "cli")]
pub(crate) fn private(options: &mut std::fs::OpenOptions) -> &mut std::fs::OpenOptions {
    options.mode(0o600)
}

/// Makes a symbolic link.
///
/// # Errors
/// `AlreadyExists` if the name is taken.
#[cfg(feature = "cli")]
pub(crate) fn make_link(leads_to: &Path, link: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(leads_to, link)
}
