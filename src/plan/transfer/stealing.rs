//! Work stealing: shortens or retires surplus, collapsed and straggling attempts.

use super::{
    Attempt, AttemptId, COLLAPSED, Command, Duration, LATELY, Leftover, Moment, STEAL_PAUSE, Stage, Transfer,
    WARM, segment,
};

/// Bytes that a connection may have in hand when it is shortened, and keeps.
const IN_HAND: u64 = 1 << 20;

impl Transfer {
    /// Retires the slowest connection, if fewer turned out to be as fast.
    pub(super) fn next_retired(&mut self, now: Moment) -> Option<Command> {
        let active = self.attempts.values().filter(|attempt| attempt.is_active()).count();
        if self.stage != Stage::Ranged || self.concurrency.surplus(active) == 0 {
            return None;
        }
        let worth_it = |attempt: &Attempt| {
            attempt.is_active()
                && attempt.beside.is_none()
                && attempt.rest().len() as f64 > attempt.meter.rate().unwrap_or(0.0) * WARM.as_secs_f64()
        };
        let rate = |attempt: &Attempt| attempt.meter.rate().unwrap_or(0.0);
        let (id, attempt) = self
            .attempts
            .iter_mut()
            .map(|(id, attempt)| (*id, attempt))
            .filter(|(_, attempt)| worth_it(attempt))
            // A connection with a response is better than one without, even before its first byte.
            .min_by(|(_, one), (_, other)| {
                let answered = one.flowing.is_some().cmp(&other.flowing.is_some());
                answered.then(rate(one).total_cmp(&rate(other)))
            })?;
        attempt.retired = true;
        if attempt.flowing.is_none() {
            attempt.abandoned = true;
            attempt.told = true;
            return Some(Command::Abandon { id });
        }
        attempt.shortened = Some(now);
        Some(Command::Shorten { id, end: attempt.position, leftover: Leftover::NOTHING })
    }

    /// Shortens a collapsed connection, which would still work long after all others have nothing left: it keeps half
    /// of the bytes that it would bring until then, and the rest of its range is shared out as any other gap.
    pub(super) fn next_collapsed(&mut self, now: Moment) -> Option<Command> {
        let only_look_slow = self.policy.window.is_some() || self.limited.lasts();
        if self.stage != Stage::Ranged || only_look_slow || now < self.look_for_collapsed {
            return None;
        }
        self.look_for_collapsed = now + LATELY / 4;
        let soonest = (self.round_trip.unwrap_or_default() * 2).max(WARM);
        let length = self.length()?;
        let missing = length.saturating_sub(self.written.len()) as f64;
        let paces: Vec<_> = self
            .attempts
            .iter()
            .filter(|(_, attempt)| attempt.is_active())
            .map(|(id, attempt)| (*id, attempt.pace(self.pacing, now), attempt.rest().len() as f64))
            .collect();
        let total: f64 = paces.iter().map(|(_, pace, _)| pace).sum();
        let left = missing / total.max(1.0);
        let (id, pace, _) = paces.iter().copied().find(|(id, pace, rest)| {
            let slow = pace * paces.len() as f64 * COLLAPSED < total;
            let late = rest / pace.max(1.0) > 2.0 * left + WARM.as_secs_f64();
            let attempt = &self.attempts[id];
            slow && late
                && attempt.is_known(soonest, now)
                && attempt.rest().len() >= self.policy.min_split
                && (attempt.rest().len() as f64) >= self.least_theft() as f64 + pace * left / 2.0
                && may_be_robbed(attempt, soonest, now)
        })?;
        let leftover = self.leftover(id);
        let attempt = self.attempts.get_mut(&id)?;
        attempt.shortened = Some(now);
        // Half of the bytes it would bring until then: a wrong guess must not make it the straggler.
        Some(Command::Shorten { id, end: attempt.position + (pace * left / 2.0) as u64, leftover })
    }

