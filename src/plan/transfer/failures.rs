//! Failures: refusals, setbacks, changes, and the final error.

use super::refusing::refuses_the_rest;
use super::{
    Announcement, Attempt, AttemptId, Cause, Decision, Duration, EARLY, Error, FRESH_STARTS, FailureClass,
    Kind, Moment, Refusal, Remedy, Representation, SegmentRequest, Stage, Transfer,
};

/// Shortest wait of a transfer that is crowded out.
const FIRST_TURN: Duration = Duration::from_secs(1);

impl Transfer {
    pub(super) fn refused(&mut self, id: AttemptId, ask: &SegmentRequest, refusal: Refusal, now: Moment) {
        let probing = matches!(self.stage, Stage::Probing { ranged: true });
        self.plain_failed(ask.ranged);
        self.denied |= matches!(refusal, Refusal::Denied { status: 401 | 403, .. } | Refusal::NotFound(_));
        // The same source serves another attempt: that must not be lost for the sake of a refused one.
        let beside = self.served_beside(id).any(|other| other.ask.source == ask.source);
        match refusal {
            Refusal::Changed(what) => self.changed(&what),
            Refusal::Impostor(what) | Refusal::OtherVersion(what) | Refusal::Contradiction(what)
                if self.renewed =>
            {
                self.changed(&what);
            }
            Refusal::OtherVersion(what) => self.other_version(&what),
            Refusal::IfRangeIgnored => self.sources.ask_without_if_range(ask.source),
            Refusal::Busy { status, retry_after } => self.busy(id, status, retry_after, now),
            Refusal::Denied { status, .. } | Refusal::NotFound(status) if beside => {
                self.busy(id, status, None, now);
            }
            odd @ (Refusal::Impostor(_)
            | Refusal::RangeRefused(_)
            | Refusal::Rejected(_)
            | Refusal::Unusable(_)
            | Refusal::NotWhole(_)
            | Refusal::OfAnotherLength(_)
            | Refusal::OfNoLength(_)
            | Refusal::Coded(_))
                if beside =>
            {
                let limit = self.limit_without(id);
                self.concurrency.refused_here(limit, now, Duration::ZERO);
                self.kept_back(ask.source, None, Duration::ZERO, now);
                self.told_again(refused_for_good(odd).to_string(), None, Duration::ZERO);
            }
            Refusal::RangeRefused(why)
            | Refusal::Rejected(why)
            | Refusal::Unusable(why)
            | Refusal::NotWhole(why)
                if probing =>
            {
                self.ask_for_everything(&why);
            }
            Refusal::Rejected(why) | Refusal::Unusable(why) | Refusal::NotWhole(why)
                if ask.ranged && !self.range_worked && self.joinable() =>
            {
                self.stream(&why);
            }
            ref refused @ (Refusal::Denied { status: 403, .. } | Refusal::NotFound(_))
                if self.may_ask_plainly(ask.ranged) =>
            {
                let why = refused_for_good(refused.clone()).to_string();
                self.ask_plainly(&why);
            }
            refused @ (Refusal::Denied { status: 401 | 403, .. }
            | Refusal::NotFound(_)
            | Refusal::Rejected(_)
            | Refusal::RangeRefused(_)
            | Refusal::NotWhole(_)
            | Refusal::Unusable(_))
                if ask.ranged && self.fresh > 0 && self.sources.is_alone() =>
            {
                self.ask_for_less(id, ask, refused, now);
            }
            Refusal::Denied { status: status @ (401 | 403), .. } | Refusal::NotFound(status)
                if self.fresh > 0 && self.sources.is_alone() =>
            {
                self.source_failed(ask.source, refuses_the_rest(status));
            }
            Refusal::RangeRefused(why) | Refusal::Unusable(why) => {
                let failure = Error::new(Kind::Http, why.clone());
                self.class(id, FailureClass::Unusable, why, None, failure, now);
            }
            final_one => self.source_failed(ask.source, refused_for_good(final_one)),
        }
    }

    /// True if the server of the URL is the one asked, and is serving other files.
    fn is_crowded(&self) -> bool {
        self.serves_others && self.sources.lead() == 0
    }

