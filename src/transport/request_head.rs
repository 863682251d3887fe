//! Fields that a request to an origin may carry. This is the only place that builds a request.

use super::forwarded::Forwarded;
use super::signer::RequestSigner;
use crate::error::Error;
use crate::formats::cookie_file::{Cookies, Wanted};
use crate::plan::{Address, Origin};
use base64::Engine as _;
use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{Method, Request};
use http_body_util::Full;
use std::fmt;
use std::sync::Arc;

/// A user name and password, or a token.
#[derive(Clone, Hash)]
pub(crate) enum Credentials {
    Basic { user: String, password: String },
    Bearer(String),
}

impl Credentials {
    fn login(&self) -> Option<Login> {
        match self {
            Self::Basic { user, password } => Some(Login { user: user.clone(), password: password.clone() }),
            Self::Bearer(_) => None,
        }
    }

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

/// Secrets and fields of the user, bound to the one origin they were given for (RFC 9110 §15.4).
#[derive(Clone)]
pub(crate) struct Secrets {
    origin: Origin,
    /// True if the server of that origin may see the client certificate.
    vouched: bool,
    user_agent: HeaderValue,
    /// True if the request has a user agent of its own, which every host is told.
    has_own_agent: bool,
    authorization: Option<HeaderValue>,
    /// User name and password in it, for a server that may require another scheme.
    login: Option<Login>,
    headers: Vec<(HeaderName, HeaderValue)>,
    /// Cookie field given by the user, for every URL of the origin.
    cookie: Option<HeaderValue>,
    /// Cookies from a file; chosen for each requested URL.
    cookies: Option<Arc<Cookies>>,
    /// Signs each request to the origin.
    signer: Option<Arc<dyn RequestSigner>>,
}

/// User name and password, which are never shown.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Login {
    pub(super) user: String,
    pub(super) password: String,
}

/// Credentials of one request.
#[derive(Debug)]
pub(super) enum Proof {
    /// As the user gave them, before any challenge.
    AsGiven,
    /// None yet: the server will send a challenge, and not for these.
    Withheld,
    /// Response to a challenge of the server.
    Response(HeaderValue),
}

/// Request to be made, and its fields.
#[derive(Clone, Copy)]
pub(super) struct RequestFields<'a> {
    pub(super) method: &'a Method,
    pub(super) range: Option<&'a str>,
    pub(super) if_range: Option<&'a str>,
    /// Cookies that redirects have set for this URL.
    pub(super) set: &'a [String],
    /// Body of the request.
    pub(super) document: Option<&'a Document<'a>>,
    /// User agent for the host that is asked, in place of that of all.
    pub(super) agent: Option<&'a HeaderValue>,
    /// Fields of the protocol that is spoken by way of HTTP, for the origin alone.
    pub(super) more: &'a [(HeaderName, HeaderValue)],
}

impl<'a> RequestFields<'a> {
    /// A request for everything, without a body.
    pub(super) const fn new(method: &'a Method) -> Self {
        Self { method, range: None, if_range: None, set: &[], document: None, agent: None, more: &[] }
    }
}

/// Body of a request, and its media type.
pub(crate) struct Document<'a> {
    pub(crate) media_type: &'a str,
    pub(crate) bytes: Bytes,
}

/// Maximum number of fields; no server accepts as many.
const MOST_HEADERS: usize = 1000;

