//! Connections that are kept, and the record of the addresses that they lead to.

use super::multiplex::Multiplexes;
use super::pool::Pool;
use super::strikes::Strikes;
use std::sync::Arc;

/// Shared by the requests of a run and the bodies of their responses.
#[derive(Default)]
pub(super) struct Links {
    pub(super) pool: Arc<Pool>,
    pub(super) strikes: Strikes,
    pub(super) multiplexes: Multiplexes,
}

impl Links {
    /// Closes connections that are idle, to free their descriptors.
    pub(super) fn make_room(&self) {
        self.pool.clear();
        self.multiplexes.close_idle();
    }
}
