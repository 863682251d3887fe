//! One IP packet in flight.

/// Largest packet of either device, in bytes.
pub(super) const MTU: usize = 1500;

const TCP: u8 = 6;
const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;

/// Destination of packets. The client's port names a flow: it is the destination port on the way to the client, the
/// source port on the way to the server.
#[derive(Clone, Copy, Debug)]
pub(super) enum Toward {
    Client,
    Server,
}

/// Bytes of a packet in a buffer that is reused for the next one.
pub(super) struct Packet {
    buffer: Box<[u8; MTU]>,
    length: usize,
}

impl Packet {
    pub(super) fn empty() -> Self {
        Self { buffer: Box::new([0; MTU]), length: 0 }
    }

    /// Fills it; the closure returns the number of bytes it wrote, or `None` if there was no packet.
    pub(super) fn fill(&mut self, read: impl FnOnce(&mut [u8]) -> Option<usize>) -> bool {
        let read = read(&mut self.buffer[..]);
        self.length = read.unwrap_or(0).min(MTU);
        read.is_some()
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.buffer[..self.length]
    }

    pub(super) const fn length(&self) -> usize {
        self.length
    }

    /// The client's port, if this is TCP.
    pub(super) fn client_port(&self, toward: Toward) -> Option<u16> {
        let at = match toward {
            Toward::Client => 2,
            Toward::Server => 0,
        };
        let tcp = self.tcp()?;
        Some(u16::from_be_bytes([*tcp.get(at)?, *tcp.get(at + 1)?]))
    }

    /// Returns true if it belongs to the opening of a connection.
    pub(super) fn opens(&self) -> bool {
        self.tcp().and_then(|tcp| tcp.get(13)).is_some_and(|flags| flags & SYN != 0)
    }

    /// Returns true if its sender closes the connection.
    pub(super) fn closes(&self) -> bool {
        self.tcp().and_then(|tcp| tcp.get(13)).is_some_and(|flags| flags & (FIN | RST) != 0)
    }

    /// Returns the packet from the TCP header on (RFC 791, section 3.1): the low half of the first byte counts words of
    /// header.
    fn tcp(&self) -> Option<&[u8]> {
        let packet = self.bytes();
        let first = *packet.first()?;
        let is_tcp = first >> 4 == 4 && packet.get(9) == Some(&TCP);
        if is_tcp { packet.get(usize::from(first & 0x0f) * 4..) } else { None }
    }
}
