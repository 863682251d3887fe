//! `NAME.haul`: record of the ranges that are on disk, and of the resource and version they belong to.
//!
//! A journal of checksummed lines, described field by field in `docs/manifest.md`. Its content is input: [`Raw`] says
//! only that the lines are whole; [`Trusted`] says that they fit the part file, the request and each other.

mod audit;
mod hold;
mod inspection;
mod journal;
mod raw;
mod record;
mod run;
mod trusted;

pub(crate) use audit::audit;
pub(crate) use hold::{Hold, new_holder, unwritten};
pub(crate) use inspection::named;
pub use inspection::{Inspection, inspect};
pub(crate) use journal::Journal;
pub(crate) use raw::{Raw, ReadError};
pub(crate) use record::{FileRecord, Record};
pub(crate) use run::{Run, Runs, piece_size};
pub(crate) use trusted::{Distrust, Expectation, Trusted};