    fn busy(&mut self, id: AttemptId, status: u16, retry_after: Option<Duration>, now: Moment) {
        let serving = self.serving(id);
        let wait = retry_after.unwrap_or_default();
        let cause = trouble_of(status);
        let lead = self.sources.lead();
        self.kept_back(lead, Some(status), wait, now);
        if self.begun && self.others_carry_on(lead, now) {
            return match serving {
                0 => self.helper_stumbled(lead, cause, Some(status), wait, now),
                _ => self.source_is_full(lead, serving, cause, Some(status), wait, now),
            };
        }
        if serving == 0 && self.is_crowded() {
            return self.waits_for_slot(cause, Some(status), wait, now);
        }
        if serving > 0 {
            return self.one_too_many(id, cause, Some(status), wait, now);
        }
        self.concurrency.refused(0, now, wait);
        let failure =
            Error::new(Kind::Http, cause.clone()).with_status(status).with_retry_after(retry_after).passing();
        self.class(id, FailureClass::Busy { retry_after }, cause, Some(status), failure, now);
    }

    /// Handles a refusal while others are being served: that was one connection too many, and no failure of the
    /// transfer. Those under way are the new limit, and refusals of those will lower it further.
    fn one_too_many(
        &mut self,
        id: AttemptId,
        cause: String,
        status: Option<u16>,
        wait: Duration,
        now: Moment,
    ) {
        self.concurrency.refused(self.limit_without(id), now, wait);
        self.retry.pause(wait, now);
        self.kept_back(self.sources.lead(), status, wait, now);
        self.told_again(cause, status, wait);
    }

    fn told_again(&mut self, cause: String, status: Option<u16>, wait: Duration) {
        let attempt = self.retry.rounds();
        self.announcements.push_back(Announcement::Retry { cause, status, wait, attempt });
    }

    /// Handles a refusal while other files are served but nothing of this one: it waits for its turn, and that is no
    /// failure.
    fn waits_for_slot(&mut self, cause: String, status: Option<u16>, wait: Duration, now: Moment) {
        self.kept_back(self.sources.lead(), status, wait, now);
        let wait = wait.max(FIRST_TURN);
        self.concurrency.waits_for_slot();
        self.retry.pause(wait, now);
        self.told_again(cause, status, wait);
    }

    /// Number of other attempts under way, at least 1.
    fn limit_without(&self, id: AttemptId) -> usize {
        let under_way = |attempt: &Attempt| !attempt.abandoned && !attempt.stalled;
        let others = self.attempts.iter().filter(|(other, attempt)| **other != id && under_way(attempt));
        others.count().max(1)
    }

    /// Number of other attempts of the same source whose response is being taken.
    pub(super) fn serving(&self, id: AttemptId) -> usize {
        self.served_beside(id).count()
    }

    fn served_beside(&self, id: AttemptId) -> impl Iterator<Item = &Attempt> {
        let source = self.attempts.get(&id).map(|attempt| attempt.ask.source);
        let served = move |attempt: &Attempt| {
            let flows = !attempt.stalled && !attempt.abandoned && attempt.flowing.is_some();
            flows && source.is_none_or(|source| attempt.ask.source == source)
        };
        let others = self.attempts.iter().filter(move |(other, attempt)| **other != id && served(attempt));
        others.map(|(_, attempt)| attempt)
    }

    /// Handles a failure of an attempt that a retry may mend.
    pub(super) fn class(
        &mut self,
        id: AttemptId,
        class: FailureClass,
        cause: String,
        status: Option<u16>,
        failure: Error,
        now: Moment,
    ) {
        if self.handed_over(&class, &cause, status, now) {
            return;
        }
        let ranged = self.attempts.get(&id).is_some_and(|attempt| attempt.ask.ranged);
        if self.refused_twice(&class) && self.may_ask_plainly(ranged) {
            if let FailureClass::Busy { retry_after: Some(wait) } = class {
                self.retry.pause(wait, now);
            }
            return self.ask_plainly(&cause);
        }
        let started = self.attempts.get(&id).map_or(now, |attempt| attempt.started);
        // A server that says when to come back is busy, and does not object to ranges.
        let gives_no_time = !matches!(class, FailureClass::Busy { retry_after: Some(_) });
        match self.retry.failed(class, started, now) {
            Decision::Wait(wait) => self.told_again(cause, status, wait),
            Decision::Exhausted
                if gives_no_time && status.is_some() && self.tries_the_last(ranged, &cause) => {}
            Decision::Exhausted => {
                let failure = failure.with_attempts(self.retry.rounds());
                self.source_failed(self.sources.lead(), failure);
            }
            Decision::TooLong(asked) => {
                let cause = waits_too_long(&cause, asked);
                let failure = Error::new(failure.kind(), cause).with_retry_after(Some(asked));
                let failure = match status {
                    Some(status) => failure.with_status(status),
                    None => failure,
                };
                self.source_failed(self.sources.lead(), failure);
            }
        }
    }

