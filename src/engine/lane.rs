//! State shared by a worker and its driver: the position of the worker, and its end.

use crate::manifest::{Run, Runs};
use crate::plan::transfer::Leftover;
use crate::plan::{ByteRange, RangeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Path of one attempt through the file. The worker claims before it writes; the driver may shorten the unclaimed part.
/// So no position is ever given to a second worker while the first still writes it.
#[derive(Debug)]
pub(crate) struct Lane {
    track: Arc<Track>,
    /// True if it shares the track of another lane.
    second: bool,
    abandoned: AtomicBool,
    bell: Notify,
}

/// Positions of a lane, or of two side by side: the first to claim a position writes it.
#[derive(Debug)]
struct Track {
    state: Mutex<State>,
    /// End of the contiguous part that is written; read by the driver without taking the lock.
    position: AtomicU64,
}

#[derive(Debug)]
struct State {
    start: u64,
    end: u64,
    claimed: u64,
    /// Positions that are written already and are not written again.
    skip: RangeSet,
    /// Written ranges beyond bytes that the other lane has claimed and is still writing.
    ahead: RangeSet,
    /// Checksums of the written bytes, if they are recorded: not for small files and pipes.
    runs: Option<Runs>,
    leftover: Leftover,
}

/// Verdict on the bytes a worker holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// Drop this many bytes.
    Skip(usize),
    /// Write this many bytes.
    Write(usize),
    /// The lane ends here.
    Over,
}

impl Lane {
    pub(crate) fn new(wanted: ByteRange) -> Self {
        let state = State {
            start: wanted.start(),
            end: wanted.end(),
            claimed: wanted.start(),
            skip: RangeSet::new(),
            ahead: RangeSet::new(),
            runs: None,
            leftover: Leftover::default(),
        };
        let position = AtomicU64::new(wanted.start());
        Self::on(Arc::new(Track { state: Mutex::new(state), position }), false)
    }

    fn on(track: Arc<Track>, second: bool) -> Self {
        Self { track, second, abandoned: AtomicBool::new(false), bell: Notify::new() }
    }

