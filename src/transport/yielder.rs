//! Yielding connections: their receive windows follow the delay on the way (`plan/yielding`).

use crate::plan::yielding::{Signal, Yielding};
use crate::sys::tcp;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::Instant;

/// Time between two looks at a connection.
const LOOK: Duration = Duration::from_millis(5);
/// A connection that has received nothing for this long has no part in the window.
const IDLE: Duration = Duration::from_millis(250);
/// Addresses that are told apart.
const MOST_PEERS: usize = 256;
/// Type of service of traffic that gives way to all other (lower effort, RFC 8622).
pub(super) const LOWER_EFFORT: u32 = 1 << 2;

/// All yielding connections of a client, which share one window.
#[derive(Debug)]
pub(crate) struct Yielder {
    began: Instant,
    state: Mutex<State>,
    /// Window of each connection, for those that have no reason to take the lock.
    window: AtomicU32,
    flows: AtomicU64,
}

#[derive(Debug)]
struct State {
    plan: Yielding,
    /// When each connection last received something.
    received: HashMap<u64, Instant>,
    /// Numbers of the peers.
    peers: HashMap<IpAddr, u32>,
    last_peer: u32,
}

impl Yielder {
    pub(crate) fn new() -> Arc<Self> {
        let plan = Yielding::new(Duration::ZERO);
        let window = AtomicU32::new(plan.window());
        let state = Mutex::new(State { plan, received: HashMap::new(), peers: HashMap::new(), last_peer: 0 });
        Arc::new(Self { began: Instant::now(), state, window, flows: AtomicU64::new(0) })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Plain numbers: a panic elsewhere cannot leave them half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True if the line is full, so that more connections are of no use.
    pub(crate) fn is_full(&self) -> bool {
        self.lock().plan.is_full()
    }

    /// True while others are on the line, so that a low rate says nothing about the server.
    pub(crate) fn is_aside(&self) -> bool {
        self.lock().plan.is_aside()
    }

    /// Takes part with one more connection, whose window is bounded from now on.
    pub(super) fn join(self: &Arc<Self>, at: Option<IpAddr>, socket: &TcpStream) -> Flow {
        let peer = {
            let mut state = self.lock();
            if state.peers.len() >= MOST_PEERS {
                state.peers.clear();
            }
            state.last_peer = state.last_peer.wrapping_add(1);
            let next = state.last_peer;
            at.map_or(0, |at| *state.peers.entry(at).or_insert(next))
        };
        let id = self.flows.fetch_add(1, Ordering::Relaxed);
        let flow = Flow { yielder: self.clone(), id, peer, looked: None, bytes: 0 };
        // A system without it yields by its type of service alone.
        let _ = tcp::clamp_window(socket, self.window.load(Ordering::Relaxed));
        flow
    }
}

/// A connection's part. Dropping it leaves the window to the others.
#[derive(Debug)]
pub(super) struct Flow {
    yielder: Arc<Yielder>,
    id: u64,
    peer: u32,
    looked: Option<Instant>,
    /// Bytes received since the last look.
    bytes: u64,
}

impl Flow {
    /// So many bytes have come on the connection.
    pub(super) fn received(&mut self, bytes: usize, socket: &TcpStream) {
        self.bytes += bytes as u64;
        let now = Instant::now();
        if self.looked.is_some_and(|looked| now - looked < LOOK) {
            return;
        }
        self.looked = Some(now);
        let tcp::Received { round_trip, packet } = tcp::received(socket);
        let signal =
            Signal { peer: self.peer, round_trip, received: std::mem::take(&mut self.bytes), packet };
        let window = {
            let mut state = self.yielder.lock();
            state.received.insert(self.id, now);
            state.received.retain(|_, received| now - *received < IDLE);
            let connections = state.received.len();
            state.plan.observe(signal, connections, now - self.yielder.began);
            state.plan.window()
        };
        self.yielder.window.store(window, Ordering::Relaxed);
        // Each time: the kernel raises the bound by itself as it makes the buffer larger.
        let _ = tcp::clamp_window(socket, window);
    }
}

impl Drop for Flow {
    fn drop(&mut self) {
        self.yielder.lock().received.remove(&self.id);
    }
}
