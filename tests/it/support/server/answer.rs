//! Responses of the server, as values.

use std::ops::Range;

use crate::support::payload::Payload;

#[derive(Clone, Debug)]
pub(crate) enum Body {
    None,
    Bytes(Vec<u8>),
    Payload(Payload, Range<u64>),
}

impl Body {
    pub(crate) fn len(&self) -> u64 {
        match self {
            Body::None => 0,
            Body::Bytes(bytes) => bytes.len() as u64,
            Body::Payload(_, range) => range.end - range.start,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Whole,
    /// FIN after so many body bytes.
    Close(u64),
    /// RST after so many body bytes (what is still unread on the way is lost).
    Reset(u64),
    /// Silence after so many body bytes; the connection stays open.
    Stall(u64),
}

/// A response as a value: take a correct one, alter it, send it.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Text after the status code, if not the usual one.
    pub(crate) reason: Option<String>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Body,
    pub(crate) ending: Ending,
}

impl Answer {
    pub(crate) fn new(status: u16) -> Self {
        Self { status, reason: None, headers: Vec::new(), body: Body::None, ending: Ending::Whole }
    }

    /// A complete response with a body that is not payload.
    pub(crate) fn text(status: u16, body: &str) -> Self {
        let mut answer = Self::new(status);
        answer.set("Content-Type", "text/html");
        answer.bytes(body.as_bytes());
        answer
    }

    /// Replaces all fields of this name by one.
    pub(crate) fn set(&mut self, name: &str, value: impl AsRef<str>) -> &mut Self {
        self.remove(name);
        self.headers.push((name.into(), value.as_ref().into()));
        self
    }

    pub(crate) fn add(&mut self, name: &str, value: impl AsRef<str>) -> &mut Self {
        self.headers.push((name.into(), value.as_ref().into()));
        self
    }

    pub(crate) fn remove(&mut self, name: &str) -> &mut Self {
        self.headers.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
        self
    }

    /// Sets a body of other bytes, with the matching Content-Length.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.set("Content-Length", bytes.len().to_string());
        self.body = Body::Bytes(bytes.to_vec());
    }

    /// Sets a body of payload bytes, with the matching Content-Length.
    pub(crate) fn payload(&mut self, payload: Payload, range: Range<u64>) {
        self.set("Content-Length", (range.end - range.start).to_string());
        self.body = Body::Payload(payload, range);
    }

    pub(crate) fn head(&self) -> Vec<u8> {
        let mut head = match &self.reason {
            Some(reason) => format!("HTTP/1.1 {} {reason}\r\n", self.status),
            None => format!("HTTP/1.1 {} {}\r\n", self.status, usual_reason(self.status)),
        };
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        head.into_bytes()
    }
}

/// Shorthand for the response to a request; see [`Builder::behave`].
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    Normal,
    /// Status 200 with everything, whatever was requested.
    Everything,
    Answer(Answer),
    /// These bytes, then FIN.
    Raw(Vec<u8>),
    Status(u16),
    Redirect(u16, String),
    /// The normal response, ending early.
    Ends(Ending),
    /// The normal response at this many bytes a second.
    Throttled(u64),
    /// The request is read and nothing ever comes.
    NoAnswer,
    /// The request is read and the connection closed.
    Hangup,
    /// The request is read and the connection reset.
    Reset,
}

fn usual_reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        206 => "Partial Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        410 => "Gone",
        412 => "Precondition Failed",
        416 => "Range Not Satisfiable",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        511 => "Network Authentication Required",
        _ => "Whatever",
    }
}