    /// Steals from the attempt that would finish last, if that is a gain.
    pub(super) fn steal(&mut self, now: Moment, only_stalled: bool) -> Option<Command> {
        let (rate, set_up) = self.thief()?;
        let soonest = self.round_trip.unwrap_or_default() * 2;
        let (id, end) = self
            .attempts
            .iter()
            .filter(|(_, attempt)| may_be_robbed(attempt, soonest, now) && (attempt.stalled || !only_stalled))
            // A piece small enough to be hedged keeps its bytes in flight, if there are any.
            .filter(|(_, attempt)| only_stalled || !self.is_last_piece(attempt, now))
            .filter_map(|(id, attempt)| {
                let victim = attempt.victim(self.pacing, now);
                let end = segment::cut(&victim, rate, set_up)?;
                let end = match victim.end - end < self.least_theft() {
                    // A silent or collapsed victim gives up its whole rest, however little.
                    true => segment::is_hopeless(&victim, rate, set_up).then_some(victim.position)?,
                    false => end,
                };
                Some((victim.alone(), *id, end))
            })
            .max_by(|one, other| one.0.total_cmp(&other.0))
            .map(|(_, id, end)| (id, end))?;
        let leftover = self.leftover(id);
        if let Some(attempt) = self.attempts.get_mut(&id) {
            attempt.shortened = Some(now);
            if attempt.stalled || now.saturating_sub(attempt.last_bytes) >= LATELY {
                self.sources.doubted(attempt.ask.source);
            }
        }
        Some(Command::Shorten { id, end, leftover })
    }

    /// Gives up a connection for a new one if all that are allowed have fallen silent, since none is left to steal;
    /// the next follows after twice the time. A single connection has the full stall timeout.
    pub(super) fn make_room(&mut self, now: Moment) -> Option<Command> {
        let active = || self.attempts.values().filter(|attempt| attempt.is_active());
        if self.stage != Stage::Ranged || active().count() < 2 || !active().all(|attempt| attempt.stalled) {
            return None;
        }
        let silent = active().map(|attempt| now.saturating_sub(attempt.last_bytes)).min()?;
        if silent < self.patience() * (1 << self.given_up.min(10)) {
            return None;
        }
        let command = self.steal(now, true)?;
        self.given_up += 1;
        Some(command)
    }

    /// Minimum length of a stolen range: the user's minimum, and a margin for the bytes that the victim has in hand.
    fn least_theft(&self) -> u64 {
        self.policy.min_theft + (self.policy.min_theft / 8).min(IN_HAND)
    }

    /// Leftover worth reading: as much as comes in the time that a new connection would take to be as fast; nothing if
    /// there will be no work for it by then.
    fn leftover(&self, id: AttemptId) -> Leftover {
        let rate = self.attempts.get(&id).and_then(|attempt| attempt.meter.recent(LATELY)).unwrap_or(0.0);
        let time = self.set_up(rate);
        let total: f64 = self.attempts.values().filter_map(|attempt| attempt.meter.recent(LATELY)).sum();
        let missing = self.length().unwrap_or(0).saturating_sub(self.written.len());
        if (missing as f64) < total * time.as_secs_f64() * 2.0 {
            return Leftover::NOTHING;
        }
        Leftover { bytes: (rate * time.as_secs_f64()) as u64, time }
    }

    /// Rate and set-up time of an idle connection: one that has just been used is at least as fast as then, a round
    /// trip later; a new one is of average speed, once it is up to speed.
    fn thief(&self) -> Option<(f64, Duration)> {
        let round_trip = self.round_trip.unwrap_or_default();
        match (self.warm.last(), self.connection_rate) {
            (Some(warm), average) => Some((warm.max(average.unwrap_or(0.0)), round_trip)),
            (None, Some(average)) => Some((average, self.set_up(average))),
            (None, None) => None,
        }
    }

    /// Time until a new connection brings `rate` bytes a second. The latency so far does not include connecting if
    /// connections had been established in advance: that is a round trip, and another one for TLS (RFC 8446 §2).
    fn set_up(&self, rate: f64) -> Duration {
        let round_trip = self.round_trip.unwrap_or_default();
        self.latency() + round_trip * 2 + segment::slow_start(rate, round_trip)
    }
}

fn may_be_robbed(attempt: &Attempt, soonest: Duration, now: Moment) -> bool {
    let since = |moment: Moment| now.saturating_sub(moment);
    let warm = attempt.is_known(soonest, now) || since(attempt.started) >= WARM.max(soonest);
    let rested = attempt.shortened.is_none_or(|at| since(at) >= STEAL_PAUSE.max(soonest));
    let seen = attempt.position > attempt.ask.wanted.start() || attempt.stalled;
    warm && rested && seen && attempt.is_active() && attempt.beside.is_none()
}
