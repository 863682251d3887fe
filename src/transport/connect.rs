//! TCP: name resolution, and a race between the addresses.

use super::strikes::{Strikes, Turn};
use super::yielder::LOWER_EFFORT;
use super::{AddressFamily, Failure, Interface, Resolve, Yielder};
use crate::error::{Cause, Error, Kind, Trouble};
use crate::plan::bare_host;
use crate::sys;
use crate::threads;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

/// Delay before the next address is tried (RFC 8305 §5: 250 ms).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);
/// Delay if the next address has failed more often: a near address that fails must not win each race.
const SECOND_CHANCE: Duration = Duration::from_secs(3);

/// Makes TCP connections according to the user's settings.
#[derive(Clone, Debug, Default)]
pub(crate) struct Dialer {
    pub(crate) resolve: Vec<Resolve>,
    pub(crate) family: AddressFamily,
    pub(crate) interface: Option<Interface>,
    /// Makes connections yield to all other traffic.
    pub(crate) yielder: Option<Arc<Yielder>>,
    /// Takes the place of the network.
    #[cfg(test)]
    pub(crate) wire: Option<super::wire::Wire>,
}

/// Context of one connection to be made.
#[derive(Clone, Copy)]
pub(super) struct Dialing<'a> {
    pub(super) dialer: &'a Dialer,
    pub(super) strikes: &'a Strikes,
    pub(super) timeout: Duration,
    pub(super) turn: Turn,
    /// Closes connections that are not needed; called if no descriptor is left.
    pub(super) make_room: &'a (dyn Fn() + Sync),
}