    pub(super) fn broken(&mut self, id: AttemptId, cause: Cause, now: Moment) {
        self.torn(id, FailureClass::Broken, Kind::Network, cause, now);
    }

    /// Handles an attempt whose connection is of no more use.
    pub(super) fn torn(&mut self, id: AttemptId, class: FailureClass, kind: Kind, cause: Cause, now: Moment) {
        let (cause, failure) = (cause.text().to_owned(), cause.into_error(kind));
        let source = self.attempts.get(&id).map_or(self.sources.lead(), |attempt| attempt.ask.source);
        let nothing_came =
            self.attempts.get(&id).is_some_and(|attempt| attempt.position == attempt.ask.wanted.start());
        if nothing_came && self.serving(id) > 0 && self.others_carry_on(source, now) {
            return self.source_is_full(source, self.serving(id), cause, None, Duration::ZERO, now);
        }
        if source != self.sources.lead() {
            return self.helper_stumbled(source, cause, None, Duration::ZERO, now);
        }
        self.plain_failed(self.attempts.get(&id).is_some_and(|attempt| attempt.ask.ranged));
        let unserved = nothing_came;
        let serving = self.serving(id);
        if serving == 0 && self.begun && self.others_carry_on(source, now) {
            return self.helper_stumbled(source, cause, None, Duration::ZERO, now);
        }
        if unserved && serving == 0 && self.is_crowded() {
            return self.waits_for_slot(cause, None, Duration::ZERO, now);
        }
        if unserved && serving > 0 {
            return self.one_too_many(id, cause, None, Duration::ZERO, now);
        }
        if unserved {
            self.concurrency.refused(0, now, Duration::ZERO);
        }
        if self.attempts.get(&id).is_some_and(Attempt::brought_a_share) {
            self.retry.progressed(u64::MAX);
        }
        let failure = match class {
            FailureClass::Nameless => failure.with_remedy(Remedy::CheckHost),
            _ => failure,
        };
        self.class(id, class, cause, None, failure, now);
        let again = self.attempts.get(&id).is_some_and(|attempt| {
            self.stage == Stage::Stream && attempt.fresh == 0 && attempt.position > EARLY
        });
        if again && self.failure.is_none() {
            // Everything came once more, up to the same position as before.
            self.fresh_starts += 1;
            if self.fresh_starts > FRESH_STARTS {
                let cause =
                    "the answer always ends before what is missing, and everything comes anew each time";
                return self.fail(Error::new(Kind::Network, cause));
            }
        }
        let must_not_join = self.stage == Stage::Stream && !self.joinable() && !self.written.is_empty();
        if must_not_join && self.failure.is_none() {
            self.fresh_starts += 1;
            if self.fresh_starts > FRESH_STARTS || !self.policy.may_restart {
                self.fail(Error::new(Kind::Network, "the connection keeps breaking, and without a strong validator each time everything would have to be fetched again"));
                return;
            }
            self.discard = Some(
                "the connection broke, and without a strong validator the rest must not be joined".into(),
            );
            self.abandon_all();
        }
    }

    /// True if a response from a fresh URL does not prove the version: that may be another server, which need not heed
    /// the validators that it is sent.
    pub(super) fn is_unproven_renewal(&self, seen: &Representation) -> bool {
        let strong = self.known.as_ref().filter(|known| known.validators.strong().is_some());
        let unproven = strong.is_some_and(|known| !known.validators.strongly_equal(&seen.validators));
        self.renewed && unproven && !self.policy.digest_expected
    }

    /// Handles a resource that is not the one on disk any more.
    pub(super) fn changed(&mut self, what: &str) {
        if self.renewed && self.known.is_some() {
            let cause = format!("the fresh URL leads to another file than the one that expired: {what}");
            return self.fail(Error::new(Kind::Changed, cause).with_remedy(Remedy::FreshSameVersion));
        }
        let nothing_kept = self.written.is_empty();
        if (self.restarted || !self.policy.may_restart) && !nothing_kept {
            let remedy = match self.policy.window {
                Some(_) => Remedy::ToAFile,
                None => Remedy::NewVersion,
            };
            let cause = format!("the file changed on the server: {what}");
            self.fail(Error::new(Kind::Changed, cause).with_remedy(remedy));
        } else if self.restarted && nothing_kept {
            self.fail(Error::new(Kind::Changed, format!("the file keeps changing on the server: {what}")));
        } else if self.discard.is_none() {
            self.restarted = true;
            self.discard = Some(format!("the file changed on the server: {what}"));
            self.abandon_all();
        }
    }

