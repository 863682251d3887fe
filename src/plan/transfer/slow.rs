//! Facts of a transfer that may hold its rate down: refusals, silent connections, the reader of a pipe.

use super::{Attempt, Duration, Moment, Transfer, slowness};

/// A refusal that keeps connections back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refusal {
    source: usize,
    status: Option<u16>,
    /// Pause that the server asked for, and its end.
    wait: Duration,
    until: Moment,
}

impl Transfer {
    /// Records that a source refused a connection, or asked for a pause of `wait`. One beyond the cap is not waited for.
    pub(super) fn kept_back(&mut self, source: usize, status: Option<u16>, wait: Duration, now: Moment) {
        let wait = if wait <= self.policy.retry.longest_pause() { wait } else { Duration::ZERO };
        let until = now.saturating_add(wait);
        // Connections that were under way together are refused together; the longest pause counts.
        let goes_on = self.refusal.filter(|earlier| earlier.source == source && earlier.until > until);
        self.refusal = goes_on.or(Some(Refusal { source, status, wait, until }));
    }

    /// The latest refusal, as long as it keeps connections back.
    pub(crate) fn refused_lately(&self, now: Moment) -> Option<slowness::Refused> {
        let Refusal { source, status, wait, until } = self.refusal?;
        let pauses = now < until;
        let lowers = match source == self.sources.lead() {
            true => self.concurrency.is_lowered() || self.sources.is_full(source, now),
            false => self.sources.is_full(source, now),
        };
        let counts = (pauses || lowers) && self.sources.present().any(|present| present == source);
        counts.then(|| slowness::Refused { source, status, wait: pauses.then_some(wait) })
    }

    /// The connection that has been silent the longest, if another one delivers.
    pub(crate) fn silent_one(&self, now: Moment) -> Option<slowness::Silent> {
        let quiet = |attempt: &Attempt| now.saturating_sub(attempt.last_bytes);
        let active = || self.attempts.values().filter(|attempt| attempt.is_active());
        let delivers = |attempt: &Attempt| {
            attempt.flowing.is_some() && !attempt.stalled && attempt.position > attempt.ask.wanted.start()
        };
        let is_silent = |attempt: &&Attempt| attempt.stalled && !attempt.rest().is_empty();
        let silent = active().filter(is_silent).max_by_key(|attempt| quiet(attempt))?;
        active().any(delivers).then(|| slowness::Silent { source: silent.ask.source, quiet: quiet(silent) })
    }

    /// True if bytes in order fill half of the window, because the reader of the pipe has not taken them.
    pub(crate) fn waits_for_reader(&self) -> bool {
        let unread = self.written.front().saturating_sub(self.drained);
        self.policy.window.is_some_and(|window| unread >= window / 2)
    }
}
