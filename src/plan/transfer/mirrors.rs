//! Sources beside the lead: their responses, and the handling of their failures.

use super::failures::{refused_for_good, trouble_of, waits_too_long};
use super::{
    Announcement, Attempt, AttemptId, ByteRange, Command, Duration, EARLY, Error, FailureClass, Moment,
    Permit, Refusal, Representation, Retry, SegmentRequest, Stage, Transfer,
};

/// Remaining time of a transfer below which a source that has failed lately is not asked.
const LATE: Duration = Duration::from_secs(4);

impl Transfer {
    /// Accepts a mirror's response that holds the wanted positions.
    pub(super) fn helped(
        &mut self,
        id: AttemptId,
        ask: &SegmentRequest,
        stated: ByteRange,
        representation: &Representation,
    ) -> Permit {
        let early = |attempt: &Attempt| attempt.early(stated) > EARLY.max(attempt.rest().len());
        if self.attempts.get(&id).is_some_and(early) {
            return self.without_source(ask.source, "it begins its answers far before what is asked for");
        }
        self.sources.answered(ask.source, representation);
        Permit::Take { offset: stated.start(), until: stated.end() }
    }

    pub(super) fn helper_refused(
        &mut self,
        id: AttemptId,
        ask: &SegmentRequest,
        refusal: Refusal,
        now: Moment,
    ) -> Permit {
        let serving = self.serving(id);
        match refusal {
            Refusal::Busy { status, retry_after } if serving > 0 => {
                let wait = retry_after.unwrap_or_default();
                self.source_is_full(ask.source, serving, trouble_of(status), Some(status), wait, now);
            }
            Refusal::IfRangeIgnored => self.sources.ask_without_if_range(ask.source),
            Refusal::Busy { status, retry_after } => {
                let why = trouble_of(status);
                self.helper_stumbled(ask.source, why, Some(status), retry_after.unwrap_or_default(), now);
            }
            final_one => {
                let differs = matches!(
                    final_one,
                    Refusal::Changed(_) | Refusal::Contradiction(_) | Refusal::Impostor(_)
                );
                let why = refused_for_good(final_one).to_string();
                self.without_source(ask.source, &why);
                if differs {
                    self.sources.is_of_another_kind(ask.source);
                }
            }
        }
        Permit::Reject
    }

    /// Handles a failure of a source that may pass: the others go on, and it is asked again after a back-off.
    pub(super) fn helper_stumbled(
        &mut self,
        source: usize,
        cause: String,
        status: Option<u16>,
        wait: Duration,
        now: Moment,
    ) {
        // A server that responds has failed by itself.
        let counts = status.is_some() || self.known.is_none() || self.others_carry_on(source, now);
        let led = self.sources.lead();
        if status.is_some() {
            self.kept_back(source, status, wait, now);
        }
        if wait > self.policy.retry.longest_pause() {
            self.without_source(source, &waits_too_long(&cause, wait));
        } else if self.sources.stumbled(source, wait, counts, now) {
            let wait = self.sources.rests_for(source, now);
            let attempt = self.sources.failures(source);
            self.announcements.push_back(Announcement::SourceRests {
                source,
                why: cause,
                status,
                wait,
                attempt,
            });
        } else {
            self.without_source(source, &cause);
        }
        if self.sources.lead() != led {
            self.lead_anew();
        }
    }

    /// Records that a source refused one more connection while it serves others: it counts as full for a while, and
    /// the other sources may take over.
    pub(super) fn source_is_full(
        &mut self,
        source: usize,
        serving: usize,
        cause: String,
        status: Option<u16>,
        wait: Duration,
        now: Moment,
    ) {
        self.sources.refused_one_more(source, serving, wait, now);
        self.kept_back(source, status, wait, now);
        self.announcements.push_back(Announcement::Retry { cause, status, wait, attempt: 0 });
    }

    /// True if another source could do all the work of this one: it may be asked, has not failed lately, and delivers
    /// if it has attempts.
    pub(super) fn others_carry_on(&self, source: usize, now: Moment) -> bool {
        (0..self.sources.count()).any(|other| {
            other != source
                && self.sources.is_sound(other, now)
                && (self.active_of(other).next().is_none() || !self.is_silent(other, now))
        })
    }

    fn active_of(&self, source: usize) -> impl Iterator<Item = &Attempt> {
        self.attempts.values().filter(move |attempt| attempt.is_active() && attempt.ask.source == source)
    }

    /// True if the source has attempts, and nothing has come for longer than usual. Under a rate limit of our own an
    /// attempt with a response only looks silent.
    fn is_silent(&self, source: usize, now: Moment) -> bool {
        let patience = self.sources.patience(source);
        let limited = self.limited.lasts();
        let silent = |attempt: &Attempt| {
            now.saturating_sub(attempt.last_bytes) >= patience && !(limited && attempt.flowing.is_some())
        };
        let mut active = self.active_of(source).peekable();
        active.peek().is_some() && active.all(silent)
    }

