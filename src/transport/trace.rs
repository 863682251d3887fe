//! Trace of connections and messages, for troubleshooting. Without secrets.

use crate::formats::escape::clip;
use crate::plan::Address;
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, Version, header};
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

/// A step on the way to a response. Texts are redacted and clipped; they are not escaped for a terminal.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Step {
    /// A connection was made.
    Connected {
        /// The server: its scheme, host and port.
        origin: String,
        /// Address connected to; the proxy's, if there is one.
        address: SocketAddr,
        /// Proxy in between.
        proxy: Option<String>,
        /// Protocol, such as `HTTP/1.1 over TLS 1.3`.
        protocol: String,
    },
    /// A redirect is followed.
    Redirected {
        /// The HTTP status.
        status: u16,
        /// Redirecting URL.
        from: String,
        /// Target URL.
        to: String,
    },
    /// A request was sent: its request line, and its fields.
    Request(Vec<String>),
    /// A response was received: its status line, and its fields.
    Response(Vec<String>),
}

/// Receives each [`Step`]. It is called by the tasks that make them, and must not keep them waiting.
///
/// ```
/// let mut settings = haul::ClientSettings::default();
/// settings.trace = Some(haul::Trace::new(|step| eprintln!("{step:?}")));
/// ```
#[derive(Clone)]
pub struct Trace(Arc<dyn Fn(Step) + Send + Sync>);

impl Trace {
    /// Calls `hear` with each step.
    pub fn new(hear: impl Fn(Step) + Send + Sync + 'static) -> Self {
        Self(Arc::new(hear))
    }

    pub(super) fn tell(&self, step: Step) {
        (self.0)(step);
    }
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Trace(…)")
    }
}

/// Maximum number of characters of a value that are shown.
const LONGEST_VALUE: usize = 300;
const HIDDEN: &str = "(hidden)";

/// Request fields that haul writes itself, or that hold no secret: every other one is the user's and stays hidden.
const OPEN: [HeaderName; 8] = [
    header::HOST,
    header::USER_AGENT,
    header::ACCEPT,
    header::ACCEPT_ENCODING,
    header::ACCEPT_LANGUAGE,
    header::RANGE,
    header::IF_RANGE,
    header::CONNECTION,
];

/// Parts of a field name which show that it may hold a secret.
const SECRET_NAMES: [&str; 10] = [
    "auth",
    "cookie",
    "token",
    "secret",
    "session",
    "password",
    "signature",
    "credential",
    "api-key",
    "proxy-",
];

/// Step for a followed redirect. URLs are clipped, because a chain of redirects can make them grow.
pub(super) fn redirected(status: StatusCode, from: &Address, to: &Address) -> Step {
    let text = |address: &Address| clip(&address.to_string(), LONGEST_VALUE).into_owned();
    Step::Redirected { status: status.as_u16(), from: text(from), to: text(to) }
}

/// Step for the headers of a request to `address`.
pub(super) fn asked<B>(address: &Address, request: &Request<B>) -> Step {
    let url = address.to_string();
    let after_host = url.split_once("://").map_or("", |(_, rest)| rest);
    let target = after_host.find('/').map_or("/", |at| &after_host[at..]);
    let first = format!("{} {} HTTP/1.1", request.method(), clip(target, LONGEST_VALUE));
    let value = |name: &HeaderName, value: &HeaderValue| match OPEN.contains(name) && !value.is_sensitive() {
        true => text(value),
        false => HIDDEN.to_owned(),
    };
    Step::Request(lines(first, request.headers(), value))
}

/// Step for the headers of a response from `address`.
pub(super) fn answered(address: &Address, version: Version, status: StatusCode, headers: &HeaderMap) -> Step {
    let reason = status.canonical_reason().unwrap_or_default();
    let first = format!("{version:?} {} {reason}", status.as_u16());
    Step::Response(lines(first.trim_end().to_owned(), headers, |name, value| shown(address, name, value)))
}

fn lines(
    first: String,
    headers: &HeaderMap,
    value: impl Fn(&HeaderName, &HeaderValue) -> String,
) -> Vec<String> {
    let fields =
        headers.iter().map(|(name, field)| format!("{name}: {}", clip(&value(name, field), LONGEST_VALUE)));
    std::iter::once(first).chain(fields).collect()
}

