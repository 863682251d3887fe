//! A connection that a request is sent on: HTTP/1.1, driven only by the task that holds it, or a part of an HTTP/2
//! connection, which others use too.

use super::Failure;
use super::failure::{HEADERS, Party};
use super::forwarded::Forwarded;
use super::multiplex::Multiplexed;
use super::prompt::Prompt;
use super::socket::{Budget, Socket};
use bytes::Bytes;
use http::{HeaderMap, Request, Response, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

/// Maximum size of a read in bytes: it starts small, for short responses, and doubles as long as there is more. Large
/// enough that a fast line costs few wake-ups, small enough that many connections stay within bounds.
const READ_BYTES: usize = 512 << 10;
/// Maximum with TLS: each read clears its whole buffer first, and a record has 16 KiB at most.
const TLS_READ_BYTES: usize = 128 << 10;

/// A connection and the machine that drives it. hyper requires the machine to be polled while a request is in flight;
/// it is polled here, by the waiting task, so that no byte crosses tasks on its way to the file.
pub(super) struct Connection {
    way: Way,
    /// Challenge that its server sent on it.
    pub(super) prompt: Option<Prompt>,
    /// Set if a proxy makes the requests that are sent on it.
    pub(super) forwarded: Option<Forwarded>,
    /// Address of the peer: the server, or the proxy before it.
    pub(super) at: SocketAddr,
    /// Version of TLS to the server, if there is TLS.
    pub(super) tls: Option<&'static str>,
}

enum Way {
    Own(Box<Own>),
    Shared(Arc<Multiplexed>),
}

/// An HTTP/1.1 connection and its machine.
struct Own {
    sender: http1::SendRequest<Full<Bytes>>,
    machine: Machine,
    budget: Budget,
    /// True after a response with an ambiguous end.
    spent: bool,
}

impl Connection {
    /// Opens a connection on a socket. Reads are limited to `read_size` bytes, if given.
    pub(super) async fn open(
        socket: Socket,
        forwarded: Option<Forwarded>,
        at: SocketAddr,
        read_size: Option<usize>,
    ) -> Result<Self, Failure> {
        let (budget, tls) = (socket.budget.clone(), socket.stream.tls());
        let size = if socket.is_plain() { READ_BYTES } else { TLS_READ_BYTES };
        let (sender, machine) = http1::Builder::new()
            .max_buf_size(read_size.map_or(size, |most| most.min(size)))
            .max_headers(HEADERS)
            .handshake(socket)
            .await
            .map_err(|error| Failure::from_hyper(&error))?;
        let machine = Machine { inner: Box::pin(machine), closed: false, fault: None };
        let way = Way::Own(Box::new(Own { sender, machine, budget, spent: false }));
        Ok(Self { way, prompt: None, forwarded, at, tls })
    }

    /// A part of a connection that others use too.
    pub(super) fn on(shared: Arc<Multiplexed>) -> Self {
        let (at, tls) = (shared.at, shared.tls);
        Self { way: Way::Shared(shared), prompt: None, forwarded: None, at, tls }
    }

    /// The connection that others use too, if it is a part of one: then it is not kept for later requests.
    pub(super) fn shared(&self) -> Option<&Arc<Multiplexed>> {
        match &self.way {
            Way::Own(_) => None,
            Way::Shared(shared) => Some(shared),
        }
    }

    pub(super) fn is_shared(&self) -> bool {
        self.shared().is_some()
    }

    /// Sends a request and waits for the response headers.
    pub(super) async fn send(
        &mut self,
        host: &str,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, Failure> {
        let own = match &mut self.way {
            Way::Own(own) => own,
            Way::Shared(shared) => return shared.send(host, request).await,
        };
        own.budget.for_head();
        let answered = own.machine.drive(own.sender.send_request(request)).await;
        let response = answered.map_err(|error| {
            // If the machine broke before it had taken the request, only it knows the reason.
            let fault = own.machine.fault.as_ref().filter(|_| error.is_canceled());
            let proxy = self.forwarded.as_ref().map(|forwarded| Party::Proxy(&forwarded.proxy));
            Failure::from_party(&proxy.unwrap_or(Party::Server(host)), fault.unwrap_or(&error))
        })?;
        own.budget.for_body();
        own.spent |= leaves_its_end_open(response.headers());
        Ok(response)
    }

    /// Returns true if the server itself was asked, and has sent nothing.
    pub(super) fn is_unanswered(&self) -> bool {
        let untouched = matches!(&self.way, Way::Own(own) if own.budget.is_untouched());
        self.forwarded.is_none() && untouched
    }

    /// Drives the connection while `future` waits on it.
    pub(super) async fn during<F: Future>(&mut self, future: F) -> F::Output {
        match &mut self.way {
            Way::Own(own) => own.machine.drive(future).await,
            Way::Shared(_) => future.await,
        }
    }

    /// Returns true if the next request may use it; polls the machine, which notices a close by the peer.
    pub(super) async fn is_reusable(&mut self) -> bool {
        let Own { sender, machine, spent, .. } = match &mut self.way {
            Way::Own(own) => &mut **own,
            Way::Shared(shared) => return shared.is_open(),
        };
        if *spent {
            return false;
        }
        let mut ready = pin!(sender.ready());
        poll_fn(|cx| {
            machine.poll(cx);
            if machine.closed {
                return Poll::Ready(false);
            }
            // If it is not ready at once, the previous exchange is not over.
            Poll::Ready(matches!(ready.as_mut().poll(cx), Poll::Ready(Ok(()))))
        })
        .await
    }
}

/// Returns true if two recipients of this response may find its end in two places: bytes after it on the connection
/// could then come from anybody (RFC 9112 §6.1). hyper itself refuses transfer codings in HTTP/1.0.
fn leaves_its_end_open(headers: &HeaderMap) -> bool {
    headers.contains_key(header::TRANSFER_ENCODING) && headers.contains_key(header::CONTENT_LENGTH)
}

/// Moves the bytes of a connection while it is polled.
struct Machine {
    inner: Pin<Box<http1::Connection<Socket, Full<Bytes>>>>,
    closed: bool,
    /// Reason of an abnormal end.
    fault: Option<hyper::Error>,
}

impl Machine {
    fn poll(&mut self, cx: &mut Context<'_>) {
        if self.closed {
            return;
        }
        if let Poll::Ready(ended) = self.inner.as_mut().poll(cx) {
            (self.closed, self.fault) = (true, ended.err());
        }
    }

    async fn drive<F: Future>(&mut self, future: F) -> F::Output {
        let mut future = pin!(future);
        poll_fn(|cx| {
            // Its errors mostly come out of the future as well, where they can be told apart.
            self.poll(cx);
            future.as_mut().poll(cx)
        })
        .await
    }
}
