//! Properties of a line on the way to the client. The way back has the same delay and no limit.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

/// Share of a full packet of 1500 bytes that is payload: 20 bytes of IP, 20 of TCP and 12 of timestamps are not.
pub(crate) const PAYLOAD_SHARE: f64 = 1448.0 / 1500.0;

/// Capacity of a flow's queue, as time at its rate …
const FLOW_QUEUE: Duration = Duration::from_millis(100);
/// … but thirty packets at least, so that a slow flow can still open its window.
const FLOW_QUEUE_LEAST: f64 = 45_000.0;

/// One flow that differs from the others.
#[derive(Clone, Debug)]
pub(crate) struct Exception {
    /// Its position in the order in which flows appear, from 1.
    pub(crate) nth: usize,
    /// Time from its first packet until it differs.
    pub(crate) after: Duration,
    /// Its rate from then on, as a share of the others'.
    pub(crate) share: f64,
}

/// Rates are in bytes of IP packets a second.
#[derive(Clone, Debug, Default)]
pub(crate) struct Line {
    /// Rate of the bottleneck that all flows share.
    pub(crate) rate: Option<f64>,
    /// Bytes in the drop-tail queue of that bottleneck.
    pub(crate) queue: f64,
    /// One-way delay.
    pub(crate) delay: Duration,
    /// Loss probability of each packet to the client, after the bottleneck.
    pub(crate) loss: f64,
    /// Rate limit of one flow, before the bottleneck.
    pub(crate) flow: Option<f64>,
    pub(crate) exceptions: Vec<Exception>,
    /// Connections that can be open at once; the opening of another one gets no answer.
    pub(crate) connections: Option<usize>,
}

impl Line {
    /// A line with this bottleneck and round trip; its queue holds one bandwidth-delay product.
    pub(crate) fn new(megabits: f64, round_trip: Duration) -> Self {
        let rate = megabits * 1e6 / 8.0;
        let queue = rate * round_trip.as_secs_f64();
        Self { rate: Some(rate), queue, delay: round_trip / 2, ..Self::default() }
    }

    /// Rate limit of the flow at this position, from 1, at this age.
    pub(super) fn flow_rate(&self, nth: usize, age: Duration) -> Option<f64> {
        let exception =
            self.exceptions.iter().find(|exception| exception.nth == nth && age >= exception.after);
        Some(self.flow? * exception.map_or(1.0, |exception| exception.share))
    }

    /// Bytes in the drop-tail queue of a flow with this rate.
    pub(super) fn flow_queue(rate: f64) -> f64 {
        (rate * FLOW_QUEUE.as_secs_f64()).max(FLOW_QUEUE_LEAST)
    }
}

impl Display for Line {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms round trip", (2 * self.delay).as_millis())?;
        if let Some(rate) = self.rate {
            write!(f, ", {} Mbit/s with a queue of {:.2} MB", rate * 8.0 / 1e6, self.queue / 1e6)?;
        }
        if let Some(flow) = self.flow {
            write!(f, ", {} MB/s for each flow", flow / 1e6)?;
        }
        for Exception { nth, after, share } in &self.exceptions {
            write!(f, ", flow {nth} with {share} of that after {after:.1?}")?;
        }
        if let Some(most) = self.connections {
            write!(f, ", {most} connections at once")?;
        }
        if self.loss > 0.0 {
            write!(f, ", {} % of the packets to the client lost at random", self.loss * 100.0)?;
        }
        Ok(())
    }
}
