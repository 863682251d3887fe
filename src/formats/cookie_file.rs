//! Cookie files in the Netscape format, which browsers export and curl, wget and aria2 read.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Cookies from a file in the Netscape format.
///
/// ```
/// # fn main() -> Result<(), haul::Error> {
/// let cookies = haul::Cookies::parse("example.org\tFALSE\t/\tTRUE\t0\tsession\tsecret");
/// let request = haul::Request::new("https://example.org/disk.img")?.cookies(cookies);
/// # let _ = request;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
pub struct Cookies {
    /// Cookies by domain, in lower case and without a leading dot.
    domains: HashMap<String, Vec<Cookie>>,
}

/// Properties of a request that decide which cookies it gets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'a> {
    /// Host name, IPv4 address, or IPv6 address in brackets; in lower case.
    pub(crate) host: &'a str,
    pub(crate) path: &'a str,
    pub(crate) https: bool,
    /// Seconds since 1970.
    pub(crate) now: u64,
}

#[derive(Clone)]
struct Cookie {
    /// True if hosts below the domain get it as well.
    below: bool,
    path: String,
    https_only: bool,
    /// Seconds since 1970; 0 for a session cookie, which is valid in this run.
    expires: u64,
    /// Position in the file.
    number: usize,
    pair: String,
}

impl Cookies {
    /// Parses the text of a cookie file. Lines that are no cookies are skipped.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut cookies = Self::default();
        for (number, line) in text.lines().enumerate() {
            if let Some((domain, cookie)) = cookie(number, line) {
                cookies.domains.entry(domain).or_default().push(cookie);
            }
        }
        cookies
    }

    /// Returns true if there are no cookies, for example because the text is no cookie file.
    #[cfg(feature = "cli")]
    pub(crate) fn is_empty(&self) -> bool {
        self.domains.is_empty()
    }

    /// Pairs of the `Cookie` field for a request (RFC 6265 §5.4): longest path first, equal ones in file order.
    pub(crate) fn pairs(&self, wanted: Wanted<'_>) -> Vec<&str> {
        let mut cookies: Vec<_> = domains_of(wanted.host)
            .filter_map(|domain| Some((domain, self.domains.get(domain)?)))
            .flat_map(|(domain, cookies)| cookies.iter().map(move |cookie| (domain == wanted.host, cookie)))
            .filter(|(same, cookie)| (*same || cookie.below) && cookie.is_for(wanted))
            .map(|(_, cookie)| cookie)
            .collect();
        cookies.sort_by_key(|cookie| (Reverse(cookie.path.len()), cookie.number));
        cookies.into_iter().map(|cookie| cookie.pair.as_str()).collect()
    }
}

/// Returns the host and the domains above it (RFC 6265 §5.1.3). An address has no domain above it.
fn domains_of(host: &str) -> impl Iterator<Item = &str> {
    let is_address = is_address(host);
    let dots = host.match_indices('.').take_while(move |_| !is_address);
    std::iter::once(host).chain(dots.map(|(at, _)| &host[at + 1..]))
}

fn is_address(host: &str) -> bool {
    host.starts_with('[') || host.parse::<Ipv4Addr>().is_ok()
}

/// Parses the expiry of a cookie in seconds since 1970, ignoring a fraction. 0, or an empty text, is a session cookie.
/// `None` for a negative or malformed number.
fn expiry(text: &str) -> Option<u64> {
    match text.split('.').next().unwrap_or_default() {
        "" => Some(0),
        seconds => seconds.parse().ok(),
    }
}

/// Parses a line into a domain and a cookie.
fn cookie(number: usize, line: &str) -> Option<(String, Cookie)> {
    // This prefix looks like a comment, and is none.
    let line = line.strip_prefix("#HttpOnly_").unwrap_or(line);
    if line.starts_with('#') {
        return None;
    }
    let mut fields = line.split('\t');
    let mut next = || fields.next();
    let domain = next()?.trim_start_matches('.').to_ascii_lowercase();
    let is_v6 = domain.parse::<Ipv6Addr>().is_ok();
    let domain = if is_v6 { format!("[{domain}]") } else { domain };
    let below = next()?.eq_ignore_ascii_case("TRUE") && !is_address(&domain);
    let path = next()?.to_owned();
    let https_only = next()?.eq_ignore_ascii_case("TRUE");
    let expires = expiry(next()?)?;
    let name = next().filter(|name| !name.is_empty())?;
    let pair = format!("{name}={}", next().unwrap_or_default());
    (!domain.is_empty()).then_some((domain, Cookie { below, path, https_only, expires, number, pair }))
}

