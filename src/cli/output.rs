//! Output of the program: results on the standard output, messages on the standard error.

use super::{canvas, colour, failure};
use crate::error::{Error, Kind};
use crate::formats::escape;
use crate::sys::terminal;
use std::fmt::Display;
use std::io::{ErrorKind, Write as _};

/// Prints a message above the rows drawn on the screen.
pub(super) fn say(line: impl Display) {
    canvas::print_above(&colour::line(&line.to_string()));
}

/// Prints a failure: the cause, the bytes kept, the next step.
pub(super) fn say_failure(error: &Error) {
    failure::lines(error).iter().for_each(say);
}

/// Prints a line of results.
///
/// # Errors
/// See [`print`].
pub(super) fn print_line(line: impl Display) -> Result<(), Error> {
    print(format!("{line}\n").as_bytes())
}

/// Prints a JSON object as a line of results, without characters that act on a terminal.
///
/// # Errors
/// See [`print`].
pub(super) fn print_json(object: &serde_json::Value) -> Result<(), Error> {
    print_line(escape::in_json(&object.to_string()))
}

/// Prints results and flushes them. A reader that closed the pipe early has seen enough.
///
/// # Errors
/// `Disk`, if the standard output cannot be written to.
pub(super) fn print(text: &[u8]) -> Result<(), Error> {
    let mut output = std::io::stdout().lock();
    match output.write_all(text).and_then(|()| output.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(unwritable(&error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Columns of the terminal that results are shown on; `None` if they go elsewhere.
pub(super) fn columns() -> Option<usize> {
    terminal::output_columns().map(usize::from).filter(|columns| *columns > 0)
}

/// Error for a standard output that cannot be written to.
pub(super) fn unwritable(error: &std::io::Error) -> Error {
    Error::new(Kind::Disk, format!("cannot write to the standard output: {error}"))
}
