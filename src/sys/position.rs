//! Reads and writes at positions, which move no cursor.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

/// Reads up to `buffer.len()` bytes from `offset`; returns 0 only at the end.
///
/// # Errors
/// Those of pread(2).
pub(crate) fn read_at(file: &File, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match file.read_at(buffer, offset) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}

/// Writes all of `bytes` at `offset`.
///
/// # Errors
/// Those of pwrite(2).
pub(crate) fn write_all_at(file: &File, offset: u64, bytes: &[u8]) -> io::Result<()> {
    file.write_all_at(bytes, offset)
}
