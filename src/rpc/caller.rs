//! The client at the other end of a connection.

use std::sync::atomic::{AtomicBool, Ordering};

/// The client at the other end of a connection.
#[derive(Debug)]
pub(super) struct Caller {
    /// True for one that needs no secret.
    pub(super) trusted: bool,
    /// True for one of this machine, which hears notifications whether it knows the secret or not.
    pub(super) is_local: bool,
    known: AtomicBool,
}

impl Caller {
    pub(super) fn new(trusted: bool, is_local: bool) -> Self {
        Self { trusted, is_local, known: AtomicBool::new(trusted) }
    }

    /// Notes that it has shown the right secret.
    pub(super) fn introduce(&self) {
        self.known.store(true, Ordering::Relaxed);
    }

    /// Returns true once it has shown the right secret.
    pub(super) fn is_known(&self) -> bool {
        self.known.load(Ordering::Relaxed)
    }
}
