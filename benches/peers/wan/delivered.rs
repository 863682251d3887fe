//! Bytes delivered by the line, by flow and by tenth of a second, and the time that packets waited in its queue.

use std::time::Duration;

/// Duration of one count.
const STEP: Duration = Duration::from_millis(100);
/// Number of counts over which a rate is averaged.
const WINDOW: usize = 5;

/// Bytes of IP packets since the last reset, the flows in the order in which they appeared.
#[derive(Clone, Debug, Default)]
pub(crate) struct Delivered {
    flows: Vec<Vec<u64>>,
    /// For each packet its flow, when it left the shared queue, and how long it had waited there.
    waits: Vec<(usize, Duration, Duration)>,
}

impl Delivered {
    pub(super) fn add(&mut self, flow: usize, at: Duration, bytes: u64) {
        let step = step_of(at);
        if self.flows.len() <= flow {
            self.flows.resize(flow + 1, Vec::new());
        }
        let counts = &mut self.flows[flow];
        if counts.len() <= step {
            counts.resize(step + 1, 0);
        }
        counts[step] += bytes;
    }

    pub(super) fn waited(&mut self, flow: usize, at: Duration, wait: Duration) {
        self.waits.push((flow, at, wait));
    }

    /// Number of flows so far.
    pub(crate) const fn flows(&self) -> usize {
        self.flows.len()
    }

    /// Returns the wait in the shared queue that 95 of 100 packets of one flow did not exceed.
    pub(crate) fn late_wait(&self, flow: usize, from: Duration, to: Duration) -> Duration {
        let within = self.waits.iter().filter(|(of, at, _)| *of == flow && (from..to).contains(at));
        let mut waits: Vec<_> = within.map(|(_, _, wait)| *wait).collect();
        waits.sort_unstable();
        waits.get(waits.len() * 95 / 100).copied().unwrap_or_default()
    }

    /// Bytes delivered to one flow, counted from 0, between two points in time.
    pub(crate) fn between(&self, flow: usize, from: Duration, to: Duration) -> u64 {
        let counts = self.flows.get(flow).map_or(&[][..], Vec::as_slice);
        counts.iter().take(step_of(to)).skip(step_of(from)).sum()
    }

    /// Returns the first point in time at which all flows together had this rate over half a second.
    pub(crate) fn reached(&self, rate: f64) -> Option<Duration> {
        let length = self.flows.iter().map(Vec::len).max().unwrap_or(0);
        let count = |step: usize| self.flows.iter().filter_map(|flow| flow.get(step)).sum::<u64>();
        let totals: Vec<u64> = (0..length).map(count).collect();
        let wanted = rate * (STEP * WINDOW as u32).as_secs_f64();
        let first = totals.windows(WINDOW).position(|window| window.iter().sum::<u64>() as f64 >= wanted)?;
        Some(STEP * u32::try_from(first + WINDOW).ok()?)
    }
}

fn step_of(at: Duration) -> usize {
    usize::try_from(at.as_millis() / STEP.as_millis()).unwrap_or(usize::MAX)
}
