//! Options of TCP sockets that no crate offers safely: the bound of the receive window, and the round trip as the receiver
//! measures it.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

/// Bounds the window that the peer is offered, in bytes. The kernel raises a bound that is too small, and takes nothing back that
/// was offered already. Only Linux has it (tcp(7), `TCP_WINDOW_CLAMP`).
///
/// # Errors
/// Those of setsockopt(2); `Unsupported` elsewhere.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "no crate offers TCP_WINDOW_CLAMP")]
pub(crate) fn clamp_window(socket: &impl AsFd, bytes: u32) -> io::Result<()> {
    use std::os::fd::AsRawFd as _;
    let socket = socket.as_fd();
    let value = libc::c_int::try_from(bytes).unwrap_or(libc::c_int::MAX);
    // SAFETY: the descriptor is open for as long as it is borrowed; the pointer is to an int of the stated size, which the
    // kernel only reads, and not after the call.
    let done = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_WINDOW_CLAMP,
            (&raw const value).cast(),
            size_of_val(&value) as libc::socklen_t,
        )
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// State of a connection on the side of its receiver, as the kernel knows it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Received {
    /// Round trip from the time stamps of what comes (RFC 7323), the queue on the way included; zero before enough has come.
    pub(crate) round_trip: Duration,
    /// Bytes in a packet.
    pub(crate) packet: u32,
}

/// Asks for it (tcp(7), `TCP_INFO`). Nothing is known where the system does not tell.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "no crate offers TCP_INFO safely")]
pub(crate) fn received(socket: &impl AsFd) -> Received {
    use std::mem::MaybeUninit;
    use std::os::fd::AsRawFd as _;
    let socket = socket.as_fd();
    let mut info = MaybeUninit::<libc::tcp_info>::zeroed();
    let mut length = size_of::<libc::tcp_info>() as libc::socklen_t;
    // SAFETY: the descriptor is open for as long as it is borrowed; the kernel writes at most `length` bytes, which is the size of
    // what the pointer is to.
    let done = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            info.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if done != 0 {
        return Received::default();
    }
    // SAFETY: it has integers alone, for which zero is a value, and was zeroed before the kernel wrote to it.
    let info = unsafe { info.assume_init() };
    let round_trip = Duration::from_micros(u64::from(info.tcpi_rcv_rtt));
    Received { round_trip, packet: info.tcpi_rcv_mss }
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn clamp_window(_: &impl AsFd, _: u32) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn received(_: &impl AsFd) -> Received {
    Received::default()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn a_clamped_receiver_is_sent_no_more_than_its_window_and_the_round_trip_is_measured() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut receiver = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        clamp_window(&receiver, 20_000).unwrap();
        assert_eq!(received(&receiver).round_trip, Duration::ZERO);
        let (mut sender, _) = listener.accept().unwrap();
        let sending = std::thread::spawn(move || sender.write_all(&vec![7; 4 << 20]));
        let mut buffer = vec![0; 1 << 20];
        let mut total = 0;
        while total < 4 << 20 {
            total += receiver.read(&mut buffer).unwrap();
        }
        sending.join().unwrap().unwrap();
        let Received { round_trip, packet } = received(&receiver);
        assert!(!round_trip.is_zero() && round_trip < Duration::from_secs(1), "{round_trip:?}");
        assert!((500..=1 << 16).contains(&packet), "{packet}");
    }

    #[test]
    fn what_is_no_tcp_socket_is_an_error() {
        let (one, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        assert!(clamp_window(&one, 20_000).is_err());
        assert_eq!(received(&one), Received::default());
    }
}