/// Fields that haul writes itself, because its own behaviour depends on them.
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
    /// A usage error for a field that haul must write itself, or with characters that no header may hold.
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
            has_own_agent: false,
            authorization: credentials.map(Credentials::to_header).transpose()?,
            login: credentials.and_then(Credentials::login),
            headers: Vec::new(),
            cookie: None,
            cookies: None,
            signer: None,
        };
        if headers.len() > MOST_HEADERS {
            return Err(Error::usage(format!("more than {MOST_HEADERS} headers are given for one URL")));
        }
        for (name, value) in headers {
            let (name, value) = field(name, value)?;
            if name == header::AUTHORIZATION && credentials.is_some() {
                return Err(Error::usage(
                    "credentials are given twice: in an Authorization header, and in the URL or by a flag",
                ));
            }
            if name == header::USER_AGENT {
                (bound.user_agent, bound.has_own_agent) = (value, true);
            } else if name == header::COOKIE && bound.cookie.is_none() {
                bound.cookie = Some(value);
            } else {
                bound.headers.push((name, value));
            }
        }
        Ok(bound)
    }

    /// No secrets, for a source that is not vouched for.
    ///
    /// # Errors
    /// A usage error for a user agent with characters that no header may hold.
    pub(crate) fn none(address: &Address, user_agent: &str) -> Result<Self, Error> {
        Ok(Self { vouched: false, ..Self::new(address, user_agent, None, &[])? })
    }

    /// Secrets for another source of the same file: the same ones for the same origin, and none for any other.
    ///
    /// # Errors
    /// A usage error if the user agent has characters that no header may hold.
    pub(crate) fn beside(self: &Arc<Self>, address: &Address) -> Result<Arc<Self>, Error> {
        if address.is_of(&self.origin) {
            return Ok(self.clone());
        }
        let agent = self.user_agent.to_str().map_err(|_| Error::defect("a user agent that is no text"))?;
        let has_own_agent = self.has_own_agent;
        Ok(Arc::new(Self { has_own_agent, ..Self::none(address, agent)? }))
    }

    /// Adds cookies from a file, which go to the URLs of the origin that they are for.
    ///
    /// # Errors
    /// A usage error if one for `address` has characters that no header may hold.
    pub(crate) fn with_cookies(
        self,
        address: &Address,
        cookies: Option<Arc<Cookies>>,
    ) -> Result<Self, Error> {
        let bound = Self { cookies, ..self };
        bound.cookies_for(address, &[])?;
        Ok(bound)
    }

    /// Cookie field of a request, of which there is one for all cookies (RFC 6265 §5.4): those given by the user, those
    /// of the file for this URL, and those set by redirects, which replace the file's of the same name.
    fn cookies_for(&self, address: &Address, set: &[String]) -> Result<Option<HeaderValue>, Error> {
        let home = address.is_of(&self.origin);
        let given = self.cookie.as_ref().filter(|_| home);
        let file = self.cookies.as_ref().filter(|_| home).map_or_else(Vec::new, |cookies| {
            let (host, path, https) = (address.host(), address.path(), address.is_https());
            cookies.pairs(Wanted { host, path, https, now: super::date::seconds() })
        });
        let name = |pair: &str| pair.split_once('=').map(|(name, _)| name.to_owned());
        let is_set = |pair: &&str| set.iter().any(|other| name(other) == name(pair));
        let pairs: Vec<_> =
            file.into_iter().filter(|pair| !is_set(pair)).chain(set.iter().map(String::as_str)).collect();
        if pairs.is_empty() {
            return Ok(given.cloned());
        }
        let mut value = given.map(|given| given.as_bytes().to_vec()).unwrap_or_default();
        for pair in pairs {
            if !value.is_empty() {
                value.extend(b"; ");
            }
            value.extend(pair.as_bytes());
        }
        let value = HeaderValue::from_bytes(&value);
        let mut value = value.map_err(|_| Error::usage("a cookie holds characters that no header may"))?;
        value.set_sensitive(true);
        Ok(Some(value))
    }

    /// Signs each request to the origin, and nothing that goes anywhere else.
    pub(crate) fn signed_by(self, signer: Option<Arc<dyn RequestSigner>>) -> Self {
        Self { signer, ..self }
    }

    /// Signer of requests to `address`, if they are signed.
    pub(super) fn signer_for(&self, address: &Address) -> Option<&Arc<dyn RequestSigner>> {
        self.signer.as_ref().filter(|_| address.is_of(&self.origin))
    }

    /// Returns true if the server of `address` may see the client certificate. Other origins, as redirects lead to, may
    /// not.
    pub(super) fn may_name_us_to(&self, address: &Address) -> bool {
        self.vouched && address.is_of(&self.origin)
    }

    /// User name and password, if they are for the server of `address`.
    pub(super) fn login_for(&self, address: &Address) -> Option<&Login> {
        self.login.as_ref().filter(|_| address.is_of(&self.origin))
    }

    /// User agent: that of the request itself, else that of the host, else that of all.
    fn agent_for<'a>(&'a self, of_host: Option<&'a HeaderValue>) -> &'a HeaderValue {
        of_host.filter(|_| !self.has_own_agent).unwrap_or(&self.user_agent)
    }

    /// Builds the request to `address`; `forwarded` if a proxy is to make it. A request to any other origin than the
    /// bound one carries no secrets: only Accept and User-Agent follow.
    pub(super) fn request(
        &self,
        address: &Address,
        forwarded: Option<&Forwarded>,
        proof: &Proof,
        fields: RequestFields<'_>,
    ) -> Result<Request<Full<Bytes>>, Error> {
        let target = match forwarded {
            Some(_) => format!("http://{}{}", address.authority(), address.request_target()),
            None => address.request_target(),
        };
        let mut request = Request::builder()
            .method(fields.method)
            .uri(target)
            .header(header::HOST, address.authority())
            .header(header::USER_AGENT, self.agent_for(fields.agent));
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
        let authorization = match proof {
            Proof::AsGiven => self.authorization.as_ref(),
            Proof::Withheld => None,
            Proof::Response(response) => Some(response),
        };
        if let Some(authorization) = authorization.filter(|_| home) {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        if let Some(cookies) = self.cookies_for(address, fields.set)? {
            request = request.header(header::COOKIE, cookies);
        }
        // Only the first request for a file asks for its digest.
        let signer = self.signer_for(address);
        if fields.document.is_none()
            && signer.is_none()
            && fields.range.is_none_or(|range| range.starts_with("bytes=0-"))
        {
            request = request.header("Want-Repr-Digest", WANTED_DIGESTS);
        }
        if let Some(range) = fields.range {
            request = request.header(header::RANGE, range);
            // The server of a signed URL may refuse the field; the validator of the response is checked instead.
            if let Some(if_range) = fields.if_range.filter(|_| !address.is_signed()) {
                // Stores of objects know If-Match, and not all of them If-Range.
                let field = if signer.is_some() { header::IF_MATCH } else { header::IF_RANGE };
                request = request.header(field, validator(if_range)?);
            }
        }
        if let Some(document) = fields.document.filter(|document| !document.media_type.is_empty()) {
            request = request.header(header::CONTENT_TYPE, document.media_type);
        }
        for (name, value) in fields.more.iter().filter(|_| home) {
            request = request.header(name, value);
        }
        let body = fields.document.map(|document| document.bytes.clone()).unwrap_or_default();
        let mut request = request
            .body(Full::new(body.clone()))
            .map_err(|_| Error::usage(format!("{address} cannot be written into a request")))?;
        if let Some(signer) = signer {
            signer.sign(&mut request, address, &body)?;
        }
        Ok(request)
    }
}

