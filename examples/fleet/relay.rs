//! A relay between the workers and the NATS server, which cuts the network between them: it drops connections, or swallows everything.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;

#[derive(Clone, Copy, PartialEq)]
pub enum Line {
    Open,
    /// Connections are there, and nothing passes.
    Silent,
    /// Connections are closed as soon as they are made.
    Cut,
}

pub struct Relay {
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    line: Mutex<Line>,
    changed: Condvar,
    open: Mutex<Vec<TcpStream>>,
}

impl Shared {
    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().expect("no holder panics")
    }
}

impl Relay {
    pub fn start(to: u16) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            line: Mutex::new(Line::Open),
            changed: Condvar::new(),
            open: Mutex::default(),
        });
        let accepting = shared.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // A connection that fails is the affair of its two ends.
                let _ = joined(&client, to, &accepting);
            }
        });
        Ok(Self { address, shared })
    }

    pub fn set(&self, line: Line) {
        *self.shared.line() = line;
        self.shared.changed.notify_all();
        if line == Line::Cut {
            let open = std::mem::take(&mut *self.shared.open.lock().expect("no holder panics"));
            for stream in open {
                let _ = stream.shutdown(Shutdown::Both);
            }
        }
    }
}

fn joined(client: &TcpStream, to: u16, shared: &Arc<Shared>) -> io::Result<()> {
    if *shared.line() == Line::Cut {
        return client.shutdown(Shutdown::Both);
    }
    let server = TcpStream::connect(("127.0.0.1", to))?;
    for stream in [client, &server] {
        stream.set_nodelay(true)?;
        shared.open.lock().expect("no holder panics").push(stream.try_clone()?);
    }
    for (from, to) in [(client.try_clone()?, server.try_clone()?), (server.try_clone()?, client.try_clone()?)]
    {
        let shared = shared.clone();
        thread::spawn(move || pump(&from, &to, &shared));
    }
    Ok(())
}

fn pump(mut from: &TcpStream, mut to: &TcpStream, shared: &Shared) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        drop(shared.changed.wait_while(shared.line(), |line| *line == Line::Silent));
        if to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}
