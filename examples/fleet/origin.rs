//! An origin with many files that misbehaves: refusals with Retry-After, resets, answers that are cut, slow ones. It counts what it sends.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// Bytes a second of one connection to a slow file.
const SLOW: u64 = 512 << 10;
const WRITE: usize = 64 << 10;

/// One file: its content is a function of its number and the offset, so that no two places are alike.
#[derive(Clone, Copy)]
pub struct Served {
    pub number: u64,
    pub size: u64,
    pub is_slow: bool,
}

impl Served {
    fn word(self, index: u64) -> [u8; 8] {
        let mut value = (self.number << 40 | index).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (value ^ (value >> 31)).to_le_bytes()
    }

    /// The bytes from `from` to `to`.
    pub fn bytes(self, from: u64, to: u64) -> Vec<u8> {
        let words = (from / 8..to.div_ceil(8)).flat_map(|index| self.word(index));
        words.skip((from % 8) as usize).take((to - from) as usize).collect()
    }
}

#[derive(Default)]
pub struct Counts {
    pub requests: AtomicU64,
    /// Bytes of bodies.
    pub sent: AtomicU64,
    /// Those of files that are larger than one write.
    pub of_large: AtomicU64,
    pub refused: AtomicU64,
    pub broken: AtomicU64,
}

pub struct Origin {
    pub address: SocketAddr,
    pub counts: Arc<Counts>,
    misbehaves: Arc<AtomicBool>,
    held: Arc<Held>,
}

/// Requests for the file that is not answered until it is released.
#[derive(Default)]
struct Held {
    asked: Mutex<(u64, bool)>,
    changed: Condvar,
}

impl Origin {
    /// Serves `files`, each at `/f/NUMBER`, and `/held`.
    pub fn start(files: Vec<Served>) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let origin =
            Self { address, counts: Arc::default(), misbehaves: Arc::default(), held: Arc::default() };
        let (counts, misbehaves, held) =
            (origin.counts.clone(), origin.misbehaves.clone(), origin.held.clone());
        let files = Arc::new(files);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (counts, misbehaves, held, files) =
                    (counts.clone(), misbehaves.clone(), held.clone(), files.clone());
                // A client that hangs up, or is killed, ends its own connection and nothing else.
                thread::spawn(move || {
                    let connection =
                        Connection { stream: &stream, counts: &counts, misbehaves: &misbehaves, held: &held };
                    connection.serve(&files)
                });
            }
        });
        Ok(origin)
    }

    pub fn misbehave(&self, does: bool) {
        self.misbehaves.store(does, Ordering::Relaxed);
    }

    /// Starts to count anew, and returns requests and bytes so far.
    pub fn count_anew(&self) -> (u64, u64) {
        let Counts { requests, sent, .. } = &*self.counts;
        (requests.swap(0, Ordering::Relaxed), sent.swap(0, Ordering::Relaxed))
    }

    /// Waits for this many requests for `/held`.
    pub fn wait_for_held(&self, requests: u64, longest: Duration) -> bool {
        let asked = self.held.asked.lock().expect("no holder panics");
        let waits = |asked: &mut (u64, bool)| asked.0 < requests;
        let waited = self.held.changed.wait_timeout_while(asked, longest, waits).expect("no holder panics");
        !waited.1.timed_out()
    }

    pub fn release(&self) {
        self.held.asked.lock().expect("no holder panics").1 = true;
        self.held.changed.notify_all();
    }
}

struct Connection<'a> {
    stream: &'a TcpStream,
    counts: &'a Counts,
    misbehaves: &'a AtomicBool,
    held: &'a Held,
}

