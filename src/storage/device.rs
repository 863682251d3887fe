//! Devices that take bytes in order, such as `/dev/null`.

use crate::error::Error;
use crate::sys::{self, Facts as _};
use std::fs::{self, File};
use std::path::Path;

/// Opens a character device for writing; returns `None` for anything else. Links are followed only below `/dev`, where
/// the system made them.
///
/// # Errors
/// `Disk`.
pub(crate) fn open_device(path: &Path) -> Result<Option<File>, Error> {
    let follow = path.starts_with("/dev");
    let found = if follow { fs::metadata(path) } else { fs::symlink_metadata(path) };
    if !found.is_ok_and(|found| found.is_char_device()) {
        return Ok(None);
    }
    let failed = |error: std::io::Error| Error::disk("cannot open", path, &error);
    let file = sys::open_device(path, follow).map_err(|error| failed(error.into()))?;
    // The name may lead to another file by now.
    let is_device = file.metadata().map_err(failed)?.is_char_device();
    Ok(is_device.then_some(file))
}