impl Dialing<'_> {
    /// Connects to `host`, trying its addresses one after the other, each a little later than the previous one, until
    /// one answers (RFC 8305). Dropping the future cancels all of them.
    pub(super) async fn connect(&self, host: &str, port: u16) -> Result<TcpStream, Failure> {
        let connecting = async {
            let peers = self.peers(host, port).await?;
            self.strikes.found(host, &peers);
            let peers = self.strikes.by_family(host, interleaved(peers));
            let order = self.strikes.order(peers, self.turn);
            let first = order.first().map(|(address, _)| address.is_ipv6());
            let raced = race(order, self.dialer, self.make_room).await;
            let stream = raced.map_err(|error| Failure::connecting(host, &error))?;
            if let (Some(first), Ok(winner)) = (first, stream.peer_addr())
                && winner.is_ipv6() != first
            {
                self.strikes.prefer(host, winner.is_ipv6());
            }
            Ok(stream)
        };
        let limit = self.timeout;
        match tokio::time::timeout(limit, connecting).await {
            Ok(connected) => connected,
            Err(_) => {
                let limit = limit.as_secs_f32();
                let cause = Cause::from(format!("cannot connect to {host} within {limit} s"));
                Err(Failure::Broken(cause.with_trouble(Trouble::Silent)))
            }
        }
    }

    /// Addresses of `host` that can be reached from the local end of the connection.
    async fn peers(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, Failure> {
        let mut found = self.addresses(host, port).await?;
        if let Some(interface) = &self.dialer.interface {
            found.retain(|address| interface.reaches(address.ip()));
        }
        if found.is_empty() {
            let cause = format!("{host} has no address of the kind of the local one");
            return Err(Failure::Fatal(Error::new(Kind::Network, cause)));
        }
        Ok(found)
    }

    /// Addresses of `host` that may be used, in the resolver's order.
    pub(super) async fn addresses(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, Failure> {
        let Dialer { resolve, family, .. } = self.dialer;
        let given = resolve.iter().rev().find_map(|resolve| resolve.answers(host, port));
        let mut found = match given {
            Some(given) => given,
            None => self.looked_up(host, port).await.map_err(|error| unresolved(host, &error))?,
        };
        let any = !found.is_empty();
        found.retain(|address| family.has(address.ip()));
        match found.is_empty() {
            // Retrying does not change that.
            true if any => {
                let cause = format!("{host} has no {}address", family.name());
                Err(Failure::Fatal(Error::new(Kind::Network, cause)))
            }
            true => Err(Failure::Broken(format!("cannot find the address of {host}: it has none").into())),
            false => Ok(found),
        }
    }

    async fn looked_up(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let found = look_up(bare_host(host), port).await;
        if found.is_ok() || !lacks_descriptors() {
            return found;
        }
        (self.make_room)();
        look_up(bare_host(host), port).await
    }
}

/// Creates a socket that is not connected yet.
pub(super) fn socket(v6: bool) -> io::Result<TcpSocket> {
    if v6 { TcpSocket::new_v6() } else { TcpSocket::new_v4() }
}

/// Returns true if no descriptor is left at this moment. The resolver and the TLS library do not report why they failed.
pub(super) fn lacks_descriptors() -> bool {
    socket(false).is_err_and(|error| sys::are_used_up(&error))
}

/// Asks the resolver, which blocks, on a thread of its own if there is one.
async fn look_up(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    if let Ok(ip) = host.parse() {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    let host = host.to_owned();
    let looking = threads::offload(move || (host.as_str(), port).to_socket_addrs());
    Ok(looking.await.map_err(io::Error::other)??.collect())
}

fn unresolved(host: &str, error: &io::Error) -> Failure {
    let text = error.to_string();
    let why = text.rsplit(": ").next().unwrap_or(&text).to_lowercase();
    let cause = format!("cannot find the address of {host}: {why}");
    // The standard library does not expose the code: these are EAI_NONAME and EAI_NODATA in the words of glibc and
    // musl.
    let is_certain = [
        "name or service not known",
        "no address associated with",
        "name does not resolve",
        "name has no usable address",
    ];
    match is_certain.iter().any(|words| why.contains(words)) {
        true => Failure::Nameless(Cause::of(error, cause).with_trouble(Trouble::Nameless)),
        false => Failure::Broken(Cause::of(error, cause).with_trouble(Trouble::Nameless)),
    }
}

/// The resolver's order, with alternating families, so that one broken family costs one delay.
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

async fn dial(peer: SocketAddr, from: Option<Interface>, yields: bool) -> io::Result<TcpStream> {
    let socket = socket(peer.is_ipv6())?;
    if let Some(from) = from {
        from.bind(&socket)?;
    }
    if yields {
        // A system that does not mark packets sends them all the same.
        let _ = match peer {
            SocketAddr::V4(_) => socket.set_tos_v4(LOWER_EFFORT),
            SocketAddr::V6(_) => socket.set_tclass_v6(LOWER_EFFORT),
        };
    }
    socket.connect(peer).await
}

/// Connects to the addresses in turn, each given with its number of failures. `make_room` is called if no descriptor is
/// left.
async fn race(
    addresses: Vec<(SocketAddr, u32)>,
    dialer: &Dialer,
    make_room: &(dyn Fn() + Sync),
) -> io::Result<TcpStream> {
    let mut attempts = JoinSet::new();
    let dialled = |peer: SocketAddr| {
        let (from, yields) = (dialer.interface.clone(), dialer.yielder.is_some());
        async move { dial(peer, from, yields).await.map_err(|error| (peer, error)) }
    };
    let fewest = addresses.first().map_or(0, |(_, strikes)| *strikes);
    let mut waiting = addresses.into_iter().peekable();
    let mut last_error = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    let mut has_room = false;
    if let Some((first, _)) = waiting.next() {
        attempts.spawn(dialled(first));
    }
    while !attempts.is_empty() {
        let delay = match waiting.peek() {
            Some((_, strikes)) if *strikes > fewest => SECOND_CHANCE,
            _ => ATTEMPT_DELAY,
        };
        tokio::select! {
            Some(ended) = attempts.join_next() => match ended {
                Ok(Ok(stream)) => {
                    stream.set_nodelay(true)?;
                    return Ok(stream);
                }
                Ok(Err((peer, error))) if sys::are_used_up(&error) && !has_room => {
                    has_room = true;
                    make_room();
                    attempts.spawn(dialled(peer));
                }
                Ok(Err((_, error))) => {
                    last_error = error;
                    if let Some((next, _)) = waiting.next() {
                        attempts.spawn(dialled(next));
                    }
                }
                Err(error) => return Err(io::Error::other(error)),
            },
            () = tokio::time::sleep(delay), if waiting.len() > 0 => {
                if let Some((next, _)) = waiting.next() {
                    attempts.spawn(dialled(next));
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
        // A listener with a full queue does not answer, as a black hole does not.
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
        let dialer = Dialer::default();
        let racing = race(vec![(hole, 0), (live.local_addr().unwrap(), 0)], &dialer, &|| {});
        let stream = tokio::time::timeout(Duration::from_secs(2), racing).await.unwrap().unwrap();
        assert_eq!(stream.peer_addr().unwrap(), live.local_addr().unwrap());
    }

    #[tokio::test]
    async fn a_dead_address_does_not_keep_the_next_one_waiting() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let stream = race(vec![(dead, 0), (listener.local_addr().unwrap(), 3)], &Dialer::default(), &|| {})
            .await
            .unwrap();
        assert_eq!(stream.peer_addr().unwrap(), listener.local_addr().unwrap());
    }
}
