//! A response, and its body on the connection that it comes on.

use super::Failure;
use super::connection::Connection;
use super::links::Links;
use super::peer::Peer;
use crate::plan::Address;
use bytes::Bytes;
use http::{HeaderMap, StatusCode, Version, header};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use std::sync::Arc;
use std::time::Duration;

/// Limits of a refusal's body, in bytes and time, beyond which a new connection costs less than reading on.
const LARGEST_REFUSAL: usize = 64 << 10;
const LONGEST_REFUSAL: Duration = Duration::from_secs(2);

/// A response whose body has not been touched.
pub(crate) struct Response {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// URL of this response.
    pub(crate) address: Address,
    pub(crate) version: Version,
    /// Version of TLS that it came over.
    pub(crate) tls: Option<&'static str>,
    /// Redirects that led to it, in order.
    pub(crate) redirects: Vec<Redirect>,
    /// Head of the first of them that has links.
    pub(crate) redirect_head: Option<Box<RedirectHead>>,
    pub(crate) body: Body,
}

/// A redirect that was followed.
#[derive(Clone, Debug)]
pub(crate) struct Redirect {
    pub(crate) status: u16,
    pub(crate) to: Address,
}

/// Statements of a redirect about the file that it leads to: its links, and its digests.
#[derive(Clone, Debug)]
pub(crate) struct RedirectHead {
    /// URL that redirected.
    pub(crate) address: Address,
    pub(crate) headers: HeaderMap,
}

impl RedirectHead {
    /// `None` for a redirect without links.
    pub(super) fn read(address: &Address, all: &HeaderMap) -> Option<Box<Self>> {
        if !all.contains_key(header::LINK) {
            return None;
        }
        let mut headers = HeaderMap::new();
        for field in ["link", "digest", "repr-digest"] {
            for value in all.get_all(field) {
                headers.append(field, value.clone());
            }
        }
        Some(Box::new(Self { address: address.clone(), headers }))
    }
}

/// Body of a response, and the connection it comes on.
pub(crate) struct Body {
    connection: Connection,
    incoming: Incoming,
    peer: Peer,
    links: Arc<Links>,
    /// Number of bytes received so far.
    taken: usize,
    /// True if requests of its kind share a connection, if they can.
    many: bool,
}

/// Bytes of a body after which an address counts as serving. Fewer may come over a path that drops full packets.
const SERVES: usize = 64 << 10;

impl Body {
    /// Body of a response that came on this connection; `many` is true if requests of its kind share one, if they can.
    pub(super) const fn new(
        connection: Connection,
        incoming: Incoming,
        peer: Peer,
        links: Arc<Links>,
        many: bool,
    ) -> Self {
        Self { connection, incoming, peer, links, taken: 0, many }
    }

    /// The next bytes; `None` after the last. Dropping the future loses nothing.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        loop {
            match self.connection.during(self.incoming.frame()).await {
                // Over HTTP/2 a stream may be reset without an error, which is no end of a body (RFC 9113 §8.1).
                None if self.connection.is_shared() && !self.incoming.is_end_stream() => {
                    self.broke();
                    return Err(Failure::Broken("the response was reset before its end".into()));
                }
                None => return Ok(None),
                Some(Err(error)) => {
                    self.broke();
                    if self.taken < SERVES {
                        self.links.strikes.failed(self.connection.at);
                    }
                    return Err(Failure::from_hyper(&error));
                }
                // Trailers change nothing (RFC 9112 §7.1.2).
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) if !data.is_empty() => {
                        self.took(data.len());
                        return Ok(Some(data));
                    }
                    _ => {}
                },
            }
        }
    }

    /// Counts a failure of a connection that others use too.
    fn broke(&self) {
        if let Some(shared) = self.connection.shared() {
            self.links.multiplexes.ended(&self.peer, shared, false);
        }
    }

    fn took(&mut self, bytes: usize) {
        let before = self.taken;
        self.taken = before.saturating_add(bytes);
        if before < SERVES && self.taken >= SERVES {
            self.links.strikes.served(self.connection.at);
        }
    }

    /// Called if it is abandoned for its silence: if little had come, another address gets its turn.
    pub(crate) fn distrust(&self) {
        self.broke();
        if self.taken < SERVES {
            self.links.pool.forget(self.connection.at);
            self.links.strikes.failed(self.connection.at);
        }
    }

    /// Returns the connection to the pool, as the body was read to its end. Otherwise dropping this closes it.
    pub(crate) fn recycle(self) {
        self.links.strikes.served(self.connection.at);
        match self.connection.shared() {
            Some(shared) => self.links.multiplexes.ended(&self.peer, shared, true),
            // An idle connection would be of no use to requests that share one.
            None if self.many && self.links.multiplexes.serve(&self.peer) => {}
            None => self.links.pool.put(self.peer, self.connection),
        }
    }

    /// Reads to the end of a body of a few bytes, so that the next request has its connection.
    pub(crate) async fn finish(mut self) {
        let reading = async {
            let mut left = LARGEST_REFUSAL;
            while let Ok(Some(bytes)) = self.next().await {
                match left.checked_sub(bytes.len()) {
                    Some(less) => left = less,
                    None => return false,
                }
            }
            true
        };
        if matches!(tokio::time::timeout(LONGEST_REFUSAL, reading).await, Ok(true)) {
            self.recycle();
        }
    }

    /// The body of a refusal, if it is short and comes soon; the beginning of it if not.
    pub(super) async fn document(&mut self) -> Vec<u8> {
        let mut document = Vec::new();
        let reading = async {
            while let Ok(Some(bytes)) = self.next().await {
                document.extend_from_slice(&bytes);
                if document.len() > LARGEST_REFUSAL {
                    break;
                }
            }
        };
        // The bytes that have come by then are looked at.
        let _ = tokio::time::timeout(LONGEST_REFUSAL, reading).await;
        document
    }

    /// All of a body of at most `most` bytes, each part of which has to come within `stall`. The connection serves the next request.
    #[cfg(feature = "s3")]
    pub(super) async fn whole(mut self, most: usize, stall: Duration) -> Result<Vec<u8>, Failure> {
        let mut whole = Vec::new();
        loop {
            let Ok(next) = tokio::time::timeout(stall, self.next()).await else {
                let why = format!("the response stopped for {} s", stall.as_secs_f32());
                return Err(Failure::Silent(why.into()));
            };
            let Some(bytes) = next? else { break };
            if whole.len() + bytes.len() > most {
                return Err(Failure::Nonsense(format!("the response has more than {most} bytes").into()));
            }
            whole.extend_from_slice(&bytes);
        }
        self.recycle();
        Ok(whole)
    }

    /// Returns the connection for another request, if the body of a refusal ends soon.
    pub(super) async fn drained(mut self) -> Option<Connection> {
        let draining = async {
            let mut left = LARGEST_REFUSAL;
            while let Some(bytes) = self.next().await.ok()? {
                left = left.checked_sub(bytes.len())?;
            }
            Some(())
        };
        tokio::time::timeout(LONGEST_REFUSAL, draining).await.ok()??;
        self.connection.is_reusable().await.then_some(self.connection)
    }
}
