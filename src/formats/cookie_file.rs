//! Cookie files of the form that Netscape had, which browsers export and curl, wget and aria2 read.

use std::net::IpAddr;

/// What a request must be for a cookie to go with it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'a> {
    /// A name, an IPv4 address, or an IPv6 address in brackets; in lower case.
    pub(crate) host: &'a str,
    pub(crate) path: &'a str,
    pub(crate) https: bool,
    /// Seconds since 1970.
    pub(crate) now: u64,
}

struct Cookie<'a> {
    domain: &'a str,
    /// Whether hosts below the domain are meant as well.
    below: bool,
    path: &'a str,
    https_only: bool,
    /// Seconds since 1970; 0 for the end of a session, which this one is.
    expires: u64,
    name: &'a str,
    value: &'a str,
}

/// The value of the `Cookie` field for a request (RFC 6265 §5.4), if the file has anything for it.
pub(crate) fn header(text: &str, wanted: Wanted<'_>) -> Option<String> {
    let mut cookies: Vec<_> =
        text.lines().filter_map(Cookie::parse).filter(|cookie| cookie.is_for(wanted)).collect();
    // The longest path first; among equals the order of the file.
    cookies.sort_by_key(|cookie| std::cmp::Reverse(cookie.path.len()));
    let pairs: Vec<_> = cookies.iter().map(|cookie| format!("{}={}", cookie.name, cookie.value)).collect();
    (!pairs.is_empty()).then(|| pairs.join("; "))
}

impl<'a> Cookie<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        // This mark looks like a remark, and is none.
        let line = line.strip_prefix("#HttpOnly_").unwrap_or(line);
        if line.starts_with('#') {
            return None;
        }
        let mut fields = line.split('\t');
        let mut next = || fields.next();
        Some(Self {
            domain: next()?,
            below: next()?.eq_ignore_ascii_case("TRUE"),
            path: next()?,
            https_only: next()?.eq_ignore_ascii_case("TRUE"),
            // Some write the fraction too, and some none at all.
            expires: next()?.split('.').next()?.parse().unwrap_or(0),
            name: next().filter(|name| !name.is_empty())?,
            value: next().unwrap_or_default(),
        })
    }

    fn is_for(&self, wanted: Wanted<'_>) -> bool {
        let lives = self.expires == 0 || self.expires > wanted.now;
        lives
            && (wanted.https || !self.https_only)
            && self.has_host(wanted.host)
            && self.has_path(wanted.path)
    }

    /// RFC 6265 §5.1.3: the same name, or a dot and the same name at its end. No address lies below another one.
    fn has_host(&self, host: &str) -> bool {
        let domain = self.domain.trim_start_matches('.').to_ascii_lowercase();
        if domain == host {
            return true;
        }
        let is_address =
            host.starts_with('[') || [host, &domain].iter().any(|name| name.parse::<IpAddr>().is_ok());
        let above = host.strip_suffix(domain.as_str()).is_some_and(|rest| rest.ends_with('.'));
        self.below && !is_address && !domain.is_empty() && above
    }

    /// RFC 6265 §5.1.4: the same path, or one below it.
    fn has_path(&self, path: &str) -> bool {
        match path.strip_prefix(self.path) {
            Some(rest) => rest.is_empty() || self.path.ends_with('/') || rest.starts_with('/'),
            None => self.path.is_empty(),
        }
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
        10.0.0.1\tTRUE\t/\tFALSE\t0\taddress\ta1\n\
        host.org\tFALSE\t/\tFALSE\t0\n\
        \n";

    fn sent(host: &str, path: &str, https: bool) -> Option<String> {
        header(FILE, Wanted { host, path, https, now: 1500 })
    }

    #[test]
    fn a_cookie_goes_to_its_own_host_and_path() {
        assert_eq!(sent("host.org", "/x", false).as_deref(), Some("session=s1"));
        assert_eq!(sent("host.org", "/files/x", false).as_deref(), Some("deep=d1; session=s1"));
        assert_eq!(sent("host.org", "/files", false).as_deref(), Some("deep=d1; session=s1"));
        assert_eq!(sent("host.org", "/files2", false).as_deref(), Some("session=s1"));
        assert_eq!(sent("a.host.org", "/files/x", false).as_deref(), Some("deep=d1"));
    }

    #[test]
    fn no_cookie_goes_to_a_stranger() {
        for host in ["org", "ahost.org", "host.org.example", "1.10.0.0.1", ""] {
            assert_eq!(sent(host, "/files/x", true), None, "{host}");
        }
        let short = Wanted { host: "10.0.0.1", path: "/", https: true, now: 0 };
        assert_eq!(header("0.1\tTRUE\t/\tFALSE\t0\ta\tb", short), None);
        assert_eq!(
            header(".\tTRUE\t/\tFALSE\t0\ta\tb", Wanted { host: "h", path: "/", https: true, now: 0 }),
            None
        );
    }

    #[test]
    fn what_is_for_https_alone_goes_over_nothing_else_and_what_is_over_is_not_sent() {
        assert_eq!(sent("host.org", "/", true).as_deref(), Some("session=s1; secure=x1"));
        assert!(!sent("host.org", "/", true).unwrap().contains("old"));
    }
}
