//! What happened: answers, progress, ends.

use super::*;

impl Transfer {
    /// The head of an attempt's answer has come.
    pub(crate) fn handle_answer(&mut self, id: AttemptId, answer: &Answer, now: Moment) -> Ruling {
        let Some(attempt) = self.attempts.get(&id).filter(|attempt| !attempt.abandoned) else {
            return Ruling::Leave;
        };
        let ask = attempt.ask.clone();
        let latency = now.saturating_sub(attempt.started);
        self.first_latency.get_or_insert(latency);
        let asked = Asked {
            range: ask.ranged.then_some(ask.wanted),
            if_range: ask.if_range.is_some(),
            digest_expected: self.policy.digest_expected,
        };
        let known = self.sources.known(ask.source, self.known.as_ref());
        let helps = ask.source != self.sources.lead();
        let ruling = match judge(&asked, known.as_ref(), answer) {
            Verdict::Refused(refusal) if helps => self.helper_refused(&ask, refusal, now),
            Verdict::Partial { stated, representation } if helps => {
                self.helped(id, &ask, stated, &representation)
            }
            Verdict::Whole { .. } | Verdict::Empty { .. } if helps => {
                self.without_source(ask.source, "it does not serve ranges of this file")
            }
            Verdict::Partial { stated, representation } => self.partial(id, stated, representation),
            Verdict::Whole { representation, same } => self.whole(id, representation, same),
            Verdict::Empty { representation } => self.empty(id, representation),
            Verdict::Refused(refusal) => {
                self.refused(id, &ask, refusal, now);
                Ruling::Leave
            }
        };
        if let Some(attempt) = self.attempts.get_mut(&id)
            && ruling != Ruling::Leave
        {
            attempt.flowing = Some(now);
            (attempt.last_bytes, attempt.last_position) = (now, attempt.position);
        }
        ruling
    }

    /// The body of an attempt that was ruled usable is taken from now on. How long it was kept waiting, for the
    /// file to be made, is not the server's doing and does not count as its latency or its silence.
    pub(crate) fn handle_flowing(&mut self, id: AttemptId, now: Moment) {
        if let Some(attempt) = self.attempts.get_mut(&id)
            && let Some(answered) = attempt.flowing.replace(now)
        {
            attempt.started += now.saturating_sub(answered);
            attempt.last_bytes = now;
        }
    }

    /// The error that an answer amounts to which refuses everything.
    pub(crate) fn refusal_of(mut self, answer: &Answer) -> Error {
        let Command::Start { id, .. } = self.start(0, ByteRange::new(0, 1), true, Moment::ZERO) else {
            return Error::new(Kind::Other, "the server refused");
        };
        self.stage = Stage::Ranged;
        let _ = self.handle_answer(id, answer, Moment::ZERO);
        self.failure
            .unwrap_or_else(|| Error::new(Kind::Http, format!("the server answered {}", answer.status)))
    }

    fn partial(&mut self, id: AttemptId, stated: ByteRange, representation: Representation) -> Ruling {
        // What begins at 0 shows nothing: there are servers that send the first bytes for any range.
        self.range_worked |= stated.start() > 0;
        if self.begun {
            let early = self
                .attempts
                .get(&id)
                .is_some_and(|attempt| wanted_early(attempt, stated) > EARLY.max(attempt.rest().len()));
            if early && self.joinable() {
                self.single_stream("the server begins its answers far before what is asked for");
                self.stage = Stage::Stream;
                self.concurrency.only_one();
                self.abandon_all();
                return Ruling::Leave;
            }
            return Ruling::Take { offset: stated.start(), until: stated.end() };
        }
        let Some(length) = representation.complete_length else {
            self.ask_for_everything("the server does not say how long the file is");
            return Ruling::Leave;
        };
        self.learned(&representation);
        let complete = stated.start() == 0 && stated.end() == length;
        if !complete && !self.joinable() {
            self.known = None;
            self.sources.forget();
            self.ask_for_everything("the server gives no strong validator, so ranges must not be joined");
            return Ruling::Leave;
        }
        self.begun = true;
        if self.joinable() {
            self.stage = Stage::Ranged;
            self.confine(id, length);
        } else {
            // All of it comes in this one answer; that it is a 206 makes no difference.
            self.serve_alone(id, ByteRange::new(0, length));
        }
        Ruling::Begin { offset: stated.start(), until: stated.end(), representation }
    }

