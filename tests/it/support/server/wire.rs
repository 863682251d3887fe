//! The socket, with or without TLS around it.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};

use rustls::{ServerConnection, StreamOwned};
use tokio::net::TcpSocket;

const SEND_BUFFER: u32 = 64 * 1024;

pub(crate) enum Wire {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ServerConnection, TcpStream>>),
}

impl Wire {
    pub(crate) fn socket(&self) -> &TcpStream {
        match self {
            Wire::Plain(socket) => socket,
            Wire::Tls(stream) => &stream.sock,
        }
    }

    pub(crate) fn close(&mut self) {
        if let Wire::Tls(stream) = self {
            stream.conn.send_close_notify();
            let _ = stream.flush();
        }
        let _ = self.socket().shutdown(Shutdown::Both);
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Wire::Plain(socket) => socket.read(buffer),
            Wire::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Wire::Plain(socket) => socket.write(bytes),
            Wire::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Wire::Plain(socket) => socket.flush(),
            Wire::Tls(stream) => stream.flush(),
        }
    }
}

/// Keeps the kernel from taking more payload than the client is about to read.
pub(crate) fn bound_send_buffer(socket: &TcpStream) {
    options_of(socket).set_send_buffer_size(SEND_BUFFER).unwrap();
}

/// From now on, dropping the last descriptor of this socket sends RST.
pub(crate) fn reset_when_dropped(socket: &TcpStream) {
    options_of(socket).set_zero_linger().unwrap();
}

/// Socket options, which std does not have, on a second descriptor of the same socket. Needs no runtime.
fn options_of(socket: &TcpStream) -> TcpSocket {
    TcpSocket::from_std_stream(socket.try_clone().unwrap())
}

/// True if the other side has sent FIN or RST.
pub(crate) fn is_closed(socket: &TcpStream) -> bool {
    if socket.set_nonblocking(true).is_err() {
        return true;
    }
    let peeked = socket.peek(&mut [0]);
    let _ = socket.set_nonblocking(false);
    match peeked {
        Ok(n) => n == 0,
        Err(e) => e.kind() != io::ErrorKind::WouldBlock,
    }
}
