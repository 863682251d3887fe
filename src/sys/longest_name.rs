//! Longest name that a file system takes.

use std::path::Path;

/// Longest name in a directory, in bytes.
pub(crate) fn longest_name_in(directory: &Path) -> usize {
    const USUAL: usize = 255;
    let stated = rustix::fs::statvfs(directory).map_or(0, |system| system.f_namemax);
    // Some file systems count in characters and state the bytes those could take; others state nothing.
    usize::try_from(stated).ok().filter(|longest| (1..USUAL).contains(longest)).unwrap_or(USUAL)
}
