//! Facts of a failure beside its class and its cause, each of them known or not.

use super::{Phase, Trouble};
use std::net::SocketAddr;
use std::time::Duration;

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Detail {
    /// HTTP status that the failure is about.
    pub(super) status: Option<u16>,
    /// Code of the operating system.
    pub(super) errno: Option<i32>,
    /// Peer of the connection: the server, or the proxy before it.
    pub(super) address: Option<SocketAddr>,
    /// Class of a failure of the network.
    pub(super) trouble: Option<Trouble>,
    pub(super) phase: Option<Phase>,
    /// Time that the server asks to wait.
    pub(super) retry_after: Option<Duration>,
    /// Rounds of failure in a row, the last one included.
    pub(super) attempts: Option<u32>,
    /// True if it is known to pass with time.
    pub(super) passes: bool,
    /// Bytes that stay on disk.
    pub(super) kept: Option<u64>,
}

/// Returns true if a response with this status says nothing about the next one (RFC 9110 §15.5.9, §15.6; RFC 6585 §4;
/// RFC 8470 §5.2).
pub(super) fn may_pass(status: u16) -> bool {
    matches!(status, 408 | 425 | 429 | 500 | 502..=504 | 507..=509 | 520..=530)
}
