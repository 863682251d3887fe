//! A server of resources of any length: `/LENGTH` has that many bytes, generated as they are sent.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

const BLOCK: usize = 256 << 10;
/// Delay of each block, one after the other: all connections together get some 200 MB/s, so that a run lasts for
/// several checkpoints, and more connections are no gain.
const PACE: Duration = Duration::from_millis(1);

/// A running server; it ends with this process.
pub(crate) struct Endless {
    address: SocketAddr,
    counter: Arc<Counter>,
}

/// Queue for the blocks of all connections, which leave one at a time.
#[derive(Default)]
struct Counter {
    queue: Mutex<()>,
    sent: AtomicU64,
}

impl Counter {
    fn pass(&self, length: usize) {
        // A thread that panicked with the lock left nothing half done: it guards no data.
        let _turn = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        std::thread::sleep(PACE);
        self.sent.fetch_add(length as u64, Ordering::Relaxed);
    }
}

/// Length and range of a request.
struct Ask {
    length: u64,
    /// First and last position.
    range: Option<(u64, u64)>,
}

impl Endless {
    pub(crate) fn start() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let counter = Arc::new(Counter::default());
        let shared = Arc::clone(&counter);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let counter = Arc::clone(&shared);
                // Every run ends with a client that hangs up.
                std::thread::spawn(move || drop(serve(stream, &counter)));
            }
        });
        Ok(Self { address, counter })
    }

    pub(crate) fn url(&self, length: u64) -> String {
        format!("http://{}/{length}", self.address)
    }

    /// Body bytes sent so far, on all connections.
    pub(crate) fn sent(&self) -> u64 {
        self.counter.sent.load(Ordering::Relaxed)
    }
}

fn serve(stream: TcpStream, counter: &Counter) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    while let Some(ask) = read_ask(&mut stream)? {
        let (first, last) = ask.range.unwrap_or((0, ask.length - 1));
        let last = last.min(ask.length - 1);
        stream.get_mut().write_all(head(&ask, first, last).as_bytes())?;
        send(stream.get_mut(), first, last + 1, counter)?;
    }
    Ok(())
}

/// Reads the next request; returns `None` once the client has no more.
fn read_ask(stream: &mut impl BufRead) -> io::Result<Option<Ask>> {
    let mut line = String::new();
    if stream.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let length = line.strip_prefix("GET /").and_then(|rest| rest.split(' ').next()?.parse().ok());
    let length = length.filter(|length| *length > 0).ok_or_else(|| unexpected(&line))?;
    let mut ask = Ask { length, range: None };
    while line != "\r\n" {
        line.clear();
        if stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("range")
        {
            ask.range = Some(range(value.trim()).ok_or_else(|| unexpected(&line))?);
        }
    }
    Ok(Some(ask))
}

fn unexpected(line: &str) -> io::Error {
    io::Error::other(format!("not a request of haul's: {}", line.trim_end()))
}

/// Parses `bytes=FIRST-LAST`, or `bytes=FIRST-`.
fn range(value: &str) -> Option<(u64, u64)> {
    let (first, last) = value.strip_prefix("bytes=")?.split_once('-')?;
    let last = if last.is_empty() { u64::MAX } else { last.parse().ok()? };
    Some((first.parse().ok()?, last))
}

fn head(ask: &Ask, first: u64, last: u64) -> String {
    let (length, body) = (ask.length, last + 1 - first);
    let status = match ask.range {
        Some(_) => format!("206 Partial Content\r\nContent-Range: bytes {first}-{last}/{length}"),
        None => "200 OK".to_owned(),
    };
    format!(
        "HTTP/1.1 {status}\r\nContent-Length: {body}\r\nETag: \"endless\"\r\nAccept-Ranges: bytes\r\n\r\n"
    )
}

/// Sends blocks that begin with their position, so that no two are alike.
fn send(stream: &mut TcpStream, first: u64, end: u64, counter: &Counter) -> io::Result<()> {
    let mut block = vec![0; BLOCK];
    let mut at = first;
    while at < end {
        block[..8].copy_from_slice(&at.to_le_bytes());
        let length = usize::try_from(end - at).map_or(BLOCK, |left| left.min(BLOCK));
        counter.pass(length);
        stream.write_all(&block[..length])?;
        at += length as u64;
    }
    Ok(())
}
