//! A TUN device: a network interface whose other end is this process.

use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tappers::Interface;

use super::packet::Packet;
use crate::Outcome;

const DEVICE: &str = "/dev/net/tun";

/// An open device. It stays open when its interface moves to another network namespace, and takes the
/// interface with it when it is closed.
pub(super) struct Tun(tappers::Tun);

impl Tun {
    /// Returns true if this machine has such devices.
    pub(super) fn exists() -> bool {
        Path::new(DEVICE).exists()
    }

    /// Opens one in this process's namespace.
    pub(super) fn open(name: &str) -> Outcome<Self> {
        let mut device = tappers::Tun::new_named(Interface::new(name)?)?;
        device.set_nonblocking(true)?;
        Ok(Self(device))
    }

    /// Reads a packet if there is one.
    pub(super) fn receive(&self, packet: &mut Packet) -> bool {
        packet.fill(|buffer| self.0.recv(buffer).ok())
    }

    /// Sends a packet; one that the kernel does not take is lost, as on any line.
    pub(super) fn send(&self, packet: &Packet) {
        let _ = self.0.send(packet.bytes());
    }

    /// Waits until there is a packet to read, but no longer than this.
    pub(super) fn wait(&self, at_most: Duration) {
        let timeout = Timespec { tv_sec: 0, tv_nsec: at_most.subsec_nanos().into() };
        // Whatever ends the wait, the next read finds the packets that are there.
        let _ = poll(&mut [PollFd::new(&self.0, PollFlags::IN)], Some(&timeout));
    }
}
