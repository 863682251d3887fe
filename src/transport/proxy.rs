//! Selection of the proxy for a server.

use super::hop::{Hop, OwnProxy};
use super::host_settings::HostSettings;
use super::no_proxy::NoProxy;
use super::peer::Peer;
use crate::error::{Error, Remedy};
use crate::formats::redaction;
use crate::plan::Origin;
use std::ffi::OsString;
use std::fmt;
use std::sync::Arc;

/// Proxy to use. The `Debug` output has no password in it.
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Proxy {
    /// None, whatever the environment says.
    #[default]
    Direct,
    /// The proxies in `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`, in either case; the lower-case variable
    /// has precedence. A program that a web server runs (`REQUEST_METHOD` is set) ignores `HTTP_PROXY` in capitals,
    /// which the client can choose.
    Environment,
    /// This one: an `http`, `https`, `socks5` or `socks5h` URL, which may hold a user name and password for it, or
    /// `HOST:PORT` of an `http` proxy. `socks` means `socks5`. With `socks5` names are resolved here, with `socks5h`
    /// and the others by the proxy.
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

impl Proxy {
    /// The proxy of one request; `None` for the environment, which is the client's matter.
    ///
    /// # Errors
    /// `Usage` for an unusable proxy.
    pub(crate) fn of_request(&self) -> Result<Option<OwnProxy>, Error> {
        match self {
            Self::Environment => Ok(None),
            Self::Direct => Ok(Some(OwnProxy(None))),
            Self::Through(text) => Ok(Some(OwnProxy(Some(Arc::new(given(text)?))))),
        }
    }
}

/// Parses a proxy that the caller gave.
fn given(text: &str) -> Result<Hop, Error> {
    Hop::parse(text).map_err(|why| {
        Error::usage(format!("the proxy cannot be used: {why}")).with_remedy(Remedy::ProxySyntax)
    })
}

/// Rule that selects the proxy for a server. It holds parsed proxies, not texts: one that was accepted is usable.
#[derive(Debug)]
pub(super) struct Proxies {
    rule: Rule,
    /// Servers that are reached directly.
    except: NoProxy,
    /// Proxies of some hosts, `None` for a direct way; they count before everything else.
    of_hosts: Vec<(HostSettings, Option<Hop>)>,
}

#[derive(Debug)]
enum Rule {
    Direct,
    One(Hop),
    Environment(Environment),
}

/// Proxies that the environment names, one for each kind of server.
#[derive(Debug, Default)]
struct Environment {
    http: Option<Named>,
    https: Option<Named>,
    except: NoProxy,
}

/// Value of a variable. An error in it is reported when a server that it applies to is requested.
#[derive(Debug)]
struct Named {
    variable: &'static str,
    hop: Result<Hop, &'static str>,
}

impl Proxies {
    /// `except` lists the servers that are reached directly, as `NO_PROXY` does.
    ///
    /// # Errors
    /// `Usage` for an unusable proxy, and for an invalid exception.
    pub(super) fn new(proxy: &Proxy, except: &str, hosts: &[HostSettings]) -> Result<Self, Error> {
        let mut of_hosts = Vec::new();
        for host in hosts {
            match &host.proxy {
                None | Some(Proxy::Environment) => {}
                Some(Proxy::Direct) => of_hosts.push((host.clone(), None)),
                Some(Proxy::Through(text)) => {
                    let hop = Hop::parse(text)
                        .map_err(|why| unusable(&format!("the host {}", host.pattern), why))?;
                    of_hosts.push((host.clone(), Some(hop)));
                }
            }
        }
        let rule = match proxy {
            Proxy::Direct => Rule::Direct,
            Proxy::Environment => Rule::Environment(Environment::read(std::env::var_os)),
            Proxy::Through(text) => Rule::One(given(text)?),
        };
        match NoProxy::parse(except) {
            (except, None) => Ok(Self { rule, except, of_hosts }),
            (_, Some(odd)) => {
                Err(Error::usage(format!("{} is no host, address or network", redaction::named(odd)))
                    .with_remedy(Remedy::NoProxySyntax))
            }
        }
    }

    /// The proxy on the way to a peer, if there is one. Of a request with a proxy of its own only servers that are to be reached
    /// directly are excepted.
    ///
    /// # Errors
    /// `Usage` if the environment names an unusable one.
    pub(super) fn hop_to<'a>(&'a self, peer: &'a Peer) -> Result<Option<&'a Hop>, Error> {
        match &peer.proxy {
            None => self.hop(&peer.origin),
            Some(_) if self.except.has(&peer.origin) => Ok(None),
            Some(OwnProxy(hop)) => Ok(hop.as_deref()),
        }
    }

    /// The proxy for a server, if there is one.
    fn hop(&self, origin: &Origin) -> Result<Option<&Hop>, Error> {
        if let Some((_, hop)) = self.of_hosts.iter().find(|(host, _)| host.applies_to(&origin.host)) {
            return Ok(hop.as_ref());
        }
        if self.except.has(origin) {
            return Ok(None);
        }
        match &self.rule {
            Rule::Direct => Ok(None),
            Rule::One(hop) => Ok(Some(hop)),
            Rule::Environment(environment) => environment.hop(origin),
        }
    }
}

impl Environment {
    fn read(variable: impl Fn(&'static str) -> Option<OsString>) -> Self {
        let first = |names: &[&'static str]| {
            names.iter().find_map(|name| Some((*name, variable(name).filter(|value| !value.is_empty())?)))
        };
        let named = |names: &[&'static str]| {
            first(names).map(|(variable, value)| {
                let text = value.to_str().ok_or("it holds bytes that are no text");
                Named { variable, hop: text.and_then(Hop::parse) }
            })
        };
        // Under CGI, `HTTP_PROXY` holds the client's `Proxy` header.
        let http = if variable("REQUEST_METHOD").is_some() {
            &["http_proxy"][..]
        } else {
            &["http_proxy", "HTTP_PROXY"]
        };
        let all = || named(&["all_proxy", "ALL_PROXY"]);
        let except = first(&["no_proxy", "NO_PROXY"]).map(|(_, value)| value.to_string_lossy().into_owned());
        Self {
            http: named(http).or_else(all),
            https: named(&["https_proxy", "HTTPS_PROXY"]).or_else(all),
            // An invalid entry excepts nothing: more goes through the proxy, not less.
            except: NoProxy::parse(&except.unwrap_or_default()).0,
        }
    }

    fn hop(&self, origin: &Origin) -> Result<Option<&Hop>, Error> {
        let named = if origin.https { &self.https } else { &self.http };
        match named.as_ref().filter(|_| !self.except.has(origin)) {
            None => Ok(None),
            Some(Named { variable, hop }) => hop.as_ref().map(Some).map_err(|why| unusable(variable, why)),
        }
    }
}

/// The text itself is not shown: it may contain a password.
fn unusable(named_by: &str, why: &str) -> Error {
    Error::usage(format!("{named_by} names no proxy that can be used: {why}"))
        .with_remedy(Remedy::ProxySyntax)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use crate::plan::Address;
    use proptest::prelude::*;

    fn origin(server: &str) -> Origin {
        Address::parse(server).unwrap().0.origin()
    }

    fn through(proxy: &str, except: &str) -> Result<Proxies, Error> {
        Proxies::new(&Proxy::Through(proxy.to_owned()), except, &[])
    }

    fn environment(variables: &[(&str, &str)]) -> Environment {
        Environment::read(|name| {
            variables.iter().find(|(it, _)| *it == name).map(|(_, value)| OsString::from(*value))
        })
    }

    #[test]
    fn a_proxy_stands_before_every_server_but_the_excepted_ones() {
        let proxies = through("http://me:S3CR@proxy:3128", "local, 10.0.0.0/8").unwrap();
        let to = |server| proxies.hop(&origin(server)).unwrap();
        assert!(to("http://local/").is_none() && to("https://a.local/").is_none());
        assert!(to("http://10.1.2.3/").is_none() && to("http://11.1.2.3/").is_some());
        assert_eq!(to("https://host/").unwrap().host(), "proxy");
    }

    #[test]
    fn a_request_may_have_a_proxy_of_its_own_and_excepted_servers_stay_so() {
        let proxies = through("http://proxy:3128", "local").unwrap();
        let own = |proxy: &Proxy| proxy.of_request().unwrap();
        let to = |server, proxy: Option<OwnProxy>| {
            let peer = Peer { origin: origin(server), knows_us: false, proxy };
            proxies.hop_to(&peer).unwrap().map(|hop| hop.host().to_owned())
        };
        let other = own(&Proxy::Through("socks5h://other:1".to_owned()));
        assert_eq!(to("http://host/", None).as_deref(), Some("proxy"));
        assert_eq!(to("http://host/", own(&Proxy::Environment)).as_deref(), Some("proxy"));
        assert_eq!(to("http://host/", other.clone()).as_deref(), Some("other"));
        assert_eq!(to("http://local/", other), None);
        assert_eq!(to("http://host/", own(&Proxy::Direct)), None);
        assert_eq!(Proxy::Through("nonsense".to_owned()).of_request().unwrap_err().kind(), Kind::Usage);
    }

    // T062
    #[test]
    fn no_text_holds_the_password_of_a_proxy() {
        let proxy = Proxy::Through("http://me:S3CR@proxy:3128".to_owned());
        let proxies = Proxies::new(&proxy, "", &[]).unwrap();
        assert!(!format!("{proxy:?} {proxies:?}").contains("S3CR"));
        for bad in
            ["ftp://me:S3CR@proxy", "http://me:S3CR@pro xy", "http://me:S3CR@proxy:port", "me:S3CR@proxy"]
        {
            let refused = through(bad, "").unwrap_err();
            assert!(!format!("{refused} {refused:?}").contains("S3CR"), "{bad}");
        }
    }

    #[test]
    fn an_exception_that_makes_no_sense_is_refused() {
        assert_eq!(through("http://proxy", "a,10.0.0.0/99").unwrap_err().kind(), Kind::Usage);
        assert!(through("http://proxy", "*").unwrap().hop(&origin("http://127.0.0.1/")).unwrap().is_none());
    }

    #[test]
    fn the_environment_names_a_proxy_for_each_kind_of_server() {
        let host = |variables: &[(&str, &str)], server: &str| {
            environment(variables).hop(&origin(server)).unwrap().map(|hop| hop.host().to_owned())
        };
        let both = [("http_proxy", "a:1"), ("HTTPS_PROXY", "http://b:1"), ("ALL_PROXY", "c:1")];
        assert_eq!(host(&both, "http://h/").as_deref(), Some("a"));
        assert_eq!(host(&both, "https://h/").as_deref(), Some("b"));
        assert_eq!(host(&[("all_proxy", "socks://c:1/")], "https://h/").as_deref(), Some("c"));
        assert_eq!(host(&[("HTTP_PROXY", "B:1"), ("http_proxy", "a:1")], "http://h/").as_deref(), Some("a"));
        assert_eq!(host(&[("http_proxy", ""), ("ALL_PROXY", "c:1")], "http://h/").as_deref(), Some("c"));
        assert_eq!(host(&[("https_proxy", "a:1")], "http://h/"), None);
        assert_eq!(host(&[("http_proxy", "a:1"), ("NO_PROXY", "h")], "http://h/"), None);
        let cgi = [("REQUEST_METHOD", "GET"), ("HTTP_PROXY", "theirs:1"), ("https_proxy", "ours:1")];
        assert_eq!(host(&cgi, "http://h/"), None);
        assert_eq!(host(&cgi, "https://h/").as_deref(), Some("ours"));
    }

    #[test]
    fn a_variable_that_cannot_be_understood_is_named_where_it_counts() {
        let variables = [("http_proxy", "a:1"), ("HTTPS_PROXY", "ftp://S3CR@b:1"), ("no_proxy", "free")];
        let environment = environment(&variables);
        let refused = environment.hop(&origin("https://h/")).unwrap_err();
        assert_eq!(refused.kind(), Kind::Usage);
        assert!(refused.to_string().contains("HTTPS_PROXY") && !refused.to_string().contains("S3CR"));
        assert!(environment.hop(&origin("http://h/")).unwrap().is_some());
        assert!(environment.hop(&origin("https://free/")).unwrap().is_none());
    }

    proptest! {
        #[test]
        fn a_proxy_is_used_or_refused_and_never_passed_over(text in "\\PC{0,40}|(http|socks5h?|SOCKS|ftp)?:?/{0,3}\\PC{0,12}@?[a-z0-9.\\[\\]: ]{0,20}") {
            for server in ["http://host/", "https://host:8443/", "http://127.0.0.1/", "https://[::1]/"] {
                let server = origin(server);
                match through(&text, "") {
                    Ok(proxies) => prop_assert!(proxies.hop(&server).unwrap().is_some()),
                    Err(refused) => prop_assert_eq!(refused.kind(), Kind::Usage),
                }
                let named = environment(&[("all_proxy", text.as_str())]).hop(&server).map(|hop| hop.is_some());
                prop_assert!(named.map_or_else(|refused| refused.kind() == Kind::Usage, |used| used || text.is_empty()));
            }
        }
    }
}
