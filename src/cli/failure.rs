//! A failure as lines: what happened to which URL; what was kept; what to do next.

use crate::error::Error;
use crate::formats::escape;
use crate::formats::size::format_bytes;

/// The cause on one line, then one line each for what was kept and what to do, where there is something.
pub(super) fn lines(error: &Error) -> Vec<String> {
    let mut lines = vec![match error.url() {
        Some(url) => format!("haul: {error}: {}", escape::shown(url)),
        None => format!("haul: {error}"),
    }];
    if let Some(kept) = error.kept().filter(|kept| *kept > 0) {
        let then = if error.is_resumable() { "; the same command resumes from there" } else { "" };
        lines.push(format!("  kept: {} on disk{then}", format_bytes(kept)));
    }
    if let Some(hint) = error.hint() {
        lines.push(format!("  next: {}", escape::shown(hint)));
    }
    lines
}