    /// Stops, keeping everything: every attempt is abandoned, and `poll_command` ends with this error.
    pub(crate) fn fail(&mut self, error: Error) {
        if self.failure.is_none() {
            self.failure = Some(error);
        }
        self.abandon_all();
    }

    pub(super) fn abandon_all(&mut self) {
        for attempt in self.attempts.values_mut() {
            attempt.abandoned = true;
        }
    }
}

/// Error of a refusal that a retry cannot mend.
pub(super) fn refused_for_good(refusal: Refusal) -> Error {
    match refusal {
        Refusal::NotFound(status) => {
            Error::new(Kind::NotFound, format!("the server says there is no such file ({status})"))
                .with_status(status)
        }
        Refusal::Denied { status, wants } => denied(status, wants.as_deref()).with_status(status),
        Refusal::Coded(coding) => Error::new(
            Kind::Http,
            format!("the server sends the file encoded as {coding} although it was asked not to"),
        )
        .with_remedy(Remedy::SavePacked),
        Refusal::Changed(what) | Refusal::OtherVersion(what) => {
            Error::new(Kind::Changed, format!("it holds another file: {what}"))
        }
        Refusal::NotWhole(why) => {
            Error::new(Kind::Network, format!("the server sent a part of the file: {why}"))
                .with_remedy(Remedy::LaterOrOtherUrl)
        }
        Refusal::Contradiction(what) => {
            let cause = format!("the server contradicts itself about one and the same version: {what}");
            Error::new(Kind::Changed, cause).with_remedy(Remedy::LaterOrRestart)
        }
        Refusal::Impostor(why) => Error::new(Kind::Http, why).with_remedy(Remedy::LookAtUrl),
        Refusal::Unusable(why)
        | Refusal::Rejected(why)
        | Refusal::RangeRefused(why)
        | Refusal::OfNoLength(why) => Error::new(Kind::Http, why),
        Refusal::OfAnotherLength(why) => Error::new(Kind::Changed, why).with_remedy(Remedy::OtherFile),
        Refusal::IfRangeIgnored => Error::new(Kind::Http, "the server takes If-Range amiss"),
        Refusal::Busy { status, retry_after } => {
            Error::new(Kind::Http, trouble_of(status)).with_status(status).with_retry_after(retry_after)
        }
    }
}

/// Error of a refused access, with the authentication schemes that the other end offers.
fn denied(status: u16, wants: Option<&str>) -> Error {
    let has = |scheme: &str| {
        let mut schemes = wants.unwrap_or_default().split([' ', ',']);
        schemes.any(|wanted| wanted.eq_ignore_ascii_case(scheme))
    };
    if status == 407 {
        let by = wants.map(|wants| format!(", by {wants}")).unwrap_or_default();
        let cause = format!("the proxy wants other credentials (407){by}");
        return Error::new(Kind::Auth, cause).with_remedy(match wants.is_none() || has("Basic") {
            true => Remedy::ProxyPassword,
            false => Remedy::ProxyBasicOnly,
        });
    }
    let cause = match wants {
        Some(wants) => {
            format!("the server refuses access ({status}); it wants {wants} authentication")
        }
        None => format!("the server refuses access ({status})"),
    };
    Error::new(Kind::Auth, cause).with_remedy(match wants {
        None if status == 403 => Remedy::CredentialsOrUserAgent,
        None => Remedy::GiveCredentials,
        Some(_) if has("Basic") || has("Digest") => Remedy::GivePassword,
        Some(_) if has("Bearer") => Remedy::GiveToken,
        Some(_) => Remedy::GiveHeader,
    })
}

/// Describes a failure that may pass, but not within the time that haul waits.
pub(super) fn waits_too_long(cause: &str, asked: Duration) -> String {
    format!("{cause} and asks to wait {} s, longer than haul waits", asked.as_secs())
}

/// Describes a status that may pass.
pub(super) fn trouble_of(status: u16) -> String {
    match status {
        403 | 429 => format!("the server limits how often it is asked ({status})"),
        500 => format!("the server failed ({status})"),
        502 => format!("bad gateway: the server reaches none behind it ({status})"),
        504 => format!("gateway timeout: a server behind it does not answer ({status})"),
        401..408 | 410 => format!("the server refuses one more connection ({status})"),
        408 => format!("the server waited too long ({status})"),
        _ => format!("the server is too busy ({status})"),
    }
}
