//! Extended attributes of files.

use std::fs::File;
use std::io;

/// Sets an attribute of an open file, in place of an earlier value.
///
/// # Errors
/// Those of fsetxattr(2); `EOPNOTSUPP` where the file system has none.
pub(crate) fn set_attribute(file: &File, name: &str, value: &[u8]) -> io::Result<()> {
    Ok(rustix::fs::fsetxattr(file, name, value, rustix::fs::XattrFlags::empty())?)
}

/// Reads an attribute of an open file into `buffer`; returns `None` if there is none, or if it is longer.
pub(crate) fn attribute<'a>(file: &File, name: &str, buffer: &'a mut [u8]) -> Option<&'a [u8]> {
    let length = rustix::fs::fgetxattr(file, name, &mut *buffer).ok()?;
    buffer.get(..length)
}
