//! What to do next: which attempt to begin, to shorten, to give up.

use super::*;

impl Transfer {
    /// The next thing to do; to be asked again until it has none.
    pub(crate) fn poll_command(&mut self, now: Moment) -> Option<Command> {
        if let Some(announcement) = self.announcements.pop_front() {
            return Some(Command::Announce(announcement));
        }
        if self.finished {
            return None;
        }
        if let Some(id) = self.next_abandoned(now) {
            return Some(Command::Abandon { id });
        }
        if self.attempts.is_empty() {
            if let Some(error) = self.failure.take() {
                self.finished = true;
                return Some(Command::Fail(error));
            }
            if let Some(why) = self.discard.take() {
                return Some(self.begin_again(why));
            }
            if self.is_complete() {
                self.finished = true;
                return Some(Command::Finish);
            }
        }
        if self.failure.is_some() || self.discard.is_some() {
            return None;
        }
        self.next_retired(now).or_else(|| self.next_collapsed(now)).or_else(|| self.next_attempt(now))
    }

    /// An abandoned attempt that was not told yet, or one that fell silent for too long.
    fn next_abandoned(&mut self, now: Moment) -> Option<AttemptId> {
        let stall = self.policy.stall;
        let silent = |attempt: &Attempt| {
            attempt.flowing.is_some() && !attempt.abandoned && now.saturating_sub(attempt.last_bytes) >= stall
        };
        if let Some(id) = self.attempts.iter().find_map(|(id, attempt)| silent(attempt).then_some(*id)) {
            self.announcements.push_back(Announcement::Stalled);
            self.broken(id, format!("a connection delivered nothing for {} s", stall.as_secs()), now);
            if let Some(attempt) = self.attempts.get_mut(&id) {
                attempt.abandoned = true;
            }
        }
        let (id, attempt) =
            self.attempts.iter_mut().find(|(_, attempt)| attempt.abandoned && !attempt.told)?;
        attempt.told = true;
        Some(*id)
    }

