//! The thread that moves the packets of one direction.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::link::Link;
use super::packet::Packet;
use super::tun::Tun;

/// Poll interval of the devices while packets are in flight: tens of thousands of wake-ups a second, one for each
/// packet, would take the processor from the measured clients.
const TICK: Duration = Duration::from_micros(250);
/// Time within which an idle thread notices that it has to end.
const IDLE: Duration = Duration::from_millis(100);

/// A model shared by the thread and the rows.
pub(super) type Shared = Arc<Mutex<Link>>;

/// Locks the model, also after a thread has panicked: every state of it is usable.
pub(super) fn lock(link: &Mutex<Link>) -> MutexGuard<'_, Link> {
    link.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Moves packets from one device to the other.
pub(super) struct Forwarder {
    pub(super) from: Arc<Tun>,
    pub(super) to: Arc<Tun>,
    pub(super) link: Shared,
    pub(super) clock: Instant,
    pub(super) stop: Arc<AtomicBool>,
}

impl Forwarder {
    pub(super) fn run(&self) {
        let mut spare = Vec::new();
        while !self.stop.load(Ordering::Relaxed) {
            if self.step(&mut spare) {
                self.from.wait(IDLE);
            } else {
                thread::sleep(TICK);
            }
        }
    }

    /// Takes in the packets received and sends those due; returns true if none is in flight.
    fn step(&self, spare: &mut Vec<Packet>) -> bool {
        let mut link = lock(&self.link);
        let now = self.clock.elapsed();
        loop {
            let mut packet = spare.pop().unwrap_or_else(Packet::empty);
            if !self.from.receive(&mut packet) {
                spare.push(packet);
                break;
            }
            link.accept(now, packet);
        }
        while let Some(packet) = link.release(now) {
            self.to.send(&packet);
            spare.push(packet);
        }
        link.is_idle()
    }
}
