//! Sockets: connecting, TLS, redirects, credentials, and one request at a time on a connection.
//!
//! hyper implements HTTP for one request; the plan decides what a response *means*.

mod address_family;
mod connect;
mod connection;
mod connectors;
mod date;
mod exchange;
mod failure;
mod forwarded;
mod hop;
mod host_settings;
mod interface;
mod jar;
mod links;
mod multiplex;
mod no_proxy;
mod part;
mod peer;
mod pin;
mod pool;
mod prompt;
mod proxy;
mod request_head;
mod requester;
mod resolve;
mod response;
mod route;
#[cfg_attr(not(feature = "s3"), allow(dead_code, reason = "only the feature s3 signs"))]
mod signer;
mod socket;
mod strikes;
mod timeouts;
mod tls;
mod trace;
mod tunnel;
#[cfg(test)]
mod wire;
mod yielder;

pub(crate) use crate::error::Failure;
pub use address_family::AddressFamily;
pub(crate) use connect::Dialer;
pub(crate) use exchange::Exchange;
pub(crate) use hop::OwnProxy;
pub use host_settings::HostSettings;
pub use interface::Interface;
pub(crate) use part::Part;
pub use pin::PublicKeyPin;
pub use proxy::Proxy;
pub(crate) use request_head::{Credentials, Document, Secrets};
#[cfg(feature = "s3")]
pub(crate) use requester::Wanted;
pub(crate) use requester::{Pause, Requester};
pub use resolve::Resolve;
pub(crate) use response::{Body, Redirect, RedirectHead, Response};
pub(crate) use route::{Fresh, Renewal, Route};
pub(crate) use signer::RequestSigner;
#[cfg(feature = "s3")]
pub(crate) use signer::{Carrier, Judgement, Pending, ServiceRequest, ServiceResponse};
pub(crate) use timeouts::Timeouts;
pub(crate) use tls::IdentityFiles;
#[cfg(feature = "fleet")]
pub(crate) use tls::client_configuration;
pub use trace::{Step, Trace};
#[cfg(test)]
pub(crate) use wire::Wire;
pub(crate) use yielder::Yielder;

use std::path::PathBuf;
use std::time::Duration;

/// Settings of connections, the same for all files of a run.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) dialer: Dialer,
    pub(crate) max_redirects: usize,
    /// Maximum total time that redirects may make one source of a file wait by `Retry-After`.
    pub(crate) longest_pause: Duration,
    pub(crate) allow_downgrade: bool,
    pub(crate) ca_file: Option<PathBuf>,
    pub(crate) insecure: bool,
    /// Keys that servers may show; any if there are none.
    pub(crate) pins: Vec<PublicKeyPin>,
    /// Exceptions for some hosts; the first that applies counts.
    pub(crate) hosts: Vec<HostSettings>,
    /// Client certificate, for the servers that were named and ask for it.
    pub(crate) identity: Option<IdentityFiles>,
    pub(crate) proxy: Proxy,
    /// Servers that are reached without the proxy, as in `NO_PROXY`.
    pub(crate) no_proxy: String,
    /// Maximum size of a read in bytes; `None` for the default.
    pub(crate) read_size: Option<usize>,
    /// Receives each step.
    pub(crate) trace: Option<Trace>,
}
