//! Connections in memory, for tests in paused time: real sockets would let the clock run ahead of them.

use tokio::io::DuplexStream;
use tokio::sync::mpsc;

/// Bytes under way in one direction of a connection.
const IN_FLIGHT: usize = 64 << 10;

/// Takes the place of the network. The server's ends come out of the receiver.
#[derive(Clone, Debug)]
pub(crate) struct Wire(mpsc::UnboundedSender<DuplexStream>);

impl Wire {
    pub(crate) fn new() -> (Self, mpsc::UnboundedReceiver<DuplexStream>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(sender), receiver)
    }

    /// Opens a connection; one that is not taken is closed at once.
    pub(super) fn open(&self) -> DuplexStream {
        let (ours, theirs) = tokio::io::duplex(IN_FLIGHT);
        // Without a server the other end is dropped, as a refused connection is.
        let _ = self.0.send(theirs);
        ours
    }
}
