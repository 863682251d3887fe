//! Connections that wait for their next request.

use super::connection::Connection;
use crate::plan::Origin;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Idle connections kept for one origin at most.
const IDLE: usize = 64;

/// Idle connections by origin. All of a pool share one TLS configuration and no proxy, so the origin is
/// what tells them apart; secrets live in requests, never in connections.
#[derive(Default)]
pub(super) struct Pool {
    idle: Mutex<HashMap<Origin, Vec<Connection>>>,
}

impl Pool {
    /// A connection on which the peer has not hung up, most recently used first.
    pub(super) async fn take(&self, origin: &Origin) -> Option<Connection> {
        loop {
            let mut connection = self.pop(origin)?;
            if connection.is_reusable().await {
                return Some(connection);
            }
        }
    }

    fn pop(&self, origin: &Origin) -> Option<Connection> {
        // A panic elsewhere cannot leave a list half changed.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).get_mut(origin)?.pop()
    }

    pub(super) fn put(&self, origin: Origin, mut connection: Connection) {
        connection.reused = true;
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = idle.entry(origin).or_default();
        if waiting.len() < IDLE {
            waiting.push(connection);
        }
    }
}
