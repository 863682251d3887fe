//! What a request to an origin may carry. This is the only place that builds a request.

use super::connection::Forwarded;
use crate::error::Error;
use crate::plan::{Address, Origin};
use base64::Engine as _;
use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{Method, Request};
use http_body_util::Empty;
use std::fmt;

/// A user name and password, or a token.
#[derive(Clone, Hash)]
pub(crate) enum Credentials {
    Basic { user: String, password: String },
    Bearer(String),
}

impl Credentials {
    fn to_header(&self) -> Result<HeaderValue, Error> {
        let text = match self {
            Self::Basic { user, password } => {
                let pair = format!("{user}:{password}");
                format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
            }
            Self::Bearer(token) => format!("Bearer {token}"),
        };
        let value = HeaderValue::from_str(&text);
        let mut value =
            value.map_err(|_| Error::usage("the credentials hold characters that no header may"))?;
        value.set_sensitive(true);
        Ok(value)
    }
}

/// What the user wants sent, bound to the one origin it was given for (RFC 9110 §15.4).
#[derive(Clone)]
pub(crate) struct Secrets {
    origin: Origin,
    /// Whether the server of that origin may know who we are.
    vouched: bool,
    user_agent: HeaderValue,
    authorization: Option<HeaderValue>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// Fields that haul writes itself, because what it does depends on them.
const RESERVED: [HeaderName; 10] = [
    header::RANGE,
    header::IF_RANGE,
    header::HOST,
    header::ACCEPT_ENCODING,
    header::CONNECTION,
    header::TRANSFER_ENCODING,
    header::CONTENT_LENGTH,
    header::TE,
    header::UPGRADE,
    header::PROXY_AUTHORIZATION,
];

impl Secrets {
    /// Binds headers and credentials to the origin of `address`.
    ///
    /// # Errors
    /// A usage error for a field that haul must write itself, or that holds characters no header may.
    pub(crate) fn new(
        address: &Address,
        user_agent: &str,
        credentials: Option<&Credentials>,
        headers: &[(String, String)],
    ) -> Result<Self, Error> {
        let mut bound = Self {
            origin: address.origin(),
            vouched: true,
            user_agent: HeaderValue::from_str(user_agent)
                .map_err(|_| Error::usage("the user agent holds characters that no header may"))?,
            authorization: credentials.map(Credentials::to_header).transpose()?,
            headers: Vec::new(),
        };
        for (name, value) in headers {
            let (name, value) = field(name, value)?;
            if name == header::AUTHORIZATION && credentials.is_some() {
                return Err(Error::usage(
                    "credentials are given twice: in an Authorization header, and in the URL or by a flag",
                ));
            }
            if name == header::USER_AGENT {
                bound.user_agent = value;
            } else {
                bound.headers.push((name, value));
            }
        }
        Ok(bound)
    }

    /// For a source that nobody vouches for: there are none.
    ///
    /// # Errors
    /// A usage error for a user agent that holds characters no header may.
    pub(crate) fn none(address: &Address, user_agent: &str) -> Result<Self, Error> {
        Ok(Self { vouched: false, ..Self::new(address, user_agent, None, &[])? })
    }

    /// Whether the server of `address` may know who we are. Those that a redirect leads to may not.
    pub(super) fn may_name_us_to(&self, address: &Address) -> bool {
        self.vouched && address.is_of(&self.origin)
    }