    /// A connection that would still work long after all others have nothing left: it keeps what it brings until then,
    /// and what is left of its range is shared out as any other gap.
    fn next_collapsed(&mut self, now: Moment) -> Option<Command> {
        if self.stage != Stage::Ranged || self.policy.window.is_some() || now < self.look_for_collapsed {
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
            .map(|(id, attempt)| (*id, attempt.pace(now), attempt.rest().len() as f64))
            .collect();
        let total: f64 = paces.iter().map(|(_, pace, _)| pace).sum();
        let left = missing / total.max(1.0);
        let (id, pace, _) = paces.iter().copied().find(|(id, pace, rest)| {
            let slow = pace * paces.len() as f64 * COLLAPSED < total;
            let late = rest / pace.max(1.0) > 2.0 * left + WARM.as_secs_f64();
            let attempt = &self.attempts[id];
            let known = attempt.flowing.is_some_and(|flowing| now.saturating_sub(flowing) >= soonest);
            slow && late
                && known
                && attempt.rest().len() >= self.policy.min_split
                && may_be_robbed(attempt, soonest, now)
        })?;
        let attempt = self.attempts.get_mut(&id)?;
        attempt.shortened = Some(now);
        // Half of what it would bring until then: a wrong guess must not make it the last one.
        Some(Command::Shorten { id, end: attempt.position + (pace * left / 2.0) as u64 })
    }

    /// One connection that is given up, where fewer turned out to be as fast: the slowest.
    fn next_retired(&mut self, now: Moment) -> Option<Command> {
        let active = self.attempts.values().filter(|attempt| attempt.is_active()).count();
        if self.stage != Stage::Ranged || self.concurrency.surplus(active) == 0 {
            return None;
        }
        let worth_it = |attempt: &Attempt| {
            attempt.is_active()
                && attempt.rest().len() as f64 > attempt.meter.rate().unwrap_or(0.0) * WARM.as_secs_f64()
        };
        let rate =
            |attempt: &Attempt| attempt.meter.rate().filter(|_| attempt.flowing.is_some()).unwrap_or(0.0);
        let (id, attempt) = self
            .attempts
            .iter_mut()
            .map(|(id, attempt)| (*id, attempt))
            .filter(|(_, attempt)| worth_it(attempt))
            .min_by(|(_, one), (_, other)| rate(one).total_cmp(&rate(other)))?;
        attempt.retired = true;
        if attempt.flowing.is_none() {
            attempt.abandoned = true;
            attempt.told = true;
            return Some(Command::Abandon { id });
        }
        attempt.shortened = Some(now);
        Some(Command::Shorten { id, end: attempt.position })
    }

    fn begin_again(&mut self, why: String) -> Command {
        self.stage = Stage::Probing { ranged: self.stage != Stage::Stream };
        self.known = None;
        self.begun = false;
        let lost = std::mem::take(&mut self.written).len();
        self.sources.forget();
        Command::Discard { why, lost }
    }

    fn is_complete(&self) -> bool {
        self.begun && self.length().is_some_and(|length| self.written.covers(ByteRange::new(0, length)))
    }

    fn next_attempt(&mut self, now: Moment) -> Option<Command> {
        let limit = self.concurrency.limit(now);
        let attempts = |source: usize| {
            self.attempts
                .values()
                .filter(|attempt| attempt.ask.source == source && !attempt.abandoned)
                .count()
        };
        let lead_rests = now < self.retry.not_before();
        let source = self.sources.pick(now, lead_rests, attempts)?;
        if self.attempts.len() >= limit || (lead_rests && self.stage != Stage::Ranged) {
            return None;
        }
        let lead = self.sources.lead();
        match self.stage {
            Stage::Probing { ranged } => {
                let wanted = if ranged { self.probe_range() } else { ByteRange::new(0, u64::MAX) };
                self.attempts.is_empty().then(|| self.start(lead, wanted, ranged, now))
            }
            Stage::Stream => {
                let end = self.length().unwrap_or(u64::MAX);
                self.attempts.is_empty().then(|| self.start(lead, ByteRange::new(0, end), false, now))
            }
            Stage::Ranged => self.next_segment(source, limit, now),
        }
    }

    fn probe_range(&self) -> ByteRange {
        let most = self.policy.window.unwrap_or(u64::MAX);
        ByteRange::new(0, segment::PROBE_SEGMENT.min(most))
    }

    fn next_segment(&mut self, source: usize, limit: usize, now: Moment) -> Option<Command> {
        let length = self.length()?;
        let reach = self.policy.window.map_or(length, |window| (self.drained + window).min(length));
        let assigned = self.assigned();
        if let Some(gap) = assigned.first_gap(ByteRange::new(0, reach)) {
            let unassigned = reach - assigned.len().min(reach);
            // At the edge of the window: wait until there is room for a request that is worth it.
            let worth = self.policy.min_split.min(self.policy.window.unwrap_or(u64::MAX) / 4);
            if gap.end() == reach && reach < length && gap.len() < worth {
                return None;
            }
            let expected = self.concurrency.expected(length - self.written.len().min(length), now);
            let wanted = segment::next(gap, &self.situation(unassigned, limit.max(expected)));
            return Some(self.start(source, wanted, true, now));
        }
        // Within a window most connections wait for the reader and only look slow.
        self.steal(now, reach < length)
    }

    /// What is written or being worked on. A handful of ranges, so it is derived when it is needed.
    fn assigned(&self) -> RangeSet {
        let mut assigned = self.written.clone();
        for attempt in self.attempts.values() {
            assigned.insert(attempt.rest());
        }
        assigned
    }

    fn situation(&self, unassigned: u64, limit: usize) -> Situation {
        Situation {
            unassigned,
            connections: limit,
            idle: limit.saturating_sub(self.attempts.len()),
            rate: self.connection_rate,
            own_rate: self.warm.last().copied(),
            latency: self.latency(),
            min_split: self.policy.min_split,
            first_split: self.policy.first_split,
            in_order: self.policy.in_order,
        }
    }

    /// Takes over from the connection that would finish last, where that is a gain.
    fn steal(&mut self, now: Moment, only_stalled: bool) -> Option<Command> {
        let (rate, set_up) = self.thief()?;
        let soonest = self.round_trip.unwrap_or_default() * 2;
        let (id, end) = self
            .attempts
            .iter()
            .filter(|(_, attempt)| may_be_robbed(attempt, soonest, now) && (attempt.stalled || !only_stalled))
            .filter_map(|(id, attempt)| {
                let prey = Prey { position: attempt.position, end: attempt.end, rate: attempt.pace(now) };
                let alone = (prey.end - prey.position) as f64 / prey.rate.max(1e-9);
                segment::cut(&prey, rate, set_up).map(|end| (alone, *id, end))
            })
            .max_by(|one, other| one.0.total_cmp(&other.0))
            .map(|(_, id, end)| (id, end))?;
        if let Some(attempt) = self.attempts.get_mut(&id) {
            attempt.shortened = Some(now);
        }
        Some(Command::Shorten { id, end })
    }

    /// How fast whoever has nothing to do would be, and after what time: on a connection that has just been used, as
    /// fast as it was then, and one round trip later; on a new one as fast as most, once it is up to speed.
    fn thief(&self) -> Option<(f64, Duration)> {
        let round_trip = self.round_trip.unwrap_or_default();
        match (self.warm.last(), self.connection_rate) {
            (Some(warm), average) => Some((warm.max(average.unwrap_or(0.0)), round_trip)),
            (None, Some(average)) => {
                Some((average, self.latency() + segment::slow_start(average, round_trip)))
            }
            (None, None) => None,
        }
    }

    pub(super) fn start(&mut self, source: usize, wanted: ByteRange, ranged: bool, now: Moment) -> Command {
        // The connection that was used last is the first to be used again.
        self.warm.pop();
        let id = AttemptId(self.next_id);
        self.next_id += 1;
        let if_range = self.sources.if_range(source).filter(|_| ranged && self.known.is_some());
        let ask = Ask { source, wanted, ranged, if_range };
        self.attempts.insert(
            id,
            Attempt {
                ask: ask.clone(),
                started: now,
                flowing: None,
                position: wanted.start(),
                end: wanted.end(),
                fresh: 0,
                last_bytes: now,
                last_position: wanted.start(),
                meter: Meter::new(RATE_WINDOW),
                shortened: None,
                abandoned: false,
                told: false,
                stalled: false,
                retired: false,
            },
        );
        Command::Start { id, ask }
    }
}

fn may_be_robbed(attempt: &Attempt, soonest: Duration, now: Moment) -> bool {
    let since = |moment: Moment| now.saturating_sub(moment);
    let known = attempt.flowing.is_some_and(|flowing| since(flowing) >= KNOWN.max(soonest));
    let warm = known || since(attempt.started) >= WARM.max(soonest);
    let rested = attempt.shortened.is_none_or(|at| since(at) >= STEAL_PAUSE.max(soonest));
    let seen = attempt.position > attempt.ask.wanted.start() || attempt.stalled;
    warm && rested && seen && attempt.is_active()
}
