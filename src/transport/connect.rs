//! TCP: names to addresses, and the first address that answers.

use super::{AddressFamily, Interface, Resolve, Trouble};
use crate::error::{Error, Kind};
use crate::plan::bare_host;
use crate::threads;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::time::Duration;
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

/// How long one address may keep the next one waiting (RFC 8305 §5: 250 ms).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// Makes TCP connections, in the way that the user wants them made.
#[derive(Clone, Debug, Default)]
pub(crate) struct Dialer {
    pub(crate) timeout: Duration,
    pub(crate) resolve: Vec<Resolve>,
    pub(crate) family: AddressFamily,
    pub(crate) interface: Option<Interface>,
}

impl Dialer {
    /// Connects to `host`, trying its addresses one after the other, each a little later than the one before,
    /// until one answers (RFC 8305). Dropping the future gives up all of them.
    pub(super) async fn connect(&self, host: &str, port: u16) -> Result<TcpStream, Trouble> {
        let connecting = async {
            race(interleaved(self.peers(host, port).await?), self.interface.as_ref())
                .await
                .map_err(|error| Trouble::connecting(host, &error))
        };
        match tokio::time::timeout(self.timeout, connecting).await {
            Ok(connected) => connected,
            Err(_) => {
                let limit = self.timeout.as_secs_f32();
                Err(Trouble::Broken(format!("cannot connect to {host} within {limit} s")))
            }
        }
    }

    /// The addresses of `host` that can be connected to from where connections begin.
    async fn peers(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, Trouble> {
        let mut found = self.addresses(host, port).await?;
        if let Some(interface) = &self.interface {
            found.retain(|address| interface.reaches(address.ip()));
        }
        if found.is_empty() {
            let cause = format!("{host} has no address of the kind that --interface names");
            return Err(Trouble::Fatal(Error::new(Kind::Network, cause)));
        }
        Ok(found)
    }

    /// The addresses of `host` that may be used, in the order in which the resolver wants them to be tried.
    pub(super) async fn addresses(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, Trouble> {
        let given = self.resolve.iter().rev().find_map(|resolve| resolve.answers(host, port));
        let mut found = match given {
            Some(given) => given,
            None => {
                let found = look_up(bare_host(host), port).await;
                found.map_err(|error| unresolved(host, &error))?
            }
        };
        let any = !found.is_empty();
        found.retain(|address| self.family.has(address.ip()));
        match found.is_empty() {
            // Nothing that is tried again changes that.
            true if any => {
                let cause = format!("{host} has no {}address", self.family.name());
                Err(Trouble::Fatal(Error::new(Kind::Network, cause)))
            }
            true => Err(Trouble::Broken(format!("cannot find the address of {host}: it has none"))),
            false => Ok(found),
        }
    }
}

/// A socket that is not connected yet.
pub(super) fn socket(v6: bool) -> io::Result<TcpSocket> {
    if v6 { TcpSocket::new_v6() } else { TcpSocket::new_v4() }
}

/// What the resolver says; it blocks, and has a thread for that where there is one.
async fn look_up(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    if let Ok(ip) = host.parse() {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    let host = host.to_owned();
    let looking = threads::offload(move || (host.as_str(), port).to_socket_addrs());
    Ok(looking.await.map_err(io::Error::other)??.collect())
}

fn unresolved(host: &str, error: &io::Error) -> Trouble {
    let text = error.to_string();
    let why = text.rsplit(": ").next().unwrap_or(&text).to_lowercase();
    Trouble::Broken(format!("cannot find the address of {host}: {why}"))
}

/// The resolver's order, with the families taking turns, so that one broken family costs one delay.
fn interleaved(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (preferred, other): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == first_is_v6);
    let mut other = other.into_iter();
    let mut order = Vec::new();
    for address in preferred {
        order.push(address);
        order.extend(other.next());
    }
    order.extend(other);
    order
}

async fn dial(peer: SocketAddr, from: Option<Interface>) -> io::Result<TcpStream> {
    match from {
        None => TcpStream::connect(peer).await,
        Some(from) => {
            let socket = socket(peer.is_ipv6())?;
            from.bind(&socket)?;
            socket.connect(peer).await
        }
    }
}

async fn race(addresses: Vec<SocketAddr>, from: Option<&Interface>) -> io::Result<TcpStream> {
    let mut attempts = JoinSet::new();
    let mut waiting = addresses.into_iter();
    let mut last_error = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    if let Some(first) = waiting.next() {
        attempts.spawn(dial(first, from.cloned()));
    }
    while !attempts.is_empty() {
        tokio::select! {
            Some(ended) = attempts.join_next() => match ended {
                Ok(Ok(stream)) => {
                    stream.set_nodelay(true)?;
                    return Ok(stream);
                }
                Ok(Err(error)) => {
                    last_error = error;
                    if let Some(next) = waiting.next() {
                        attempts.spawn(dial(next, from.cloned()));
                    }
                }
                Err(error) => return Err(io::Error::other(error)),
            },
            () = tokio::time::sleep(ATTEMPT_DELAY), if waiting.len() > 0 => {
                if let Some(next) = waiting.next() {
                    attempts.spawn(dial(next, from.cloned()));
                }
            }
        }
    }
    Err(last_error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_families_take_turns() {
        let parse =
            |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<SocketAddr>>();
        let order = interleaved(parse(&["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1", "2.2.2.2:1"]));
        assert_eq!(order, parse(&["[::1]:1", "1.1.1.1:1", "[::2]:1", "2.2.2.2:1", "[::3]:1"]));
    }

    // T047
    #[tokio::test]
    async fn an_address_that_swallows_everything_does_not_keep_the_next_one_waiting_for_long() {
        // A listener whose queue is full answers nobody: what a black hole looks like from here.
        let full = tokio::net::TcpSocket::new_v4().unwrap();
        full.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let full = full.listen(1).unwrap();
        let hole = full.local_addr().unwrap();
        let (mut waiting, mut swallowed) = (Vec::new(), false);
        while !swallowed && waiting.len() < 64 {
            match tokio::time::timeout(Duration::from_millis(200), TcpStream::connect(hole)).await {
                Ok(connected) => waiting.push(connected.unwrap()),
                Err(_) => swallowed = true,
            }
        }
        assert!(swallowed, "the queue is not full");
        let live = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let racing = race(vec![hole, live.local_addr().unwrap()], None);
        let stream = tokio::time::timeout(Duration::from_secs(2), racing).await.unwrap().unwrap();
        assert_eq!(stream.peer_addr().unwrap(), live.local_addr().unwrap());
    }

    #[tokio::test]
    async fn a_dead_address_does_not_keep_the_next_one_waiting() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let stream = race(vec![dead, listener.local_addr().unwrap()], None).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), listener.local_addr().unwrap());
    }
}
