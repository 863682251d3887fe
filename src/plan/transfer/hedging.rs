//! The last piece, asked for once more where whoever is to bring it is slow or silent.
//!
//! Both go on, and each position is written by whoever brings it first. A theft would end the first one, and with it what is on
//! its way already; so much that this matters is only what is left at the very end, and more than a little must not be
//! fetched twice.

use super::*;

/// The part of the file that may be asked for twice: less than the 0.5 % that may be fetched for nothing, for what is under way
/// when a range is taken away is lost as well.
const MOST_TWICE: u64 = 250;

/// After a hedge that was of no use; twice as long after each further one.
const HEDGES_REST: Duration = Duration::from_secs(1);

impl Transfer {
    /// Asks a connection that has just come free for all that another one still has to bring.
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
                let prey = attempt.prey(self.pacing.period(), now);
                segment::is_worth_hedging(&prey, warm, round_trip)
                    .then(|| (prey.alone(), *id, attempt.rest()))
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

    /// A hedge was refused or broke. That is no failure of the transfer, and tells little of what the server serves: the first
    /// one goes on. Another one is tried later, and not before the server asked to be asked again. If nothing came of this
    /// one, it cost nothing.
    pub(super) fn hedge_failed(&mut self, id: AttemptId, asked_to_wait: Duration, now: Moment) {
        let unserved = self.attempts.get(&id).filter(|attempt| attempt.flowing.is_none());
        self.hedged -= unserved.map_or(0, |attempt| attempt.ask.wanted.len()).min(self.hedged);
        let pause = (self.hedges_rest.1 * 2).max(HEDGES_REST);
        self.hedges_rest = (now + pause.max(asked_to_wait), pause);
    }

    /// Where both have fallen silent the second one is given up, and the first can be taken over from again.
    pub(super) fn give_up_silent_pairs(&mut self) {
        let silent: Vec<_> =
            self.attempts.iter().filter(|(_, attempt)| attempt.stalled).map(|(id, _)| *id).collect();
        for attempt in self.attempts.values_mut().filter(|attempt| attempt.second && attempt.stalled) {
            attempt.abandoned |= attempt.beside.is_some_and(|other| silent.contains(&other));
        }
    }

    /// One of two that worked on the same piece has come to its end: the other is of no more use, or works alone.
    pub(super) fn left_alone(&mut self, other: AttemptId, nothing_left: bool) {
        if let Some(attempt) = self.attempts.get_mut(&other) {
            attempt.beside = None;
            attempt.abandoned |= nothing_left;
        }
    }

    /// Whether what is left of an attempt is so little that a second connection may be asked for it as well.
    pub(super) fn is_last_piece(&self, attempt: &Attempt, now: Moment) -> bool {
        let Some((length, warm)) = self.length().zip(self.warm.last()) else {
            return false;
        };
        let left = (length / MOST_TWICE).saturating_sub(self.hedged);
        let known = attempt.is_known(self.round_trip.unwrap_or_default() * 2, now);
        // A reader that holds a connection back makes it look slow.
        let free = attempt.is_active() && attempt.beside.is_none() && self.policy.window.is_none();
        known && free && segment::is_a_piece(attempt.rest().len(), left, *warm)
    }
}
