//! The terminals on the standard error stream and the standard output.

use rustix::process::{getpgrp, getpid};
use std::io::IsTerminal as _;

/// Columns and rows of the window on the standard error stream; zero where unknown, `None` without a terminal.
pub(crate) fn window() -> Option<(u16, u16)> {
    let size = rustix::termios::tcgetwinsize(std::io::stderr()).ok()?;
    Some((size.ws_col, size.ws_row))
}

/// Columns of the terminal on the standard output; zero where unknown, `None` without a terminal.
pub(crate) fn output_columns() -> Option<u16> {
    Some(rustix::termios::tcgetwinsize(std::io::stdout()).ok()?.ws_col)
}

/// Returns true if this process may draw on the standard error stream. A job that a shell has put into the background leads its own process
/// group; a process in the group of another program, such as timeout(1), is not treated as one.
pub(crate) fn is_ours() -> bool {
    let stderr = std::io::stderr();
    let is_shown = |group| group == getpgrp() || getpgrp() != getpid();
    stderr.is_terminal() && rustix::termios::tcgetpgrp(&stderr).map_or(true, is_shown)
}
