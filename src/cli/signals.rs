//! Signals: save, then die of them.

use crate::error::{Error, Kind};
use crate::sys::signals;
use std::fmt;

pub(super) use crate::sys::signals::{Signals, Told};

/// Listens for the signals that end a run.
pub(super) fn listen() -> Result<Signals, Error> {
    let failed =
        |error: std::io::Error| Error::new(Kind::Other, format!("signals cannot be watched: {error}"));
    Signals::listen().map_err(failed)
}

/// Signal that interrupted a part of the run that has no files yet.
#[derive(Debug)]
struct Interruption(i32);

impl fmt::Display for Interruption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "signal {}", self.0)
    }
}

impl std::error::Error for Interruption {}

/// Error for work that a signal interrupted.
pub(super) fn interrupted(number: i32, doing: &str) -> Error {
    Error::new(Kind::Cancelled, format!("interrupted while {doing}")).with_source(Interruption(number))
}

/// Signal that caused such an error.
pub(super) fn interruption(error: &Error) -> Option<i32> {
    let source = std::error::Error::source(error)?;
    source.downcast_ref::<Interruption>().map(|interruption| interruption.0)
}

/// Dies of `number`, as if it had never been caught, so that the calling shell sees the cause.
pub(super) fn die_of(number: i32) {
    super::refresh::end_all();
    signals::die_of(number);
}
