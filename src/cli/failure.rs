//! Formats a failure as lines: cause and URL; bytes kept; next step.

use super::remedy;
use crate::error::Error;
use crate::formats::escape;
use crate::formats::size::format_bytes;

/// Formats the cause on one line, then one line each for the bytes kept and the next step, if known.
pub(super) fn lines(error: &Error) -> Vec<String> {
    let mut lines = vec![match error.url() {
        Some(url) => format!("haul: {error}: {}", escape::shown(url)),
        None => format!("haul: {error}"),
    }];
    if let Some(kept) = error.kept().filter(|kept| *kept > 0) {
        let then = if error.is_resumable() { "; the same command resumes from there" } else { "" };
        lines.push(format!("  kept: {} on disk{then}", format_bytes(kept)));
    }
    if let Some(advice) = remedy::advice(error) {
        lines.push(format!("  next: {}", escape::shown(&advice)));
    }
    lines
}
