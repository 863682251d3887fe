//! Address of a resource: an http or https URL that cannot be printed with its secrets.

use crate::formats::redaction;
use crate::formats::url_text::url_text;
use std::fmt;
use std::sync::Arc;
use url::Url;

/// An absolute http or https URL without userinfo. Spaces and characters beyond ASCII are percent-encoded.
///
/// `Display` and `Debug` are redacted: values of query parameters that carry signatures or tokens are hidden. Only the
/// transport sees the full URL, to send it to its origin.
///
/// ```
/// # fn main() -> Result<(), haul::Error> {
/// let request = haul::Request::new("https://example.org/a.iso?X-Amz-Signature=5eC2eT")?;
/// assert_eq!(request.address().to_string(), "https://example.org/a.iso?X-Amz-Signature=***");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Address(Arc<Url>, Option<Arc<str>>);

/// Scheme, host and port: the scope of a secret and of a connection (RFC 9110 §4.3.1). `Display` gives a URL.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Origin {
    pub(crate) https: bool,
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl Origin {
    /// The host as it appears in a URL: a name, an IPv4 address, or an IPv6 address in brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.https { "https" } else { "http" };
        write!(f, "{scheme}://{}:{}", self.host, self.port)
    }
}

/// User name and password of a URL given by the user.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Userinfo {
    pub(crate) user: String,
    pub(crate) password: String,
}

/// Reason why a text is not an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AddressError {
    /// Not a URL, in words.
    Malformed(String),
    /// A scheme that haul does not support. From a server, following it would be unsafe.
    Scheme(String),
    /// Userinfo in a URL that a server sent (RFC 9110 §4.2.4: treat it as an error).
    Userinfo,
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(why) => write!(f, "not a usable URL: {why}"),
            Self::Scheme(scheme) => write!(f, "haul speaks http and https, not {scheme}"),
            Self::Userinfo => f.write_str("it carries a user name, which a server must not send"),
        }
    }
}

impl Address {
    /// Parses a URL given by the user; its userinfo is returned separately and is not part of the address.
    pub(crate) fn parse(text: &str) -> Result<(Self, Option<Userinfo>), AddressError> {
        let mut url = parse_url(text, None)?;
        let userinfo = (!url.username().is_empty() || url.password().is_some()).then(|| Userinfo {
            user: decoded(url.username()),
            password: decoded(url.password().unwrap_or_default()),
        });
        strip(&mut url);
        Ok((Self(Arc::new(url), None), userinfo))
    }

    /// The same address under the name that the user has for it, such as `s3://bucket/key`: that name is shown and recorded in place of
    /// the URL. It holds no secret.
    #[cfg(feature = "s3")]
    pub(crate) fn known_as(self, name: &str) -> Self {
        Self(self.0, Some(name.into()))
    }

