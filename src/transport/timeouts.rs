//! Longest times of the steps of a request.

use std::time::Duration;

/// Longest times of the steps of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timeouts {
    /// Of resolving and connecting, and of each handshake.
    pub(crate) connect: Duration,
    /// From the request to the end of the response headers.
    pub(crate) first_byte: Duration,
}