    /// A lane for a second worker on the same positions.
    pub(crate) fn beside(&self) -> Self {
        Self::on(self.track.clone(), true)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics between two changes that belong together.
        self.track.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the lane to the range of the response, before any byte is claimed. A second lane takes that of the first.
    /// With `piece`, checksums are recorded for each piece of that many bytes.
    pub(crate) fn open(&self, wanted: ByteRange, skip: RangeSet, piece: Option<u64>) {
        if self.second {
            return;
        }
        let mut state = self.lock();
        (state.start, state.end, state.claimed) = (wanted.start(), wanted.end(), wanted.start());
        state.skip = skip;
        state.runs = piece.map(Runs::new);
        self.track.position.store(wanted.start(), Ordering::Release);
    }

    /// Claims the `length` bytes at `offset`, as far as they are free.
    pub(crate) fn claim(&self, offset: u64, length: usize) -> Claim {
        let mut state = self.lock();
        let limit = |until: u64| length.min(usize::try_from(until - offset).unwrap_or(usize::MAX));
        if offset >= state.end {
            return Claim::Over;
        }
        if offset < state.claimed {
            // The bytes lie before the start, or the other lane has claimed them.
            return Claim::Skip(limit(state.claimed));
        }
        if let Some(run) = state.skip.run_at(offset) {
            let skipped = limit(run.end().min(state.end));
            state.claimed = offset + skipped as u64;
            self.track.position.store(state.claimed, Ordering::Release);
            return Claim::Skip(skipped);
        }
        let end = state.skip.first_gap(ByteRange::new(offset, state.end)).map_or(state.end, ByteRange::end);
        let claimed = limit(end);
        state.claimed = offset + claimed as u64;
        Claim::Write(claimed)
    }

    /// Notes that the bytes claimed at `offset` have been written.
    pub(crate) fn wrote(&self, offset: u64, bytes: &[u8]) {
        let mut state = self.lock();
        if let Some(runs) = &mut state.runs {
            runs.wrote(offset, bytes);
        }
        let end = offset + bytes.len() as u64;
        if offset == self.position() && state.ahead.is_empty() {
            self.track.position.store(end, Ordering::Release);
            return;
        }
        state.ahead.insert(ByteRange::new(offset, end));
        if let Some(run) = state.ahead.run_at(self.position()) {
            state.ahead.remove(run);
            self.track.position.store(run.end(), Ordering::Release);
        }
    }

    pub(crate) fn position(&self) -> u64 {
        self.track.position.load(Ordering::Acquire)
    }

    /// Returns true if nothing is left for a worker that has come to `offset`: it is at the end, or everything up to
    /// the end is written, by either lane.
    pub(crate) fn is_over(&self, offset: u64) -> bool {
        let end = self.lock().end;
        offset >= end || self.position() >= end
    }

    /// Ends the lane at `end`, or at the end of its claims if that is later; returns the new end. `leftover` is the
    /// part of the response worth reading to the end to reuse the connection.
    pub(crate) fn shorten(&self, end: u64, leftover: Leftover) -> u64 {
        let mut state = self.lock();
        state.leftover = leftover;
        state.end = state.end.min(end.max(state.claimed));
        state.end
    }

    /// Part of the response beyond the end that is worth reading.
    pub(crate) fn leftover(&self) -> Leftover {
        self.lock().leftover
    }

    /// Runs written and recorded since the last call.
    pub(crate) fn take_runs(&self) -> Vec<Run> {
        self.lock().runs.as_mut().map(Runs::take).unwrap_or_default()
    }

    pub(crate) fn abandon(&self) {
        self.abandoned.store(true, Ordering::Release);
        self.bell.notify_waiters();
    }

    /// Returns once the lane is abandoned.
    pub(crate) async fn abandoned(&self) {
        loop {
            let mut rung = std::pin::pin!(self.bell.notified());
            rung.as_mut().enable();
            if self.abandoned.load(Ordering::Acquire) {
                return;
            }
            rung.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_claimed_cannot_be_taken_away() {
        let lane = Lane::new(ByteRange::new(100, 200));
        assert_eq!(lane.claim(100, 30), Claim::Write(30));
        assert_eq!(lane.shorten(110, Leftover::default()), 130);
        assert_eq!(lane.claim(130, 1), Claim::Over);
        assert_eq!(lane.position(), 100);
        lane.wrote(100, &[7; 30]);
        assert_eq!(lane.position(), 130);
    }

    // T004
    #[test]
    fn bytes_before_the_wanted_start_and_beyond_the_end_are_dropped() {
        let lane = Lane::new(ByteRange::new(100, 110));
        assert_eq!(lane.claim(90, 50), Claim::Skip(10));
        assert_eq!(lane.claim(100, 40), Claim::Write(10));
        assert_eq!(lane.claim(110, 30), Claim::Over);
    }

    #[test]
    fn what_is_written_already_is_not_written_again() {
        let lane = Lane::new(ByteRange::new(0, 0));
        let skip = [ByteRange::new(10, 20)].into_iter().collect();
        lane.open(ByteRange::new(0, 30), skip, None);
        assert_eq!(lane.claim(0, 30), Claim::Write(10));
        assert_eq!(lane.claim(10, 20), Claim::Skip(10));
        assert_eq!(lane.position(), 20);
        assert_eq!(lane.claim(20, 10), Claim::Write(10));
    }

    #[test]
    fn of_two_side_by_side_each_position_is_written_by_whoever_claims_it_first() {
        let first = Lane::new(ByteRange::new(100, 200));
        first.open(ByteRange::new(100, 200), RangeSet::new(), Some(1 << 20));
        assert_eq!(first.claim(100, 10), Claim::Write(10));
        let second = first.beside();
        second.open(ByteRange::new(100, 200), RangeSet::new(), None);
        assert_eq!(second.claim(100, 30), Claim::Skip(10));
        assert_eq!(second.claim(110, 20), Claim::Write(20));
        assert_eq!(first.claim(110, 15), Claim::Skip(15));
        // The last bytes to be written lie before the rest.
        second.wrote(110, &[7; 20]);
        assert_eq!((first.position(), second.position()), (100, 100));
        first.wrote(100, &[7; 10]);
        assert_eq!((first.position(), second.position()), (130, 130));
        assert_eq!(second.claim(130, 70), Claim::Write(70));
        assert_eq!(first.claim(125, 100), Claim::Skip(75));
        assert!(!first.is_over(199) && first.is_over(200));
        second.wrote(130, &[7; 70]);
        assert!(first.is_over(130) && second.is_over(130));
        let written: u64 = first.take_runs().iter().map(|run| run.range.len()).sum();
        assert_eq!(written, 100);
    }
}
