//! What a worker and its driver share: where the worker is, and where it is to stop.

use crate::manifest::{Run, Runs};
use crate::plan::{ByteRange, RangeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// One attempt's way through the file. The worker claims before it writes; the driver may shorten what is
/// not claimed yet. So no position is ever given to a second worker while the first still writes it.
#[derive(Debug)]
pub(crate) struct Lane {
    state: Mutex<State>,
    /// Up to where everything wanted is written; read by the driver without taking the lock.
    position: AtomicU64,
    abandoned: AtomicBool,
    bell: Notify,
}

#[derive(Debug)]
struct State {
    start: u64,
    end: u64,
    claimed: u64,
    /// Positions that are written already and are not written again.
    skip: RangeSet,
    runs: Runs,
}

/// What a worker may do with bytes it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// Drop this many.
    Skip(usize),
    /// Write this many.
    Write(usize),
    /// The lane ends here.
    Over,
}

impl Lane {
    pub(crate) fn new(wanted: ByteRange) -> Self {
        Self {
            state: Mutex::new(State {
                start: wanted.start(),
                end: wanted.end(),
                claimed: wanted.start(),
                skip: RangeSet::new(),
                runs: Runs::new(1 << 20),
            }),
            position: AtomicU64::new(wanted.start()),
            abandoned: AtomicBool::new(false),
            bell: Notify::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics between two changes that belong together.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the lane to what the answer turned out to hold, before any byte is claimed.
    pub(crate) fn open(&self, wanted: ByteRange, skip: RangeSet, piece: u64) {
        let mut state = self.lock();
        (state.start, state.end, state.claimed) = (wanted.start(), wanted.end(), wanted.start());
        state.skip = skip;
        state.runs = Runs::new(piece);
        self.position.store(wanted.start(), Ordering::Release);
    }

    /// What may be done with the `length` bytes that belong at `offset`.
    pub(crate) fn claim(&self, offset: u64, length: usize) -> Claim {
        let mut state = self.lock();
        let limit = |until: u64| length.min(usize::try_from(until - offset).unwrap_or(usize::MAX));
        if offset >= state.end {
            return Claim::Over;
        }
        if offset < state.start {
            return Claim::Skip(limit(state.start));
        }
        if let Some(run) = state.skip.run_at(offset) {
            let skipped = limit(run.end().min(state.end));
            state.claimed = offset + skipped as u64;
            self.position.store(state.claimed, Ordering::Release);
            return Claim::Skip(skipped);
        }
        let end = state.skip.first_gap(ByteRange::new(offset, state.end)).map_or(state.end, ByteRange::end);
        let claimed = limit(end);
        state.claimed = offset + claimed as u64;
        Claim::Write(claimed)
    }

    /// What was claimed at `offset` has been written.
    pub(crate) fn wrote(&self, offset: u64, bytes: &[u8]) {
        self.lock().runs.wrote(offset, bytes);
        self.position.store(offset + bytes.len() as u64, Ordering::Release);
    }

    pub(crate) fn position(&self) -> u64 {
        self.position.load(Ordering::Acquire)
    }

    pub(crate) fn end(&self) -> u64 {
        self.lock().end
    }

    /// Ends the lane at `end`, or where its claims end if that is later; says where.
    pub(crate) fn shorten(&self, end: u64) -> u64 {
        let mut state = self.lock();
        state.end = state.end.min(end.max(state.claimed));
        state.end
    }

    /// The runs written since the last call.
    pub(crate) fn take_runs(&self) -> Vec<Run> {
        self.lock().runs.take()
    }

    pub(crate) fn abandon(&self) {
        self.abandoned.store(true, Ordering::Release);
        self.bell.notify_waiters();
    }

    /// Returns once the lane was abandoned.
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
        assert_eq!(lane.shorten(110), 130);
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
        lane.open(ByteRange::new(0, 30), skip, 1 << 20);
        assert_eq!(lane.claim(0, 30), Claim::Write(10));
        assert_eq!(lane.claim(10, 20), Claim::Skip(10));
        assert_eq!(lane.position(), 20);
        assert_eq!(lane.claim(20, 10), Claim::Write(10));
    }
}