    /// What the lead says the file is, it is.
    fn learned(&mut self, representation: &Representation) {
        self.known = Some(representation.clone());
        self.sources.answered(self.sources.lead(), representation);
    }

    /// Once the length is known, the probe keeps its share only.
    fn confine(&mut self, id: AttemptId, length: u64) {
        let share = length.div_ceil(self.policy.connections.max(1) as u64).max(self.policy.min_split);
        if let Some(attempt) = self.attempts.get_mut(&id) {
            let end = attempt.end.min(length);
            attempt.end = end.min(attempt.position + share);
        }
    }

    fn whole(&mut self, id: AttemptId, representation: Representation, same: bool) -> Ruling {
        if !same && !self.written.is_empty() {
            self.changed("the server does not show that it still has the same version");
            return Ruling::Leave;
        }
        if !same && self.begun {
            // Nothing is lost, but what is recorded must be what the bytes will be of.
            self.discard = Some("the server does not show which version it has now".to_owned());
            self.stage = Stage::Stream;
            self.abandon_all();
            return Ruling::Leave;
        }
        if self.stage != Stage::Stream && self.attempts.get(&id).is_some_and(|attempt| attempt.ask.ranged) {
            // An empty file has none.
            if representation.complete_length != Some(0) {
                self.single_stream("the server does not serve ranges of this file");
            }
        }
        let first = !std::mem::replace(&mut self.begun, true);
        if first {
            self.learned(&representation);
        }
        self.serve_alone(id, ByteRange::new(0, self.length().unwrap_or(u64::MAX)));
        if first {
            Ruling::Begin { offset: 0, until: u64::MAX, representation }
        } else {
            Ruling::Take { offset: 0, until: u64::MAX }
        }
    }

    /// This attempt's answer serves everything from here on.
    fn serve_alone(&mut self, id: AttemptId, everything: ByteRange) {
        self.stage = Stage::Stream;
        self.concurrency.only_one();
        for (other, attempt) in &mut self.attempts {
            attempt.abandoned |= *other != id;
        }
        if let Some(attempt) = self.attempts.get_mut(&id) {
            attempt.ask.wanted = everything;
            (attempt.position, attempt.end) = (everything.start(), everything.end());
        }
    }

    fn empty(&mut self, id: AttemptId, representation: Representation) -> Ruling {
        if !self.written.is_empty() {
            self.changed("it has no bytes any more");
            return Ruling::Leave;
        }
        if let Some(attempt) = self.attempts.get_mut(&id) {
            // What comes with a 416 is never a byte of the file.
            attempt.end = attempt.position;
        }
        self.learned(&representation);
        if std::mem::replace(&mut self.begun, true) {
            return Ruling::Leave;
        }
        Ruling::Begin { offset: 0, until: u64::MAX, representation }
    }

    fn refused(&mut self, id: AttemptId, ask: &Ask, refusal: Refusal, now: Moment) {
        let probing = matches!(self.stage, Stage::Probing { ranged: true });
        match refusal {
            Refusal::Changed(what) => self.changed(&what),
            Refusal::IfRangeIgnored => self.sources.ask_without_if_range(ask.source),
            Refusal::RangeRefused(why) | Refusal::Unusable(why) if probing => self.ask_for_everything(&why),
            Refusal::Unusable(why) if ask.ranged && !self.range_worked && self.joinable() => {
                self.single_stream(&why);
                self.stage = Stage::Stream;
                self.concurrency.only_one();
                self.abandon_all();
            }
            Refusal::RangeRefused(why) | Refusal::Unusable(why) => {
                let failure = Error::new(Kind::Http, why.clone());
                self.setback(id, Setback::Unusable, why, None, failure, now);
            }
            Refusal::Busy { status, retry_after } => self.busy(id, status, retry_after, now),
            final_one => self.source_failed(ask.source, refused_for_good(final_one)),
        }
    }

