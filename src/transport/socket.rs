//! A connected byte stream, plain or TLS, that limits the size of response headers.

use super::failure::SpeaksTls;
use super::yielder::{Flow, Yielder};
use hyper::rt::ReadBufCursor;
use rustls::ProtocolVersion;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, BufReader, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// Maximum number of bytes up to the end of the response headers, informational responses included.
const HEAD_BYTES: u64 = 1 << 20;

/// Number of bytes that may still be read. Unlimited while a body is taken; hyper does not limit a series of
/// informational responses, so this does.
#[derive(Clone, Debug, Default)]
pub(super) struct Budget(Arc<AtomicU64>);

impl Budget {
    pub(super) fn for_head(&self) {
        self.0.store(HEAD_BYTES, Ordering::Relaxed);
    }

    pub(super) fn for_body(&self) {
        self.0.store(u64::MAX, Ordering::Relaxed);
    }

    /// Returns true if nothing of the response headers has come yet.
    pub(super) fn is_untouched(&self) -> bool {
        self.0.load(Ordering::Relaxed) == HEAD_BYTES
    }

    fn spend(&self, bytes: u64) -> io::Result<()> {
        let left = self.0.load(Ordering::Relaxed);
        if left == u64::MAX {
            return Ok(());
        }
        if bytes > left {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "the response headers are too large"));
        }
        self.0.store(left - bytes, Ordering::Relaxed);
        Ok(())
    }
}

/// Connection to the server or to a proxy; TLS only to a proxy that itself speaks it.
#[derive(Debug)]
pub(super) enum Line {
    Tcp(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    #[cfg(test)]
    Memory(tokio::io::DuplexStream),
}

/// Size in bytes of the buffer between a socket and TLS, which reads one record at a time: a system call for each would
/// cost more than its content.
pub(super) const RECORDS: usize = 128 << 10;

#[derive(Debug)]
pub(super) enum Stream {
    Plain(Line),
    Tls(Box<TlsStream<BufReader<Line>>>),
}

impl AsyncRead for Line {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
            #[cfg(test)]
            Self::Memory(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Line {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
            #[cfg(test)]
            Self::Memory(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
            #[cfg(test)]
            Self::Memory(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
            #[cfg(test)]
            Self::Memory(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

impl Line {
    fn tcp(&self) -> &TcpStream {
        match self {
            Self::Tcp(stream) => stream,
            Self::Tls(stream) => stream.get_ref().0,
            #[cfg(test)]
            Self::Memory(_) => panic!("a connection in memory yields to no other traffic"),
        }
    }
}

impl Stream {
    /// Version of TLS to the server; `None` without TLS.
    pub(super) fn tls(&self) -> Option<&'static str> {
        let Self::Tls(stream) = self else {
            return None;
        };
        Some(match stream.get_ref().1.protocol_version() {
            Some(ProtocolVersion::TLSv1_3) => "TLS 1.3",
            Some(ProtocolVersion::TLSv1_2) => "TLS 1.2",
            _ => "TLS",
        })
    }

    fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(line) => line.tcp(),
            Self::Tls(stream) => stream.get_ref().0.get_ref().tcp(),
        }
    }
}

#[derive(Debug)]
pub(super) struct Socket {
    pub(super) stream: Stream,
    pub(super) budget: Budget,
    /// Its part among the connections that yield, if they do.
    flow: Option<Flow>,
}

impl Socket {
    pub(super) fn new(stream: Stream) -> Self {
        Self { stream, budget: Budget::default(), flow: None }
    }

    /// Makes it yield to other traffic.
    pub(super) fn yielding(mut self, yielder: Option<&Arc<Yielder>>) -> Self {
        self.flow = yielder.map(|yielder| {
            let tcp = self.stream.tcp();
            yielder.join(tcp.peer_addr().ok().map(|at| at.ip()), tcp)
        });
        self
    }

    pub(super) fn is_plain(&self) -> bool {
        matches!(self.stream, Stream::Plain(_))
    }
}

impl hyper::rt::Read for Socket {
    #[expect(
        unsafe_code,
        reason = "hyper's cursor is filled by the reader it is handed to; no crate offers it safely"
    )]
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut cursor: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        // SAFETY: the slice is only handed to a `ReadBuf`, which never reads or de-initialises it.
        let mut buffer = ReadBuf::uninit(unsafe { cursor.as_mut() });
        ready!(match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_read(cx, &mut buffer),
            Stream::Tls(stream) => Pin::new(stream).poll_read(cx, &mut buffer),
        })?;
        let read = buffer.filled().len();
        let is_plain = matches!(self.stream, Stream::Plain(_));
        if is_plain && self.budget.is_untouched() && buffer.filled().first().is_some_and(is_of_tls) {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, SpeaksTls)));
        }
        // SAFETY: `filled()` says that the first `read` bytes are initialised.
        unsafe { cursor.advance(read) };
        let Self { stream, flow, .. } = &mut *self;
        if let Some(flow) = flow {
            flow.received(read, stream.tcp());
        }
        Poll::Ready(self.budget.spend(read as u64))
    }
}

/// Returns true for the first byte of a TLS record, an alert or a handshake (RFC 8446 §5.1). No HTTP response begins
/// with it.
fn is_of_tls(byte: &u8) -> bool {
    matches!(byte, 0x15 | 0x16)
}

impl hyper::rt::Write for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Stream::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
