//! Hedging: requests the last piece once more if its attempt is slow or silent.
//!
//! Both attempts go on, and each position is written by the first to bring it. A theft would end the first attempt and
//! lose its bytes in flight; these matter only at the very end, and no more than a little may be fetched twice.

use super::{Attempt, AttemptId, Command, Duration, Moment, Transfer, segment};

/// Divisor for the part of the file that may be requested twice: less than the 0.5 % that may be fetched for nothing,
/// since the bytes in flight when a range is stolen are lost as well.
const MOST_TWICE: u64 = 250;

/// Back-off after a hedge that was of no use; twice as long after each further one.
const HEDGES_REST: Duration = Duration::from_secs(1);

impl Transfer {
    /// Requests the rest of another attempt over a connection that has just come free.
    pub(super) fn hedge(&mut self, source: usize, now: Moment) -> Option<Command> {
        let warm = *self.warm.last()?;
        if now < self.hedges_rest.0 {
            return None;
        }
        let round_trip = self.round_trip.unwrap_or_default();
        let (beside, rest) = self
            .attempts
            .iter()
            .filter(|(_, attempt)| attempt.ask.source == source && self.is_last_piece(attempt, now))
            .filter_map(|(id, attempt)| {
                let victim = attempt.victim(self.pacing, now);
                segment::is_worth_hedging(&victim, warm, round_trip)
                    .then(|| (victim.alone(), *id, attempt.rest()))
            })
            .max_by(|one, other| one.0.total_cmp(&other.0))
            .map(|(_, id, rest)| (id, rest))?;
        self.hedged += rest.len();
        let (id, ask) = self.attempt(source, rest, true, now);
        for (one, other) in [(id, beside), (beside, id)] {
            if let Some(attempt) = self.attempts.get_mut(&one) {
                attempt.beside = Some(other);
                attempt.second = one == id;
            }
        }
        Some(Command::Hedge { id, beside, ask })
    }

    /// Records that a hedge was refused or broke. That is no failure of the transfer, and tells little of the server's
    /// limit: the first attempt goes on. The next hedge waits for the back-off, and at least as long as the server
    /// asked. A hedge without a response cost nothing.
    pub(super) fn hedge_failed(&mut self, id: AttemptId, asked_to_wait: Duration, now: Moment) {
        let unserved = self.attempts.get(&id).filter(|attempt| attempt.flowing.is_none());
        self.hedged -= unserved.map_or(0, |attempt| attempt.ask.wanted.len()).min(self.hedged);
        let pause = (self.hedges_rest.1 * 2).max(HEDGES_REST);
        self.hedges_rest = (now + pause.max(asked_to_wait), pause);
    }

    /// Gives up the second attempt of a pair if both have fallen silent, so that the first can be stolen from again.
    pub(super) fn give_up_silent_pairs(&mut self) {
        let silent: Vec<_> =
            self.attempts.iter().filter(|(_, attempt)| attempt.stalled).map(|(id, _)| *id).collect();
        for attempt in self.attempts.values_mut().filter(|attempt| attempt.second && attempt.stalled) {
            attempt.abandoned |= attempt.beside.is_some_and(|other| silent.contains(&other));
        }
    }

    /// Records the end of one of two attempts at the same piece: the other is of no more use, or works alone.
    pub(super) fn left_alone(&mut self, other: AttemptId, nothing_left: bool) {
        if let Some(attempt) = self.attempts.get_mut(&other) {
            attempt.beside = None;
            attempt.abandoned |= nothing_left;
        }
    }

    /// True if the rest of an attempt is so little that a second connection may request it as well.
    pub(super) fn is_last_piece(&self, attempt: &Attempt, now: Moment) -> bool {
        let Some((length, warm)) = self.length().zip(self.warm.last()) else {
            return false;
        };
        let left = (length / MOST_TWICE).saturating_sub(self.hedged);
        let known = attempt.is_known(self.round_trip.unwrap_or_default() * 2, now);
        // A slow reader makes a connection look slow.
        let free = attempt.is_active() && attempt.beside.is_none() && self.policy.window.is_none();
        known && free && segment::is_a_piece(attempt.rest().len(), left, *warm)
    }
}
