//! Pool of idle connections.

use super::connection::Connection;
use super::peer::Peer;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Maximum number of idle connections for one peer, and for all of them.
const IDLE: usize = 64;
const IDLE_IN_ALL: usize = 128;
/// Maximum idle time: servers close idle connections after a while, and a descriptor is worth more than a handshake.
const OLDEST: Duration = Duration::from_secs(60);
/// Timeout for a connection that is being opened in advance. All of them are started at the same moment, so those that
/// have not arrived by then are in trouble.
const NEARLY_THERE: Duration = Duration::from_millis(100);

/// Idle connections.
#[derive(Default)]
pub(super) struct Pool {
    places: Mutex<HashMap<Peer, Place>>,
    arrived: Notify,
    most: OnceLock<usize>,
}

#[derive(Default)]
struct Place {
    /// Idle connections, each with the time since when; the oldest first.
    idle: Vec<(Instant, Connection)>,
    /// Number of connections that are being opened in advance.
    coming: usize,
}

/// A connection that will be put into the pool, unless this is dropped before.
pub(super) struct Coming {
    pool: Arc<Pool>,
    peer: Peer,
}

impl Pool {
    fn lock(&self) -> MutexGuard<'_, HashMap<Peer, Place>> {
        // A panic elsewhere cannot leave a list half changed.
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a connection that the peer has not closed, most recently used first; waits briefly for one that is on its
    /// way.
    pub(super) async fn take(&self, peer: &Peer) -> Option<Connection> {
        let waiting = tokio::time::sleep(NEARLY_THERE);
        let mut waiting = std::pin::pin!(waiting);
        loop {
            let mut arrived = std::pin::pin!(self.arrived.notified());
            arrived.as_mut().enable();
            match self.pop(peer) {
                Some(mut connection) => {
                    if connection.is_reusable().await {
                        return Some(connection);
                    }
                }
                None if !self.is_one_coming(peer) => return None,
                None => tokio::select! {
                    () = &mut arrived => {}
                    () = &mut waiting => return None,
                },
            }
        }
    }

    /// Maximum number of idle connections over all peers: a quarter of the descriptors at most, since files and
    /// connections in use need the rest.
    fn most(&self) -> usize {
        *self.most.get_or_init(|| IDLE_IN_ALL.min(crate::sys::descriptor_limit() / 4))
    }

    fn pop(&self, peer: &Peer) -> Option<Connection> {
        let mut places = self.lock();
        let (since, connection) = places.get_mut(peer)?.idle.pop()?;
        (since.elapsed() < OLDEST).then_some(connection)
    }

    /// Closes all idle connections, to free their descriptors.
    pub(super) fn clear(&self) {
        self.retain(|_, _| false);
    }

    /// Closes the idle connections to an address that has failed.
    pub(super) fn forget(&self, address: SocketAddr) {
        self.retain(|_, connection| connection.at != address);
    }

    /// Closes the idle connections of one peer.
    pub(super) fn close_idle(&self, peer: &Peer) {
        let mut places = self.lock();
        let closed = places.get_mut(peer).map(|place| std::mem::take(&mut place.idle));
        // Closed after the lock is released.
        drop(places);
        drop(closed);
    }

    fn retain(&self, mut keep: impl FnMut(Instant, &Connection) -> bool) {
        // Closed after the lock is released.
        let mut closed = Vec::new();
        let mut places = self.lock();
        for place in places.values_mut() {
            closed.extend(place.idle.extract_if(.., |(since, connection)| !keep(*since, connection)));
        }
        places.retain(|_, place| !place.idle.is_empty() || place.coming > 0);
        drop(places);
    }

    fn is_one_coming(&self, peer: &Peer) -> bool {
        self.lock().get(peer).is_some_and(|place| place.coming > 0)
    }

    pub(super) fn put(&self, peer: Peer, connection: Connection) {
        let mut places = self.lock();
        let place = places.entry(peer).or_default();
        if place.idle.len() < IDLE {
            place.idle.push((Instant::now(), connection));
        }
        let idle: usize = places.values().map(|place| place.idle.len()).sum();
        let since = |place: &Place| place.idle.first().map(|(since, _)| *since);
        let oldest = places.values().filter_map(since).min();
        drop(places);
        match oldest {
            Some(oldest) if idle > self.most() => self.retain(|since, _| since > oldest),
            Some(oldest) if oldest.elapsed() >= OLDEST => self.retain(|since, _| since.elapsed() < OLDEST),
            _ => {}
        }
    }

