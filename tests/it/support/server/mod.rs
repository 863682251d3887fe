//! A loopback HTTP/1.1 server on raw sockets. By default it behaves well; scripted, it misbehaves byte for byte. It
//! records every request verbatim and counts every payload byte it wrote.
//!
//! Three depths of control: [`Resource`] defines the file served, [`Builder::behave`] picks a [`Reply`] for each
//! request, and [`Builder::handler`] gets the [`Exchange`] and may write anything.

mod answer;
mod dates;
mod exchange;
mod gate;
mod log;
mod request;
mod resource;
mod wire;

pub(crate) use answer::{Answer, Body, Ending, Reply};
pub(crate) use dates::{asctime_date, http_date, rfc850_date};
pub(crate) use exchange::Exchange;
pub(crate) use gate::Gate;
pub(crate) use log::{Log, Record};
pub(crate) use request::Request;
pub(crate) use resource::{Modified, Resource};

use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use rustls::{ServerConfig, ServerConnection, StreamOwned};

use self::wire::{Wire, bound_send_buffer};

const LONGEST_HEAD: usize = 1 << 20;
const PATIENCE: Duration = Duration::from_secs(30);

type Handler = Arc<dyn Fn(&Request, &mut Exchange<'_>) + Send + Sync>;
type TlsChooser = Arc<dyn Fn(usize) -> Arc<ServerConfig> + Send + Sync>;

pub(crate) struct Builder {
    resource: Resource,
    files: Vec<(String, Resource)>,
    handler: Option<Handler>,
    gate: Option<Gate>,
    rate: Option<u64>,
    tls: Option<TlsChooser>,
    address: SocketAddr,
}

impl Builder {
    /// Serves this path differently; every other path serves the main resource.
    pub(crate) fn file(mut self, path: &str, resource: impl Into<Resource>) -> Self {
        self.files.push((path.into(), resource.into()));
        self
    }

    /// Answers each request with arbitrary code.
    pub(crate) fn handler(
        mut self,
        handler: impl Fn(&Request, &mut Exchange<'_>) + Send + Sync + 'static,
    ) -> Self {
        self.handler = Some(Arc::new(handler));
        self
    }

    /// Sends `length` bytes without stating a length: they end with their connection.
    pub(crate) fn ending_with_its_connection(self, length: u64) -> Self {
        self.handler(move |request, exchange| {
            exchange.send_head(200, &[("Connection", "close")]);
            if request.is_get() {
                exchange.send_payload(0..length);
            }
            exchange.close();
        })
    }

    /// Answers each request with the reply that the function picks; the number counts requests from 0.
    pub(crate) fn behave(self, behave: impl Fn(&Request, usize) -> Reply + Send + Sync + 'static) -> Self {
        self.handler(move |request, exchange| exchange.reply(behave(request, request.n)))
    }

    /// Makes all payload pass this gate.
    pub(crate) fn gate(mut self, gate: &Gate) -> Self {
        self.gate = Some(gate.clone());
        self
    }

    /// Sets the rate of each connection, in payload bytes a second.
    pub(crate) fn rate(mut self, bytes_per_second: u64) -> Self {
        self.rate = Some(bytes_per_second);
        self
    }

    pub(crate) fn tls(self, config: Arc<ServerConfig>) -> Self {
        self.tls_by_connection(move |_| config.clone())
    }

    pub(crate) fn tls_by_connection(
        mut self,
        choose: impl Fn(usize) -> Arc<ServerConfig> + Send + Sync + 'static,
    ) -> Self {
        self.tls = Some(Arc::new(choose));
        self
    }

    pub(crate) fn start(self) -> Server {
        let listener = TcpListener::bind(self.address).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            log: Mutex::new(Log::default()),
            changed: Condvar::new(),
            resource: Mutex::new(self.resource),
            files: Mutex::new(self.files),
            handler: Mutex::new(self.handler.unwrap_or_else(|| Arc::new(|_, exchange| exchange.serve()))),
            gate: Mutex::new(self.gate),
            rate: self.rate,
            tls: self.tls,
            sockets: Mutex::new(Vec::new()),
            stopping: AtomicBool::new(false),
        });
        let accepting = shared.clone();
        thread::spawn(move || accept_connections(&listener, &accepting));
        Server { address, shared }
    }
}

/// A running server; dropping it closes every connection.
pub(crate) struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    log: Mutex<Log>,
    changed: Condvar,
    resource: Mutex<Resource>,
    files: Mutex<Vec<(String, Resource)>>,
    handler: Mutex<Handler>,
    gate: Mutex<Option<Gate>>,
    rate: Option<u64>,
    tls: Option<TlsChooser>,
    sockets: Mutex<Vec<(usize, TcpStream)>>,
    stopping: AtomicBool,
}

