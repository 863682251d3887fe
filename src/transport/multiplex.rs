//! HTTP/2 connections, each shared by many requests at once. They serve many small files from far away, where the number of
//! requests under way is what counts, and a server allows few connections. A large file gains nothing from them.

use super::Failure;
use super::failure::Party;
use super::peer::Peer;
use super::socket::Socket;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http2;
use std::collections::HashMap;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::OwnedMutexGuard;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Receive windows in bytes: of a request, as large as a small file, and of a connection, for as many as there may be at once.
const STREAM_WINDOW: u32 = 512 << 10;
const CONNECTION_WINDOW: u32 = 16 << 20;
/// Connections in a row that answered nothing after which a peer is asked over HTTP/1.1 for good.
const FAILURES: u32 = 4;
/// Connections that may be open; beyond that, idle ones are closed.
const MOST_OPEN: usize = 16;
/// Time for an opening.
pub(super) const LONGEST_OPENING: Duration = Duration::from_secs(3);
/// Time that a request waits for another one to open the connection.
const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// Time from an opening that failed to the next, doubled each time.
pub(super) const PAUSE: Duration = Duration::from_millis(500);
/// Maximum size of the headers of a response.
const HEAD_BYTES: u32 = 64 << 10;

/// An HTTP/2 connection. Dropping the last handle closes it.
pub(super) struct Multiplexed {
    sender: http2::SendRequest<Full<Bytes>>,
    pub(super) at: SocketAddr,
    /// Version of TLS.
    pub(super) tls: Option<&'static str>,
    /// Set once a request on it broke: those under way may end, and later ones have another connection.
    spent: AtomicBool,
    /// Owns the task that moves the bytes: dropping it ends the task.
    _tasks: Arc<Mutex<JoinSet<()>>>,
}

/// Runs hyper's tasks in the set of their connection, which they must not keep alive.
#[derive(Clone)]
struct Tasks(Weak<Mutex<JoinSet<()>>>);

impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for Tasks {
    fn execute(&self, task: F) {
        if let Some(tasks) = self.0.upgrade() {
            let mut tasks = tasks.lock().unwrap_or_else(PoisonError::into_inner);
            while tasks.try_join_next().is_some() {}
            tasks.spawn(task);
        }
    }
}

impl Multiplexed {
    /// Opens a connection on a socket whose peer has chosen HTTP/2.
    pub(super) async fn open(socket: Socket, at: SocketAddr) -> Result<Self, Failure> {
        socket.budget.for_body();
        let tls = socket.stream.tls();
        let tasks: Arc<Mutex<JoinSet<()>>> = Arc::default();
        let (sender, machine) = http2::Builder::new(Tasks(Arc::downgrade(&tasks)))
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(HEAD_BYTES)
            .handshake(socket)
            .await
            .map_err(|error| Failure::from_hyper(&error))?;
        let moving = async move {
            // Each request on the connection has its own error.
            let _ = machine.await;
        };
        tasks.lock().unwrap_or_else(PoisonError::into_inner).spawn(moving);
        Ok(Self { sender, at, tls, spent: AtomicBool::new(false), _tasks: tasks })
    }

    /// Returns true if requests may be sent on it.
    pub(super) fn is_open(&self) -> bool {
        !self.sender.is_closed() && !self.spent.load(Ordering::Relaxed)
    }

    /// Sends a request, with the whole URL as its target, and waits for the headers of its response. Dropping the future, or the
    /// body of the response, resets this request alone.
    pub(super) async fn send(
        &self,
        host: &str,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, Failure> {
        let answered = self.sender.clone().send_request(request).await;
        answered.map_err(|error| Failure::from_party(&Party::Server(host), &error))
    }
}

/// The connection of a peer, as far as that is known.
#[derive(Clone, Default)]
pub(super) enum Shared {
    #[default]
    Unknown,
    Open(Arc<Multiplexed>),
    /// It could not be opened, as if the server serves no more connections now: tried again from then on.
    Later {
        at: Instant,
        failures: u32,
    },
    /// The peer speaks HTTP/1.1 only, or has failed with HTTP/2.
    Never,
}

/// Shared connections by peer.
#[derive(Default)]
pub(super) struct Multiplexes {
    places: Mutex<HashMap<Peer, Arc<Place>>>,
}

#[derive(Default)]
struct Place {
    shared: Arc<tokio::sync::Mutex<Shared>>,
    /// True while it is open, for those that need not wait for the lock.
    is_open: AtomicBool,
    /// Connections that broke since the last request that was answered.
    failures: AtomicU32,
}

impl Multiplexes {
    fn of(&self, peer: &Peer) -> Arc<Place> {
        // Whole entries: a panic elsewhere cannot leave them half changed.
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        places.entry(peer.clone()).or_default().clone()
    }

    fn is_crowded(&self) -> bool {
        let places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        // Most runs know a few peers, and count nothing for each request.
        places.len() > MOST_OPEN
            && places.values().filter(|place| place.is_open.load(Ordering::Relaxed)).count() > MOST_OPEN
    }

    /// Locks the connection of a peer: one opens it while the others wait.
    /// `None` if that takes long: then a request has a connection of its own.
    pub(super) async fn place(&self, peer: &Peer) -> Option<OwnedMutexGuard<Shared>> {
        if self.is_crowded() {
            self.close_idle();
        }
        let place = self.of(peer);
        let locking = place.shared.clone().lock_owned();
        let mut shared = tokio::time::timeout(LONGEST_WAIT, locking).await.ok()?;
        if place.failures.load(Ordering::Relaxed) >= FAILURES {
            *shared = Shared::Never;
            place.is_open.store(false, Ordering::Relaxed);
        }
        Some(shared)
    }

    /// Closes the connections without requests.
    pub(super) fn close_idle(&self) {
        let places: Vec<_> = {
            let places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
            places.values().cloned().collect()
        };
        for place in places {
            // A connection that is being opened is not idle.
            if let Ok(mut shared) = place.shared.try_lock()
                && matches!(&*shared, Shared::Open(open) if Arc::strong_count(open) == 1)
            {
                *shared = Shared::Unknown;
                place.is_open.store(false, Ordering::Relaxed);
            }
        }
    }

    /// Records that the connection of a peer was opened, or was not.
    pub(super) fn opened(&self, peer: &Peer, opened: bool) {
        self.of(peer).is_open.store(opened, Ordering::Relaxed);
    }

    /// Returns true if the peer's requests share a connection, so that idle ones are of no use.
    pub(super) fn serve(&self, peer: &Peer) -> bool {
        let places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        places.get(peer).is_some_and(|place| place.is_open.load(Ordering::Relaxed))
    }

    /// Records if a request on the connection was answered. What breaks several requests at once, such as a connection that goes
    /// away, counts once.
    pub(super) fn ended(&self, peer: &Peer, connection: &Multiplexed, answered: bool) {
        let place = self.of(peer);
        if answered {
            place.failures.store(0, Ordering::Relaxed);
        } else if !connection.spent.swap(true, Ordering::Relaxed) {
            place.failures.fetch_add(1, Ordering::Relaxed);
        }
    }
}
