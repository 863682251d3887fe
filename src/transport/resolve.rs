//! Fixed addresses for hosts, in place of the resolver's.

use crate::error::Error;
use crate::plan::bare_host;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use url::Host;

/// Fixed addresses for a host and port, in place of the resolver's.
///
/// ```
/// let resolve: haul::Resolve = "Example.org:443:192.0.2.1,[2001:db8::1]".parse()?;
/// assert_eq!(resolve.to_string(), "example.org:443:192.0.2.1,[2001:db8::1]");
/// # Ok::<(), haul::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolve {
    /// In the form it has in a URL.
    host: String,
    port: u16,
    /// At least one.
    addresses: Vec<IpAddr>,
}

impl Resolve {
    pub(super) fn answers(&self, host: &str, port: u16) -> Option<Vec<SocketAddr>> {
        let asked = self.host == host && self.port == port;
        asked.then(|| self.addresses.iter().map(|ip| SocketAddr::new(*ip, port)).collect())
    }
}

impl FromStr for Resolve {
    type Err = Error;

    /// Reads `HOST:PORT:ADDRESS[,ADDRESS]…`; an IPv6 address may stand in brackets. The host is read as in a URL.
    ///
    /// # Errors
    /// `Usage` for anything else.
    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = || Error::usage("an address for a host is written as HOST:PORT:ADDRESS");
        let (host, rest) = text.split_once(':').ok_or_else(wrong)?;
        let (port, addresses) = rest.split_once(':').ok_or_else(wrong)?;
        let host = Host::parse(host).map_err(|_| wrong())?.to_string();
        let port = port.parse().ok().filter(|port| *port > 0 && !host.contains('*')).ok_or_else(wrong)?;
        let addresses =
            addresses.split(',').map(|address| bare_host(address.trim()).parse()).collect::<Result<_, _>>();
        Ok(Self { host, port, addresses: addresses.map_err(|_| wrong())? })
    }
}

impl fmt::Display for Resolve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)?;
        for (number, address) in self.addresses.iter().enumerate() {
            f.write_str(if number == 0 { ":" } else { "," })?;
            match address {
                IpAddr::V4(address) => write!(f, "{address}")?,
                IpAddr::V6(address) => write!(f, "[{address}]")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_for_a_host_counts_for_this_host_and_port() {
        let resolve: Resolve = "Host.org:443:192.0.2.1,2001:db8::1".parse().unwrap();
        let addresses = resolve.answers("host.org", 443).unwrap();
        assert_eq!(addresses, ["192.0.2.1:443".parse().unwrap(), "[2001:db8::1]:443".parse().unwrap()]);
        assert!(resolve.answers("host.org", 80).is_none() && resolve.answers("org", 443).is_none());
        assert_eq!(resolve.to_string().parse::<Resolve>().unwrap(), resolve);
        // A URL holds the name in its ASCII form.
        let foreign: Resolve = "한국.example:80:192.0.2.1".parse().unwrap();
        assert!(foreign.answers("xn--3e0b707e.example", 80).is_some());
        for wrong in [
            "",
            "h",
            "h:1",
            "h:x:1.2.3.4",
            ":1:1.2.3.4",
            "h:1:",
            "h:1:name",
            "h:70000:1.2.3.4",
            "h:0:1.2.3.4",
            "*:80:1.2.3.4",
            "a b:1:1.2.3.4",
        ] {
            assert!(wrong.parse::<Resolve>().is_err(), "{wrong}");
        }
    }
}
