//! Requests of the client, verbatim.

use std::ops::Range;
use std::time::Instant;

/// One request, verbatim.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// Counts all requests to this server, from 0; [`Server::forget`] does not reset it.
    pub(crate) n: usize,
    /// Counts connections, from 0.
    pub(crate) connection: usize,
    /// Counts the requests on this connection, from 0.
    pub(crate) nth_on_connection: usize,
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    /// The head, byte for byte, with its empty line.
    pub(crate) raw: Vec<u8>,
    pub(crate) body: Vec<u8>,
    pub(crate) at: Instant,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub(crate) fn all_headers(&self, name: &str) -> Vec<&str> {
        self.headers
            .iter()
            .filter(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
            .collect()
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.header(name).is_some()
    }

    pub(crate) fn is_get(&self) -> bool {
        self.method == "GET"
    }

    pub(crate) fn is_head(&self) -> bool {
        self.method == "HEAD"
    }

    pub(crate) fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or("")
    }

    /// True if the head holds this text anywhere, for hunting secrets.
    pub(crate) fn contains(&self, text: &str) -> bool {
        String::from_utf8_lossy(&self.raw).contains(text)
    }

    pub(crate) fn range(&self) -> Option<AskedRange> {
        AskedRange::parse(self.header("range")?)
    }

    /// Start of the requested range; 0 without one.
    pub(crate) fn start(&self) -> u64 {
        match self.range() {
            Some(AskedRange::From(start, _)) => start,
            _ => 0,
        }
    }

    pub(crate) fn parse(raw: Vec<u8>, n: usize, connection: usize, nth_on_connection: usize) -> Self {
        let text = String::from_utf8_lossy(&raw).into_owned();
        let mut lines = text.split("\r\n");
        let mut first = lines.next().unwrap_or("").split(' ').map(str::to_owned);
        let headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
            .collect();
        Self {
            n,
            connection,
            nth_on_connection,
            method: first.next().unwrap_or_default(),
            target: first.next().unwrap_or_default(),
            headers,
            raw,
            body: Vec::new(),
            at: Instant::now(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AskedRange {
    /// `a-b` or `a-`; the end is inclusive, as in the header.
    From(u64, Option<u64>),
    /// `-n`
    Last(u64),
}

impl AskedRange {
    fn parse(value: &str) -> Option<Self> {
        let (start, end) = value.strip_prefix("bytes=")?.split_once('-')?;
        if start.is_empty() {
            return Some(Self::Last(end.parse().ok()?));
        }
        let end = if end.is_empty() { None } else { Some(end.parse().ok()?) };
        Some(Self::From(start.parse().ok()?, end))
    }

    /// Converts it to a half-open range in a file of this length.
    pub(crate) fn within(self, len: u64) -> Option<Range<u64>> {
        let range = match self {
            Self::From(start, None) => start..len,
            Self::From(start, Some(last)) => start..len.min(last.saturating_add(1)),
            Self::Last(n) => len.saturating_sub(n)..len,
        };
        (range.start < range.end).then_some(range)
    }
}
