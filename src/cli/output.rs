//! What the program says: results on the standard output, words for a person on the standard error.

use super::{canvas, colour, failure};
use crate::error::{Error, Kind};
use crate::formats::escape;
use std::fmt::Display;
use std::io::{ErrorKind, Write as _};

/// A line of words for a person, above what is drawn on the screen.
pub(super) fn say(line: impl Display) {
    canvas::print_above(&colour::line(&line.to_string()));
}

/// What went wrong, what was kept, what to do next.
pub(super) fn say_failure(error: &Error) {
    failure::lines(error).iter().for_each(say);
}

/// A line of results.
///
/// # Errors
/// See [`print`].
pub(super) fn print_line(line: impl Display) -> Result<(), Error> {
    print(format!("{line}\n").as_bytes())
}

/// A JSON object as a line of results, in which nothing acts on a terminal.
///
/// # Errors
/// See [`print`].
pub(super) fn print_json(object: &serde_json::Value) -> Result<(), Error> {
    print_line(escape::in_json(&object.to_string()))
}

/// Results, at once. A reader that has gone away has seen enough.
///
/// # Errors
/// `Disk`, where they cannot be written.
pub(super) fn print(text: &[u8]) -> Result<(), Error> {
    let mut output = std::io::stdout().lock();
    match output.write_all(text).and_then(|()| output.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(unwritable(&error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// The standard output takes nothing.
pub(super) fn unwritable(error: &std::io::Error) -> Error {
    Error::new(Kind::Disk, format!("cannot write to the standard output: {error}"))
}
