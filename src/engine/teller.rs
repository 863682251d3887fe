//! Tells whoever listens how far a download is and what happens to it.

use super::clock::Clock;
use super::event::{Event, Notice};
use super::progress::{ConnectionView, Phase, Progress, Slowness};
use crate::plan::meter::{Meter, eta};
use crate::plan::transfer::Transfer;
use crate::plan::{ByteRange, Moment, RangeSet};
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// The rate on the screen is that of the last seconds.
const RATE_WINDOW: Duration = Duration::from_secs(5);
/// Snapshots are made no more often than this.
const FRAME: Duration = Duration::from_millis(100);
/// How many ranges a snapshot holds at most.
const RANGES: usize = 64;

/// The sending ends. Neither waits for a listener.
pub(crate) struct Teller {
    pub(crate) clock: Clock,
    progress: watch::Sender<Progress>,
    events: mpsc::Sender<Event>,
    meter: Meter,
    last_frame: Option<Moment>,
    pub(crate) resumed: u64,
    pub(crate) retries: u32,
    pub(crate) most_connections: usize,
    /// As many as were announced.
    pub(crate) allowed_connections: usize,
}

/// What the transfer itself does not know.
pub(crate) struct Counters<'a> {
    pub(crate) received: u64,
    pub(crate) durable: &'a RangeSet,
    pub(crate) verified: Option<u64>,
    pub(crate) limited: bool,
    pub(crate) reached: bool,
    pub(crate) phase: Phase,
}

impl Teller {
    pub(crate) fn new(clock: Clock, progress: watch::Sender<Progress>, events: mpsc::Sender<Event>) -> Self {
        Self {
            clock,
            progress,
            events,
            meter: Meter::new(RATE_WINDOW),
            last_frame: None,
            resumed: 0,
            retries: 0,
            most_connections: 0,
            allowed_connections: usize::MAX,
        }
    }

    /// An event that nobody has room for is dropped: a slow listener must not slow the transfer.
    pub(crate) fn tell(&mut self, event: Event) {
        if matches!(event, Event::Retry { .. }) {
            self.retries += 1;
        }
        let _ = self.events.try_send(event);
    }

    /// How many connections were used at once, at the most. One that was given up may still be closing when another takes
    /// its place.
    pub(crate) fn connections(&self) -> usize {
        self.most_connections.min(self.allowed_connections)
    }

    pub(crate) fn notice(&mut self, notice: Notice, text: impl Into<String>) {
        self.tell(Event::Notice(notice, text.into()));
    }

    pub(crate) fn phase(&self, phase: Phase) {
        self.progress.send_modify(|progress| {
            progress.phase = phase;
            progress.elapsed = self.clock.now();
        });
    }

    /// What was last said.
    pub(crate) fn last_phase(&self) -> Phase {
        self.progress.borrow().phase
    }

    /// Publishes a snapshot, unless the last one is fresh.
    pub(crate) fn show(&mut self, now: Moment, transfer: &Transfer, counters: &Counters<'_>, force: bool) {
        self.meter.sample(now, counters.received);
        if !force && self.last_frame.is_some_and(|last| now.saturating_sub(last) < FRAME) {
            return;
        }
        self.last_frame = Some(now);
        let attempts = transfer.attempts();
        let size = transfer.representation().and_then(|known| known.complete_length);
        let written = transfer.written();
        let rate = self.meter.rate();
        self.progress.send_replace(Progress {
            phase: counters.phase,
            reached: counters.reached,
            size,
            resumed: self.resumed,
            received: counters.received,
            written: written.len(),
            durable: counters.durable.len(),
            verified: counters.verified,
            rate,
            eta: size.and_then(|size| eta(size.saturating_sub(written.len()), rate)),
            elapsed: now,
            connections: attempts
                .iter()
                .map(|attempt| ConnectionView {
                    range: attempt.range,
                    position: attempt.position,
                    stalled: attempt.stalled,
                })
                .collect(),
            ranges: coarse(written),
            slowed_by: slowness(transfer, counters),
        });
    }
}

fn slowness(transfer: &Transfer, counters: &Counters<'_>) -> Option<Slowness> {
    if counters.limited {
        return Some(Slowness::Limit);
    }
    transfer.is_held_back().then_some(Slowness::Server)
}

/// At most `RANGES` ranges: the smallest gaps are the first to be overlooked.
fn coarse(written: &RangeSet) -> Vec<ByteRange> {
    let mut ranges: Vec<_> = written.iter().collect();
    while ranges.len() > RANGES {
        let gap = |at: usize| ranges[at + 1].start() - ranges[at].end();
        let smallest = (0..ranges.len() - 1).min_by_key(|at| gap(*at)).unwrap_or(0);
        let behind = ranges.remove(smallest + 1);
        ranges[smallest] = ByteRange::new(ranges[smallest].start(), behind.end());
    }
    ranges
}
