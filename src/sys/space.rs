//! Space for files: reserved, free and allocated; and memory.

use super::Errno;
use rustix::fs::{Advice, FallocateFlags, SeekFrom};
use std::fs::File;
use std::num::NonZeroU64;

/// Reserves the first `length` bytes of a file, so that no later write to them fails for lack of space.
///
/// # Errors
/// `NOSPC` or `DQUOT` without the space; `OPNOTSUPP`, `NOSYS` or `INVAL` where none can be reserved.
pub(crate) fn reserve(file: &File, length: u64) -> Result<(), Errno> {
    rustix::io::retry_on_intr(|| rustix::fs::fallocate(file, FallocateFlags::empty(), 0, length))
}

/// Bytes that are free on the file system of an open file; `None` if unknown.
pub(crate) fn free(file: &File) -> Option<u64> {
    let space = rustix::fs::fstatvfs(file).ok()?;
    Some(space.f_bavail.saturating_mul(space.f_frsize))
}

/// Returns true for a file on a file system in memory.
pub(crate) fn is_in_memory(file: &File) -> bool {
    const TMPFS_MAGIC: u64 = 0x0102_1994;
    rustix::fs::fstatfs(file).is_ok_and(|system| system.f_type as u64 == TMPFS_MAGIC)
}

/// Returns true if no byte of the file was ever written; false if that is unknown.
pub(crate) fn holds_no_data(file: &File) -> bool {
    matches!(rustix::fs::seek(file, SeekFrom::Data(0)), Err(Errno::NXIO))
}

/// Advises that these bytes will not be read again, so the page cache may drop them.
pub(crate) fn forget(file: &File, offset: u64, length: u64) {
    // Advice, which may be refused without harm.
    let _ = rustix::fs::fadvise(file, offset, NonZeroU64::new(length), Advice::DontNeed);
}

/// Memory of this machine, in bytes.
pub(crate) fn memory() -> u64 {
    let memory = rustix::system::sysinfo();
    memory.totalram.saturating_mul(u64::from(memory.mem_unit))
}
