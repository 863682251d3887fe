//! Connections that wait for their next request.

use super::connection::Connection;
use crate::plan::Origin;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// Idle connections kept for one peer at most.
const IDLE: usize = 64;
/// How long a connection that is being made for whoever needs one is waited for. They are all asked for at the same
/// moment, so those that have not come by then are in trouble.
const NEARLY_THERE: Duration = Duration::from_millis(100);

/// Who is at the other end of a connection, as far as that tells connections apart: all of a pool go the same way and trust
/// the same authorities, and secrets live in requests.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Peer {
    pub(super) origin: Origin,
    /// It was shown our certificate, if it asked for one.
    pub(super) knows_us: bool,
}

/// Idle connections.
#[derive(Default)]
pub(super) struct Pool {
    places: Mutex<HashMap<Peer, Place>>,
    arrived: Notify,
}

#[derive(Default)]
struct Place {
    idle: Vec<Connection>,
    /// How many are on their way that nobody has asked for yet.
    coming: usize,
}

/// A connection that will be put into the pool, or, if this is dropped, will not.
pub(super) struct Coming {
    pool: Arc<Pool>,
    peer: Peer,
}

impl Pool {
    fn lock(&self) -> MutexGuard<'_, HashMap<Peer, Place>> {
        // A panic elsewhere cannot leave a list half changed.
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection on which the peer has not hung up, most recently used first; waits a little for one that is on
    /// its way.
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

    fn pop(&self, peer: &Peer) -> Option<Connection> {
        self.lock().get_mut(peer)?.idle.pop()
    }

    fn is_one_coming(&self, peer: &Peer) -> bool {
        self.lock().get(peer).is_some_and(|place| place.coming > 0)
    }

    pub(super) fn put(&self, peer: Peer, connection: Connection) {
        let mut places = self.lock();
        let place = places.entry(peer).or_default();
        if place.idle.len() < IDLE {
            place.idle.push(connection);
        }
    }

    /// Says that as many connections are on their way as are missing where `count` are to be had: those that are idle, or
    /// are coming already, whoever wanted them, are not made once more.
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
