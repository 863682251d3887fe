//! A file and a server for the examples: every connection gets a limited rate, so that several are worth it.

#![expect(clippy::disallowed_methods, reason = "an example has no floors: it reads the clock itself")]

use sha2::{Digest as _, Sha256};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

pub const MIB: u64 = 1 << 20;
/// Size of the served file.
pub const SIZE: u64 = 48 * MIB;
const ETAG: &str = "\"quickstart-1\"";
/// Rate limit of one connection, in bytes a second.
pub const LIMIT: u64 = 3 * MIB;

/// Hash of everything that a reader has.
pub fn hex_digest(mut bytes: impl io::Read) -> io::Result<String> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 18];
    loop {
        match bytes.read(&mut buffer)? {
            0 => {
                return Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect());
            }
            read => hasher.update(&buffer[..read]),
        }
    }
}

pub fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / MIB as f64)
}

// ---- the file ----------------------------------------------------------------------------------------------

/// The eight bytes at `index * 8`: splitmix64 maps each index to another word, so no two places are alike and the file
/// need not be stored.
fn word(index: u64) -> [u8; 8] {
    let mut value = index.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (value ^ (value >> 31)).to_le_bytes()
}

/// Fills `buffer` with the content of the file at `offset`.
fn fill(offset: u64, buffer: &mut [u8]) {
    let mut rest = buffer;
    let mut position = offset;
    while !rest.is_empty() {
        let skipped = (position % 8) as usize;
        let length = (8 - skipped).min(rest.len());
        let (now, later) = rest.split_at_mut(length);
        now.copy_from_slice(&word(position / 8)[skipped..skipped + length]);
        position += length as u64;
        rest = later;
    }
}

/// A reader over the whole file.
pub fn payload() -> impl io::Read {
    struct Payload(u64);
    impl io::Read for Payload {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let length = buffer.len().min((SIZE - self.0) as usize);
            fill(self.0, &mut buffer[..length]);
            self.0 += length as u64;
            Ok(length)
        }
    }
    Payload(0)
}

// ---- the server --------------------------------------------------------------------------------------------

pub struct Server {
    pub address: SocketAddr,
    pub desk: Arc<Desk>,
}

/// State shared by the connections: bytes sent in this run, and the most that may be sent.
#[derive(Default)]
pub struct Desk {
    books: Mutex<Books>,
    changed: Condvar,
}

#[derive(Clone, Copy, Default)]
struct Books {
    run: u64,
    sent: u64,
    ceiling: u64,
}

impl Desk {
    fn books(&self) -> MutexGuard<'_, Books> {
        // Plain numbers, so a panic elsewhere cannot leave them half changed.
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the next run, and returns the bytes sent in the last one, whose connections send nothing more.
    pub fn next_run(&self, ceiling: u64) -> u64 {
        let mut books = self.books();
        let sent = books.sent;
        *books = Books { run: books.run + 1, sent: 0, ceiling };
        self.changed.notify_all();
        sent
    }

    /// Waits for permission to send `bytes`; returns `false` if the run is over.
    fn may_send(&self, run: u64, bytes: u64) -> bool {
        let waits = |books: &mut Books| books.run == run && books.sent >= books.ceiling;
        let held = self.changed.wait_while(self.books(), waits);
        let mut books = held.unwrap_or_else(PoisonError::into_inner);
        if books.run != run {
            return false;
        }
        books.sent += bytes;
        self.changed.notify_all();
        true
    }

    /// Waits until this much was sent, but only for a moment, so that the caller can check other things.
    pub fn wait_until_sent(&self, bytes: u64) -> bool {
        let sent = |books: &mut Books| books.sent < bytes;
        let waited = self.changed.wait_timeout_while(self.books(), Duration::from_millis(20), sent);
        waited.unwrap_or_else(PoisonError::into_inner).0.sent >= bytes
    }
}

