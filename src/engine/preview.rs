//! Preview of a download: what the server says of the file, before any of it is fetched.

use super::forecast::Forecast;
use super::mirror_preview::MirrorPreview;
use super::probe::Survey;
use super::request::{NameSource, Request};
use crate::formats::host_book::HostFacts;
use crate::manifest::Inspection;
use crate::transport::Redirect;
use crate::verify::Digest;
use std::path::PathBuf;

/// Server's description of a file, before any of it is fetched.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Preview {
    /// The requested URL, redacted.
    pub url: String,
    /// URL of the final response, redacted.
    pub final_url: String,
    /// Redirects that lead to it, in order.
    pub redirects: Vec<Redirected>,
    /// Version of HTTP that the response came in, such as `HTTP/1.1`.
    pub http: String,
    /// Version of TLS that it came over, such as `TLS 1.3`; `None` without TLS.
    pub tls: Option<&'static str>,
    /// True if the server offers HTTP/2, which many small files are fetched over; `None` if that was not found out.
    pub http2: Option<bool>,
    /// The complete length in bytes, as GET states it.
    pub size: Option<u64>,
    /// The complete length in bytes, as HEAD states it: advice, which decides nothing (RFC 9110 §9.3.2).
    pub head_size: Option<u64>,
    /// The HEAD response, in words; `None` if HEAD failed or timed out.
    pub head: Option<String>,
    /// True if the server was seen to serve ranges; `None` if it was not asked.
    pub ranges: Option<bool>,
    /// Promise of ranges in the response, which decides nothing; `None` if it says nothing of them.
    pub ranges_promised: Option<bool>,
    /// Strong validator, with which ranges may be joined and a download resumed.
    pub strong_validator: Option<String>,
    /// The `ETag` as received.
    pub etag: Option<String>,
    /// The `Last-Modified` as received.
    pub last_modified: Option<String>,
    /// Digests that the server states, each with the field that states it.
    pub published: Vec<(Digest, &'static str)>,
    /// The media type.
    pub media_type: Option<String>,
    /// The file name that the server proposes, made safe.
    pub suggested_name: Option<String>,
    /// Target path.
    pub path: Option<PathBuf>,
    /// Source of the name that it is saved under; `None` for a stream.
    pub name_source: Option<NameSource>,
    /// Bytes that an earlier run left there.
    pub kept: u64,
    /// State that an earlier run left there.
    pub left: Option<Inspection>,
    /// Other sources that the request names, if they were asked for.
    pub mirrors: Vec<MirrorPreview>,
    /// Mirrors that the server names (RFC 6249), redacted, in the order in which they would be asked.
    pub named_mirrors: Vec<String>,
    /// Knowledge of the host from earlier downloads, if there is any.
    pub remembered: Option<Remembered>,
    /// Expected course of a download started now.
    pub forecast: Forecast,
}

impl Preview {
    /// Preview of a request from its survey, and from the state that an earlier run `left` at its path; without mirrors and memory.
    pub(crate) fn of(
        request: &Request,
        found: Survey,
        path: Option<PathBuf>,
        left: Option<Inspection>,
        forecast: Forecast,
    ) -> Self {
        let suggested = found.suggested_name();
        let validators = found.representation.validators;
        Self {
            url: request.address().to_string(),
            final_url: found.final_url,
            redirects: found.redirects.iter().map(Redirected::of).collect(),
            http: format!("{:?}", found.version),
            tls: found.tls,
            http2: found.http2,
            size: found.representation.complete_length,
            head_size: found.head_size,
            head: found.head,
            ranges: found.ranges,
            ranges_promised: found.ranges_promised,
            strong_validator: validators.strong().map(str::to_owned),
            etag: validators.etag.map(|etag| etag.as_str().to_owned()),
            last_modified: validators.last_modified,
            named_mirrors: found.stated.mirrors().iter().map(ToString::to_string).collect(),
            published: found.stated.published.into_iter().map(|one| (one.digest, one.field)).collect(),
            media_type: found.representation.media_type,
            name_source: request.name_source(suggested.as_ref()),
            suggested_name: suggested.map(|name| name.to_string()),
            path,
            kept: left.as_ref().map_or(0, |left| left.durable),
            left,
            mirrors: Vec::new(),
            remembered: None,
            forecast,
        }
    }
}

/// A redirect on the way to a file.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Redirected {
    /// HTTP status.
    pub status: u16,
    /// URL that it leads to, redacted.
    pub to: String,
}

impl Redirected {
    fn of(redirect: &Redirect) -> Self {
        Self { status: redirect.status, to: redirect.to.to_string() }
    }
}

/// Knowledge of a host from earlier downloads. All of it is advice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Remembered {
    /// Number of connections that paid for one file.
    pub connections: Option<usize>,
    /// Rate of all of them together, in bytes a second.
    pub rate: Option<u64>,
    /// Number of connections that it serves at once, if it refused one more.
    pub serves: Option<usize>,
}

impl Remembered {
    /// Facts that are worth telling, if there are any.
    pub(crate) fn of(facts: &HostFacts) -> Option<Self> {
        let HostFacts { connections, rate, serves, .. } = *facts;
        let is_any = connections.is_some() || serves.is_some();
        is_any.then_some(Self { connections, rate, serves })
    }
}