    /// Announces as many connections as are missing to have `count` of them: those that are idle or on their way
    /// already are not opened once more.
    pub(super) fn expect(self: &Arc<Self>, peer: &Peer, count: usize) -> Vec<Coming> {
        let missing = {
            let mut places = self.lock();
            let place = places.entry(peer.clone()).or_default();
            let missing = count.saturating_sub(place.idle.len() + place.coming);
            place.coming += missing;
            missing
        };
        (0..missing).map(|_| Coming { pool: self.clone(), peer: peer.clone() }).collect()
    }
}

impl Coming {
    pub(super) fn arrive(self, connection: Connection) {
        self.pool.put(self.peer.clone(), connection);
    }
}

impl Drop for Coming {
    fn drop(&mut self) {
        if let Some(place) = self.pool.lock().get_mut(&self.peer) {
            place.coming -= 1;
        }
        self.pool.arrived.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::super::socket::{Line, Socket, Stream};
    use super::*;
    use crate::plan::Origin;
    use tokio::net::{TcpListener, TcpStream};

    /// Connections to one listener, and their accepted ends, kept open.
    struct Peers(TcpListener, Vec<TcpStream>);

    impl Peers {
        async fn new() -> Self {
            Self(TcpListener::bind("127.0.0.1:0").await.unwrap(), Vec::new())
        }

        async fn connection(&mut self) -> Connection {
            let at = self.0.local_addr().unwrap();
            let stream = TcpStream::connect(at).await.unwrap();
            self.1.push(self.0.accept().await.unwrap().0);
            let socket = Socket::new(Stream::Plain(Line::Tcp(stream)));
            Connection::open(socket, None, at, None).await.unwrap()
        }
    }

    fn peer(number: usize) -> Peer {
        let origin = Origin { https: false, host: format!("host{number}"), port: 80 };
        Peer { origin, knows_us: false, proxy: None }
    }

    fn idle(pool: &Pool) -> usize {
        pool.lock().values().map(|place| place.idle.len()).sum()
    }

    #[tokio::test]
    async fn idle_connections_are_bounded_over_all_origins_and_the_oldest_go() {
        let (mut peers, pool) = (Peers::new().await, Pool::default());
        let most = pool.most();
        assert!((1..=IDLE_IN_ALL).contains(&most));
        for number in 0..most + 20 {
            pool.put(peer(number), peers.connection().await);
            assert!(idle(&pool) <= most, "{number}");
        }
        assert!(pool.take(&peer(0)).await.is_none());
        assert!(pool.take(&peer(most + 19)).await.is_some());
        for _ in 0..IDLE + 20 {
            pool.put(peer(7), peers.connection().await);
        }
        assert!(pool.lock()[&peer(7)].idle.len() <= IDLE);
        pool.clear();
        assert!(pool.lock().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_has_an_age() {
        let (mut peers, pool) = (Peers::new().await, Pool::default());
        pool.put(peer(1), peers.connection().await);
        tokio::time::advance(OLDEST / 2).await;
        pool.put(peer(2), peers.connection().await);
        tokio::time::advance(OLDEST / 2).await;
        assert!(pool.take(&peer(1)).await.is_none());
        // The next connection that is put back sweeps those that are not used any more.
        tokio::time::advance(OLDEST / 2).await;
        pool.put(peer(3), peers.connection().await);
        assert_eq!(idle(&pool), 1);
        assert!(pool.take(&peer(3)).await.is_some());
    }

    #[tokio::test]
    async fn connections_to_an_address_that_failed_are_forgotten() {
        let (mut one, mut other, pool) = (Peers::new().await, Peers::new().await, Pool::default());
        pool.put(peer(1), one.connection().await);
        pool.put(peer(1), other.connection().await);
        pool.forget(one.0.local_addr().unwrap());
        let left = pool.take(&peer(1)).await.unwrap();
        assert_eq!(left.at, other.0.local_addr().unwrap());
        assert!(pool.take(&peer(1)).await.is_none());
    }
}