/// Digests that are asked for, with a preference from 1 to 10 (RFC 9530 §4).
const WANTED_DIGESTS: &str = "sha-256=10, sha-512=5";

/// A validator is sent back as received, bytes beyond ASCII included.
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

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login(***)")
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

    fn fields(set: &[String]) -> RequestFields<'_> {
        RequestFields {
            range: Some("bytes=0-1"),
            if_range: Some("\"v1\""),
            set,
            ..RequestFields::new(&Method::GET)
        }
    }

    fn sent(to: &str) -> http::HeaderMap {
        secrets().request(&address(to), None, &Proof::AsGiven, fields(&[])).unwrap().headers().clone()
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
                ["host", "user-agent", "accept", "accept-encoding", "want-repr-digest", "range", "if-range"],
                "{foreign}"
            );
            assert_eq!(sent(foreign)["accept"], "application/x-iso");
        }
    }

    #[test]
    fn cookies_are_those_of_the_url_that_is_asked() {
        let jar = "host\tFALSE\t/private/\tFALSE\t0\tdeep\t1\nhost\tFALSE\t/\tFALSE\t0\twide\t2\n\
                   other\tFALSE\t/\tFALSE\t0\tforeign\t3\n";
        let bare = Secrets::new(&address("https://host/"), "haul", None, &[]).unwrap();
        let given = secrets();
        let with = |secrets: Secrets, to: &str, set: &[&str]| {
            let secrets =
                secrets.with_cookies(&address("https://host/"), Some(Arc::new(Cookies::parse(jar)))).unwrap();
            let set: Vec<_> = set.iter().map(|pair| (*pair).to_owned()).collect();
            let request = secrets.request(&address(to), None, &Proof::AsGiven, fields(&set)).unwrap();
            request
                .headers()
                .get("cookie")
                .map(|value| value.to_str().unwrap().to_owned())
                .unwrap_or_default()
        };
        for (to, set, cookies) in [
            ("https://host/private/f", &[][..], "deep=1; wide=2"),
            ("https://host/f", &[], "wide=2"),
            ("https://host/f", &["new=4"], "wide=2; new=4"),
            ("https://host/private/f", &["wide=5"], "deep=1; wide=5"),
            ("https://other/f", &[], ""),
            ("https://other/f", &["theirs=6"], "theirs=6"),
            ("http://host/f", &[], ""),
        ] {
            assert_eq!(with(bare.clone(), to, set), cookies, "{to} {set:?}");
        }
        assert_eq!(with(given.clone(), "https://host/f", &["new=4"]), "id=S3CR; wide=2; new=4");
        assert_eq!(with(given, "https://other/f", &["new=4"]), "new=4");
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
