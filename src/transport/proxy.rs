//! Which proxy stands between haul and a server, and how to get through it.
//!
//! What a proxy is told about itself (its credentials) and what the server is told never mix: a tunnel's
//! `CONNECT` carries nothing of the user's but the host wanted, and a server never sees `Proxy-Authorization`.

use super::Trouble;
use super::connect::Dialer;
use super::socket::Line;
use crate::error::{Error, Kind};
use crate::plan::{Address, Origin};
use http::{HeaderValue, Uri};
use hyper_util::client::legacy::connect::proxy::{SocksV5, Tunnel};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use hyper_util::rt::TokioIo;
use std::fmt;
use std::future::{Ready, ready};
use std::net::SocketAddr;
use std::task::{Context, Poll};
use tower_service::Service;
use url::Url;

/// Which proxy to use. What `Debug` shows has no password in it.
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Proxy {
    /// None, whatever the environment says.
    #[default]
    Direct,
    /// What `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` say, in either case.
    Environment,
    /// This one: an `http`, `https`, `socks5` or `socks5h` URL, which may hold a user name and password for it.
    /// With `socks5` names are looked up here, with `socks5h` and the others by the proxy.
    Through(String),
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Direct => f.write_str("Direct"),
            Self::Environment => f.write_str("Environment"),
            Self::Through(_) => f.write_str("Through(***)"),
        }
    }
}

/// The rule that finds the proxy for a server.
#[derive(Debug)]
pub(super) struct Proxies {
    rule: Option<Matcher>,
    /// Answers for every server that is to be reached straight, and for no other.
    except: Matcher,
}

/// A proxy on the way to one server.
#[derive(Debug)]
pub(super) struct Hop {
    speaks: Speaks,
    host: String,
    port: u16,
    to: Intercept,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Speaks {
    Http,
    Https,
    /// SOCKS 5; whether names are looked up here.
    Socks {
        lookup: bool,
    },
}

impl Proxies {
    /// `except` lists what is reached straight, as `NO_PROXY` does.
    ///
    /// # Errors
    /// `Usage` for what is no URL of a proxy that haul can use.
    pub(super) fn new(proxy: &Proxy, except: &str) -> Result<Self, Error> {
        let rule = match proxy {
            Proxy::Direct => None,
            Proxy::Environment => Some(Matcher::from_env()),
            Proxy::Through(url) => {
                check(url)?;
                Some(Matcher::builder().all(url.as_str()).build())
            }
        };
        Ok(Self { rule, except: Matcher::builder().all("http://proxy").no(except).build() })
    }

    /// The proxy for a server, if there is one.
    pub(super) fn hop(&self, origin: &Origin) -> Result<Option<Hop>, Error> {
        let Some(rule) = &self.rule else {
            return Ok(None);
        };
        let Ok(uri) = origin.to_string().parse::<Uri>() else {
            return Err(Error::usage(format!("{origin} cannot be asked of a proxy")));
        };
        if self.except.intercept(&uri).is_none() {
            return Ok(None);
        }
        rule.intercept(&uri).map(Hop::new).transpose()
    }
}

/// Parsed by the same rules as any URL, so that a bad one is refused and not passed over.
fn check(text: &str) -> Result<(), Error> {
    let whole = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let refused = |why: &str| {
        Err(Error::usage(format!("the proxy is {why}"))
            .with_hint("a proxy is written as http://HOST:PORT; also https, socks5 and socks5h"))
    };
    match Url::parse(&whole) {
        Err(_) => refused("no URL"),
        Ok(url) if !matches!(url.scheme(), "http" | "https" | "socks5" | "socks5h") => {
            refused("of a kind that haul does not speak")
        }
        Ok(url) if url.host_str().is_none_or(str::is_empty) => refused("without a host"),
        Ok(_) => Ok(()),
    }
}

impl Hop {
    fn new(to: Intercept) -> Result<Self, Error> {
        let uri = to.uri();
        let (speaks, port) = match uri.scheme_str() {
            Some("https") => (Speaks::Https, 443),
            Some("socks5") => (Speaks::Socks { lookup: true }, 1080),
            Some("socks5h") => (Speaks::Socks { lookup: false }, 1080),
            Some("http") | None => (Speaks::Http, 80),
            Some(other) => return Err(Error::usage(format!("haul cannot use a proxy that speaks {other}"))),
        };
        let host = uri.host().unwrap_or_default().to_owned();
        Ok(Self { speaks, host, port: uri.port_u16().unwrap_or(port), to })
    }

    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// Whether the proxy itself is spoken to over TLS.
    pub(super) fn is_https(&self) -> bool {
        self.speaks == Speaks::Https
    }

    /// Whether requests to this server are handed to the proxy, which makes them itself (RFC 9112 §3.2.2).
    /// All others go through a tunnel, of which the proxy sees nothing but the host.
    pub(super) fn forwards(&self, address: &Address) -> bool {
        !address.is_https() && !matches!(self.speaks, Speaks::Socks { .. })
    }

    /// What the proxy wants to hear with each request that it forwards.
    pub(super) fn authorization(&self) -> Option<&HeaderValue> {
        self.to.basic_auth()
    }

    /// The line to the proxy.
    pub(super) async fn connect(&self, dialer: &Dialer) -> Result<tokio::net::TcpStream, Trouble> {
        dialer.connect(&self.host, self.port).await.map_err(|trouble| match trouble {
            Trouble::Broken(cause) => Trouble::Broken(format!("the proxy: {cause}")),
            other => other,
        })
    }