impl Server {
    pub fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let server = Self { address: listener.local_addr()?, desk: Arc::default() };
        let desk = server.desk.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let desk = desk.clone();
                // A client that hangs up, or is killed, ends its own connection and nothing else.
                thread::spawn(move || serve(&stream, &desk));
            }
        });
        Ok(server)
    }
}

/// Serves one connection: requests one after the other, all within the connection's limit.
fn serve(stream: &TcpStream, desk: &Desk) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let run = desk.books().run;
    let mut requests = BufReader::new(stream);
    let mut pace = Pace { next: Instant::now() };
    while let Some(request) = Request::read(&mut requests)? {
        let Some((first, end)) = request.answer(stream)? else {
            continue;
        };
        let mut buffer = [0; 32 << 10];
        let mut position = first;
        while position < end {
            let length = buffer.len().min((end - position) as usize);
            if !desk.may_send(run, length as u64) {
                return Ok(());
            }
            fill(position, &mut buffer[..length]);
            (&*stream).write_all(&buffer[..length])?;
            position += length as u64;
            pace.keep(length as u64);
        }
    }
    Ok(())
}

/// Rate limit of one connection. The sleep is the limit; nothing waits for it to have happened.
struct Pace {
    next: Instant,
}

impl Pace {
    fn keep(&mut self, sent: u64) {
        let now = Instant::now();
        self.next = self.next.max(now - Duration::from_millis(50))
            + Duration::from_secs_f64(sent as f64 / LIMIT as f64);
        thread::sleep(self.next.saturating_duration_since(now));
    }
}

/// The parts of a request that matter here.
#[derive(Default)]
struct Request {
    method: String,
    path: String,
    range: Option<String>,
    if_range: Option<String>,
}

impl Request {
    /// Reads a head; returns `None` if the client has hung up.
    fn read(from: &mut BufReader<&TcpStream>) -> io::Result<Option<Self>> {
        let mut head = from.take(16 << 10);
        let mut line = String::new();
        if head.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let mut words = line.split_whitespace().map(str::to_owned);
        let mut request = Self {
            method: words.next().unwrap_or_default(),
            path: words.next().unwrap_or_default(),
            ..Self::default()
        };
        loop {
            line.clear();
            if head.read_line(&mut line)? == 0 {
                return Ok(None);
            }
            let Some((name, value)) = line.trim_end().split_once(':') else {
                return Ok(Some(request));
            };
            match name.to_ascii_lowercase().as_str() {
                "range" => request.range = Some(value.trim().to_owned()),
                "if-range" => request.if_range = Some(value.trim().to_owned()),
                _ => {}
            }
        }
    }

    /// Writes the head of the response; returns the range of the file that follows, if any.
    fn answer(&self, mut to: &TcpStream) -> io::Result<Option<(u64, u64)>> {
        if !self.path.ends_with(".img") {
            to.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")?;
            return Ok(None);
        }
        let same = self.if_range.as_deref().is_none_or(|tag| tag == ETAG);
        let range = self.range.as_deref().filter(|_| same).and_then(parse_range);
        let status = match range {
            Some((first, end)) => {
                format!("206 Partial Content\r\nContent-Range: bytes {first}-{}/{SIZE}", end - 1)
            }
            None => "200 OK".to_owned(),
        };
        let (first, end) = range.unwrap_or((0, SIZE));
        let length = end - first;
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nContent-Type: application/octet-stream\r\n\
             Accept-Ranges: bytes\r\nETag: {ETAG}\r\n\r\n"
        );
        to.write_all(head.as_bytes())?;
        Ok((self.method != "HEAD").then_some((first, end)))
    }
}

/// Parses `bytes=FIRST-LAST` or `bytes=FIRST-` as a half-open range within the file; anything else is ignored, which
/// RFC 9110 §14.2 allows.
fn parse_range(text: &str) -> Option<(u64, u64)> {
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    let first = first.parse().ok()?;
    let end = if last.is_empty() { SIZE } else { last.parse::<u64>().ok()?.checked_add(1)?.min(SIZE) };
    (first < end).then_some((first, end))
}
