//! Cookies set by the redirects of one request. They are held in memory, as long as the request is.

use crate::formats::cookie_file::{default_path, domain_matches, path_matches};
use crate::formats::set_cookie::{self, Expires, SetCookie};
use crate::plan::{Address, Origin};
use http::{HeaderMap, header};
use std::cmp::Reverse;
use std::time::SystemTime;

/// Limits for all hops together.
const COOKIES: usize = 32;
const BYTES: usize = 16 << 10;

/// Cookies, each for the origin that set it and for no other, whatever domain it names.
#[derive(Debug, Default)]
pub(super) struct Jar {
    /// The oldest first.
    cookies: Vec<Kept>,
    changes: u64,
}

#[derive(PartialEq, Eq)]
struct Kept {
    origin: Origin,
    path: String,
    name: String,
    value: String,
    expires: Option<SystemTime>,
}

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kept").field("origin", &self.origin).finish_non_exhaustive()
    }
}

impl Jar {
    /// Stores the cookies that a response from `from` is allowed to set (RFC 6265bis §5.7).
    pub(super) fn keep(&mut self, from: &Address, headers: &HeaderMap, now: SystemTime) {
        for field in headers.get_all(header::SET_COOKIE) {
            let cookie = set_cookie::parse(field.as_bytes(), now);
            if let Some(cookie) = cookie.filter(|cookie| may_set(from, cookie)) {
                self.put(from, cookie);
            }
        }
    }

    fn put(&mut self, from: &Address, cookie: SetCookie) {
        let expires = match cookie.expires {
            Expires::WithTheSession => Some(None),
            Expires::At(at) => Some(Some(at)),
            Expires::Already => None,
        };
        let path = cookie.path.unwrap_or_else(|| default_path(from.path()).to_owned());
        let (origin, name, value) = (from.origin(), cookie.name, cookie.value);
        let is_it = |kept: &Kept| kept.origin == origin && kept.name == name && kept.path == path;
        let before = self.cookies.iter().position(is_it).map(|at| self.cookies.remove(at));
        let Some(expires) = expires else {
            self.changes += u64::from(before.is_some());
            return;
        };
        if before.is_none_or(|before| before.value != value) {
            self.changes += 1;
        }
        self.cookies.push(Kept { origin, path, name, value, expires });
        while self.cookies.len() > COOKIES || self.bytes() > BYTES {
            self.cookies.remove(0);
        }
    }

    fn bytes(&self) -> usize {
        self.cookies.iter().map(|kept| kept.name.len() + kept.value.len() + kept.path.len()).sum()
    }

    /// Number of changes so far. A redirect to a visited URL is no loop if the jar has changed since.
    pub(super) fn changes(&self) -> u64 {
        self.changes
    }

    /// Cookies for a request to `to`, the longest path first.
    pub(super) fn pairs(&self, to: &Address, now: SystemTime) -> Vec<String> {
        let is_for = |kept: &&Kept| {
            let lives = kept.expires.is_none_or(|at| at > now);
            lives && to.is_of(&kept.origin) && path_matches(&kept.path, to.path())
        };
        let mut kept: Vec<_> = self.cookies.iter().filter(is_for).collect();
        kept.sort_by_key(|kept| Reverse(kept.path.len()));
        let pair = |kept: &Kept| match kept.name.as_str() {
            "" => kept.value.clone(),
            name => format!("{name}={}", kept.value),
        };
        kept.into_iter().map(pair).collect()
    }
}

/// Returns true if a server may set it: for its own host or a domain above it, and a secure one over https only.
fn may_set(from: &Address, cookie: &SetCookie) -> bool {
    let host = from.host();
    let own = cookie.domain.as_deref().is_none_or(|domain| domain_matches(host, domain));
    own && (from.is_https() || !cookie.secure)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn address(text: &str) -> Address {
        Address::parse(text).unwrap().0
    }

    fn set(jar: &mut Jar, from: &str, field: &str) {
        let mut headers = HeaderMap::new();
        headers.append(header::SET_COOKIE, field.parse().unwrap());
        jar.keep(&address(from), &headers, now());
    }

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000)
    }

    fn sent(jar: &Jar, to: &str) -> String {
        jar.pairs(&address(to), now()).join("; ")
    }

    #[test]
    fn a_cookie_goes_to_the_origin_that_set_it_and_below_its_path() {
        let mut jar = Jar::default();
        set(&mut jar, "http://host.org/d/f", "deep=1");
        set(&mut jar, "http://host.org/d/f", "wide=2; Path=/; Domain=host.org");
        for (to, pairs) in [
            ("http://host.org/d/f", "deep=1; wide=2"),
            ("http://host.org/d/", "deep=1; wide=2"),
            ("http://host.org/d", "deep=1; wide=2"),
            ("http://host.org/dd", "wide=2"),
            ("http://host.org/", "wide=2"),
            ("https://host.org/d/f", ""),
            ("http://host.org:81/d/f", ""),
            ("http://a.host.org/d/f", ""),
            ("http://org/d/f", ""),
        ] {
            assert_eq!(sent(&jar, to), pairs, "{to}");
        }
    }

    #[test]
    fn a_server_sets_no_cookies_for_strangers_and_none_for_https_over_http() {
        let mut jar = Jar::default();
        for field in ["a=1; Domain=other.org", "a=1; Domain=a.host.org", "a=1; Domain=ost.org", "a=1; Secure"]
        {
            set(&mut jar, "http://host.org/f", field);
            assert_eq!(sent(&jar, "http://host.org/f"), "", "{field}");
        }
        set(&mut jar, "http://10.0.0.1/f", "a=1; Domain=0.0.1");
        assert_eq!(sent(&jar, "http://10.0.0.1/f"), "");
        set(&mut jar, "https://host.org/f", "a=1; Secure; Domain=host.org");
        assert_eq!(sent(&jar, "https://host.org/f"), "a=1");
    }

    #[test]
    fn a_cookie_takes_the_place_of_its_name_and_path_and_ends_when_it_says() {
        let mut jar = Jar::default();
        set(&mut jar, "http://h/f", "a=1");
        set(&mut jar, "http://h/f", "a=1");
        assert_eq!(jar.changes(), 1);
        set(&mut jar, "http://h/f", "a=2; Max-Age=60");
        assert_eq!((sent(&jar, "http://h/f").as_str(), jar.changes()), ("a=2", 2));
        let later = jar.pairs(&address("http://h/f"), now() + Duration::from_secs(61));
        assert!(later.is_empty(), "{later:?}");
        set(&mut jar, "http://h/f", "a=3; Max-Age=0");
        assert_eq!((sent(&jar, "http://h/f").as_str(), jar.changes()), ("", 3));
    }

    #[test]
    fn a_jar_holds_so_many_and_so_much_and_the_oldest_go() {
        let mut jar = Jar::default();
        for number in 0..1000 {
            set(&mut jar, "http://h/f", &format!("n{number}=1"));
        }
        assert_eq!(jar.cookies.len(), COOKIES);
        assert_eq!(jar.cookies[0].name, format!("n{}", 1000 - COOKIES));
        for number in 0..1000 {
            set(&mut jar, "http://h/f", &format!("n{number}={}", "x".repeat(4000)));
            assert!(jar.bytes() <= BYTES);
        }
    }

    #[test]
    fn no_text_holds_the_value_of_a_cookie() {
        let mut jar = Jar::default();
        set(&mut jar, "http://h/f", "S3CR1=S3CR2; Path=/S3CR3");
        assert!(!format!("{jar:?}").contains("S3CR"));
    }
}
