//! A proxy on the way to a server, as its URL describes it.

use super::Failure;
use super::connect::Dialing;
use super::request_head::Login;
use crate::plan::Address;
use base64::Engine as _;
use http::HeaderValue;
use percent_encoding::percent_decode_str;
use std::sync::Arc;
use url::Url;

/// A proxy on the way to a server.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Hop {
    pub(super) speaks: Speaks,
    /// In the form it has in a URL.
    host: String,
    port: u16,
    pub(super) login: Option<Login>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Speaks {
    Http,
    Https,
    /// SOCKS 5; `lookup` if names are resolved here.
    Socks {
        lookup: bool,
    },
}

/// Proxy of one request, in place of that of all; `None` within for a direct way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct OwnProxy(pub(super) Option<Arc<Hop>>);

impl Hop {
    /// Parses a proxy; an error says why it cannot be used, and contains nothing of the text.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let text = text.trim();
        if text.contains(char::is_control) {
            return Err("there are control characters in it");
        }
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) => (Some(scheme.to_ascii_lowercase()), rest),
            None => (None, text),
        };
        let (speaks, usual) = match scheme.as_deref() {
            Some("http") | None => (Speaks::Http, 80),
            Some("https") => (Speaks::Https, 443),
            Some("socks5" | "socks") => (Speaks::Socks { lookup: true }, 1080),
            Some("socks5h") => (Speaks::Socks { lookup: false }, 1080),
            Some("socks4" | "socks4a") => return Err("of SOCKS, haul speaks version 5 only"),
            Some(_) => return Err("it is of a kind that haul does not speak"),
        };
        // Hosts follow the rules of http, whatever the scheme is.
        let url = Url::parse(&format!("http://{rest}")).map_err(|_| "it is no URL")?;
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return Err("a proxy has no path");
        }
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or("there is no host in it")?.to_owned();
        let port = match stated_port(rest, &url) {
            Some(0) => return Err("there is no port 0"),
            Some(port) => port,
            // A single word is as likely a typo as a proxy.
            None if scheme.is_none() => return Err("there is neither a scheme nor a port in it"),
            None => usual,
        };
        let decoded = |text: &str| percent_decode_str(text).decode_utf8().map(std::borrow::Cow::into_owned);
        let login = match (url.username(), url.password()) {
            ("", None) => None,
            (user, password) => Some(Login {
                user: decoded(user).map_err(|_| "its user name is no text")?,
                password: decoded(password.unwrap_or_default()).map_err(|_| "its password is no text")?,
            }),
        };
        if let (Speaks::Socks { .. }, Some(login)) = (speaks, &login) {
            let fits = |text: &str| (1..=255).contains(&text.len());
            // RFC 1929 §2
            if !fits(&login.user) || !fits(&login.password) {
                return Err("with SOCKS 5, a user name and a password have 1 to 255 bytes each");
            }
        }
        Ok(Self { speaks, host, port, login })
    }

    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// Returns true if the connection to the proxy itself uses TLS.
    pub(super) fn is_https(&self) -> bool {
        self.speaks == Speaks::Https
    }

    /// Returns true if requests to this server are handed to the proxy, which makes them itself (RFC 9112 §3.2.2). All
    /// others go through a tunnel, of which the proxy sees nothing but the host.
    pub(super) fn forwards(&self, address: &Address) -> bool {
        !address.is_https() && !matches!(self.speaks, Speaks::Socks { .. })
    }

    /// `Proxy-Authorization` for an http proxy (RFC 7617).
    pub(super) fn authorization(&self) -> Option<HeaderValue> {
        let Login { user, password } = self.login.as_ref()?;
        let pair = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
        let mut value = HeaderValue::from_str(&format!("Basic {pair}")).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    /// Connects to the proxy.
    pub(super) async fn connect(&self, dialer: &Dialing<'_>) -> Result<tokio::net::TcpStream, Failure> {
        dialer.connect(&self.host, self.port).await.map_err(|trouble| match trouble {
            Failure::Broken(cause) => Failure::Broken(cause.behind("the proxy")),
            Failure::Nameless(cause) => Failure::Nameless(cause.behind("the proxy")),
            other => other,
        })
    }
}

