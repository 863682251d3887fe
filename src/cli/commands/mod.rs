//! The commands, one file each.

pub(super) mod fetch;
pub(super) mod generate;
pub(super) mod info;
pub(super) mod resume;
pub(super) mod rm;
pub(super) mod status;
pub(super) mod verify;

use crate::error::{Error, Kind};

/// A runtime for this program alone: a few threads, whatever the number of files.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, Error> {
    let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cores.clamp(2, 4))
        .enable_all()
        .build()
        .map_err(|error| Error::new(Kind::Other, format!("cannot start: {error}")))
}
