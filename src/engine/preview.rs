//! Preview of a download: what the server says of the file, before any of it is fetched.

use super::forecast::Forecast;
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
    /// The complete length in bytes, as GET states it.
    pub size: Option<u64>,
    /// The complete length in bytes, as HEAD states it: advice, which decides nothing (RFC 9110 §9.3.2).
    pub head_size: Option<u64>,
    /// The HEAD response, in words; `None` if HEAD failed or timed out.
    pub head: Option<String>,
    /// True if the server was seen to serve ranges; `None` if it was not asked.
    pub ranges: Option<bool>,
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
    /// Bytes that an earlier run left there.
    pub kept: u64,
    /// Expected course of a download started now.
    pub forecast: Forecast,
}