impl Server {
    pub(crate) fn serve(resource: impl Into<Resource>) -> Builder {
        Builder {
            resource: resource.into(),
            files: Vec::new(),
            handler: None,
            gate: None,
            rate: None,
            tls: None,
            address: (Ipv4Addr::LOCALHOST, 0).into(),
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    pub(crate) fn origin(&self) -> String {
        self.origin_as(&match self.address.ip() {
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => format!("[{ip}]"),
        })
    }

    /// Origin of the same server under another host name.
    pub(crate) fn origin_as(&self, host: &str) -> String {
        let scheme = if self.shared.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{host}:{}", self.port())
    }

    /// URL of `path`, which starts with a slash.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.origin())
    }

    /// Replaces the main resource from now on.
    pub(crate) fn replace(&self, resource: impl Into<Resource>) {
        *self.shared.resource.lock().unwrap() = resource.into();
    }

    pub(crate) fn handle_with(&self, handler: impl Fn(&Request, &mut Exchange<'_>) + Send + Sync + 'static) {
        *self.shared.handler.lock().unwrap() = Arc::new(handler);
    }

    pub(crate) fn behave_with(&self, behave: impl Fn(&Request, usize) -> Reply + Send + Sync + 'static) {
        self.handle_with(move |request, exchange| exchange.reply(behave(request, request.n)));
    }

    /// Behaves well from now on.
    pub(crate) fn recover(&self) {
        self.handle_with(|_, exchange| exchange.serve());
        self.set_gate(None);
    }

    /// Puts another gate (or none) before the payload; exchanges waiting at the old one give up.
    pub(crate) fn set_gate(&self, gate: Option<&Gate>) {
        *self.shared.gate.lock().unwrap() = gate.cloned();
    }

    /// Closes every connection, in whatever state it is.
    pub(crate) fn hang_up(&self) {
        for (_, socket) in self.shared.sockets.lock().unwrap().iter() {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    /// Empties the log: exchanges begun before are no longer counted.
    pub(crate) fn forget(&self) {
        let mut log = self.shared.log.lock().unwrap();
        log.requests.clear();
        log.closed.clear();
        log.connections = 0;
        log.most_in_flight = log.in_flight;
        log.generation += 1;
    }

    /// Copies the current log: an assertion that describes the server while it holds the lock would deadlock.
    pub(crate) fn log(&self) -> Log {
        self.locked_log().clone()
    }

    fn locked_log(&self) -> MutexGuard<'_, Log> {
        self.shared.log.lock().unwrap()
    }

    pub(crate) fn requests(&self) -> Vec<Record> {
        self.log().requests
    }

    pub(crate) fn gets(&self) -> Vec<Record> {
        self.locked_log().gets().cloned().collect()
    }

    pub(crate) fn heads(&self) -> Vec<Record> {
        self.locked_log().requests.iter().filter(|record| record.is_head()).cloned().collect()
    }

    pub(crate) fn body_bytes(&self) -> u64 {
        self.locked_log().body_bytes()
    }

    pub(crate) fn connections(&self) -> usize {
        self.locked_log().connections
    }

    pub(crate) fn describe(&self) -> String {
        self.locked_log().summary()
    }

    /// Blocks until the log fulfils the condition.
    #[track_caller]
    pub(crate) fn wait_until(&self, what: &str, condition: impl Fn(&Log) -> bool) {
        let log = self.locked_log();
        let (log, timeout) =
            self.shared.changed.wait_timeout_while(log, PATIENCE, |log| !condition(log)).unwrap();
        assert!(!timeout.timed_out(), "waited in vain until {what}; {}", log.summary());
    }

    #[track_caller]
    pub(crate) fn wait_for_body_bytes(&self, bytes: u64) {
        self.wait_until(&format!("{bytes} payload bytes were served"), |log| log.body_bytes() >= bytes);
    }

    #[track_caller]
    pub(crate) fn assert_cost(&self, limit: u64) {
        let served = self.body_bytes();
        assert!(
            served <= limit,
            "{served} payload bytes were served, more than {limit}; {}",
            self.describe()
        );
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        for (_, socket) in self.shared.sockets.lock().unwrap().drain(..) {
            let _ = socket.shutdown(Shutdown::Both);
        }
        // Wakes the accepting thread, which then sees that it should end.
        let _ = TcpStream::connect(self.address);
    }
}

fn accept_connections(listener: &TcpListener, shared: &Arc<Shared>) {
    for (id, socket) in listener.incoming().enumerate() {
        let Ok(socket) = socket else { continue };
        if shared.stopping.load(Ordering::SeqCst) {
            return;
        }
        let _ = socket.set_nodelay(true);
        bound_send_buffer(&socket);
        shared.sockets.lock().unwrap().push((id, socket.try_clone().unwrap()));
        {
            let mut log = shared.log.lock().unwrap();
            log.connections += 1;
            shared.changed.notify_all();
        }
        let shared = shared.clone();
        thread::spawn(move || {
            serve_connection(&shared, id, socket);
            shared.sockets.lock().unwrap().retain(|(other, _)| *other != id);
            shared.log.lock().unwrap().closed.push(id);
            shared.changed.notify_all();
        });
    }
}

fn serve_connection(shared: &Arc<Shared>, id: usize, socket: TcpStream) {
    let mut wire = match &shared.tls {
        None => Wire::Plain(socket),
        Some(choose) => {
            let connection = ServerConnection::new(choose(id)).unwrap();
            Wire::Tls(Box::new(StreamOwned::new(connection, socket)))
        }
    };
    let mut unread = Vec::new();
    for nth in 0.. {
        let Some(raw) = read_head(&mut wire, &mut unread) else {
            break;
        };
        let Some(body) = read_body(&mut wire, &mut unread, &raw) else {
            break;
        };
        let (request, record, generation) = shared.begin(raw, body, id, nth);
        let mut exchange = Exchange::new(shared, &mut wire, request.clone(), record, generation);
        let handler = shared.handler.lock().unwrap().clone();
        handler(&request, &mut exchange);
        let (over, with_reset) = (exchange.over, exchange.with_reset);
        shared.end(record, generation, usize::from(!request.is_head()));
        if with_reset {
            // The only descriptor left; dropping it with linger zero sends the RST.
            return;
        }
        if over || request.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close")) {
            break;
        }
    }
    wire.close();
}

fn read_head(wire: &mut Wire, unread: &mut Vec<u8>) -> Option<Vec<u8>> {
    let mut buffer = [0; 8192];
    loop {
        if let Some(at) = unread.windows(4).position(|window| window == b"\r\n\r\n") {
            let rest = unread.split_off(at + 4);
            return Some(std::mem::replace(unread, rest));
        }
        if unread.len() > LONGEST_HEAD {
            return None;
        }
        match wire.read(&mut buffer) {
            Ok(0) | Err(_) => return None,
            Ok(n) => unread.extend_from_slice(&buffer[..n]),
        }
    }
}

/// Reads the body that a head announces by its length.
fn read_body(wire: &mut Wire, unread: &mut Vec<u8>, head: &[u8]) -> Option<Vec<u8>> {
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let stated = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    let length = stated.map_or(0, |length| length.trim().parse().unwrap());
    let mut buffer = [0; 8192];
    while unread.len() < length {
        match wire.read(&mut buffer) {
            Ok(0) | Err(_) => return None,
            Ok(n) => unread.extend_from_slice(&buffer[..n]),
        }
    }
    let rest = unread.split_off(length);
    Some(std::mem::replace(unread, rest))
}

impl Shared {
    fn begin(
        &self,
        raw: Vec<u8>,
        body: Vec<u8>,
        connection: usize,
        nth: usize,
    ) -> (Arc<Request>, usize, usize) {
        let mut log = self.log.lock().unwrap();
        let mut request = Request::parse(raw, log.total_requests, connection, nth);
        request.body = body;
        let request = Arc::new(request);
        // HEAD runs beside the GETs that tests script and count, so it is not counted.
        let counts = usize::from(!request.is_head());
        log.total_requests += counts;
        log.in_flight += counts;
        log.most_in_flight = log.most_in_flight.max(log.in_flight);
        log.requests.push(Record {
            request: request.clone(),
            status: None,
            answered: None,
            body: 0,
            ended: None,
        });
        self.changed.notify_all();
        (request, log.requests.len() - 1, log.generation)
    }

    fn end(&self, record: usize, generation: usize, counts: usize) {
        self.log.lock().unwrap().in_flight -= counts;
        self.note(record, generation, |record| record.ended = Some(Instant::now()));
    }

    fn note(&self, record: usize, generation: usize, change: impl FnOnce(&mut Record)) {
        let mut log = self.log.lock().unwrap();
        if log.generation == generation {
            change(&mut log.requests[record]);
        }
        self.changed.notify_all();
    }

    fn resource_at(&self, path: &str) -> Resource {
        let files = self.files.lock().unwrap();
        match files.iter().find(|(name, _)| name == path) {
            Some((_, resource)) => resource.clone(),
            None => self.resource.lock().unwrap().clone(),
        }
    }
}
