//! Directory of a run, as a list can say it.

use std::path::{Component, Path, PathBuf};

/// Directory of a run, as far as a list can say it: below the one where the list is run again.
pub(super) enum Base {
    /// None of its own.
    Here,
    Below(String),
    /// Another place: lists do not name such, so the command has to.
    Elsewhere(PathBuf),
}

impl Base {
    /// The directory that `-d` gives; `configured` if the configuration has one, which the next run begins in.
    pub(super) fn of(given: Option<&Path>, configured: bool) -> Self {
        let Some(path) = given else {
            return Self::Here;
        };
        let parts: Option<Vec<_>> = path
            .components()
            .filter(|part| *part != Component::CurDir)
            .map(|part| if let Component::Normal(part) = part { part.to_str() } else { None })
            .collect();
        match parts {
            Some(parts) if parts.is_empty() && !configured => Self::Here,
            Some(parts) if !configured => Self::Below(parts.join("/")),
            _ => Self::Elsewhere(path.to_owned()),
        }
    }
}
