//! Snapshots: what a person sees, kept as text and compared.

use std::fs;
use std::path::Path;

/// Widths that everything is looked at in, in columns.
pub(super) const WIDTHS: [usize; 3] = [120, 60, 40];

/// Compares a text with the snapshot of this name, or writes the snapshot where `HAUL_SNAPSHOTS` is `write`.
#[track_caller]
#[expect(clippy::disallowed_methods, reason = "the snapshots belong to the sources")]
pub(super) fn compare(name: &str, shown: &str) {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cli/snapshots").join(name).with_extension("txt");
    if std::env::var_os("HAUL_SNAPSHOTS").is_some_and(|how| how == "write") {
        return fs::write(&path, shown).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == shown,
        "{} is not what is shown now:\n{shown}\nwith HAUL_SNAPSHOTS=write this test writes it",
        path.display()
    );
}
