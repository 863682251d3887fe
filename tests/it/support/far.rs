//! A server far away that serves small files over HTTP/1.1 and HTTP/2, and closes connections beyond a number.

use super::payload::Payload;
use bytes::Bytes;
use rustls::ServerConfig;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// A far server, stopped when dropped.
pub(crate) struct Far {
    address: SocketAddr,
    seen: Arc<Seen>,
    _runtime: Runtime,
}

/// Behaviour of the server.
#[derive(Clone, Copy)]
pub(crate) struct Manner {
    /// Time from each request to its response: the distance.
    pub(crate) distance: Duration,
    /// Connections that it serves at once.
    pub(crate) connections: usize,
    /// Protocols that it offers.
    pub(crate) http2: bool,
    /// Requests after which an HTTP/2 connection goes away, as servers do now and then.
    pub(crate) goes_away_after: usize,
    /// Resets each request over HTTP/2.
    pub(crate) resets: bool,
    /// Ends each body over HTTP/2 half-way, without a length and with a reset that is no error, as proxies do whose server died.
    pub(crate) cuts: bool,
}

impl Default for Manner {
    fn default() -> Self {
        Self {
            distance: Duration::from_millis(100),
            connections: usize::MAX,
            http2: true,
            goes_away_after: usize::MAX,
            resets: false,
            cuts: false,
        }
    }
}

/// Counters of the server.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) open: AtomicUsize,
    pub(crate) over_http1: AtomicUsize,
    pub(crate) over_http2: AtomicUsize,
    pub(crate) http2_connections: AtomicUsize,
    /// Headers that do not belong into HTTP/2, and paths without an authority.
    pub(crate) improper: Mutex<Vec<String>>,
}

/// File number `nth`.
pub(crate) fn payload(nth: usize) -> Payload {
    Payload::new(900 + nth as u64, 3_000 + 37 * (nth as u64 % 50))
}

impl Far {
    pub(crate) fn start(config: &ServerConfig, manner: Manner) -> Self {
        let mut config = config.clone();
        config.alpn_protocols = match manner.http2 {
            true => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
            false => vec![b"http/1.1".to_vec()],
        };
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let seen = Arc::new(Seen::default());
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(accept(listener, TlsAcceptor::from(Arc::new(config)), manner, seen.clone()));
        Self { address, seen, _runtime: runtime }
    }

    pub(crate) fn url(&self, nth: usize) -> String {
        format!("https://{}/file{nth}.bin", self.address)
    }

    pub(crate) fn seen(&self) -> &Seen {
        &self.seen
    }
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, manner: Manner, seen: Arc<Seen>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { return };
        if seen.open.fetch_add(1, Ordering::SeqCst) >= manner.connections {
            seen.open.fetch_sub(1, Ordering::SeqCst);
            continue;
        }
        let (acceptor, seen) = (acceptor.clone(), seen.clone());
        tokio::spawn(async move {
            let _ = serve(acceptor, stream, manner, &seen).await;
            seen.open.fetch_sub(1, Ordering::SeqCst);
        });
    }
}

async fn serve(
    acceptor: TlsAcceptor,
    stream: TcpStream,
    manner: Manner,
    seen: &Arc<Seen>,
) -> std::io::Result<()> {
    let stream = acceptor.accept(stream).await?;
    match stream.get_ref().1.alpn_protocol() {
        Some(b"h2") => serve_http2(stream, manner, seen).await.map_err(std::io::Error::other),
        _ => serve_http1(stream, manner, seen).await,
    }
}

fn number(path: &str) -> usize {
    path.trim_start_matches("/file").trim_end_matches(".bin").parse().unwrap()
}

async fn serve_http1(stream: TlsStream<TcpStream>, manner: Manner, seen: &Arc<Seen>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") && head != "\r\n" {
            stream.read_line(&mut head).await?;
        }
        seen.over_http1.fetch_add(1, Ordering::SeqCst);
        let body = payload(number(line.split(' ').nth(1).unwrap())).all();
        let is_head = line.starts_with("HEAD");
        tokio::time::sleep(manner.distance).await;
        if manner.cuts && is_head {
            stream.write_all(b"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n").await?;
            stream.flush().await?;
            continue;
        }
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nETag: \"v\"\r\n\r\n", body.len());
        stream.write_all(answer.as_bytes()).await?;
        if !is_head {
            stream.write_all(&body).await?;
        }
        stream.flush().await?;
    }
}

async fn serve_http2(
    stream: TlsStream<TcpStream>,
    manner: Manner,
    seen: &Arc<Seen>,
) -> Result<(), h2::Error> {
    seen.http2_connections.fetch_add(1, Ordering::SeqCst);
    let mut connection = h2::server::handshake(stream).await?;
    let mut served = 0;
    while let Some(request) = connection.accept().await {
        let (request, mut respond) = request?;
        seen.over_http2.fetch_add(1, Ordering::SeqCst);
        served += 1;
        if served == manner.goes_away_after {
            connection.graceful_shutdown();
        }
        let improper = ["host", "connection", "transfer-encoding"];
        let found =
            improper.into_iter().filter(|name| request.headers().contains_key(*name)).map(str::to_owned);
        let bare = request.uri().authority().is_none().then(|| request.uri().to_string());
        seen.improper.lock().unwrap().extend(found.chain(bare));
        if manner.resets {
            respond.send_reset(h2::Reason::INTERNAL_ERROR);
            continue;
        }
        tokio::spawn(async move {
            tokio::time::sleep(manner.distance).await;
            let body = Bytes::from(payload(number(request.uri().path())).all());
            let is_head = request.method() == http::Method::HEAD;
            if manner.cuts {
                let response = http::Response::builder().header("etag", "\"v\"").body(()).unwrap();
                if let Ok(mut stream) = respond.send_response(response, is_head)
                    && !is_head
                {
                    let _ = stream.send_data(body.slice(..body.len() / 2), false);
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    stream.send_reset(h2::Reason::NO_ERROR);
                }
                return;
            }
            let response = http::Response::builder()
                .header("content-length", body.len())
                .header("etag", "\"v\"")
                .body(())
                .unwrap();
            if let Ok(mut stream) = respond.send_response(response, is_head)
                && !is_head
            {
                let _ = stream.send_data(body, true);
            }
        });
    }
    Ok(())
}