    // ---- sources beside the lead ---------------------------------------------------------------------

    /// A mirror's answer holds what was asked for.
    fn helped(
        &mut self,
        id: AttemptId,
        ask: &Ask,
        stated: ByteRange,
        representation: &Representation,
    ) -> Ruling {
        let early = |attempt: &Attempt| wanted_early(attempt, stated) > EARLY.max(attempt.rest().len());
        if self.attempts.get(&id).is_some_and(early) {
            return self.without_source(ask.source, "it begins its answers far before what is asked for");
        }
        self.sources.answered(ask.source, representation);
        Ruling::Take { offset: stated.start(), until: stated.end() }
    }

    fn helper_refused(&mut self, ask: &Ask, refusal: Refusal, now: Moment) -> Ruling {
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
    fn helper_stumbled(
        &mut self,
        source: usize,
        cause: String,
        status: Option<u16>,
        wait: Duration,
        now: Moment,
    ) {
        if self.sources.stumbled(source, wait, now) {
            self.announcements.push_back(Announcement::Retry { cause, status, wait, attempt: 0 });
        } else {
            self.without_source(source, &cause);
        }
    }

    /// Goes on without a source. Its attempts are given up; what it gave stays, for the digest to judge.
    fn without_source(&mut self, source: usize, why: &str) -> Ruling {
        if self.sources.drop(source) {
            self.announcements.push_back(Announcement::SourceDropped { source, why: why.to_owned() });
            for attempt in self.attempts.values_mut() {
                attempt.abandoned |= attempt.ask.source == source;
            }
        }
        Ruling::Leave
    }

    /// A failure that ends its source; the last one ends the transfer.
    fn source_failed(&mut self, source: usize, error: Error) {
        let led = source == self.sources.lead();
        self.without_source(source, &error.to_string());
        if source == self.sources.lead() {
            self.fail(error);
        } else if led {
            // Whoever leads now has a clean record.
            self.retry = Retry::new(self.policy.retry.clone(), self.policy.seed);
            self.concurrency.served();
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

    // ---- failures of the lead ------------------------------------------------------------------------

    fn busy(&mut self, id: AttemptId, status: u16, retry_after: Option<Duration>, now: Moment) {
        let serving = self.serving(id);
        let wait = retry_after.unwrap_or_default();
        self.refused_one(id, serving, wait, now);
        let cause = trouble_of(status);
        if serving > 0 {
            // Others are being served: that was one too many, and no failure of the transfer.
            self.retry.pause(wait, now);
            let attempt = self.retry.rounds();
            self.announcements.push_back(Announcement::Retry { cause, status: Some(status), wait, attempt });
            return;
        }
        let failure = Error::new(Kind::Http, cause.clone());
        self.setback(id, Setback::Busy { retry_after }, cause, Some(status), failure, now);
    }

    /// One more than the server wants, perhaps: the others that are under way are the new limit, and those
    /// of them that are refused as well will lower it further.
    fn refused_one(&mut self, id: AttemptId, serving: usize, wait: Duration, now: Moment) {
        let under_way = |attempt: &Attempt| !attempt.abandoned && !attempt.stalled;
        let others =
            self.attempts.iter().filter(|(other, attempt)| **other != id && under_way(attempt)).count();
        let limit = if serving == 0 { 0 } else { others.max(1) };
        self.concurrency.refused(limit, now, wait);
    }

    /// How many other attempts have been given an answer that is taken.
    fn serving(&self, id: AttemptId) -> usize {
        let served = |attempt: &Attempt| !attempt.stalled && !attempt.abandoned && attempt.flowing.is_some();
        self.attempts.iter().filter(|(other, attempt)| **other != id && served(attempt)).count()
    }

    /// An attempt failed in a way that trying again may mend.
    fn setback(
        &mut self,
        id: AttemptId,
        setback: Setback,
        cause: String,
        status: Option<u16>,
        failure: Error,
        now: Moment,
    ) {
        let started = self.attempts.get(&id).map_or(now, |attempt| attempt.started);
        match self.retry.failed(setback, started, now) {
            Decision::Wait(wait) => {
                let attempt = self.retry.rounds();
                self.announcements.push_back(Announcement::Retry { cause, status, wait, attempt });
            }
            Decision::Exhausted => self.source_failed(self.sources.lead(), failure),
            Decision::TooLong(asked) => {
                let cause = format!("{cause} and asks to wait {} s, longer than haul waits", asked.as_secs());
                self.source_failed(self.sources.lead(), Error::new(failure.kind(), cause));
            }
        }
    }

    /// Up to where an attempt has written.
    pub(crate) fn handle_progress(&mut self, id: AttemptId, position: u64, now: Moment) {
        let held_back = self.is_held_by_reader(id, position);
        let patience = self.patience();
        let Some(attempt) = self.attempts.get_mut(&id) else {
            return;
        };
        let Some(flowing) = attempt.flowing else {
            attempt.stalled = now.saturating_sub(attempt.started) >= patience;
            return;
        };
        attempt.meter.sample(now, position);
        let (before, started, source) = (attempt.position, attempt.started, attempt.ask.source);
        if position >= attempt.last_position + TRICKLE || held_back {
            (attempt.last_bytes, attempt.last_position) = (now, position);
        }
        attempt.position = attempt.position.max(position);
        attempt.stalled = now.saturating_sub(attempt.last_bytes) >= patience;
        let rate = attempt.meter.rate().filter(|rate| *rate > 0.0);
        if position > before {
            let range = ByteRange::new(before, position);
            let fresh = self.written.insert(range);
            if let Some(attempt) = self.attempts.get_mut(&id) {
                attempt.fresh += fresh;
            }
            self.sources.wrote(source, range);
            self.retry.progressed(fresh);
            self.concurrency.served();
            if before == self.attempts[&id].ask.wanted.start() {
                smooth(&mut self.latency, now.saturating_sub(started));
            }
        }
        if now.saturating_sub(flowing) >= WARM / 4
            && let Some(rate) = rate
        {
            let smoothed = self.connection_rate.map_or(rate, |smoothed| smoothed * 0.9 + rate * 0.1);
            self.connection_rate = Some(smoothed);
        }
    }

    /// Whether an attempt at the edge of the window waits for the reader of the pipe, or for a slower
    /// attempt at its front, and not for the server.
    fn is_held_by_reader(&self, id: AttemptId, position: u64) -> bool {
        let Some(window) = self.policy.window else {
            return false;
        };
        let front = self.written.front();
        let margin = (1 << 20).min(window / 2);
        let at_edge = position + margin >= self.drained + window;
        let someone_at_front = || {
            self.attempts
                .iter()
                .any(|(other, attempt)| *other != id && attempt.position == front && !attempt.stalled)
        };
        at_edge && (self.drained < front || someone_at_front())
    }

    /// How long silence is normal: some servers take seconds over each answer.
    fn patience(&self) -> Duration {
        SILENT.max(self.latency() * 3)
    }

    pub(super) fn latency(&self) -> Duration {
        self.latency.or(self.first_latency).unwrap_or_default()
    }

    /// The attempt will end at `end`; what lies behind is free for others.
    pub(crate) fn handle_shortened(&mut self, id: AttemptId, end: u64, now: Moment) {
        if let Some(attempt) = self.attempts.get_mut(&id)
            && end < attempt.end
        {
            attempt.end = end;
            attempt.shortened = Some(now);
            // Nothing is left for it, so what it may still come to is nobody's concern.
            attempt.abandoned |= attempt.rest().is_empty();
            if attempt.position == attempt.ask.wanted.start() {
                // It might have answered yet: the next one is given at least as long.
                let waited = now.saturating_sub(attempt.started);
                self.latency = self.latency.max(Some(waited));
            }
        }
    }

    /// The attempt is over; it has written up to `position`.
    pub(crate) fn handle_end(&mut self, id: AttemptId, position: u64, end: End, now: Moment) {
        self.handle_progress(id, position, now);
        let Some(attempt) = self.attempts.get(&id) else {
            return;
        };
        let rest = attempt.rest();
        let (abandoned, source) = (attempt.abandoned, attempt.ask.source);
        let streaming = self.stage == Stage::Stream && !abandoned;
        let little = attempt.position - attempt.ask.wanted.start() < LITTLE && !attempt.brought_a_share();
        match end {
            End::Complete | End::Broken(_) | End::Nonsense(_) if abandoned => {}
            End::Complete if streaming && self.length().is_none() && self.is_all_before(position) => {
                self.length_learned(position);
            }
            End::Complete if streaming && !rest.is_empty() => {
                self.broken(id, "the answer ended early".to_owned(), now);
            }
            End::Complete if !rest.is_empty() && little => {
                self.broken(id, "the server answers with a few bytes at a time".to_owned(), now);
            }
            End::Complete | End::Left => {}
            End::Broken(cause) => self.broken(id, cause, now),
            End::Nonsense(cause) => {
                self.torn(id, Setback::Unusable, Kind::Http, cause, now);
            }
            // A disk fails whatever the source.
            End::Fatal(error) if matches!(error.kind(), Kind::Disk | Kind::Other) => self.fail(error),
            End::Fatal(error) => self.source_failed(source, error),
        }
        self.attempts.remove(&id);
    }

    pub(super) fn broken(&mut self, id: AttemptId, cause: String, now: Moment) {
        self.torn(id, Setback::Broken, Kind::Network, cause, now);
    }

    /// An attempt's connection is of no more use.
    fn torn(&mut self, id: AttemptId, setback: Setback, kind: Kind, cause: String, now: Moment) {
        let source = self.attempts.get(&id).map_or(self.sources.lead(), |attempt| attempt.ask.source);
        if source != self.sources.lead() {
            return self.helper_stumbled(source, cause, None, Duration::ZERO, now);
        }
        let unserved =
            self.attempts.get(&id).is_some_and(|attempt| attempt.position == attempt.ask.wanted.start());
        let serving = self.serving(id);
        if unserved {
            self.refused_one(id, serving, Duration::ZERO, now);
        }
        if unserved && serving > 0 {
            let attempt = self.retry.rounds();
            self.announcements.push_back(Announcement::Retry {
                cause,
                status: None,
                wait: Duration::ZERO,
                attempt,
            });
            return;
        }
        if self.attempts.get(&id).is_some_and(Attempt::brought_a_share) {
            self.retry.progressed(u64::MAX);
        }
        self.setback(id, setback, cause.clone(), None, Error::new(kind, cause), now);
        let again = self.attempts.get(&id).is_some_and(|attempt| {
            self.stage == Stage::Stream && attempt.fresh == 0 && attempt.position > EARLY
        });
        if again && self.failure.is_none() {
            // Everything came once more, up to where it had been before.
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

    pub(super) fn length(&self) -> Option<u64> {
        self.known.as_ref().and_then(|known| known.complete_length)
    }

    /// Whether nothing is written beyond `position`.
    fn is_all_before(&self, position: u64) -> bool {
        self.written.iter().next_back().is_none_or(|last| last.end() <= position)
    }

    fn length_learned(&mut self, length: u64) {
        if let Some(known) = &mut self.known {
            known.complete_length = Some(length);
        }
    }

    /// The resource is another one than the one on disk.
    fn changed(&mut self, what: &str) {
        let nothing_kept = self.written.is_empty();
        if (self.restarted || !self.policy.may_restart) && !nothing_kept {
            let hint = match self.policy.window {
                Some(_) => "save to a file instead: a pipe cannot start over",
                None => "--restart fetches the new version from the beginning",
            };
            let cause = format!("the file changed on the server: {what}");
            self.fail(Error::new(Kind::Changed, cause).with_hint(hint));
        } else if self.restarted && nothing_kept {
            self.fail(Error::new(Kind::Changed, format!("the file keeps changing on the server: {what}")));
        } else if self.discard.is_none() {
            self.restarted = true;
            self.discard = Some(format!("the file changed on the server: {what}"));
            self.abandon_all();
        }
    }

    fn ask_for_everything(&mut self, why: &str) {
        self.single_stream(why);
        self.stage = Stage::Probing { ranged: false };
    }

    fn single_stream(&mut self, why: &str) {
        self.announcements.push_back(Announcement::SingleStream { why: why.to_owned() });
    }

    /// Everything before `position` has left through the pipe.
    pub(crate) fn handle_drained(&mut self, position: u64) {
        self.drained = position;
    }

    /// Ranges that were written turned out not to be there any more: they are wanted again.
    pub(crate) fn handle_lost(&mut self, ranges: &[ByteRange]) {
        for range in ranges {
            self.written.remove(*range);
            self.sources.lost(*range);
        }
        self.finished = false;
    }

    /// Stops, keeping everything: every attempt is abandoned, and `poll_command` ends with this error.
    pub(crate) fn fail(&mut self, error: Error) {
        if self.failure.is_none() {
            self.failure = Some(error);
        }
        self.abandon_all();
    }

    fn abandon_all(&mut self) {
        for attempt in self.attempts.values_mut() {
            attempt.abandoned = true;
        }
    }
}

/// What a refusal amounts to that asking again cannot mend.
fn refused_for_good(refusal: Refusal) -> Error {
    match refusal {
        Refusal::NotFound(status) => {
            Error::new(Kind::NotFound, format!("the server says there is no such file ({status})"))
        }
        Refusal::Denied(407) => Error::new(Kind::Auth, "the proxy wants other credentials (407)")
            .with_hint("write them into the URL of the proxy: http://USER:PASSWORD@HOST:PORT"),
        Refusal::Denied(status) => Error::new(Kind::Auth, format!("the server refuses access ({status})"))
            .with_hint("give credentials with -u, --bearer-file or -H"),
        Refusal::Coded(coding) => Error::new(
            Kind::Http,
            format!("the server sends the file encoded as {coding} although it was asked not to"),
        ),
        Refusal::Changed(what) => Error::new(Kind::Changed, format!("it holds another file: {what}")),
        Refusal::Contradiction(what) => {
            let cause = format!("the server contradicts itself about one and the same version: {what}");
            Error::new(Kind::Changed, cause)
                .with_hint("try again later; --restart begins anew with what the server says now")
        }
        Refusal::Impostor(why) | Refusal::Unusable(why) | Refusal::RangeRefused(why) => {
            Error::new(Kind::Http, why)
        }
        Refusal::IfRangeIgnored => Error::new(Kind::Http, "the server takes If-Range amiss"),
        Refusal::Busy { status, .. } => Error::new(Kind::Http, trouble_of(status)),
    }
}

/// A status that may pass, in words.
fn trouble_of(status: u16) -> String {
    match status {
        500 => format!("the server failed ({status})"),
        502 | 504 => format!("the server reaches none of its own ({status})"),
        408 => format!("the server waited too long ({status})"),
        _ => format!("the server is too busy ({status})"),
    }
}

/// How far before what is wanted an answer begins.
fn wanted_early(attempt: &Attempt, stated: ByteRange) -> u64 {
    attempt.ask.wanted.start().saturating_sub(stated.start())
}

/// Takes a new measurement into a smoothed one.
fn smooth(smoothed: &mut Option<Duration>, measured: Duration) {
    *smoothed = Some(smoothed.map_or(measured, |smoothed| (smoothed * 3 + measured) / 4));
}