/// Port that is written out, even if it is the default of the scheme, which a URL drops.
fn stated_port(rest: &str, url: &Url) -> Option<u16> {
    url.port().or_else(|| Url::parse(&format!("https://{rest}")).ok()?.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_to_write_a_proxy_is_understood() {
        let socks = |lookup| Speaks::Socks { lookup };
        let table = [
            ("http://proxy:3128", Speaks::Http, "proxy", 3128),
            ("http://proxy", Speaks::Http, "proxy", 80),
            ("proxy:8080", Speaks::Http, "proxy", 8080),
            ("proxy:80", Speaks::Http, "proxy", 80),
            (" proxy:443\n", Speaks::Http, "proxy", 443),
            ("[::1]:3128", Speaks::Http, "[::1]", 3128),
            ("HTTPS://Proxy/", Speaks::Https, "proxy", 443),
            ("https://proxy:80", Speaks::Https, "proxy", 80),
            ("socks5h://proxy", socks(false), "proxy", 1080),
            ("SOCKS5H://127.0.0.1:80", socks(false), "127.0.0.1", 80),
            ("socks://127.0.0.1:443/", socks(true), "127.0.0.1", 443),
            ("socks5://me:p@proxy:1", socks(true), "proxy", 1),
        ];
        for (text, speaks, host, port) in table {
            let hop = Hop::parse(text).unwrap_or_else(|why| panic!("{text}: {why}"));
            assert_eq!((hop.speaks, hop.host(), hop.port), (speaks, host, port), "{text}");
        }
    }

    #[test]
    fn a_password_of_any_signs_arrives_as_it_was_written() {
        for (text, password) in [
            ("http://me:p^w|@proxy:1", "p^w|"),
            ("http://me:päw@proxy:1", "päw"),
            ("http://me:p w@proxy:1", "p w"),
            ("socks5://me:p%40%2F%23@proxy:1", "p@/#"),
            ("me:p@w@proxy:1", "p@w"),
            ("http://me:100%@proxy:1", "100%"),
        ] {
            let login = Hop::parse(text).unwrap().login.unwrap();
            assert_eq!((login.user.as_str(), login.password.as_str()), ("me", password), "{text}");
        }
        assert_eq!(Hop::parse("http://u:S3CR@h").unwrap().authorization().unwrap(), "Basic dTpTM0NS");
    }

    #[test]
    fn what_is_no_proxy_is_refused() {
        for bad in [
            "",
            " ",
            "foo",
            "proxy.corp",
            "[::1]",
            "http://",
            "http:",
            "ftp://proxy:21",
            "socks4://proxy",
            "http://pro xy",
            "http://proxy:port",
            "http://proxy:0",
            "http://proxy:70000",
            "http://[::bad",
            "127.0.0.1:1:1",
            "socks5h//127.0.0.1:1",
            "socks5h:/127.0.0.1:1",
            "http:/127.0.0.1:1",
            "http://proxy:80/wpad.dat",
            "http://proxy?x",
            "http://me:p#w@proxy:1",
            "socks5://me@proxy",
            "socks5://:p@proxy",
            "http://me:%ff@proxy",
            "http://pro\txy:1",
            "file:///etc/passwd",
            "http://http://proxy:1",
        ] {
            assert!(Hop::parse(bad).is_err(), "{bad:?}");
        }
        assert!(Hop::parse(&format!("socks5://{}:p@proxy", "u".repeat(256))).is_err());
    }

    #[test]
    fn a_proxy_makes_requests_itself_only_where_it_may_see_them() {
        let address = |text| Address::parse(text).unwrap().0;
        for (proxy, plain, secure) in
            [("http://p:1", true, false), ("https://p:1", true, false), ("socks5://p:1", false, false)]
        {
            let hop = Hop::parse(proxy).unwrap();
            assert_eq!(
                (hop.forwards(&address("http://h/")), hop.forwards(&address("https://h/"))),
                (plain, secure)
            );
        }
    }
}
