//! Ports to listen on, and the wait for a listener.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::Child;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

static NEXT: AtomicU16 = AtomicU16::new(0);

/// A loopback port without a listener. It is below the range of outgoing connections (32768 and up on Linux), so that
/// none of those takes it before the server does; other processes start elsewhere, and this one never returns a port
/// twice.
pub(crate) fn free_port() -> u16 {
    let first = u16::try_from(std::process::id() % 190).expect("less than 190 fits") * 64;
    loop {
        let port = 20_000 + (first + NEXT.fetch_add(1, Ordering::Relaxed)) % 12_500;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}

/// Waits until the server accepts connections. The server is a foreign program that reports it in no other way.
pub(crate) fn wait_until_listening(server: &mut Child, port: u16) -> io::Result<()> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(status) = server.try_wait()? {
            return Err(io::Error::other(format!("the server ended: {status}")));
        }
        if TcpStream::connect(address).is_ok() {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(io::Error::other(format!("nobody listens on {address}")));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}
