//! What all downloads of a client have in common.

use crate::plan::concurrency::{Allowance, HIGHEST};
use crate::transport::{AddressFamily, Interface, Proxy, Resolve, Trace};
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

/// How many connections one file may use at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Connections {
    /// As many as make it faster: a few at first, more while that pays, up to 32, or 64 where each of them brings
    /// little. Fewer where the server asks for it.
    #[default]
    Auto,
    /// At most this many.
    AtMost(usize),
}

impl Connections {
    /// What the plan is told, where no more than `possible` can be opened.
    pub(crate) fn allowance(self, possible: usize) -> Allowance {
        match self {
            Self::Auto => Allowance::Adaptive(HIGHEST.min(possible)),
            Self::AtMost(count) => Allowance::Fixed(count.clamp(1, possible)),
        }
    }
}

/// How many files are downloaded at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Jobs {
    /// Four; up to 32 as long as they turn out to be small, for then each of them waits for the way to the server and back.
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
    /// How many files are downloaded at once; the others wait.
    pub jobs: Jobs,
    /// Bytes a second for all downloads together, at the most. What is under way in the network when they begin, and what
    /// belongs to no file, such as heads of answers, is not counted. Default none.
    pub limit_rate: Option<NonZeroU64>,
    /// A file of more bytes is refused before its first byte is taken; one whose length the server does not state is given
    /// up once more than these have come. Default none. See also [`Request::max_size`](crate::Request::max_size).
    pub max_size: Option<u64>,
    /// For resolving, connecting and the TLS handshake, each. Default 10 s.
    pub connect_timeout: Duration,
    /// From the request to the whole head of its answer. Default 30 s.
    pub first_byte_timeout: Duration,
    /// A connection that delivers nothing for this long is replaced. Default 30 s.
    pub stall_timeout: Duration,
    /// Redirects followed for one request. Default 10.
    pub max_redirects: usize,
    /// Rounds of failure in a row without new bytes before giving up. Default 8.
    pub retries: u32,
    /// How long failures in a row are put up with, the waits that a server asks for included; `None` for no limit in time.
    pub retry_max_time: Option<Duration>,
    /// Once bytes have come, a line that is down and a server that is busy are put up with for this long, however many rounds
    /// of failure that is. Default 300 s.
    pub patience: Duration,
    /// The longest `Retry-After` that is waited for. Default 300 s.
    pub retry_after_cap: Duration,
    /// Follow redirects from https to http. Credentials never follow.
    pub allow_downgrade: bool,
    /// A PEM file with certificates to trust beside the platform's.
    pub ca_file: Option<PathBuf>,
    /// A PEM file with a certificate, and its chain, that says who we are. It is shown to the servers of the URLs of all
    /// requests of the client, mirrors among them, if they ask, and not to those that they redirect to.
    pub certificate_file: Option<PathBuf>,
    /// A PEM file with the key of that certificate, without a password; `None` if it is in the same file.
    pub key_file: Option<PathBuf>,
    /// Accept any certificate: nobody knows then who answers.
    pub insecure: bool,
    /// Addresses for hosts, whatever the resolver says; of several for one host and port the last counts. Where a proxy looks names up, they are
    /// for the proxy's own name.
    pub resolve: Vec<Resolve>,
    /// Which kind of addresses is used. Default both.
    pub family: AddressFamily,
    /// Where connections begin. Default wherever the system has them begin.
    pub interface: Option<Interface>,
    /// Which proxy to use. Default none.
    pub proxy: Proxy,
    /// Servers that are reached without it: names, which stand for what is below them too, addresses and
    /// networks, separated by commas.
    pub no_proxy: String,
    /// The `User-Agent`.
    pub user_agent: String,
    /// Write on the runtime's own threads. Faster where the runtime belongs to haul alone; a slow disk then
    /// holds up every other task on it. Off by default.
    pub inline_writes: bool,
    /// Hears of connections, redirects, requests and answers, without their secrets. Default none.
    pub trace: Option<Trace>,
}

impl Default for ClientSettings {
    fn default() -> Self {
        Self {
            jobs: Jobs::Auto,
            limit_rate: None,
            max_size: None,
            connect_timeout: Duration::from_secs(10),
            first_byte_timeout: Duration::from_secs(30),
            stall_timeout: Duration::from_secs(30),
            max_redirects: 10,
            retries: 8,
            retry_max_time: None,
            patience: Duration::from_secs(300),
            retry_after_cap: Duration::from_secs(300),
            allow_downgrade: false,
            ca_file: None,
            certificate_file: None,
            key_file: None,
            insecure: false,
            resolve: Vec::new(),
            family: AddressFamily::Any,
            interface: None,
            proxy: Proxy::Direct,
            no_proxy: String::new(),
            user_agent: concat!("haul/", env!("CARGO_PKG_VERSION")).to_owned(),
            inline_writes: false,
            trace: None,
        }
    }
}