    /// Resolves a `Location` that this address responded with. Bytes that are not UTF-8 (Latin-1, most often) are
    /// percent-encoded as they are, which is what browsers and curl send.
    pub(crate) fn join(&self, location: &[u8]) -> Result<Self, AddressError> {
        let mut url = parse_url(&url_text(location), Some(&self.0))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(AddressError::Userinfo);
        }
        strip(&mut url);
        Ok(Self(Arc::new(url), None))
    }

    /// Origin of the URL.
    #[must_use]
    pub fn origin(&self) -> Origin {
        Origin {
            https: self.0.scheme() == "https",
            host: self.host().to_owned(),
            // Both schemes have a default port, so there always is one.
            port: self.0.port_or_known_default().unwrap_or(80),
        }
    }

    /// True if it is of this origin.
    pub(crate) fn is_of(&self, origin: &Origin) -> bool {
        self.is_https() == origin.https
            && self.host() == origin.host
            && self.0.port_or_known_default() == Some(origin.port)
    }

    /// The host as it appears in the URL: a name, an IPv4 address, or an IPv6 address in brackets.
    pub(crate) fn host(&self) -> &str {
        // http and https URLs always have a host; the parser rejects those without one.
        self.0.host_str().unwrap_or_default()
    }

    pub(crate) fn is_https(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// The same address with a fragment, which no server sees.
    pub(crate) fn with_fragment(&self, fragment: &str) -> Self {
        let mut url = Url::clone(&self.0);
        url.set_fragment(Some(fragment));
        Self(Arc::new(url), self.1.clone())
    }

    /// The same address with another query, under the same name.
    #[cfg(feature = "s3")]
    pub(crate) fn with_query(&self, query: &str) -> Self {
        let mut url = Url::clone(&self.0);
        url.set_query(Some(query).filter(|query| !query.is_empty()));
        Self(Arc::new(url), self.1.clone())
    }

    /// The path, still percent-encoded.
    #[must_use]
    pub fn path(&self) -> &str {
        self.0.path()
    }

    /// Path and query with all secrets, as the request line carries them. For the transport only.
    pub(crate) fn request_target(&self) -> String {
        match self.0.query() {
            Some(query) => format!("{}?{query}", self.0.path()),
            None => self.0.path().to_owned(),
        }
    }

    /// `Host` field value (RFC 9112 §3.2): the port only if it is not the scheme's default.
    pub(crate) fn authority(&self) -> String {
        match self.0.port() {
            Some(port) => format!("{}:{port}", self.host()),
            None => self.host().to_owned(),
        }
    }

    /// Text for a manifest: like `Display`, but each hidden value leaves a short hash, so that two different
    /// signatures stay distinguishable.
    pub(crate) fn to_record(&self) -> String {
        self.named().unwrap_or_else(|| with_query_hidden(self.0.as_str(), hashed))
    }

    /// The user's name for it, and the part of it that is meant.
    fn named(&self) -> Option<String> {
        let name = self.1.as_deref()?;
        Some(self.0.fragment().map_or_else(|| name.to_owned(), |part| format!("{name}#{part}")))
    }

    /// True if a recorded URL names the same resource, regardless of the signatures on either side.
    pub(crate) fn matches_record(&self, record: &str) -> bool {
        // An earlier version of haul may have left values in the record that count as secrets now.
        unsigned(&self.to_record()) == unsigned(&with_query_hidden(record, hashed))
    }

    /// Text stored beside a finished file: without the query, which is replaced by a hash of its parameters, keyed
    /// with `salt`. Signing parameters are not hashed.
    pub(crate) fn to_seal(&self, salt: u64) -> String {
        self.sealed(&format!("{salt:016x}"))
    }

    /// True if a seal is of the same resource. Seals of earlier versions are records.
    pub(crate) fn matches_seal(&self, seal: &str) -> bool {
        match seal.split_once("?keyed-").and_then(|(_, hash)| hash.split_once('-')) {
            Some((salt, _)) => self.sealed(salt) == seal,
            None => self.matches_record(seal),
        }
    }

    fn sealed(&self, salt: &str) -> String {
        use sha2::Digest as _;
        let mut url = Url::clone(&self.0);
        url.set_query(None);
        let whole = unsigned(self.0.as_str());
        let Some((_, query)) = whole.split_once('?') else {
            return url.into();
        };
        let hash = sha2::Sha256::new().chain_update(salt).chain_update("?").chain_update(query).finalize();
        format!("{url}?keyed-{salt}-{}", hexadecimal(&hash[..16]))
    }

    /// True if the query carries a signature. Some endpoints that verify one count headers that were not signed as
    /// well, and reject a request for them.
    pub(crate) fn is_signed(&self) -> bool {
        self.0.query_pairs().any(|(name, value)| !value.is_empty() && redaction::is_signing(&name))
    }

    /// True if the URL carries a secret that a record of it leaves out.
    pub(crate) fn has_secret(&self) -> bool {
        self.1.is_none() && self.to_string() != self.0.as_str()
    }
}

/// A URL with the secret values of its query replaced.
fn with_query_hidden(url: &str, hide: impl Fn(&str) -> String) -> String {
    match url.split_once('?') {
        Some((base, query)) => format!("{base}?{}", redaction::hidden(query, hide)),
        None => url.to_owned(),
    }
}

/// Short hash of a hidden value; a value that is such a hash already stays as it is.
fn hashed(value: &str) -> String {
    use sha2::Digest as _;
    if is_hash(value) {
        return value.to_owned();
    }
    format!("{HASH_MARK}{}", hexadecimal(&sha2::Sha256::digest(value.as_bytes())[..HASH_BYTES]))
}