    /// Builds the request to `address`; `forwarded` where a proxy is to make it. To any other origin than the one the secrets are bound to, it
    /// carries none of them: only Accept and User-Agent follow.
    pub(super) fn request(
        &self,
        method: Method,
        address: &Address,
        forwarded: Option<&Forwarded>,
        range: Option<&str>,
        if_range: Option<&str>,
    ) -> Result<Request<Empty<Bytes>>, Error> {
        let target = match forwarded {
            Some(_) => format!("http://{}{}", address.authority(), address.request_target()),
            None => address.request_target(),
        };
        let mut request = Request::builder()
            .method(method)
            .uri(target)
            .header(header::HOST, address.authority())
            .header(header::USER_AGENT, &self.user_agent);
        if let Some(authorization) = forwarded.and_then(|forwarded| forwarded.authorization.as_ref()) {
            request = request.header(header::PROXY_AUTHORIZATION, authorization);
        }
        let home = address.is_of(&self.origin);
        let mut accepts = false;
        for (name, value) in &self.headers {
            if home || name == header::ACCEPT {
                accepts |= name == header::ACCEPT;
                request = request.header(name, value);
            }
        }
        if !accepts {
            request = request.header(header::ACCEPT, "*/*");
        }
        // RFC 9110 §12.5.3: bytes are saved as they are published, never decoded.
        request = request.header(header::ACCEPT_ENCODING, "identity");
        if let Some(authorization) = self.authorization.as_ref().filter(|_| home) {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        if let Some(range) = range {
            request = request.header(header::RANGE, range);
            if let Some(if_range) = if_range {
                request = request.header(header::IF_RANGE, validator(if_range)?);
            }
        }
        request
            .body(Empty::new())
            .map_err(|_| Error::usage(format!("{address} cannot be written into a request")))
    }
}

/// A validator goes back as it came, bytes beyond ASCII included.
fn validator(text: &str) -> Result<HeaderValue, Error> {
    HeaderValue::from_bytes(text.as_bytes())
        .map_err(|_| Error::usage("the recorded validator holds characters that no header may"))
}

fn field(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), Error> {
    let parsed: HeaderName =
        name.parse().map_err(|_| Error::usage(format!("{name:?} is not the name of a header")))?;
    if RESERVED.contains(&parsed) {
        return Err(Error::usage(format!("haul writes the header {parsed} itself; it cannot be set")));
    }
    let mut parsed_value = HeaderValue::from_str(value).map_err(|_| {
        Error::usage(format!("the value of the header {parsed} holds characters that no header may"))
    })?;
    parsed_value.set_sensitive(true);
    Ok((parsed, parsed_value))
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets").field("origin", &self.origin).finish_non_exhaustive()
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        Address::parse(text).unwrap().0
    }

    fn secrets() -> Secrets {
        let headers = [
            ("Cookie".to_owned(), "id=S3CR".to_owned()),
            ("X-Api-Key".to_owned(), "S3CR".to_owned()),
            ("Accept".to_owned(), "application/x-iso".to_owned()),
        ];
        let credentials = Credentials::Basic { user: "me".to_owned(), password: "S3CR".to_owned() };
        Secrets::new(&address("https://host/f"), "haul", Some(&credentials), &headers).unwrap()
    }

    fn sent(to: &str) -> http::HeaderMap {
        secrets()
            .request(Method::GET, &address(to), None, Some("bytes=0-1"), Some("\"v1\""))
            .unwrap()
            .headers()
            .clone()
    }

    // T055, T056
    #[test]
    fn secrets_reach_their_own_origin_only() {
        let home = sent("https://host/other");
        assert!(
            home.contains_key("cookie")
                && home.contains_key("x-api-key")
                && home.contains_key("authorization")
        );
        for foreign in ["https://host:8443/f", "http://host/f", "https://host.example/f"] {
            let names: Vec<_> = sent(foreign).keys().map(|name| name.as_str().to_owned()).collect();
            assert_eq!(
                names,
                ["host", "user-agent", "accept", "accept-encoding", "range", "if-range"],
                "{foreign}"
            );
            assert_eq!(sent(foreign)["accept"], "application/x-iso");
        }
    }

    // T031
    #[test]
    fn every_request_asks_for_the_bytes_as_they_are() {
        let values: Vec<_> = sent("https://host/f").get_all("accept-encoding").iter().cloned().collect();
        assert_eq!(values, ["identity"]);
    }

    // T070
    #[test]
    fn what_would_break_out_of_a_header_is_refused() {
        for (name, value) in
            [("X", "a\r\nY: b"), ("X", "a\0"), ("X: Y", "b"), ("Range", "bytes=0-"), ("", "x")]
        {
            let headers = [(name.to_owned(), value.to_owned())];
            assert!(
                Secrets::new(&address("http://h/"), "haul", None, &headers).is_err(),
                "{name:?} {value:?}"
            );
        }
        assert!(Secrets::new(&address("http://h/"), "a\nb", None, &[]).is_err());
    }
}
