//! Preloaded libraries of `fixtures/faults`, which simulate an unusual machine.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Builds the library of this name in `directory`; `None`, with a note, if that is not possible.
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