impl Cookie {
    fn is_for(&self, wanted: Wanted<'_>) -> bool {
        let lives = self.expires == 0 || self.expires > wanted.now;
        lives && (wanted.https || !self.https_only) && path_matches(&self.path, wanted.path)
    }
}

/// Returns true if `path` is the path of a cookie, or below it (RFC 6265 §5.1.4).
pub(crate) fn path_matches(of_cookie: &str, path: &str) -> bool {
    path.strip_prefix(of_cookie).is_some_and(|rest| {
        rest.is_empty() || of_cookie.is_empty() || of_cookie.ends_with('/') || rest.starts_with('/')
    })
}

/// Directory of a path: the default path of a cookie (RFC 6265 §5.1.4).
pub(crate) fn default_path(path: &str) -> &str {
    match path.rfind('/') {
        Some(at) if at > 0 => &path[..at],
        _ => "/",
    }
}

/// Returns true if a host is a domain, or below it (RFC 6265 §5.1.3); both in lower case.
pub(crate) fn domain_matches(host: &str, domain: &str) -> bool {
    domains_of(host).any(|above| above == domain)
}

impl fmt::Debug for Cookies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cookies").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "# Netscape HTTP Cookie File\n\
        host.org\tFALSE\t/\tFALSE\t0\tsession\ts1\n\
        .host.org\tTRUE\t/files\tFALSE\t2000.5\tdeep\td1\n\
        #HttpOnly_host.org\tFALSE\t/\tTRUE\t0\tsecure\tx1\r\n\
        host.org\tFALSE\t/\tFALSE\t1000\told\to1\n\
        host.org\tFALSE\t/\tFALSE\t-1\tover\to2\n\
        ::1\tFALSE\t/\tFALSE\t0\tsix\t6\n\
        10.0.0.1\tTRUE\t/\tFALSE\t0\taddress\ta1\n\
        host.org\tFALSE\t/\tFALSE\t0\n\
        \n";

    fn sent(host: &str, path: &str, https: bool) -> Option<String> {
        let cookies = Cookies::parse(FILE);
        let pairs = cookies.pairs(Wanted { host, path, https, now: 1500 });
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }

    #[test]
    fn a_cookie_goes_to_its_own_host_and_path() {
        assert_eq!(sent("host.org", "/x", false).as_deref(), Some("session=s1"));
        assert_eq!(sent("host.org", "/files/x", false).as_deref(), Some("deep=d1; session=s1"));
        assert_eq!(sent("host.org", "/files", false).as_deref(), Some("deep=d1; session=s1"));
        assert_eq!(sent("host.org", "/files2", false).as_deref(), Some("session=s1"));
        assert_eq!(sent("a.host.org", "/files/x", false).as_deref(), Some("deep=d1"));
        assert_eq!(sent("[::1]", "/", false).as_deref(), Some("six=6"));
        assert_eq!(sent("10.0.0.1", "/", false).as_deref(), Some("address=a1"));
    }

    #[test]
    fn no_cookie_goes_to_a_stranger() {
        for host in ["org", "ahost.org", "host.org.example", "1.10.0.0.1", ""] {
            assert_eq!(sent(host, "/files/x", true), None, "{host}");
        }
        let short = Wanted { host: "10.0.0.1", path: "/", https: true, now: 0 };
        assert!(Cookies::parse("0.1\tTRUE\t/\tFALSE\t0\ta\tb").pairs(short).is_empty());
        let rooted = Wanted { host: "h.", ..short };
        assert!(Cookies::parse(".\tTRUE\t/\tFALSE\t0\ta\tb").pairs(rooted).is_empty());
    }

    #[test]
    fn what_is_for_https_alone_goes_over_nothing_else_and_what_is_over_is_not_sent() {
        assert_eq!(sent("host.org", "/", true).as_deref(), Some("session=s1; secure=x1"));
        assert!(!sent("host.org", "/", true).unwrap().contains("old"));
    }
}
