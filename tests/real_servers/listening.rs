//! Ports to listen on, and the wait for a listener.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::Child;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

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

/// Writes in the directory of a server. Each of them writes a line of a log or its process ID there once it listens.
pub(crate) struct Writes(OwnedFd);

impl Writes {
    /// Watches from now on.
    pub(crate) fn in_directory(directory: &Path) -> io::Result<Self> {
        let watch = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
        let writes = inotify::WatchFlags::CREATE | inotify::WatchFlags::MODIFY;
        inotify::add_watch(&watch, directory, writes)?;
        Ok(Self(watch))
    }

    /// Waits for a write or the end of the server, at most for `patience`.
    fn wait(&self, server: &OwnedFd, patience: Duration) -> io::Result<()> {
        let mut either = [PollFd::new(&self.0, PollFlags::IN), PollFd::new(server, PollFlags::IN)];
        let patience = Timespec::try_from(patience).map_err(io::Error::other)?;
        poll(&mut either, Some(&patience))?;
        // Only that something was written matters; nothing to read is no error here.
        let _ = rustix::io::read(&self.0, &mut [0_u8; 4096]);
        Ok(())
    }
}

/// Waits until the server accepts connections: a look is worth it after each write of its own.
pub(crate) fn wait_until_listening(server: &mut Child, port: u16, writes: &Writes) -> io::Result<()> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let deadline = Instant::now() + Duration::from_secs(20);
    let process = pidfd_open(Pid::from_child(server), PidfdFlags::empty())?;
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
        writes.wait(&process, deadline.saturating_duration_since(Instant::now()))?;
    }
}
