//! Downloads through the daemon, alone and while many clients watch.

use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Row, size};
use crate::Outcome;
use crate::check::Check;
use crate::nginx::Nginx;
use crate::payload::Payload;
use crate::race::{Track, median};
use crate::tools::{Tools, clean};

/// Watching clients: every other one over WebSocket, the others over HTTP.
const CLIENTS: usize = 100;
const PERIOD: Duration = Duration::from_secs(1);
/// Downloads of a lap, one after the other: a single one is over before every client has asked.
const FILES: usize = 4;
const SECRET: &str = "s3cret";
/// Keys that AriaNg asks for.
const KEYS: [&str; 15] = [
    "gid",
    "totalLength",
    "completedLength",
    "uploadSpeed",
    "downloadSpeed",
    "connections",
    "numSeeders",
    "seeder",
    "status",
    "errorCode",
    "verifiedLength",
    "verifyIntegrityPending",
    "files",
    "bittorrent",
    "infoHash",
];

pub(crate) fn run(track: &Track<'_>, root: &Path, payload: &Payload) -> Outcome<Row> {
    let nginx = Nginx::start(&track.tools.nginx, track.workshop, root)?;
    let url = format!("http://{}/{}", nginx.address(), payload.name);
    let (mut walls, mut wrong, mut polls) = ([Vec::new(), Vec::new()], Vec::new(), Vec::new());
    for round in 1..=track.options.rounds {
        let order = if round % 2 == 1 { [0, CLIENTS] } else { [CLIENTS, 0] };
        for clients in order {
            eprintln!("round {round} of {}: {clients} clients", track.options.rounds);
            match lap(track, &url, payload, clients)? {
                Ok(lap) => {
                    walls[usize::from(clients > 0)].push(lap.wall.as_secs_f64());
                    polls.extend((clients > 0).then_some(lap.polls));
                }
                Err(why) => wrong.push(format!("{clients} clients, round {round}: {why}")),
            }
        }
    }
    let [alone, watched] = walls.each_ref().map(|walls| median(walls.iter().copied()));
    let bound = Check::at_most(format!("wall with {CLIENTS} clients ÷ alone"), watched / alone, 1.03, "");
    Ok(Row {
        title: format!(
            "watched: {FILES} × {} through the daemon, alone and with {CLIENTS} clients that ask for {} keys each second",
            size(payload.size),
            KEYS.len()
        ),
        table: table(&walls, &polls),
        checks: if watched.is_nan() || alone.is_nan() { Vec::new() } else { vec![bound] },
        notes: vec![
            "Half of the clients ask over WebSocket. They share the processors with the daemon.".to_owned(),
        ],
        wrong,
    })
}

fn table(walls: &[Vec<f64>; 2], polls: &[usize]) -> Vec<String> {
    let mut lines = vec![
        "| clients | wall s, median | fastest–slowest | polls answered, fewest |".to_owned(),
        "|---:|---:|---:|---:|".to_owned(),
    ];
    for (clients, walls) in [0, CLIENTS].into_iter().zip(walls) {
        let fastest = walls.iter().copied().fold(f64::INFINITY, f64::min);
        let slowest = walls.iter().copied().fold(0.0, f64::max);
        let answered = if clients > 0 { polls.iter().min().copied().unwrap_or(0) } else { 0 };
        let middle = median(walls.iter().copied());
        lines.push(format!("| {clients} | {middle:.3} | {fastest:.3}–{slowest:.3} | {answered} |"));
    }
    lines
}

struct Lap {
    wall: Duration,
    /// Polls that were answered.
    polls: usize,
}

/// Downloads the file several times through a daemon of its own.
fn lap(track: &Track<'_>, url: &str, payload: &Payload, clients: usize) -> Outcome<Result<Lap, String>> {
    let daemon = Daemon::start(&track.workshop.fresh("daemon")?)?;
    let ready = Arc::new(Barrier::new(clients + 1));
    let (mut stops, mut watching) = (Vec::new(), Vec::new());
    for nth in 0..clients {
        let (stop, stopped) = channel::<()>();
        stops.push(stop);
        let (address, ready) = (daemon.address, ready.clone());
        watching
            .push(thread::spawn(move || watch(address, nth, &ready, &stopped).map_err(|e| e.to_string())));
    }
    ready.wait();
    let (mut wall, mut wrong) = (Duration::ZERO, None);
    let mut listener = Client::open(daemon.address, true)?;
    for _ in 0..FILES {
        let start = Instant::now();
        let ended = listener.download(url)?;
        wall += start.elapsed();
        let file = daemon.root.join(payload.name);
        wrong = wrong.or(ended).or_else(|| payload.difference(&file));
        fs::remove_file(file)?;
    }
    // A client that is told nothing more stops.
    drop(stops);
    let mut polls = 0;
    for one in watching {
        polls += one.join().map_err(|_| "a client panicked")??;
    }
    Ok(wrong.map_or(Ok(Lap { wall, polls }), Err))
}

/// Polls until it is stopped, and returns the number of answers.
fn watch(address: SocketAddr, nth: usize, ready: &Barrier, stopped: &Receiver<()>) -> Outcome<usize> {
    let client = Client::open(address, nth % 2 == 1);
    ready.wait();
    let mut client = client?;
    let asked = [
        client.request("aria2.tellActive", &json!([KEYS])),
        client.request("aria2.getGlobalStat", &json!([])),
    ];
    // They do not all ask at the same moment.
    let mut wait = PERIOD.mul_f64(nth as f64 / CLIENTS as f64);
    let mut polls = 0;
    while stopped.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
        let start = Instant::now();
        for request in &asked {
            client.call(request)?;
        }
        polls += 1;
        wait = PERIOD.saturating_sub(start.elapsed());
    }
    Ok(polls)
}