    /// Lets silent sources back off while another one could do their work: their ranges are free for the others.
    pub(super) fn leave_silent_sources(&mut self, now: Moment) {
        if self.sources.count() < 2 || self.stage != Stage::Ranged || !self.begun || self.making {
            return;
        }
        for source in 0..self.sources.count() {
            if self.is_silent(source, now) && self.others_carry_on(source, now) {
                self.leave_silent(source, now);
            }
        }
    }

    fn leave_silent(&mut self, source: usize, now: Moment) {
        let silent = self.active_of(source).map(|attempt| now.saturating_sub(attempt.last_bytes)).min();
        let why = format!("nothing came for {:.1} s", silent.unwrap_or_default().as_secs_f32());
        for attempt in self.attempts.values_mut() {
            attempt.abandoned |= attempt.ask.source == source;
        }
        self.helper_stumbled(source, why, None, Duration::ZERO, now);
    }

    /// True if the others bring the rest before it would show that this source is as silent as before.
    pub(super) fn is_late_for_doubtful(&self, now: Moment) -> bool {
        if self.sources.count() < 2 {
            return false;
        }
        let rate: f64 = self.attempts.values().map(|attempt| attempt.pace(self.pacing, now)).sum();
        let missing = self.length().map_or(u64::MAX, |length| length.saturating_sub(self.written.len()));
        missing as f64 <= rate.max(self.connection_rate.unwrap_or(0.0)) * LATE.as_secs_f64()
    }

    /// Asks another source while nothing is known yet and those that were asked are silent. The first one with a
    /// usable response leads.
    pub(super) fn probe_another(&mut self, ranged: bool, now: Moment) -> Option<Command> {
        let active = || self.attempts.values().filter(|attempt| attempt.is_active());
        let patience = |attempt: &Attempt| self.sources.patience(attempt.ask.source);
        let silent = |attempt: &Attempt| {
            attempt.flowing.is_none() && now.saturating_sub(attempt.started) >= patience(attempt)
        };
        if self.sources.count() < 2 || !active().all(silent) {
            return None;
        }
        let next = (0..self.sources.count())
            .find(|other| self.sources.is_sound(*other, now) && self.active_of(*other).next().is_none())?;
        if self.attempts.len() >= self.policy.connections.most() {
            // No further attempt is allowed beside it.
            let silent = active().map(|attempt| attempt.ask.source).next();
            if let Some(silent) = silent {
                self.sources.lead_with(next);
                self.leave_silent(silent, now);
            }
            return None;
        }
        let wanted = if ranged { self.probe_range() } else { ByteRange::new(0, u64::MAX) };
        Some(self.start(next, wanted, ranged, now))
    }

    /// Makes `source` the lead, for its response was the first usable one; those that were asked before it back off.
    pub(super) fn leads_from_now_on(&mut self, source: usize, now: Moment) {
        self.sources.lead_with(source);
        for other in (0..self.sources.count()).filter(|other| *other != source) {
            if self.active_of(other).next().is_some() {
                self.leave_silent(other, now);
            }
        }
    }

    /// Goes on without a source. Its attempts are abandoned; its bytes stay, for the digest to verify.
    pub(super) fn without_source(&mut self, source: usize, why: &str) -> Permit {
        if self.sources.drop(source) {
            self.announcements.push_back(Announcement::SourceDropped { source, why: why.to_owned() });
            for attempt in self.attempts.values_mut() {
                attempt.abandoned |= attempt.ask.source == source;
            }
        }
        Permit::Reject
    }

    /// Makes another source the lead if the lead failed in a way that may pass while nothing is known of the file yet;
    /// false if none may be asked.
    pub(super) fn handed_over(
        &mut self,
        class: &FailureClass,
        cause: &str,
        status: Option<u16>,
        now: Moment,
    ) -> bool {
        let led = self.sources.lead();
        if self.known.is_some() || !self.sources.hand_over(now) {
            return false;
        }
        let wait = match class {
            FailureClass::Busy { retry_after } => retry_after.unwrap_or_default(),
            _ => Duration::ZERO,
        };
        self.helper_stumbled(led, cause.to_owned(), status, wait, now);
        self.lead_anew();
        true
    }

    /// Gives a new lead a clean record; it is probed as the first one was.
    pub(super) fn lead_anew(&mut self) {
        if let Stage::Probing { ranged } = &mut self.stage {
            *ranged = true;
        }
        self.retry = Retry::new(self.policy.retry.clone(), self.policy.seed);
        self.concurrency.served();
    }

    /// Handles a failure that ends its source; that of the last one ends the transfer.
    pub(super) fn source_failed(&mut self, source: usize, error: Error) {
        let led = source == self.sources.lead();
        self.without_source(source, &error.to_string());
        if source == self.sources.lead() {
            self.fail(error);
        } else if led {
            self.lead_anew();
        }
    }
}
