//! Local end of connections.

use super::connect::socket;
use crate::error::Error;
use crate::formats::{escape, redaction};
use crate::sys;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use tokio::net::TcpSocket;

/// Local end of connections: an address of this machine, or one of its network devices.
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
    /// The source address of connections; only hosts with an address of the same family can be reached.
    Address(IpAddr),
    /// The name of the network device that all connections use, on Linux; elsewhere no client can be made with it.
    Device(String),
}

impl FromStr for Interface {
    type Err = Error;

    /// Anything that is not an address is the name of a device.
    ///
    /// # Errors
    /// `Usage` for an empty text.
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

    /// Binds a socket to it.
    pub(super) fn bind(&self, socket: &TcpSocket) -> io::Result<()> {
        match self {
            Self::Address(own) => socket.bind(SocketAddr::new(*own, 0)),
            Self::Device(name) => sys::bind_device(socket, name),
        }
    }

    /// Checks that it exists, so that a mistake is reported before anything is fetched.
    ///
    /// # Errors
    /// `Usage`, if no socket can be bound to it.
    pub(super) fn check(&self) -> Result<(), Error> {
        let (shown, v6) = match self {
            Self::Address(own) => (own.to_string(), own.is_ipv6()),
            Self::Device(name) => (redaction::named(name).into_owned(), false),
        };
        let tried = socket(v6).and_then(|socket| self.bind(&socket));
        tried.map_err(|error| {
            let shown = escape::for_terminal(&shown);
            Error::usage(format!("no connection can begin at {shown}: {}", crate::error::plain(&error)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_of_this_machine_is_told_at_once() {
        let check = |text: &str| text.parse::<Interface>().unwrap().check();
        check("127.0.0.1").unwrap();
        for nowhere in ["192.0.2.77", "no-such-device-0", "a-name-that-is-longer-than-any-device-may-have"] {
            assert!(check(nowhere).is_err(), "{nowhere}");
        }
    }
}
