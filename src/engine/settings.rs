//! Settings that all downloads of a client share.

use crate::plan::concurrency::{Allowance, HIGHEST};
use crate::transport::{
    AddressFamily, HostSettings, Interface, Proxy, PublicKeyPin, Resolve, Timeouts, Trace,
};
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

/// Number of connections that one file may use at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Connections {
    /// As many as make it faster: a few at first, more while that pays, up to 32, or 64 if each of them brings little.
    /// Fewer if the server asks for it.
    #[default]
    Auto,
    /// At most this many.
    AtMost(usize),
}

impl Connections {
    /// Largest number of connections that may be opened.
    #[must_use]
    pub fn most(self) -> usize {
        self.allowance(usize::MAX).most()
    }

    /// Allowance for the plan, if no more than `possible` connections can be opened.
    pub(crate) fn allowance(self, possible: usize) -> Allowance {
        match self {
            Self::Auto => Allowance::Adaptive(HIGHEST.min(possible)),
            Self::AtMost(count) => Allowance::Fixed(count.clamp(1, possible)),
        }
    }
}

/// Number of files that are downloaded at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Jobs {
    /// Four; up to 32 as long as they turn out to be small, because each of them then mostly waits for the round trip.
    #[default]
    Auto,
    /// At most this many, and at least one.
    AtMost(usize),
}

/// Settings of a [`Client`](crate::Client): limits and the ways to connect.
///
/// ```
/// let mut settings = haul::ClientSettings::default();
/// settings.jobs = haul::Jobs::AtMost(2);
/// settings.stall_timeout = std::time::Duration::from_secs(10);
/// # let _ = settings;
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ClientSettings {
    /// Number of files that are downloaded at once; the others wait.
    pub jobs: Jobs,
    /// Upper limit of the connections of one download, whatever is asked for; for a process that may open few files. Default none.
    pub most_connections: Option<usize>,
    /// Rate limit for all downloads together, in bytes per second. Bytes in flight when they begin, and bytes that
    /// belong to no file, such as response headers, are not counted. Default none.
    pub limit_rate: Option<NonZeroU64>,
    /// Yields to all other traffic on the line: downloads take the rate that other traffic leaves, up to the whole line.
    /// The delay on the way is the signal, and the receive windows follow it (RFC 6817, RFC 9840), so that the queue stays
    /// below 25 ms; packets are marked as lower effort (RFC 8622). Windows follow on Linux only. Default false.
    pub background: bool,
    /// Maximum size in bytes: a larger file is refused before its first byte is taken; one whose length the server does
    /// not state is given up once more bytes have come. Default none. See also
    /// [`Request::max_size`](crate::Request::max_size).
    pub max_size: Option<u64>,
    /// Timeout for each of resolving, connecting and the TLS handshake. Default 10 s.
    pub connect_timeout: Duration,
    /// Timeout from the request to the end of the response headers. Default 30 s.
    pub first_byte_timeout: Duration,
    /// Stall timeout: a connection that delivers nothing for this long is replaced. Default 30 s.
    pub stall_timeout: Duration,
    /// Maximum number of redirects followed for one request. Default 10.
    pub max_redirects: usize,
    /// Rounds of failure in a row without new bytes before giving up. Default 8.
    pub retries: u32,
    /// Time for which failures in a row are tolerated, including the waits that a server asks for; `None` for no time
    /// limit.
    pub retry_max_time: Option<Duration>,
    /// Once bytes have come, time for which a broken line or a busy server is tolerated, however many rounds of failure
    /// that is. Default 300 s.
    pub patience: Duration,
    /// The longest `Retry-After` that is obeyed. Default 300 s.
    pub retry_after_cap: Duration,
    /// Ask the mirrors, and the Metalink document, that a server names for its file (RFC 6249), where a digest makes that safe: one of the
    /// request, or one by SHA-256 or better that the server of the URL itself states over https with its links. They get no secrets of
    /// other origins. Default true.
    pub find_mirrors: bool,
    /// Follow redirects from https to http. Credentials never follow.
    pub allow_downgrade: bool,
    /// A PEM file with certificates to trust in addition to the platform's.
    pub ca_file: Option<PathBuf>,
    /// A PEM file with a client certificate and its chain. It is shown on request to the servers of the URLs of all
    /// requests of the client, mirrors among them, and not to those that they redirect to.
    pub certificate_file: Option<PathBuf>,
    /// A PEM file with the key of that certificate, unencrypted; `None` if it is in the same file.
    pub key_file: Option<PathBuf>,
    /// Accept any certificate: the server is not authenticated then, unless keys are pinned.
    pub insecure: bool,
    /// Public keys that servers may show: each server that is connected to, those of redirects and mirrors included, must have one of
    /// them, and must be reached over TLS. They are checked besides the certificate, on every connection; with `insecure` they are all
    /// that is checked. Proxies are not meant. Default none: any key.
    pub pins: Vec<PublicKeyPin>,
    /// Settings for some hosts only; the first that applies counts.
    pub hosts: Vec<HostSettings>,
    /// Addresses for hosts, in place of the resolver's; of several for one host and port the last counts. If a proxy
    /// resolves names, they are for the proxy's own name.
    pub resolve: Vec<Resolve>,
    /// Address family used. Default both.
    pub family: AddressFamily,
    /// Local end of the connections. Default the system's choice.
    pub interface: Option<Interface>,
    /// Proxy to use. Default none.
    pub proxy: Proxy,
    /// Servers that are reached without the proxy: names, each with its subdomains, addresses and networks, separated
    /// by commas.
    pub no_proxy: String,
    /// File in which facts about hosts are kept for later runs: how many connections paid, how many the host serves, whether
    /// it answers HEAD, which address family connects. They are advice, kept for 7 days on one network; host names are in it as
    /// keyed hashes. It is read by the first download, and written when one has learned something new. Default none.
    pub memory: Option<PathBuf>,
    /// The `User-Agent`.
    pub user_agent: String,
    /// Write on the runtime's own threads. Faster if the runtime belongs to haul alone; a slow disk then holds up every
    /// other task on it. Off by default.
    pub inline_writes: bool,
    /// Receives connections, redirects, requests and responses, without their secrets. Default none.
    pub trace: Option<Trace>,
    /// Takes the place of the network.
    #[cfg(test)]
    pub(crate) wire: Option<crate::transport::Wire>,
}

impl ClientSettings {
    pub(super) fn timeouts(&self) -> Timeouts {
        Timeouts { connect: self.connect_timeout, first_byte: self.first_byte_timeout }
    }
}

impl Default for ClientSettings {
    fn default() -> Self {
        Self {
            jobs: Jobs::Auto,
            most_connections: None,
            limit_rate: None,
            background: false,
            max_size: None,
            connect_timeout: Duration::from_secs(10),
            first_byte_timeout: Duration::from_secs(30),
            stall_timeout: Duration::from_secs(30),
            max_redirects: 10,
            retries: 8,
            retry_max_time: None,
            patience: Duration::from_secs(300),
            retry_after_cap: Duration::from_secs(300),
            find_mirrors: true,
            allow_downgrade: false,
            ca_file: None,
            certificate_file: None,
            key_file: None,
            insecure: false,
            pins: Vec::new(),
            hosts: Vec::new(),
            resolve: Vec::new(),
            family: AddressFamily::Any,
            interface: None,
            proxy: Proxy::Direct,
            no_proxy: String::new(),
            memory: None,
            user_agent: concat!("haul/", env!("CARGO_PKG_VERSION")).to_owned(),
            inline_writes: false,
            trace: None,
            #[cfg(test)]
            wire: None,
        }
    }
}
