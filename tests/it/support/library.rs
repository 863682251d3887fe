//! Libraries of `fixtures/faults` that are loaded before the C library, and make a machine like no machine of ours.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Builds the library of this name in `directory`; `None`, with a word about it, where that cannot be done.
pub(crate) fn library(name: &str, directory: &Path) -> Option<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("fixtures/faults/{name}.c"));
    let library = directory.join(format!("{name}.so"));
    let mut cc = Command::new("cc");
    cc.args(["-shared", "-fPIC", "-o"]).args([&library, &source]).arg("-ldl");
    if cc.status().is_ok_and(|status| status.success()) {
        return Some(library);
    }
    super::left_out("cc cannot build a library here");
    None
}