/// Prefix of a hash in the place of a value, and the number of hash bytes kept.
const HASH_MARK: &str = "hidden-";
const HASH_BYTES: usize = 6;

fn is_hash(value: &str) -> bool {
    let digits = value.strip_prefix(HASH_MARK);
    digits.is_some_and(|it| it.len() == 2 * HASH_BYTES && it.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// True if no value of a recorded URL is hidden, so that it can be requested again.
pub(crate) fn is_whole_record(record: &str) -> bool {
    let query = record.split_once('?').map_or("", |(_, query)| query);
    !query.split(['&', ';', '=']).any(is_hash)
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

/// A host without the brackets that an IPv6 address has in a URL.
pub(crate) fn bare_host(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']')
}

/// A recorded URL without its signing parameters. The rest still distinguishes two resources: a parameter like `key=`
/// may be a secret on one server and a file's name on another.
fn unsigned(record: &str) -> String {
    let Some((base, query)) = record.split_once('?') else {
        return record.to_owned();
    };
    let is_signing =
        |parameter: &&str| redaction::is_signing(parameter.split('=').next().unwrap_or_default());
    let kept: Vec<_> = query.split('&').filter(|parameter| !is_signing(parameter)).collect();
    if kept.is_empty() { base.to_owned() } else { format!("{base}?{}", kept.join("&")) }
}

fn decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
}

fn strip(url: &mut Url) {
    // Both setters fail only for URLs without a host, which the parser has rejected.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_fragment(None);
}

fn parse_url(text: &str, base: Option<&Url>) -> Result<Url, AddressError> {
    // The parser would silently drop tabs and line breaks; they are an attack or a mistake. A space is encoded.
    if let Some(found) = text.chars().find(|found| found.is_control()) {
        return Err(AddressError::Malformed(format!("it contains {}", found.escape_unicode())));
    }
    let parsed = Url::options().base_url(base).parse(text);
    let url = parsed.map_err(|error| match error {
        url::ParseError::RelativeUrlWithoutBase => no_scheme(),
        error => AddressError::Malformed(error.to_string()),
    })?;
    match url.scheme() {
        "http" | "https" if url.host_str().is_some_and(|host| !host.is_empty()) => Ok(url),
        "http" | "https" => Err(AddressError::Malformed("it has no host".to_owned())),
        // A user name before a password looks like a scheme, too.
        _ if base.is_none() && text.contains('@') && !text.contains("://") => Err(no_scheme()),
        scheme => Err(AddressError::Scheme(scheme.to_owned())),
    }
}

fn no_scheme() -> AddressError {
    AddressError::Malformed("it has no scheme, such as https://".to_owned())
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(name) = self.named() {
            return f.write_str(&name);
        }
        if self.0.query().is_none() {
            return f.write_str(self.0.as_str());
        }
        f.write_str(&with_query_hidden(self.0.as_str(), |_| "***".to_owned()))
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        Address::parse(text).unwrap().0
    }

    #[test]
    fn userinfo_never_stays_in_an_address() {
        let (address, userinfo) = Address::parse("http://us%40er:S3CR@host/f").unwrap();
        let userinfo = userinfo.unwrap();
        assert_eq!((userinfo.user.as_str(), userinfo.password.as_str()), ("us@er", "S3CR"));
        assert!(!format!("{address} {address:?} {}", address.to_record()).contains("S3CR"));
    }

    #[test]
    fn a_signature_is_hidden_but_distinguishable() {
        let (one, two) = (address("http://h/f?a=1&sig=S3CR"), address("http://h/f?a=1&sig=T4DS"));
        assert_eq!(one.to_string(), "http://h/f?a=1&sig=***");
        assert_ne!(one.to_record(), two.to_record());
        assert!(!one.to_record().contains("S3CR"));
        assert!(one.matches_record(&two.to_record()));
        assert!(!one.matches_record(&address("http://h/f?a=2&sig=S3CR").to_record()));
        assert!(!address("http://h/f?key=a").matches_record(&address("http://h/f?key=b").to_record()));
        assert_eq!(one.request_target(), "/f?a=1&sig=S3CR");
    }

    #[test]
    fn a_record_of_an_earlier_version_in_which_a_secret_was_not_hidden_still_matches() {
        assert!(address("http://h/f?upload_key=S3CR&a=1").matches_record("http://h/f?upload_key=S3CR&a=1"));
        assert!(!address("http://h/f?upload_key=S3CR").matches_record("http://h/f?upload_key=other"));
    }

    #[test]
    fn a_seal_holds_no_query_and_tells_two_resources_apart() {
        let one = address("http://h/f?id=4711&key=S3CR&sig=T4DS");
        let seal = one.to_seal(7);
        assert!(["id", "4711", "S3CR", "T4DS"].iter().all(|part| !seal.contains(part)), "{seal}");
        assert_ne!(seal, one.to_seal(8));
        for (other, same) in [
            ("http://h/f?id=4711&key=S3CR&sig=other", true),
            ("http://h/f?id=4712&key=S3CR&sig=T4DS", false),
            ("http://h/f?id=4711&key=other&sig=T4DS", false),
            ("http://h/f", false),
        ] {
            assert_eq!(address(other).matches_seal(&seal), same, "{other}");
        }
        assert_eq!(address("http://h/f?sig=T4DS").to_seal(7), "http://h/f");
        assert!(address("http://h/f?sig=T4DS").matches_seal("http://h/f?sig=hidden-000000000000"));
        assert!(address("http://h/f?id=1").matches_seal("http://h/f?id=1"));
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        assert_eq!(address("http://h/a").origin(), address("http://H:80/b").origin());
        assert_ne!(address("http://h/a").origin(), address("https://h/a").origin());
        assert_ne!(address("http://h/a").origin(), address("http://h:81/a").origin());
    }

    // T060, T070
    #[test]
    fn what_is_no_http_url_is_refused() {
        for text in ["file:///etc/passwd", "ftp://h/f", "data:,x", "gopher://h"] {
            assert!(matches!(Address::parse(text), Err(AddressError::Scheme(_))), "{text}");
            assert!(
                matches!(address("http://h/").join(text.as_bytes()), Err(AddressError::Scheme(_))),
                "{text}"
            );
        }
        for text in [
            "",
            "h/f",
            "http://",
            "http://h/\r\nX: y",
            "http://a b/",
            "http://h/a\tb",
            "http://h/\0",
            "http://h:99999/",
        ] {
            assert!(matches!(Address::parse(text), Err(AddressError::Malformed(_))), "{text:?}");
        }
        assert_eq!(address("http://h/").join(b"http://u:p@h/").unwrap_err(), AddressError::Userinfo);
    }

    #[test]
    fn spaces_and_bytes_beyond_ascii_are_percent_encoded() {
        let sent = |location: &[u8]| address("http://h/d/f").join(location).unwrap().request_target();
        for (location, target) in [
            (&b"/a b?c d"[..], "/a%20b?c%20d"),
            (b"x y/z", "/d/x%20y/z"),
            (b"  /a", "/a"),
            ("/\u{fc}?\u{fc}".as_bytes(), "/%C3%BC?%C3%BC"),
            (b"/\xfc?\xe9=\xff", "/%FC?%E9=%FF"),
            (b"/a%20b%zz", "/a%20b%zz"),
            (b"/\"<>`{}|^", "/%22%3C%3E%60%7B%7D|^"),
        ] {
            assert!(sent(location).eq_ignore_ascii_case(target), "{:?}: {}", location, sent(location));
        }
        assert_eq!(address("http://h/a b?c d").request_target(), "/a%20b?c%20d");
        for location in
            [&b"/a\tb"[..], b"/a\nb", b"/a\rb", b"/\0", b"/\x7f", b"http://h\xfc/", b"http://a b/"]
        {
            assert!(address("http://h/").join(location).is_err(), "{location:?}");
        }
    }

    #[test]
    fn a_location_may_be_relative_and_its_fragment_is_dropped() {
        assert_eq!(address("http://h/a/b").join(b"../c#frag").unwrap().to_string(), "http://h/c");
        assert_eq!(address("https://h/a").join(b"//other/x").unwrap().to_string(), "https://other/x");
    }
}
