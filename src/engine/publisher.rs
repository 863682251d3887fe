//! Reports the progress and the events of a download to its listeners.

use super::event::{Event, Notice};
use super::progress::{ConnectionView, Phase, Progress, Slowness};
use crate::clock::Clock;
use crate::plan::meter::{Meter, eta};
use crate::plan::slowness::{Facts, Reasons};
use crate::plan::transfer::Transfer;
use crate::plan::{ByteRange, Moment, RangeSet};
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// Period over which the displayed rate is measured.
const RATE_WINDOW: Duration = Duration::from_secs(5);
/// Minimum time between snapshots.
pub(crate) const FRAME: Duration = Duration::from_millis(100);
/// Maximum number of ranges in a snapshot.
const RANGES: usize = 64;

/// Sending ends of both channels. Neither waits for a listener.
pub(crate) struct Publisher {
    pub(crate) clock: Clock,
    progress: watch::Sender<Progress>,
    events: mpsc::Sender<Event>,
    meter: Meter,
    pub(crate) reasons: Reasons,
    last_frame: Option<Moment>,
    pub(crate) resumed: u64,
    pub(crate) retries: u32,
    pub(crate) most_connections: usize,
    /// Maximum number of connections that was announced.
    pub(crate) allowed_connections: usize,
}

/// Values that the transfer itself does not know.
pub(crate) struct Counters<'a> {
    pub(crate) received: u64,
    pub(crate) durable: &'a RangeSet,
    pub(crate) verified: Option<u64>,
    /// Host of a source.
    pub(crate) host_of: &'a dyn Fn(usize) -> String,
    pub(crate) reached: bool,
    pub(crate) phase: Phase,
}

impl Publisher {
    pub(crate) fn new(clock: Clock, progress: watch::Sender<Progress>, events: mpsc::Sender<Event>) -> Self {
        Self {
            clock,
            progress,
            events,
            meter: Meter::new(RATE_WINDOW),
            reasons: Reasons::default(),
            last_frame: None,
            resumed: 0,
            retries: 0,
            most_connections: 0,
            allowed_connections: usize::MAX,
        }
    }

    /// Sends an event, or drops it if the queue is full: a slow listener must not slow the transfer.
    pub(crate) fn tell(&mut self, event: Event) {
        if matches!(event, Event::Retry { .. }) {
            self.retries += 1;
        }
        let _ = self.events.try_send(event);
    }

    /// Maximum number of connections used at once. An abandoned one may still be closing when another takes its place,
    /// so the announced number is the limit.
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

    /// Phase that was last reported.
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
            slowed_by: self.slowed_by(counters),
        });
    }

    /// Reason for a limited rate. A download that waits for its server to begin with, or rests, has no rate.
    fn slowed_by(&self, counters: &Counters<'_>) -> Option<Slowness> {
        let has_rate = matches!(counters.phase, Phase::Transferring | Phase::Verifying);
        let reason = self.reasons.told().filter(|_| has_rate)?;
        Some(Slowness::of(reason, counters.host_of))
    }

    /// Shows what the end of a file waits for, with the bytes that the hash has seen.
    pub(crate) fn show_end(&mut self, facts: &Facts, verified: Option<u64>) {
        let now = self.clock.now();
        self.reasons.look(facts, now);
        // No server takes part in the end.
        let slowed_by = self.reasons.told().map(|reason| Slowness::of(reason, |_| String::new()));
        self.progress.send_modify(|progress| {
            progress.elapsed = now;
            progress.verified = verified.or(progress.verified);
            progress.slowed_by = slowed_by;
        });
    }
}

/// Reduces to at most `RANGES` ranges: the smallest gaps are closed first.
fn coarse(written: &RangeSet) -> Vec<ByteRange> {
    let ranges: Vec<_> = written.iter().collect();
    let (Some(first), true) = (ranges.first(), ranges.len() > RANGES) else {
        return ranges;
    };
    // Sorted by size; the start tells gaps of one size apart.
    let mut gaps: Vec<_> =
        ranges.windows(2).map(|two| (two[1].start() - two[0].end(), two[1].start())).collect();
    let kept = RANGES - 1;
    let (largest, ..) = gaps.select_nth_unstable_by(kept, |one, other| other.cmp(one));
    largest.sort_unstable_by_key(|(_, end)| *end);
    let end = ranges.last().map_or(first.end(), |last| last.end());
    let starts = std::iter::once(first.start()).chain(largest.iter().map(|(_, start)| *start));
    let ends = largest.iter().map(|(size, start)| start - size).chain(std::iter::once(end));
    starts.zip(ends).map(|(start, end)| ByteRange::new(start, end)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[expect(clippy::disallowed_methods, reason = "what is tested is how long it takes")]
    #[test]
    fn a_snapshot_of_a_file_in_a_hundred_thousand_pieces_keeps_the_largest_gaps_and_takes_no_time() {
        let piece =
            |at: u64| ByteRange::new(at * 100, at * 100 + if at.is_multiple_of(2_000) { 10 } else { 90 });
        let written: RangeSet = (0..100_000).map(piece).collect();
        let began = Instant::now();
        let ranges = coarse(&written);
        assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
        assert_eq!(ranges.len(), RANGES);
        assert!(written.iter().all(|range| {
            ranges.iter().any(|whole| whole.start() <= range.start() && range.end() <= whole.end())
        }));
        let ends: Vec<_> = ranges.iter().map(|range| range.end()).collect();
        assert!((0..50).all(|at| ends.contains(&(at * 200_000 + 10))), "{ends:?}");
        assert_eq!(coarse(&(0..10).map(piece).collect()).len(), 10);
        assert!(coarse(&RangeSet::new()).is_empty());
    }
}
