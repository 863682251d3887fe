//! Sockets with a name in the file system, and the one of systemd.

use super::{Facts as _, unlink};
use rustix::fs::Mode;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;

pub(crate) use std::os::unix::net::UnixStream as Stream;
pub(crate) use tokio::net::UnixListener as Listener;

/// Listens on a socket of this user's alone. A socket on which nothing answers is left from a process that was killed,
/// and is replaced.
///
/// # Errors
/// `AddrInUse` if another process answers there, `AlreadyExists` if something else has the name, and those of bind(2).
pub(crate) fn listen(path: &Path) -> io::Result<Listener> {
    if Stream::connect(path).is_ok() {
        return Err(io::ErrorKind::AddrInUse.into());
    }
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.is_socket() => unlink(path)?,
        Ok(_) => return Err(io::ErrorKind::AlreadyExists.into()),
        Err(_) => {}
    }
    let before = rustix::process::umask(Mode::from_raw_mode(0o177));
    let listener = Listener::bind(path);
    rustix::process::umask(before);
    listener
}

/// Sends a change of state to systemd (`sd_notify(3)`), whose address is `socket`.
///
/// # Errors
/// Those of sendto(2), and for a name that is too long.
pub(crate) fn notify(socket: &OsStr, state: &str) -> io::Result<()> {
    let name = socket.as_encoded_bytes();
    let address = match name.strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(Path::new(socket))?,
    };
    UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address)?;
    Ok(())
}
