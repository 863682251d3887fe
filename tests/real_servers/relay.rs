//! A relay between haul and a server, with a gate: it lets a number of bytes through and then holds everything,
//! connections open, so that a download stops half-way, whatever the server and however fast the machine.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

const BUFFER: usize = 64 << 10;

/// The relay; its accepting thread ends with it.
pub(crate) struct Relay {
    port: u16,
    gate: Arc<Gate>,
    accepting: Option<JoinHandle<()>>,
}

impl Relay {
    /// Relays to this loopback port, and lets `allowance` bytes of responses through until it is opened.
    pub(crate) fn start(upstream: u16, allowance: u64) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback port is free");
        let port = listener.local_addr().expect("it is bound").port();
        let gate = Arc::new(Gate::new(allowance));
        let accepting = std::thread::spawn({
            let gate = Arc::clone(&gate);
            move || accept(&listener, upstream, &gate)
        });
        Self { port, gate, accepting: Some(accepting) }
    }

    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// Ends all current connections, opens the gate for new ones, and counts from zero.
    pub(crate) fn open(&self) {
        self.gate.change(|passage| {
            passage.generation += 1;
            passage.allowance = u64::MAX;
            passage.passed = 0;
        });
    }

    /// Waits until this many bytes of responses were let through; false if that takes longer than `patience`.
    pub(crate) fn wait_for(&self, bytes: u64, patience: Duration) -> bool {
        let (lock, few) = (self.gate.lock(), |passage: &mut Passage| passage.passed < bytes);
        let waited = self.gate.changed.wait_timeout_while(lock, patience, few);
        !waited.expect("no holder of the lock panics").1.timed_out()
    }

    /// Bytes of responses let through, heads and TLS records included.
    pub(crate) fn passed(&self) -> u64 {
        self.gate.lock().passed
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.gate.change(|passage| {
            passage.generation += 1;
            passage.closed = true;
        });
        // The accepting thread notices the closing when a connection arrives.
        let woken = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok();
        if let Some(accepting) = self.accepting.take().filter(|_| woken) {
            let _ = accepting.join();
        }
    }
}

/// State shared by the relay's threads.
struct Gate {
    passage: Mutex<Passage>,
    changed: Condvar,
}

struct Passage {
    /// Connections of an earlier generation are over.
    generation: u64,
    allowance: u64,
    passed: u64,
    closed: bool,
}

impl Gate {
    const fn new(allowance: u64) -> Self {
        let passage = Passage { generation: 0, allowance, passed: 0, closed: false };
        Self { passage: Mutex::new(passage), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Passage> {
        self.passage.lock().expect("no holder of the lock panics")
    }

    fn change(&self, change: impl FnOnce(&mut Passage)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    /// Waits until some of `wanted` bytes may pass; `None` when the connection is over.
    fn pass(&self, generation: u64, wanted: usize) -> Option<usize> {
        let held = |passage: &mut Passage| passage.generation == generation && passage.allowance == 0;
        let mut passage = self.changed.wait_while(self.lock(), held).expect("no holder of the lock panics");
        if passage.generation != generation {
            return None;
        }
        let now = usize::try_from(passage.allowance).map_or(wanted, |allowed| allowed.min(wanted));
        passage.allowance -= now as u64;
        passage.passed += now as u64;
        self.changed.notify_all();
        Some(now)
    }
}

fn accept(listener: &TcpListener, upstream: u16, gate: &Arc<Gate>) {
    for client in listener.incoming() {
        let (closed, generation) = {
            let passage = gate.lock();
            (passage.closed, passage.generation)
        };
        if closed {
            return;
        }
        // haul sees the connection fail as well, and reacts to it.
        let _ = client.and_then(|client| connect(client, upstream, gate, generation));
    }
}

fn connect(client: TcpStream, upstream: u16, gate: &Arc<Gate>, generation: u64) -> io::Result<()> {
    let server = TcpStream::connect((Ipv4Addr::LOCALHOST, upstream))?;
    let (mut asking, mut asked) = (client.try_clone()?, server.try_clone()?);
    // Both threads end with their sockets: with haul, with the server, or with the generation.
    std::thread::spawn(move || {
        let _ = io::copy(&mut asking, &mut asked);
        let _ = asked.shutdown(Shutdown::Both);
    });
    let gate = Arc::clone(gate);
    std::thread::spawn(move || {
        let _ = answer(&server, &client, &gate, generation);
        let _ = client.shutdown(Shutdown::Both);
        let _ = server.shutdown(Shutdown::Both);
    });
    Ok(())
}

fn answer(mut server: &TcpStream, mut client: &TcpStream, gate: &Gate, generation: u64) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let mut rest = match server.read(&mut buffer)? {
            0 => return Ok(()),
            read => &buffer[..read],
        };
        while !rest.is_empty() {
            let Some(now) = gate.pass(generation, rest.len()) else {
                return Ok(());
            };
            client.write_all(&rest[..now])?;
            rest = &rest[now..];
        }
    }
}
