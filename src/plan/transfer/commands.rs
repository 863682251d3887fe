//! Choice of the next command: the attempt to begin, to shorten, to give up.

use super::{
    Announcement, Attempt, AttemptId, ByteRange, Command, Meter, Moment, Pulse, RATE_WINDOW, RangeSet,
    SegmentRequest, Situation, Stage, Transfer, segment,
};
use crate::error::{Cause, Trouble};

impl Transfer {
    /// Returns the next command; to be called again until there is none.
    pub(crate) fn poll_command(&mut self, now: Moment) -> Option<Command> {
        if !self.is_over() && self.discard.is_none() && !self.paused {
            self.leave_silent_sources(now);
        }
        if let Some(announcement) = self.announcements.pop_front() {
            return Some(Command::Announce(announcement));
        }
        if self.finished {
            return None;
        }
        if let Some(id) = self.next_abandoned(now) {
            return Some(Command::Abandon { id });
        }
        if !self.paused
            && let Some(inquiry) = self.next_inquiry()
        {
            return Some(inquiry);
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
                return self.next_ending(now);
            }
        }
        if self.failure.is_some() || self.discard.is_some() || self.paused {
            return None;
        }
        self.next_retired(now).or_else(|| self.next_collapsed(now)).or_else(|| self.next_attempt(now))
    }

    /// Abandoned attempt not yet reported to the driver, or one that was silent for the stall timeout.
    fn next_abandoned(&mut self, now: Moment) -> Option<AttemptId> {
        let stall = self.policy.stall;
        let silent = |attempt: &Attempt| {
            attempt.flowing.is_some() && !attempt.abandoned && now.saturating_sub(attempt.last_bytes) >= stall
        };
        if let Some(id) = self.attempts.iter().find_map(|(id, attempt)| silent(attempt).then_some(*id)) {
            self.announcements.push_back(Announcement::Stalled);
            let cause = Cause::from(format!("a connection delivered nothing for {} s", stall.as_secs()));
            self.broken(id, cause.with_trouble(Trouble::Silent), now);
            if let Some(attempt) = self.attempts.get_mut(&id) {
                attempt.abandoned = true;
            }
        }
        self.give_up_silent_pairs();
        if self.is_complete() {
            // Their connections will not be needed.
            for attempt in self.attempts.values_mut() {
                attempt.abandoned |= attempt.only_reads_on();
            }
        }
        let (id, attempt) =
            self.attempts.iter_mut().find(|(_, attempt)| attempt.abandoned && !attempt.told)?;
        attempt.told = true;
        Some(*id)
    }

    fn begin_again(&mut self, why: String) -> Command {
        let alone = self.policy.connections.most() == 1;
        self.stage = Stage::Probing { ranged: self.stage != Stage::Stream && !alone };
        self.known = None;
        self.begun = false;
        self.inquiry.begin_again();
        // The new file has no hedged bytes yet.
        (self.hedged, self.hedges_rest) = (0, Default::default());
        let lost = std::mem::take(&mut self.written).len();
        self.sources.forget();
        Command::Discard { why, lost }
    }

    pub(super) fn is_complete(&self) -> bool {
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
        let lead_rests = now < self.retry.not_before() || self.sources.lead_rests(now);
        let late = self.is_late_for_doubtful(now);
        let source = self.sources.pick(now, lead_rests, late, attempts)?;
        if let Stage::Probing { ranged } = self.stage
            && !self.attempts.is_empty()
        {
            return self.probe_another(ranged, now);
        }
        if lead_rests && self.stage != Stage::Ranged {
            return None;
        }
        if self.attempts.len() >= limit {
            return self.make_room(now);
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

    pub(super) fn probe_range(&self) -> ByteRange {
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
            // A single connection requests a whole gap at once.
            let wanted = match self.policy.connections.most() == 1 {
                true => gap,
                false => segment::next(gap, &self.situation(unassigned, limit.max(expected))),
            };
            let longest = self.less.lengths.map_or(u64::MAX, super::refusing::Lengths::longest);
            let wanted =
                ByteRange::new(wanted.start(), wanted.end().min(wanted.start().saturating_add(longest)));
            return Some(self.start(source, wanted, true, now));
        }
        // Within a window most connections wait for the reader and only look slow, and under a rate limit for each
        // other.
        if reach < length || self.limited.lasts() {
            return self.steal(now, true);
        }
        self.hedge(source, now).or_else(|| self.steal(now, false))
    }

    /// Written and assigned positions. A handful of ranges, so they are derived when needed.
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
            reserved: self
                .reserved
                .filter(|(probe, _)| self.attempts.contains_key(probe))
                .map_or(0, |(_, bytes)| bytes),
            rate: self.connection_rate,
            own_rate: self.warm.last().copied(),
            latency: self.latency(),
            min_split: self.policy.min_split,
            first_split: self.policy.first_split,
            in_order: self.policy.in_order,
        }
    }

    pub(super) fn start(&mut self, source: usize, wanted: ByteRange, ranged: bool, now: Moment) -> Command {
        let (id, ask) = self.attempt(source, wanted, ranged, now);
        Command::Start { id, ask }
    }

    pub(super) fn attempt(
        &mut self,
        source: usize,
        wanted: ByteRange,
        ranged: bool,
        now: Moment,
    ) -> (AttemptId, SegmentRequest) {
        // The connection that was used last is the first to be reused.
        self.warm.pop();
        let id = AttemptId(self.next_id);
        self.next_id += 1;
        let if_range = self.sources.if_range(source).filter(|_| ranged && self.known.is_some());
        let ask = SegmentRequest { source, wanted, ranged, if_range };
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
                pulse: Pulse::default(),
                shortened: None,
                abandoned: false,
                told: false,
                stalled: false,
                retired: false,
                beside: None,
                second: false,
            },
        );
        (id, ask)
    }
}
