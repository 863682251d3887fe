//! One HTTP/1.1 connection, and the only task that touches it: whoever holds it.

use super::Trouble;
use super::prompt::Prompt;
use super::socket::{Budget, Socket};
use super::trouble::Party;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, header};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

/// How much is asked of the socket at once, at the most: it begins with little, for answers that are short, and doubles
/// as long as there is more. Large enough that a fast line costs few wake-ups, small enough that many connections stay
/// within bounds.
const READ_BYTES: usize = 512 << 10;
/// With TLS each read clears its whole buffer first, and a record has 16 KiB at most.
const TLS_READ_BYTES: usize = 128 << 10;
/// More header fields than this are an attack (hyper's own default).
pub(super) const HEADERS: usize = 100;

/// A connection and the machine that drives it. hyper wants the machine polled while a request is under way;
/// it is polled here, by the one who waits, so that no byte crosses a task on its way to the file.
pub(super) struct Connection {
    sender: http1::SendRequest<Empty<Bytes>>,
    machine: Machine,
    budget: Budget,
    /// What its server asked for on it.
    pub(super) prompt: Option<Prompt>,
    /// An answer on it left open where it ends.
    spent: bool,
    /// Set where a proxy makes the requests that are sent on it.
    pub(super) forwarded: Option<Forwarded>,
    /// What it is connected to: the server, or the proxy before it.
    pub(super) at: SocketAddr,
}

/// Requests on such a connection go to a proxy, which is told the whole URL and, where it wants them, its own
/// credentials.
#[derive(Clone, Debug)]
pub(super) struct Forwarded {
    /// The proxy's host.
    pub(super) proxy: String,
    pub(super) authorization: Option<HeaderValue>,
}

impl Connection {
    /// At most `read_size` bytes are read at once, if that is given.
    pub(super) async fn open(
        socket: Socket,
        forwarded: Option<Forwarded>,
        at: SocketAddr,
        read_size: Option<usize>,
    ) -> Result<Self, Trouble> {
        let budget = socket.budget.clone();
        let size = match socket.stream {
            super::socket::Stream::Plain(_) => READ_BYTES,
            super::socket::Stream::Tls(_) => TLS_READ_BYTES,
        };
        let (sender, machine) = http1::Builder::new()
            .max_buf_size(read_size.map_or(size, |most| most.min(size)))
            .max_headers(HEADERS)
            .handshake(socket)
            .await
            .map_err(|error| Trouble::from_hyper(&error))?;
        let machine = Machine { inner: Box::pin(machine), closed: false, fault: None };
        Ok(Self { sender, machine, budget, prompt: None, spent: false, forwarded, at })
    }

    /// Sends a request and waits for the head of its answer.
    pub(super) async fn send(
        &mut self,
        host: &str,
        request: Request<Empty<Bytes>>,
    ) -> Result<Response<Incoming>, Trouble> {
        self.budget.for_head();
        let answered = self.machine.drive(self.sender.send_request(request)).await;
        let response = answered.map_err(|error| {
            // Where the machine broke before it had taken the request, it alone knows why.
            let fault = self.machine.fault.as_ref().filter(|_| error.is_canceled());
            let proxy = self.forwarded.as_ref().map(|forwarded| Party::Proxy(&forwarded.proxy));
            Trouble::from_party(&proxy.unwrap_or(Party::Server(host)), fault.unwrap_or(&error))
        })?;
        self.budget.for_body();
        self.spent |= leaves_its_end_open(response.headers());
        Ok(response)
    }

    /// Whether the server itself was asked, and has not said a word.
    pub(super) fn is_unanswered(&self) -> bool {
        self.forwarded.is_none() && self.budget.is_untouched()
    }

    /// Waits for `future`, which wants something of the connection.
    pub(super) async fn during<F: Future>(&mut self, future: F) -> F::Output {
        self.machine.drive(future).await
    }

    /// Whether the next request may use it, found out by letting the machine notice what the peer did.
    pub(super) async fn is_reusable(&mut self) -> bool {
        let Self { sender, machine, spent, .. } = self;
        if *spent {
            return false;
        }
        let mut ready = pin!(sender.ready());
        poll_fn(|cx| {
            machine.poll(cx);
            if machine.closed {
                return Poll::Ready(false);
            }
            // Anything but ready at once means that the exchange before is not over.
            Poll::Ready(matches!(ready.as_mut().poll(cx), Poll::Ready(Ok(()))))
        })
        .await
    }
}

/// Whether two who read this answer may find its end in two places: what follows on the connection could then be anybody's
/// (RFC 9112 §6.1). hyper itself refuses transfer codings in HTTP/1.0.
fn leaves_its_end_open(headers: &HeaderMap) -> bool {
    headers.contains_key(header::TRANSFER_ENCODING) && headers.contains_key(header::CONTENT_LENGTH)
}

/// What moves the bytes of a connection while it is polled.
struct Machine {
    inner: Pin<Box<http1::Connection<Socket, Empty<Bytes>>>>,
    closed: bool,
    /// Why it ended, if not in order.
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