/// A daemon with a directory of its own.
struct Daemon {
    child: Child,
    address: SocketAddr,
    root: PathBuf,
}

impl Daemon {
    fn start(directory: &Path) -> Outcome<Self> {
        let (secret, root) = (directory.join("secret"), directory.join("root"));
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&secret)?;
        file.write_all(SECRET.as_bytes())?;
        let mut command = clean(Tools::HAUL);
        command.args(["serve", "--no-config", "--listen", "127.0.0.1:0"]);
        for (flag, path) in [("--secret-file", &secret), ("--root", &root)] {
            command.arg(flag).arg(path);
        }
        for (flag, name) in [("--socket", "socket"), ("--session", "session")] {
            command.arg(flag).arg(directory.join(name));
        }
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        let complaints = child.stderr.take().ok_or("no standard error")?;
        let told = BufReader::new(complaints).lines().map_while(Result::ok);
        let address = told.filter_map(|line| address(&line)).next();
        let address = address.ok_or("the daemon does not listen")?;
        Ok(Self { child, address, root })
    }
}

fn address(line: &str) -> Option<SocketAddr> {
    line.split_once("http://")?.1.split('/').next()?.parse().ok()
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It is of no use any more, and keeps nothing.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A client of the daemon's interface.
struct Client {
    stream: BufReader<TcpStream>,
    is_socket: bool,
}

impl Client {
    /// Connects over HTTP, or over WebSocket (RFC 6455).
    fn open(address: SocketAddr, is_socket: bool) -> Outcome<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let mut client = Self { stream: BufReader::new(stream), is_socket };
        if is_socket {
            let head = format!(
                "GET /jsonrpc HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            );
            client.stream.get_mut().write_all(head.as_bytes())?;
            client.head()?;
        }
        Ok(client)
    }

    /// Downloads a file; returns what went wrong.
    fn download(&mut self, url: &str) -> Outcome<Option<String>> {
        let request = self.request("aria2.addUri", &json!([[url]]));
        self.stream.get_mut().write_all(&request)?;
        // The end may be told before the call is answered.
        loop {
            let message: Value = serde_json::from_slice(&self.text()?)?;
            match message["method"].as_str() {
                Some("aria2.onDownloadComplete") => return Ok(None),
                Some("aria2.onDownloadError") => return Ok(Some("the download failed".to_owned())),
                None if message.get("error").is_some() => return Ok(Some(message.to_string())),
                _ => {}
            }
        }
    }

    /// Asks, and reads as much of the answer as shows that it is one: what a client makes of it is not measured.
    fn call(&mut self, request: &[u8]) -> Outcome<()> {
        self.stream.get_mut().write_all(request)?;
        loop {
            let text = self.text()?;
            let head = String::from_utf8_lossy(&text[..text.len().min(48)]);
            if head.contains("\"result\"") {
                return Ok(());
            }
            // Notifications are for everybody.
            if !head.contains("\"method\"") {
                return Err(String::from_utf8_lossy(&text).into());
            }
        }
    }

    /// A call as it is sent.
    fn request(&self, method: &str, params: &Value) -> Vec<u8> {
        let mut all = vec![json!(format!("token:{SECRET}"))];
        all.extend(params.as_array().into_iter().flatten().cloned());
        let text = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": all }).to_string();
        match self.is_socket {
            true => frame(&text),
            false => {
                let length = text.len();
                format!("POST /jsonrpc HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{text}")
                    .into_bytes()
            }
        }
    }

    fn text(&mut self) -> Outcome<Vec<u8>> {
        let length = if self.is_socket { self.frame_length()? } else { self.head()? };
        let mut text = vec![0; length];
        self.stream.read_exact(&mut text)?;
        Ok(text)
    }

    /// Reads the head of an answer; returns the length of its body.
    fn head(&mut self) -> Outcome<usize> {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line)? == 0 {
                return Err("the daemon hung up".into());
            }
            let line = line.trim_end().to_ascii_lowercase();
            if line.is_empty() {
                return Ok(length);
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse()?;
            }
        }
    }

    fn frame_length(&mut self) -> Outcome<usize> {
        let mut head = [0; 2];
        self.stream.read_exact(&mut head)?;
        let mut longer = [0; 8];
        let digits = match head[1] {
            126 => &mut longer[6..],
            127 => &mut longer[..],
            short => return Ok(usize::from(short)),
        };
        self.stream.read_exact(digits)?;
        Ok(usize::try_from(u64::from_be_bytes(longer))?)
    }
}

/// A text in one masked frame.
fn frame(text: &str) -> Vec<u8> {
    const MASK: [u8; 4] = [1, 2, 3, 4];
    let mut frame = vec![0x81];
    match u16::try_from(text.len()) {
        Ok(short @ 0..126) => frame.push(0x80 | short as u8),
        Ok(long) => {
            frame.push(0x80 | 126);
            frame.extend(long.to_be_bytes());
        }
        Err(_) => {
            frame.push(0x80 | 127);
            frame.extend((text.len() as u64).to_be_bytes());
        }
    }
    frame.extend(MASK);
    frame.extend(text.bytes().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}
