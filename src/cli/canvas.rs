//! The last rows of the terminal, which are redrawn, and the lines printed above them.

use super::colour::{self, Tone};
use crate::sys::terminal;
use std::io::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};
use unicode_width::UnicodeWidthStr as _;

/// A row, of which the middle may have a colour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    before: String,
    toned: String,
    tone: Tone,
    after: String,
}

impl Row {
    pub(super) fn new(before: String, toned: String, tone: Tone, after: String) -> Self {
        Self { before, toned, tone, after }
    }

    /// The row as plain text.
    pub(super) fn seen(&self) -> String {
        format!("{}{}{}", self.before, self.toned, self.after)
    }

    /// The row as it is written to a terminal.
    pub(super) fn painted(&self, in_colours: bool) -> String {
        let toned = match in_colours && !self.toned.is_empty() {
            true => colour::painted(self.tone, &self.toned),
            false => self.toned.clone(),
        };
        format!("{}{toned}{}", self.before, self.after)
    }
}

/// Rows that this process has drawn.
static CANVAS: Mutex<Canvas> = Mutex::new(Canvas { rows: Vec::new(), columns: 0 });

/// Current content of the screen.
struct Canvas {
    rows: Vec<Row>,
    /// Width of the window when the rows were drawn, in columns.
    columns: usize,
}

/// Size of the window: columns and rows.
pub(super) fn window() -> (usize, usize) {
    let some = |cells: u16, otherwise| if cells == 0 { otherwise } else { usize::from(cells) };
    terminal::window().map_or((80, 24), |(columns, rows)| (some(columns, 80), some(rows, 24)))
}

/// Draws these rows in place of the last ones. A background job leaves the terminal to the shell.
pub(super) fn draw(rows: Vec<Row>) {
    let mut canvas = canvas();
    let (columns, _) = window();
    if (rows == canvas.rows && columns == canvas.columns) || !terminal::is_ours() {
        return;
    }
    let mut text = canvas.erasure(columns);
    text.push_str(&joined(&rows));
    (canvas.rows, canvas.columns) = (rows, columns);
    write(&text);
}

/// Prints a line above the rows, if there are any.
pub(super) fn print_above(line: &str) {
    let canvas = canvas();
    if canvas.rows.is_empty() {
        return write(&format!("{line}\n"));
    }
    let text = canvas.erasure(window().0);
    write(&format!("{text}{line}\n{}", joined(&canvas.rows)));
}

/// Takes the rows off the screen.
pub(super) fn clear() {
    let mut canvas = canvas();
    if !canvas.rows.is_empty() {
        let text = canvas.erasure(window().0);
        canvas.rows.clear();
        write(&text);
    }
}

/// Forgets the rows without erasing them: another program has written below them.
pub(super) fn forget() {
    let mut canvas = canvas();
    if !std::mem::take(&mut canvas.rows).is_empty() {
        write("\n");
    }
}

fn canvas() -> MutexGuard<'static, Canvas> {
    // No code in here panics between two changes that belong together.
    CANVAS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes the text and ignores errors: a terminal that is gone is no reason to stop.
fn write(text: &str) {
    let mut stderr = std::io::stderr().lock();
    let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
}

/// Joins the rows, with wrapping switched off. The window may already be narrower than assumed here, and the terminal
/// has then rewrapped its old content: a row that is cut off now leaves as many lines too few as the previous erasure
/// left too many, so that the next erasure, which knows the new width, removes both.
fn joined(rows: &[Row]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let rows: Vec<_> = rows.iter().map(|row| row.painted(colour::are_shown())).collect();
    format!("\x1b[?7l{}\x1b[?7h", rows.join("\n"))
}

impl Canvas {
    /// Returns the escape sequences that erase the rows from a screen that is now this many columns wide.
    fn erasure(&self, columns: usize) -> String {
        let widths: Vec<_> = self.rows.iter().map(|row| row.seen().width()).collect();
        erasure(&widths, if wraps_again() { columns } else { self.columns })
    }
}

/// Moves from the end of the last row to the beginning of the first and clears each line. In a window that became
/// narrower a row takes several lines. Works line by line, since some terminals keep rows that are cleared as a
/// whole.
fn erasure(widths: &[usize], columns: usize) -> String {
    let lines: usize = widths.iter().map(|width| width.div_ceil(columns.max(1)).max(1)).sum();
    match lines {
        0 => String::new(),
        lines => format!("\r\x1b[2K{}", "\x1b[1A\x1b[2K".repeat(lines - 1)),
    }
}

/// Returns true if the terminal rewraps its content when it becomes narrower, as most do; the ones named here cut it
/// off.
fn wraps_again() -> bool {
    std::env::var_os("XTERM_VERSION").is_none() && std::env::var_os("TERM").is_none_or(|term| term != "linux")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_cleared_from_the_first_line_that_they_take() {
        let lines = |widths: &[usize], columns| erasure(widths, columns).matches("\x1b[2K").count();
        assert_eq!(erasure(&[], 80), "");
        assert_eq!(erasure(&[79], 80), "\r\x1b[2K");
        assert_eq!(erasure(&[79, 0], 80), "\r\x1b[2K\x1b[1A\x1b[2K");
        assert_eq!(lines(&[79, 80, 5], 80), 3);
        // A window that became narrower.
        assert_eq!(lines(&[119, 41, 40], 40), 3 + 2 + 1);
    }
}
