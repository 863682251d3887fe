//! Which of the addresses of a host are used, and from where: what a user may want of the network below TLS and HTTP.

use crate::error::Error;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use tokio::net::TcpSocket;

/// Which kind of addresses is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Family {
    /// Both; where a host has both, they are tried in turns (RFC 8305).
    #[default]
    Any,
    /// IPv4 alone.
    V4,
    /// IPv6 alone.
    V6,
}

impl Family {
    pub(super) fn has(self, address: IpAddr) -> bool {
        match self {
            Self::Any => true,
            Self::V4 => address.is_ipv4(),
            Self::V6 => address.is_ipv6(),
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Any => "",
            Self::V4 => "IPv4 ",
            Self::V6 => "IPv6 ",
        }
    }
}

/// Addresses that stand for a host and port, whatever the resolver says.
///
/// ```
/// let resolve: haul::Resolve = "example.org:443:192.0.2.1,[2001:db8::1]".parse()?;
/// # let _ = resolve;
/// # Ok::<(), haul::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolve {
    host: String,
    port: u16,
    addresses: Vec<IpAddr>,
}

impl Resolve {
    /// For `host` on `port` only; a name counts in any case of its letters.
    #[must_use]
    pub fn new(host: &str, port: u16, addresses: Vec<IpAddr>) -> Self {
        Self { host: host.to_ascii_lowercase(), port, addresses }
    }

    pub(super) fn answers(&self, host: &str, port: u16) -> Option<Vec<SocketAddr>> {
        let asked = self.host == host.to_ascii_lowercase() && self.port == port;
        asked.then(|| self.addresses.iter().map(|ip| SocketAddr::new(*ip, port)).collect())
    }
}

impl FromStr for Resolve {
    type Err = Error;

    /// Reads `HOST:PORT:ADDRESS[,ADDRESS]…`; an IPv6 address may stand in brackets.
    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = || Error::usage("an address for a host is written as HOST:PORT:ADDRESS");
        let (host, rest) = text.split_once(':').ok_or_else(wrong)?;
        let (port, addresses) = rest.split_once(':').ok_or_else(wrong)?;
        let port = port.parse().ok().filter(|_| !host.is_empty()).ok_or_else(wrong)?;
        let bare = |text: &str| text.trim().trim_start_matches('[').trim_end_matches(']').to_owned();
        let addresses: Result<Vec<IpAddr>, _> =
            addresses.split(',').map(|address| bare(address).parse()).collect();
        Ok(Self::new(host, port, addresses.map_err(|_| wrong())?))
    }
}

/// Where connections begin: an address of this machine, or one of its network devices.
///
/// ```
/// let address: haul::Interface = "192.0.2.7".parse()?;
/// let device: haul::Interface = "eth0".parse()?;
/// assert_ne!(address, device);
/// # Ok::<(), haul::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Interface {
    /// The address that connections come from; only hosts with an address of the same kind can be reached.
    Address(IpAddr),
    /// The name of the device that everything goes through, on Linux.
    Device(String),
}

impl FromStr for Interface {
    type Err = Error;

    /// What is no address is the name of a device.
    fn from_str(text: &str) -> Result<Self, Error> {
        match text.parse() {
            Ok(address) => Ok(Self::Address(address)),
            Err(_) if text.is_empty() => {
                Err(Error::usage("an interface is an address of this machine or the name of a device"))
            }
            Err(_) => Ok(Self::Device(text.to_owned())),
        }
    }
}

impl Interface {
    pub(super) fn reaches(&self, peer: IpAddr) -> bool {
        match self {
            Self::Address(own) => own.is_ipv4() == peer.is_ipv4(),
            Self::Device(_) => true,
        }
    }

    /// Has a connection begin here.
    pub(super) fn bind(&self, socket: &TcpSocket) -> io::Result<()> {
        match self {
            Self::Address(own) => socket.bind(SocketAddr::new(*own, 0)),
            #[cfg(target_os = "linux")]
            Self::Device(name) => socket.bind_device(Some(name.as_bytes())),
            #[cfg(not(target_os = "linux"))]
            Self::Device(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Tries whether it is there at all, so that a mistake is told before anything is fetched.
    ///
    /// # Errors
    /// `Usage`, if nothing can begin there.
    pub(super) fn check(&self) -> Result<(), Error> {
        let (shown, v6) = match self {
            Self::Address(own) => (own.to_string(), own.is_ipv6()),
            Self::Device(name) => (name.clone(), false),
        };
        let tried = socket(v6).and_then(|socket| self.bind(&socket));
        tried.map_err(|error| {
            let shown = crate::formats::escape::for_terminal(&shown);
            Error::usage(format!("no connection can begin at {shown}: {}", crate::error::plain(&error)))
        })
    }
}

/// A socket that is not connected yet.
pub(super) fn socket(v6: bool) -> io::Result<TcpSocket> {
    if v6 { TcpSocket::new_v6() } else { TcpSocket::new_v4() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_for_a_host_counts_for_this_host_and_port() {
        let resolve: Resolve = "Host.org:443:192.0.2.1,[2001:db8::1]".parse().unwrap();
        let addresses = resolve.answers("host.ORG", 443).unwrap();
        assert_eq!(addresses, ["192.0.2.1:443".parse().unwrap(), "[2001:db8::1]:443".parse().unwrap()]);
        assert!(resolve.answers("host.org", 80).is_none() && resolve.answers("org", 443).is_none());
        for wrong in ["", "h", "h:1", "h:x:1.2.3.4", ":1:1.2.3.4", "h:1:", "h:1:name", "h:70000:1.2.3.4"] {
            assert!(wrong.parse::<Resolve>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_not_of_this_machine_is_told_at_once() {
        let check = |text: &str| text.parse::<Interface>().unwrap().check();
        check("127.0.0.1").unwrap();
        for nowhere in ["192.0.2.77", "no-such-device-0", "a-name-that-is-longer-than-any-device-may-have"] {
            assert!(check(nowhere).is_err(), "{nowhere}");
        }
    }
}
