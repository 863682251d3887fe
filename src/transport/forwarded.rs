//! Requests that a proxy makes.

use http::HeaderValue;

/// Data for requests that a proxy makes: they carry the whole URL and, if the proxy wants them, its own credentials.
#[derive(Clone, Debug)]
pub(super) struct Forwarded {
    /// The proxy's host.
    pub(super) proxy: String,
    pub(super) authorization: Option<HeaderValue>,
}
