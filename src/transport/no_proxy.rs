//! Servers that are reached without a proxy.

use crate::plan::{Origin, bare_host};
use ipnet::IpNet;
use std::net::IpAddr;
use url::Host;

/// A list as in `NO_PROXY` and `--noproxy`, read as curl and Go read theirs: names (with all subdomains), addresses,
/// networks (`10.0.0.0/8`), names and addresses with wildcards (`*.corp`, `127.0.0.*`), each with or without a port,
/// and `*` for everything. Commas and blanks separate them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct NoProxy(Vec<Entry>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    what: What,
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum What {
    Everything,
    Address(IpAddr),
    Network(IpNet),
    /// This name and all its subdomains.
    Name(String),
    /// `*` stands for any characters.
    Pattern(String),
}

impl NoProxy {
    /// Parses the list; also returns its first invalid entry. Such an entry excepts nothing.
    pub(super) fn parse(list: &str) -> (Self, Option<&str>) {
        let words = || list.split(|c: char| c == ',' || c.is_whitespace()).filter(|word| !word.is_empty());
        let odd = words().find(|word| Entry::parse(word).is_none());
        (Self(words().filter_map(Entry::parse).collect()), odd)
    }

    pub(super) fn has(&self, origin: &Origin) -> bool {
        let host = bare_host(&origin.host).trim_end_matches('.').to_ascii_lowercase();
        let ip = host.parse::<IpAddr>().ok();
        let port_fits = |entry: &Entry| entry.port.is_none_or(|port| port == origin.port);
        self.0.iter().any(|entry| port_fits(entry) && entry.what.has(&host, ip))
    }
}

impl Entry {
    fn parse(word: &str) -> Option<Self> {
        if let Ok(network) = word.parse::<IpNet>() {
            return Some(Self { what: What::Network(network), port: None });
        }
        if let Ok(ip) = bare_host(word).parse::<IpAddr>() {
            return Some(Self { what: What::Address(ip), port: None });
        }
        let (host, port) = match word.rsplit_once(':') {
            Some((host, port)) => (host, Some(port.parse().ok().filter(|port| *port > 0)?)),
            None => (word, None),
        };
        Some(Self { what: What::parse(host)?, port })
    }
}

impl What {
    fn parse(host: &str) -> Option<Self> {
        if host == "*" {
            return Some(Self::Everything);
        }
        if let Ok(ip) = bare_host(host).parse::<IpAddr>() {
            return Some(Self::Address(ip));
        }
        if host.contains('*') {
            let fits = |c: char| c.is_ascii_alphanumeric() || "*-._".contains(c);
            return host.chars().all(fits).then(|| Self::Pattern(host.to_ascii_lowercase()));
        }
        let name = host.trim_start_matches('.').trim_end_matches('.');
        match Host::parse(name) {
            Ok(Host::Domain(name)) => Some(Self::Name(name)),
            Ok(Host::Ipv4(ip)) => Some(Self::Address(ip.into())),
            _ => None,
        }
    }

    fn has(&self, host: &str, ip: Option<IpAddr>) -> bool {
        match self {
            Self::Everything => true,
            Self::Address(address) => ip == Some(*address),
            Self::Network(network) => ip.is_some_and(|ip| network.contains(&ip)),
            Self::Name(name) => {
                ip.is_none()
                    && host
                        .strip_suffix(name.as_str())
                        .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            }
            Self::Pattern(pattern) => matches(pattern, host),
        }
    }
}

/// Returns true if `text` matches the pattern. Between the first and the last star, the first match of each piece is as
/// good as any.
fn matches(pattern: &str, text: &str) -> bool {
    let mut pieces = pattern.split('*');
    let (first, last) = (pieces.next().unwrap_or_default(), pieces.next_back().unwrap_or_default());
    let Some(middle) = text.strip_prefix(first).and_then(|rest| rest.strip_suffix(last)) else {
        return false;
    };
    let mut rest = Some(middle);
    for piece in pieces {
        rest = rest.and_then(|rest| rest.find(piece).map(|at| &rest[at + piece.len()..]));
    }
    rest.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Address;

    #[test]
    fn an_exception_is_read_as_other_programs_read_it() {
        // The list, hosts that it excepts, and hosts that it does not.
        let table: [(&str, &[&str], &[&str]); 18] = [
            ("", &[], &["http://a/", "http://127.0.0.1/"]),
            ("*", &["http://a/", "https://1.2.3.4:99/", "http://[::1]/"], &[]),
            (
                "corp",
                &["http://corp/", "https://a.b.corp/", "http://A.CORP./"],
                &["http://acorp/", "http://corp.org/"],
            ),
            (".corp", &["http://corp/", "http://a.corp/"], &["http://acorp/"]),
            (
                "*.corp",
                &["http://a.corp/", "http://a.b.corp/"],
                &["http://corp/", "http://acorp/", "http://a.corp.org/"],
            ),
            ("127.0.0.*", &["http://127.0.0.1/", "https://127.0.0.254:8/"], &["http://127.0.1.1/"]),
            ("192.168.*", &["http://192.168.3.4/"], &["http://192.169.3.4/", "http://1.192.168.3/"]),
            ("a*b*c.org", &["http://abc.org/", "http://axbyc.org/"], &["http://acb.org/", "http://bc.org/"]),
            ("corp:8080", &["http://corp:8080/", "http://a.corp:8080/"], &["http://corp/", "https://corp/"]),
            ("corp:443", &["https://corp/"], &["http://corp/", "https://corp:8443/"]),
            ("127.0.0.1:8000", &["http://127.0.0.1:8000/"], &["http://127.0.0.1:8001/"]),
            (
                "127.0.0.1",
                &["http://127.0.0.1/", "http://127.0.0.1:99/"],
                &["http://127.0.0.10/", "http://a.127.0.0.1.org/"],
            ),
            (
                "10.0.0.0/8,fd00::/8",
                &["http://10.9.8.7/", "http://[fd00::1]/"],
                &["http://11.0.0.1/", "http://[fe80::1]/", "http://10.corp/"],
            ),
            ("::1", &["http://[::1]/", "http://[::1]:99/"], &["http://[::2]/"]),
            ("[::1]:80", &["http://[::1]/"], &["http://[::1]:81/"]),
            (" a , b\tc ", &["http://a/", "http://b/", "http://c/"], &["http://d/"]),
            ("한국.example", &["http://xn--3e0b707e.example/"], &["http://hanguk.example/"]),
            ("/run/docker.sock,a", &["http://a/"], &["http://docker.sock/", "http://b/"]),
        ];
        for (list, with, without) in table {
            let (except, _) = NoProxy::parse(list);
            let has = |url: &str| except.has(&Address::parse(url).unwrap().0.origin());
            for url in with {
                assert!(has(url), "{list:?} should except {url}");
            }
            for url in without {
                assert!(!has(url), "{list:?} should not except {url}");
            }
        }
    }

    #[test]
    fn an_entry_that_makes_no_sense_is_named() {
        for odd in ["10.0.0.0/33", "http://corp", "a|b", "corp:port", "corp:0", "a b:x"] {
            assert!(
                NoProxy::parse(&format!("fine, {odd}")).1.is_some_and(|word| odd.contains(word)),
                "{odd}"
            );
        }
        assert_eq!(NoProxy::parse("a,*,::1,10.0.0.0/8, b:1").1, None);
    }
}
