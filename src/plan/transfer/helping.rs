//! Sources beside the lead: what they give, and what becomes of them when they fail.

use super::failing::{refused_for_good, trouble_of, waits_too_long};
use super::*;

impl Transfer {
    /// A mirror's answer holds what was asked for.
    pub(super) fn helped(
        &mut self,
        id: AttemptId,
        ask: &Ask,
        stated: ByteRange,
        representation: &Representation,
    ) -> Ruling {
        let early = |attempt: &Attempt| attempt.early(stated) > EARLY.max(attempt.rest().len());
        if self.attempts.get(&id).is_some_and(early) {
            return self.without_source(ask.source, "it begins its answers far before what is asked for");
        }
        self.sources.answered(ask.source, representation);
        Ruling::Take { offset: stated.start(), until: stated.end() }
    }

    pub(super) fn helper_refused(&mut self, ask: &Ask, refusal: Refusal, now: Moment) -> Ruling {
        match refusal {
            Refusal::IfRangeIgnored => self.sources.ask_without_if_range(ask.source),
            Refusal::Busy { status, retry_after } => {
                let why = trouble_of(status);
                self.helper_stumbled(ask.source, why, Some(status), retry_after.unwrap_or_default(), now);
            }
            final_one => {
                let why = refused_for_good(final_one).to_string();
                self.without_source(ask.source, &why);
            }
        }
        Ruling::Leave
    }

    /// A mirror failed in a way that may pass: the others go on, and it is asked again after a while.
    pub(super) fn helper_stumbled(
        &mut self,
        source: usize,
        cause: String,
        status: Option<u16>,
        wait: Duration,
        now: Moment,
    ) {
        if wait > self.policy.retry.retry_after_cap {
            self.without_source(source, &waits_too_long(&cause, wait));
        } else if self.sources.stumbled(source, wait, now) {
            self.announcements.push_back(Announcement::Retry { cause, status, wait, attempt: 0 });
        } else {
            self.without_source(source, &cause);
        }
    }

    /// Goes on without a source. Its attempts are given up; what it gave stays, for the digest to judge.
    pub(super) fn without_source(&mut self, source: usize, why: &str) -> Ruling {
        if self.sources.drop(source) {
            self.announcements.push_back(Announcement::SourceDropped { source, why: why.to_owned() });
            for attempt in self.attempts.values_mut() {
                attempt.abandoned |= attempt.ask.source == source;
            }
        }
        Ruling::Leave
    }

    /// Nothing is known of the file yet, and its source failed in a way that may pass: another one is asked before that.
    pub(super) fn handed_over(
        &mut self,
        setback: &Setback,
        cause: &str,
        status: Option<u16>,
        now: Moment,
    ) -> bool {
        let led = self.sources.lead();
        if self.known.is_some() || !self.sources.hand_over(now) {
            return false;
        }
        let wait = match setback {
            Setback::Busy { retry_after } => retry_after.unwrap_or_default(),
            _ => Duration::ZERO,
        };
        self.helper_stumbled(led, cause.to_owned(), status, wait, now);
        self.lead_anew();
        true
    }

    /// Whoever leads now has a clean record, and is asked as the first one was.
    fn lead_anew(&mut self) {
        if let Stage::Probing { ranged } = &mut self.stage {
            *ranged = true;
        }
        self.retry = Retry::new(self.policy.retry.clone(), self.policy.seed);
        self.concurrency.served();
    }

    /// A failure that ends its source; the last one ends the transfer.
    pub(super) fn source_failed(&mut self, source: usize, error: Error) {
        let led = source == self.sources.lead();
        self.without_source(source, &error.to_string());
        if source == self.sources.lead() {
            self.fail(error);
        } else if led {
            self.lead_anew();
        }
    }

    /// The file has another digest than the one expected. What did not come from the lead may be to blame: those
    /// sources are dropped. Says what they gave, to be reported back with [`Self::handle_lost`].
    pub(crate) fn handle_mismatch(&mut self) -> RangeSet {
        let (others, ranges) = self.sources.not_from_the_lead();
        for source in others {
            self.without_source(source, "the file that it helped with has another digest");
        }
        ranges
    }
}
