//! Peers, as far as connections to them are told apart.

use super::hop::OwnProxy;
use crate::plan::Origin;

/// Peer of a connection, as far as it tells connections apart: all connections of a pool trust the same authorities, and secrets are
/// in requests.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Peer {
    pub(super) origin: Origin,
    /// True if it was shown the client certificate, in case it asked for one.
    pub(super) knows_us: bool,
    /// Proxy of its own; `None` for that of all.
    pub(super) proxy: Option<OwnProxy>,
}