    /// Has the proxy connect `line` to the server.
    pub(super) async fn tunnel(&self, line: Line, to: &Origin, dialer: &Dialer) -> Result<Line, Trouble> {
        let proxy = Uri::from_static("http://proxy");
        let server = |host: &str| {
            let uri = format!("{}://{host}:{}", if to.https { "https" } else { "http" }, to.port);
            uri.parse::<Uri>()
                .map_err(|_| Trouble::Fatal(Error::usage(format!("{to} cannot be asked of a proxy"))))
        };
        let connected = Connected(Some(TokioIo::new(line)));
        let tunnelled = match self.speaks {
            Speaks::Http | Speaks::Https => {
                let mut tunnel = Tunnel::new(proxy, connected);
                if let Some(authorization) = self.authorization() {
                    tunnel = tunnel.with_auth(authorization.clone());
                }
                tunnel.call(server(&to.host)?).await.map_err(|error| self.refused(to, &error))?
            }
            Speaks::Socks { lookup } => {
                let host = if lookup { looked_up(to, dialer).await? } else { to.host.clone() };
                let mut socks = SocksV5::new(proxy, connected);
                if let Some((user, password)) = self.to.raw_auth() {
                    socks = socks.with_auth(user.to_owned(), password.to_owned());
                }
                let connected = socks.call(server(&host)?).await;
                connected.map_err(|_| {
                    Trouble::Broken(format!("the proxy {} did not connect to {}", self.host, to.host))
                })?
            }
        };
        Ok(tunnelled.into_inner())
    }

    /// The library keeps the type of its error to itself; what it says is all there is.
    fn refused(&self, to: &Origin, error: &impl fmt::Display) -> Trouble {
        let said = error.to_string();
        if said.ends_with("authorization required") {
            let cause = format!("the proxy {} wants other credentials (407)", self.host);
            return Trouble::Fatal(
                Error::new(Kind::Auth, cause)
                    .with_hint("write them into the URL of the proxy: http://USER:PASSWORD@HOST:PORT"),
            );
        }
        if said.ends_with("headers too long") {
            return Trouble::Nonsense(format!("the answer of the proxy {} is too large", self.host));
        }
        Trouble::Broken(format!("the proxy {} did not connect to {}", self.host, to.host))
    }
}

async fn looked_up(to: &Origin, dialer: &Dialer) -> Result<String, Trouble> {
    let addresses = dialer.addresses(&to.host, to.port).await?;
    // Only one can be named, and more proxies reach IPv4 than IPv6.
    let address = addresses.iter().find(|address| address.is_ipv4()).or(addresses.first());
    let ip = address.map(SocketAddr::ip);
    let ip = ip.ok_or_else(|| Trouble::Broken(format!("{} has no address", to.host)))?;
    Ok(if ip.is_ipv6() { format!("[{ip}]") } else { ip.to_string() })
}

/// A connection that is there already, for the tunnels, which want to make theirs.
struct Connected(Option<TokioIo<Line>>);

impl Service<Uri> for Connected {
    type Response = TokioIo<Line>;
    type Error = std::io::Error;
    type Future = Ready<std::io::Result<TokioIo<Line>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        ready(self.0.take().ok_or_else(|| std::io::Error::other("the line to the proxy is taken already")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hop(proxy: &str, except: &str, server: &str) -> Option<Hop> {
        let proxies = Proxies::new(&Proxy::Through(proxy.to_owned()), except).unwrap();
        proxies.hop(&Address::parse(server).unwrap().0.origin()).unwrap()
    }

    #[test]
    fn a_proxy_stands_before_every_server_but_the_excepted_ones() {
        let to = |server| hop("http://me:S3CR@proxy:3128", "local, 10.0.0.0/8", server);
        assert!(to("http://local/").is_none() && to("https://a.local/").is_none());
        assert!(to("http://10.1.2.3/").is_none() && to("http://11.1.2.3/").is_some());
        let hop = to("https://host/").unwrap();
        assert_eq!((hop.host(), hop.port, hop.is_https()), ("proxy", 3128, false));
        assert!(!hop.forwards(&Address::parse("https://host/").unwrap().0));
        assert!(hop.forwards(&Address::parse("http://host/").unwrap().0));
    }

    // T062
    #[test]
    fn no_text_holds_the_password_of_a_proxy() {
        let proxy = Proxy::Through("http://me:S3CR@proxy:3128".to_owned());
        let proxies = Proxies::new(&proxy, "").unwrap();
        assert!(!format!("{proxy:?} {proxies:?}").contains("S3CR"));
        let refused = Proxies::new(&Proxy::Through("ftp://me:S3CR@proxy".to_owned()), "").unwrap_err();
        assert!(!format!("{refused} {refused:?}").contains("S3CR"));
    }

    #[test]
    fn what_is_no_proxy_is_refused_and_not_passed_over() {
        for bad in ["", "http://", "ftp://proxy:21", "socks4://proxy", "http://pro xy", "http://proxy:port"] {
            let refused = Proxies::new(&Proxy::Through(bad.to_owned()), "").unwrap_err();
            assert_eq!(refused.kind(), Kind::Usage, "{bad}");
        }
        let plain = hop("proxy:8080", "", "http://host/").unwrap();
        assert_eq!((plain.host(), plain.port, plain.speaks), ("proxy", 8080, Speaks::Http));
        assert_eq!(hop("socks5h://proxy", "", "http://host/").unwrap().port, 1080);
    }
}