impl Connection<'_> {
    fn serve(&self, files: &[Served]) -> io::Result<()> {
        self.stream.set_nodelay(true)?;
        let mut requests = BufReader::new(self.stream);
        while let Some((is_head, path, range)) = read(&mut requests)? {
            let number = self.counts.requests.fetch_add(1, Ordering::Relaxed);
            let file = path.strip_prefix("/f/").and_then(|number| number.parse::<usize>().ok());
            let file = match file.and_then(|number| files.get(number)) {
                Some(file) => *file,
                None if path == "/held" => {
                    self.hold(is_head);
                    Served { number: 1 << 20, size: 1024, is_slow: false }
                }
                None => {
                    (&mut &*self.stream).write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")?;
                    continue;
                }
            };
            let ill = self.misbehaves.load(Ordering::Relaxed) && !is_head;
            match number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32 {
                chance if ill && chance % 97 == 0 => {
                    self.counts.refused.fetch_add(1, Ordering::Relaxed);
                    (&mut &*self.stream).write_all(
                        b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n",
                    )?;
                }
                chance => {
                    let cut = (ill && chance % 89 == 1).then_some(2);
                    self.answer(file, is_head, range, cut, ill && chance % 83 == 2)?;
                }
            }
        }
        Ok(())
    }

    fn hold(&self, is_head: bool) {
        let mut asked = self.held.asked.lock().expect("no holder panics");
        asked.0 += u64::from(!is_head);
        self.held.changed.notify_all();
        drop(self.held.changed.wait_while(asked, |asked| !asked.1 && !is_head));
    }

    /// Answers; with `cut` only that fraction of the body is sent.
    fn answer(
        &self,
        file: Served,
        is_head: bool,
        range: Option<(u64, Option<u64>)>,
        cut: Option<u64>,
        pauses: bool,
    ) -> io::Result<()> {
        let (first, end) = match range {
            Some((first, last)) => (first, last.map_or(file.size, |last| last + 1).min(file.size)),
            None => (0, file.size),
        };
        let status = match range {
            _ if first >= end => format!("416 Range Not Satisfiable\r\nContent-Range: bytes */{}", file.size),
            Some(_) => {
                format!("206 Partial Content\r\nContent-Range: bytes {first}-{}/{}", end - 1, file.size)
            }
            None => "200 OK".to_owned(),
        };
        let length = end.saturating_sub(first);
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nAccept-Ranges: bytes\r\n\
             Content-Type: application/octet-stream\r\nETag: \"v-{}\"\r\n\r\n",
            file.number
        );
        let mut to = self.stream;
        if is_head || length == 0 {
            return to.write_all(head.as_bytes());
        }
        let stop = cut.map_or(end, |share| first + length / share);
        let (began, mut position, mut text) = (Instant::now(), first, head.into_bytes());
        while position < stop {
            let next = stop.min(position + WRITE as u64);
            text.extend(file.bytes(position, next));
            to.write_all(&text)?;
            self.counts.sent.fetch_add(next - position, Ordering::Relaxed);
            if file.size > WRITE as u64 {
                self.counts.of_large.fetch_add(next - position, Ordering::Relaxed);
            }
            text.clear();
            position = next;
            if pauses {
                thread::sleep(Duration::from_millis(50));
            }
            if file.is_slow {
                let due = Duration::from_secs_f64((position - first) as f64 / SLOW as f64);
                thread::sleep(due.saturating_sub(began.elapsed()));
            }
        }
        if cut.is_some() {
            self.counts.broken.fetch_add(1, Ordering::Relaxed);
            return Err(io::Error::other("cut on purpose"));
        }
        Ok(())
    }
}

/// A request as far as it matters here: whether it is HEAD, its path, its range.
type Asked = (bool, String, Option<(u64, Option<u64>)>);

fn read(from: &mut BufReader<&TcpStream>) -> io::Result<Option<Asked>> {
    let mut head = from.take(16 << 10);
    let mut line = String::new();
    if head.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace();
    let is_head = words.next() == Some("HEAD");
    let path = words.next().unwrap_or_default().to_owned();
    let mut range = None;
    loop {
        line.clear();
        if head.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let Some((name, value)) = line.trim_end().split_once(':') else {
            return Ok(Some((is_head, path, range)));
        };
        if name.eq_ignore_ascii_case("range") {
            let bounds = value.trim().strip_prefix("bytes=").and_then(|bounds| bounds.split_once('-'));
            range = bounds.and_then(|(first, last)| Some((first.parse().ok()?, last.parse().ok())));
        }
    }
}
