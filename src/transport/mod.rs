//! Sockets: connecting, TLS, redirects, credentials, and one request at a time on a connection.
//!
//! hyper owns the protocol of one request; what an answer *means* is decided by the plan.

mod address_family;
mod clearance;
mod connect;
mod connection;
mod date;
mod descriptors;
mod exchange;
mod hop;
mod interface;
mod jar;
mod no_proxy;
mod pool;
mod prompt;
mod proxy;
mod resolve;
mod route;
mod socket;
mod strikes;
mod tls;
mod trace;
mod trouble;
mod tunnel;

pub use address_family::AddressFamily;
pub(crate) use clearance::{Credentials, Secrets};
pub(crate) use connect::Dialer;
pub(crate) use exchange::{Body, Exchange, Pause, Reply, Requester};
pub use interface::Interface;
pub use proxy::Proxy;
pub use resolve::Resolve;
pub(crate) use route::{Fresh, Renewal, Route, Turn};
pub(crate) use tls::IdentityFiles;
pub use trace::{Step, Trace};
pub(crate) use trouble::Trouble;

use std::path::PathBuf;
use std::time::Duration;

/// How connections are made. One for all files of a run.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Its timeout is also that of what follows, the handshakes.
    pub(crate) dialer: Dialer,
    pub(crate) first_byte_timeout: Duration,
    pub(crate) max_redirects: usize,
    /// How long redirects may make one file wait by `Retry-After`, all of them together.
    pub(crate) longest_pause: Duration,
    pub(crate) allow_downgrade: bool,
    pub(crate) ca_file: Option<PathBuf>,
    pub(crate) insecure: bool,
    /// Who we are, for the servers that were named and ask for it.
    pub(crate) identity: Option<IdentityFiles>,
    pub(crate) proxy: Proxy,
    /// Servers that are reached without it, as in `NO_PROXY`.
    pub(crate) no_proxy: String,
    /// How many bytes are taken off a connection at once, at the most; `None` where as many as come are welcome.
    pub(crate) read_size: Option<usize>,
    /// Who hears of each step.
    pub(crate) trace: Option<Trace>,
}