/// Value of a response field, hidden if it may be a secret.
fn shown(address: &Address, name: &HeaderName, value: &HeaderValue) -> String {
    if SECRET_NAMES.iter().any(|secret| name.as_str().contains(secret)) && *name != header::WWW_AUTHENTICATE {
        return HIDDEN.to_owned();
    }
    if *name == header::LOCATION || *name == header::CONTENT_LOCATION {
        let to = address.join(value.as_bytes());
        return to.map_or_else(|_| HIDDEN.to_owned(), |to| to.to_string());
    }
    let text = text(value);
    // A URL in the value may be signed, or contain a password.
    let has_url = text.contains("://") || *name == header::LINK || *name == header::REFRESH;
    if has_url && text.contains(['?', '@']) { HIDDEN.to_owned() } else { text }
}

fn text(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(url: &str) -> Address {
        Address::parse(url).unwrap().0
    }

    #[test]
    fn no_field_of_a_request_is_shown_that_may_be_a_secret() {
        let request = Request::get("/f?token=S3CR")
            .header("Host", "h")
            .header("Range", "bytes=0-1")
            .header("Authorization", "Basic S3CR")
            .header("Cookie", "a=S3CR")
            .header("Proxy-Authorization", "Basic S3CR")
            .header("X-Mine", "S3CR")
            .body(())
            .unwrap();
        let Step::Request(lines) = asked(&address("http://h/f?token=S3CR&v=1"), &request) else { panic!() };
        let said = lines.join("\n");
        assert!(!said.contains("S3CR"), "{said}");
        assert!(said.starts_with("GET /f?") && said.contains("range: bytes=0-1"), "{said}");
        assert!(said.contains("x-mine: (hidden)"), "{said}");
    }

    #[test]
    fn no_line_is_filled_with_what_a_server_sent() {
        let long = format!("http://h/{}", "x".repeat(20_000));
        let mut headers = HeaderMap::new();
        headers.insert("location", HeaderValue::from_str(&long).unwrap());
        headers.insert("server", HeaderValue::from_str(&long).unwrap());
        let steps = [
            redirected(StatusCode::FOUND, &address(&long), &address(&long)),
            answered(&address(&long), Version::HTTP_11, StatusCode::FOUND, &headers),
            asked(&address(&long), &Request::get(&long).body(()).unwrap()),
        ];
        for step in steps {
            let lines = match step {
                Step::Redirected { from, to, .. } => vec![from, to],
                Step::Request(lines) | Step::Response(lines) => lines,
                Step::Connected { .. } => Vec::new(),
            };
            let longest = lines.iter().map(|line| line.chars().count()).max().unwrap();
            assert!((LONGEST_VALUE..LONGEST_VALUE + 40).contains(&longest), "{longest}");
        }
    }

    #[test]
    fn no_field_of_an_answer_is_shown_that_may_be_a_secret() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("set-cookie", "sid=S3CR"),
            ("location", "/g?X-Amz-Signature=S3CR"),
            ("content-location", "http://u:S3CR@h/g"),
            ("link", "<http://m/g?sig=S3CR>; rel=duplicate"),
            ("refresh", "0; url=/g?sig=S3CR"),
            ("x-auth-token", "S3CR"),
            ("proxy-authenticate", "Basic realm=S3CR"),
            ("authentication-info", "nextnonce=S3CR"),
            ("x-session-id", "S3CR"),
            ("x-origin", "https://u:S3CR@h/"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        headers.insert("etag", HeaderValue::from_static("\"v1\""));
        let step = answered(&address("http://h/f"), Version::HTTP_11, StatusCode::FOUND, &headers);
        let Step::Response(lines) = step else { panic!() };
        let said = lines.join("\n");
        assert!(!said.contains("S3CR"), "{said}");
        assert!(said.starts_with("HTTP/1.1 302 Found\n") && said.contains("etag: \"v1\""), "{said}");
        assert!(said.contains("location: http://h/g?"), "{said}");
    }
}
