//! A wide-area line between two network namespaces of this machine. Packets go through two TUN devices and a model of
//! the line in this process, so that TCP at both ends is the kernel's own.
//!
//! Limits of the model: packets are never reordered, the delay varies only by the quarter of a millisecond of the poll
//! interval, and the way to the server has a delay and nothing else.

pub(crate) mod certificate;
mod delivered;
mod forwarder;
mod line;
mod link;
mod namespace;
mod packet;
mod tun;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Instant;

pub(crate) use delivered::Delivered;
pub(crate) use line::{Exception, Line, PAYLOAD_SHARE};
pub(crate) use namespace::Namespace;

use crate::Outcome;
use crate::tools::Tools;
use forwarder::{Forwarder, Shared, lock};
use link::Link;
use packet::Toward;
use tun::Tun;

const CLIENT: &str = "10.200.1.1";
const SERVER: &str = "10.200.1.2";

/// Linux's default limit of a receive window, whatever the settings of this machine.
const WINDOW: u64 = 6 << 20;

/// Parameters of a row.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    pub(crate) line: Line,
    /// Most bytes that the client's TCP buffers for one connection (`net.ipv4.tcp_rmem`).
    pub(crate) window: u64,
}

impl Setting {
    pub(crate) const fn new(line: Line) -> Self {
        Self { line, window: WINDOW }
    }
}

/// An open line, its ends, and the threads that drive it.
pub(crate) struct Wan {
    client: Namespace,
    server: Namespace,
    down: Shared,
    up: Shared,
    clock: Instant,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Wan {
    /// Returns the reason that this machine can have none, if there is one.
    pub(crate) fn refusal(tools: &Tools) -> Option<String> {
        let left_out = "they are left out";
        let Some(ip) = &tools.ip else {
            return Some(format!("the WAN rows need ip: apt-get install iproute2; {left_out}"));
        };
        let can = rustix::process::geteuid().is_root() && Tun::exists() && Namespace::client(ip).is_ok();
        let need = "root (network namespaces and TUN devices)";
        (!can).then(|| format!("the WAN rows need {need}; {left_out}"))
    }

    /// Creates the namespaces, joins them, and starts to move packets.
    pub(crate) fn open(tools: &Tools, setting: &Setting, seed: u64) -> Outcome<Self> {
        let ip = tools.ip.as_deref().ok_or("ip is not installed")?;
        namespace::remove_left_over(ip)?;
        let (client, server) = (Namespace::client(ip)?, Namespace::server(ip)?);
        let (client_tun, server_tun) = (attach(&client, "c", CLIENT)?, attach(&server, "s", SERVER)?);
        tune(&client, setting.window)?;
        tune(&server, WINDOW)?;
        // A connection is opened, and closed in any case, by the client.
        let Line { delay, connections, .. } = setting.line;
        let back = Line { delay, connections, ..Line::default() };
        let down = Link::new(Line { connections: None, ..setting.line.clone() }, Toward::Client, seed);
        let up = Link::new(back, Toward::Server, seed);
        let mut wan = Self {
            client,
            server,
            down: Arc::new(Mutex::new(down)),
            up: Arc::new(Mutex::new(up)),
            clock: Instant::now(),
            stop: Arc::default(),
            threads: Vec::new(),
        };
        wan.forward(&server_tun, &client_tun, &Arc::clone(&wan.down));
        wan.forward(&client_tun, &server_tun, &Arc::clone(&wan.up));
        Ok(wan)
    }

    fn forward(&mut self, from: &Arc<Tun>, to: &Arc<Tun>, link: &Shared) {
        let forwarder = Forwarder {
            from: Arc::clone(from),
            to: Arc::clone(to),
            link: Arc::clone(link),
            clock: self.clock,
            stop: Arc::clone(&self.stop),
        };
        self.threads.push(thread::spawn(move || forwarder.run()));
    }

    pub(crate) const fn client(&self) -> &Namespace {
        &self.client
    }

    pub(crate) const fn server(&self) -> &Namespace {
        &self.server
    }

    /// The server's address.
    pub(crate) const fn address(&self) -> &'static str {
        SERVER
    }

    /// Changes the line to the client. The delay of the way back stays.
    pub(crate) fn change(&self, line: Line) {
        lock(&self.down).change(line);
    }

    /// Resets the line before each lap: the next flow is the first one again, and nothing is in flight.
    pub(crate) fn reset(&self) {
        let now = self.clock.elapsed();
        lock(&self.down).reset(now);
        lock(&self.up).reset(now);
    }

    /// Bytes delivered to the client since the last reset.
    pub(crate) fn delivered(&self) -> Delivered {
        lock(&self.down).delivered().clone()
    }
}

impl Drop for Wan {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // A panicking thread has already printed its message.
            let _ = thread.join();
        }
    }
}

/// Attaches a new device as the interface of the namespace. Interface names have at most 15 bytes.
fn attach(namespace: &Namespace, end: &str, address: &str) -> Outcome<Arc<Tun>> {
    let name = format!("haul{end}{}", std::process::id());
    let tun = Tun::open(&name)?;
    namespace.adopt(&name, &format!("{address}/30"))?;
    // A namespace may choose a congestion control only among those that the machine allows to all users; a route may
    // choose any.
    namespace.ip(&format!("route replace 10.200.1.0/30 dev {name} congctl cubic"))?;
    Ok(Arc::new(tun))
}

/// Sets TCP to Linux's defaults, without metrics saved from one lap for the next.
fn tune(namespace: &Namespace, window: u64) -> Outcome<()> {
    namespace.set("net.ipv4.tcp_no_metrics_save", "1")?;
    namespace.set("net.ipv4.tcp_rmem", &format!("4096 131072 {window}"))?;
    namespace.set("net.ipv4.tcp_wmem", "4096 16384 4194304")
}
