//! The resource behind a URL.

use std::ops::Range;
use std::time::{Duration, SystemTime};

use super::answer::Answer;
use super::dates::http_date;
use super::request::Request;
use crate::support::payload::Payload;

#[derive(Clone, Debug)]
pub(crate) enum Modified {
    /// One fixed time, an hour before the resource was made: strong by the sixty-second and the one-second rule.
    HourAgo,
    /// Equal to each response's own Date: never strong.
    SameAsDate,
    Text(String),
    None,
}

/// The resource behind a URL, with the metadata the server states for it.
#[derive(Clone, Debug)]
pub(crate) struct Resource {
    pub(crate) payload: Payload,
    pub(crate) etag: Option<String>,
    pub(crate) modified: Modified,
    pub(crate) content_type: Option<String>,
    /// Fields added to every response.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) honours_range: bool,
    made: SystemTime,
}

impl Resource {
    pub(crate) fn of(payload: Payload) -> Self {
        Self {
            payload,
            etag: Some("\"v1\"".into()),
            modified: Modified::HourAgo,
            content_type: Some("application/octet-stream".into()),
            headers: Vec::new(),
            honours_range: true,
            made: SystemTime::now(),
        }
    }

    /// Sets the whole field value: `"\"v1\""`, `"W/\"1\""`.
    pub(crate) fn etag(mut self, etag: &str) -> Self {
        self.etag = Some(etag.into());
        self
    }

    pub(crate) fn no_etag(mut self) -> Self {
        self.etag = None;
        self
    }

    pub(crate) fn modified(mut self, modified: Modified) -> Self {
        self.modified = modified;
        self
    }

    /// Removes both ETag and Last-Modified.
    pub(crate) fn no_validator(self) -> Self {
        self.no_etag().modified(Modified::None)
    }

    pub(crate) fn content_type(mut self, content_type: &str) -> Self {
        self.content_type = Some(content_type.into());
        self
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    pub(crate) fn ignoring_ranges(mut self) -> Self {
        self.honours_range = false;
        self
    }

    /// Keeps the metadata and replaces the bytes.
    pub(crate) fn with_payload(mut self, payload: Payload) -> Self {
        self.payload = payload;
        self
    }

    fn last_modified(&self, date: SystemTime) -> Option<String> {
        match &self.modified {
            Modified::HourAgo => Some(http_date(self.made - Duration::from_secs(3600))),
            Modified::SameAsDate => Some(http_date(date)),
            Modified::Text(text) => Some(text.clone()),
            Modified::None => None,
        }
    }

    /// Builds the response of a correct server to this request.
    pub(crate) fn answer(&self, request: &Request) -> Answer {
        let date = SystemTime::now();
        let len = self.payload.len;
        let mut answer = Answer::new(200);
        answer.set("Date", http_date(date));
        if let Some(etag) = &self.etag {
            answer.set("ETag", etag);
        }
        if let Some(modified) = self.last_modified(date) {
            answer.set("Last-Modified", modified);
        }
        if let Some(content_type) = &self.content_type {
            answer.set("Content-Type", content_type);
        }
        if self.honours_range {
            answer.set("Accept-Ranges", "bytes");
        }
        for (name, value) in &self.headers {
            answer.headers.push((name.clone(), value.clone()));
        }
        match self.wanted(request, date) {
            Wanted::Everything => answer.payload(self.payload, 0..len),
            Wanted::Range(range) => {
                answer.status = 206;
                answer.set("Content-Range", format!("bytes {}-{}/{len}", range.start, range.end - 1));
                answer.payload(self.payload, range);
            }
            Wanted::Nothing => {
                answer.status = 416;
                answer.set("Content-Range", format!("bytes */{len}"));
                answer.bytes(b"range not satisfiable\n");
            }
        }
        answer
    }

    fn wanted(&self, request: &Request, date: SystemTime) -> Wanted {
        if !self.honours_range || request.method != "GET" || !self.if_range_holds(request, date) {
            return Wanted::Everything;
        }
        match request.range() {
            None => Wanted::Everything,
            Some(asked) => match asked.within(self.payload.len) {
                Some(range) => Wanted::Range(range),
                None => Wanted::Nothing,
            },
        }
    }

    fn if_range_holds(&self, request: &Request, date: SystemTime) -> bool {
        match request.header("if-range") {
            None => true,
            Some(value) => {
                let strong_etag = self.etag.as_deref().filter(|etag| etag.starts_with('"'));
                strong_etag == Some(value) || self.last_modified(date).as_deref() == Some(value)
            }
        }
    }
}

impl From<Payload> for Resource {
    fn from(payload: Payload) -> Self {
        Resource::of(payload)
    }
}

enum Wanted {
    Everything,
    Range(Range<u64>),
    Nothing,
}
