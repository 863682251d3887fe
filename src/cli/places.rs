//! Files of the user's that are haul's own (XDG Base Directory Specification).

use std::path::PathBuf;

/// A file below `$XDG_CONFIG_HOME/haul`; `None` without a home.
pub(super) fn config(name: &str) -> Option<PathBuf> {
    below("XDG_CONFIG_HOME", ".config", name)
}

/// A file below `$XDG_STATE_HOME/haul`; `None` without a home.
pub(super) fn state(name: &str) -> Option<PathBuf> {
    below("XDG_STATE_HOME", ".local/state", name)
}

/// A relative path in the variable is ignored, as the specification wants it.
fn below(variable: &str, default: &str, name: &str) -> Option<PathBuf> {
    let given = std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = given.or_else(|| {
        let home = std::env::var_os("HOME").map(PathBuf::from).filter(|home| home.is_absolute());
        home.map(|home| home.join(default))
    })?;
    Some(base.join("haul").join(name))
}
