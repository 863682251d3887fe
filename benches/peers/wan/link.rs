//! Model of one direction of the line: packets and times go in, packets and times come out. Nothing here reads a clock
//! or a device.
//!
//! A packet passes three stages: its own flow's rate limit with a drop-tail queue, the bottleneck that all flows share
//! with another one, and the delay.

use std::collections::VecDeque;
use std::time::Duration;

use super::delivered::Delivered;
use super::line::Line;
use super::packet::{Packet, Toward};
use crate::payload::Random;

/// Packets with their departure times, earliest first.
type Queue = VecDeque<(Duration, Packet)>;

/// A drop-tail queue before a rate limit, stored as the time at which all accepted packets have left.
#[derive(Default)]
struct Bottleneck {
    free: Duration,
}

impl Bottleneck {
    /// Returns the departure time of a packet that arrives now, or `None` if it is dropped.
    fn pass(&mut self, now: Duration, length: usize, rate: f64, queue: f64) -> Option<Duration> {
        let length = length as f64;
        let waiting = self.free.saturating_sub(now).as_secs_f64() * rate;
        if waiting + length > queue {
            return None;
        }
        self.free = self.free.max(now) + Duration::from_secs_f64(length / rate);
        Some(self.free)
    }
}

/// One TCP connection.
struct Flow {
    client_port: u16,
    first: Duration,
    bottleneck: Bottleneck,
    queue: Queue,
    closed: bool,
}

impl Flow {
    /// Departure time of its next packet.
    fn next(&self) -> Duration {
        self.queue.front().map_or(Duration::MAX, |(at, _)| *at)
    }
}

/// Model of one direction.
pub(super) struct Link {
    line: Line,
    toward: Toward,
    random: Random,
    start: Duration,
    flows: Vec<Flow>,
    bottleneck: Bottleneck,
    /// Packets that have left the bottleneck, with their arrival times.
    flight: Queue,
    delivered: Delivered,
}

impl Link {
    pub(super) fn new(line: Line, toward: Toward, seed: u64) -> Self {
        Self {
            line,
            toward,
            random: Random::new(seed),
            start: Duration::ZERO,
            flows: Vec::new(),
            bottleneck: Bottleneck::default(),
            flight: Queue::new(),
            delivered: Delivered::default(),
        }
    }

    /// Changes the line; packets in flight are not affected.
    pub(super) fn change(&mut self, line: Line) {
        self.line = line;
    }

    /// Forgets all flows, packets and counts.
    pub(super) fn reset(&mut self, now: Duration) {
        self.start = now;
        self.flows.clear();
        self.bottleneck = Bottleneck::default();
        self.flight.clear();
        self.delivered = Delivered::default();
    }

    pub(super) fn delivered(&self) -> &Delivered {
        &self.delivered
    }

    /// Accepts a packet. Calls come in order of time.
    pub(super) fn accept(&mut self, now: Duration, packet: Packet) {
        if packet.opens() && self.known(&packet).is_none() && self.is_full() {
            return;
        }
        let Some(nth) = self.flow_of(now, &packet) else {
            return self.join(now, packet);
        };
        let flow = &mut self.flows[nth];
        flow.closed |= packet.closes();
        let leaves = match self.line.flow_rate(nth + 1, now.saturating_sub(flow.first)) {
            Some(rate) => flow.bottleneck.pass(now, packet.length(), rate, Line::flow_queue(rate)),
            None => Some(now),
        };
        flow.queue.extend(leaves.map(|at| (at, packet)));
    }

    /// Returns the next packet that has arrived.
    pub(super) fn release(&mut self, now: Duration) -> Option<Packet> {
        while let Some((at, packet)) = self.leave_flow(now) {
            self.join(at, packet);
        }
        if self.flight.front().is_none_or(|(at, _)| *at > now) {
            return None;
        }
        let (at, packet) = self.flight.pop_front()?;
        if let Some(nth) = self.known(&packet) {
            self.delivered.add(nth, at.saturating_sub(self.start), packet.length() as u64);
        }
        Some(packet)
    }

    /// Returns true if no packet is in flight.
    pub(super) fn is_idle(&self) -> bool {
        self.flight.is_empty() && self.flows.iter().all(|flow| flow.queue.is_empty())
    }

    /// Finds the flow of a packet. Only an opening creates a new one: late packets of a connection from before the last
    /// reset belong to none.
    fn flow_of(&mut self, now: Duration, packet: &Packet) -> Option<usize> {
        let client_port = packet.client_port(self.toward)?;
        if let Some(nth) = self.known(packet) {
            return Some(nth);
        }
        if !packet.opens() {
            return None;
        }
        let (bottleneck, queue) = (Bottleneck::default(), Queue::new());
        self.flows.push(Flow { client_port, first: now, bottleneck, queue, closed: false });
        Some(self.flows.len() - 1)
    }

    /// Returns true if no other connection can be opened.
    fn is_full(&self) -> bool {
        let open = self.flows.iter().filter(|flow| !flow.closed).count();
        self.line.connections.is_some_and(|most| open >= most)
    }

    fn known(&self, packet: &Packet) -> Option<usize> {
        let client_port = packet.client_port(self.toward)?;
        self.flows.iter().position(|flow| flow.client_port == client_port)
    }

    /// Takes the earliest packet that has left its flow's stage by now.
    fn leave_flow(&mut self, now: Duration) -> Option<(Duration, Packet)> {
        let flow = self.flows.iter_mut().min_by_key(|flow| flow.next())?;
        if flow.next() <= now { flow.queue.pop_front() } else { None }
    }

    /// Passes a packet through the shared bottleneck, random loss, and the delay.
    fn join(&mut self, at: Duration, packet: Packet) {
        let leaves = match self.line.rate {
            Some(rate) => self.bottleneck.pass(at, packet.length(), rate, self.line.queue),
            None => Some(at),
        };
        let Some(leaves) = leaves else {
            return;
        };
        if let Some(nth) = self.known(&packet) {
            self.delivered.waited(nth, leaves.saturating_sub(self.start), leaves.saturating_sub(at));
        }
        if self.random.fraction() < self.line.loss {
            return;
        }
        // No packet overtakes another, not even after the delay became shorter.
        let last = self.flight.back().map_or(Duration::ZERO, |(at, _)| *at);
        self.flight.push_back((last.max(leaves + self.line.delay), packet));
    }
}
