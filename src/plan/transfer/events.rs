//! Events: responses, progress, ends.

use super::{
    Announcement, Attempt, AttemptId, ByteRange, Command, Duration, EARLY, End, Error, Expectation, Failure,
    FailureClass, HIGHEST, Kind, LATELY, LITTLE, Moment, PAUSE, PAUSED_ROUND_TRIPS, Permit, Refusal,
    Representation, ResponseHead, SILENT, Sample, Stage, TRICKLE, Transfer, Verdict, WARM, judge, segment,
};

impl Transfer {
    /// Handles the head of an attempt's response.
    pub(crate) fn handle_response(&mut self, id: AttemptId, head: &ResponseHead, now: Moment) -> Permit {
        let Some(attempt) = self.attempts.get(&id).filter(|attempt| !attempt.abandoned) else {
            return Permit::Reject;
        };
        let (ask, second) = (attempt.ask.clone(), attempt.second);
        let latency = now.saturating_sub(attempt.started);
        if self.first_latency.is_none() {
            self.first_latency = Some(latency);
            self.concurrency.begin(latency, now);
        }
        self.round_trip = Some(self.round_trip.map_or(latency, |shortest| shortest.min(latency)));
        self.sources.took(ask.source, latency);
        let expected = Expectation {
            range: ask.ranged.then_some(ask.wanted),
            if_range: ask.if_range.is_some() && !head.without_if_range,
            digest_expected: self.policy.digest_expected,
            length_expected: self.policy.length_expected,
            packing: self.policy.packing,
        };
        let known = self.sources.known(ask.source, self.known.as_ref());
        let verdict = judge(&expected, known.as_ref(), head);
        if self.known.is_none() && !matches!(verdict, Verdict::Refused(_)) {
            self.leads_from_now_on(ask.source, now);
        }
        let helps = ask.source != self.sources.lead();
        if second && !is_as_asked(&verdict, ask.wanted) {
            // The first attempt goes on. The refusal is judged when there is no other way to ask.
            let asked_to_wait = match verdict {
                Verdict::Refused(Refusal::Busy { status, retry_after }) => {
                    let wait = retry_after.unwrap_or_default();
                    self.kept_back(ask.source, Some(status), wait, now);
                    wait
                }
                _ => Duration::ZERO,
            };
            if !helps {
                self.retry.pause(asked_to_wait, now);
            }
            self.hedge_failed(id, asked_to_wait, now);
            return Permit::Reject;
        }
        let permit = match verdict {
            Verdict::Refused(refusal) if helps => self.helper_refused(id, &ask, refusal, now),
            Verdict::Partial { stated, representation } if helps => {
                self.helped(id, &ask, stated, &representation)
            }
            Verdict::Whole { .. } | Verdict::Empty { .. } if helps => {
                let left = self.without_source(ask.source, "it does not serve ranges of this file");
                self.sources.is_of_another_kind(ask.source);
                left
            }
            Verdict::Partial { stated, representation } => {
                let other = |known: &Representation| known.contradicted_by(&representation).is_some();
                self.mixed |= self.begun && known.as_ref().is_some_and(other);
                self.partial(id, stated, representation, now)
            }
            Verdict::Whole { representation, same } => {
                let permit = self.whole(id, representation, same);
                if permit != Permit::Reject {
                    self.whole_began(head.shows_its_end);
                }
                permit
            }
            Verdict::Empty { representation } => self.empty(id, representation),
            Verdict::Refused(refusal) => {
                self.refused(id, &ask, refusal, now);
                Permit::Reject
            }
        };
        if permit != Permit::Reject {
            self.less.plain = false;
        }
        if let Permit::Begin { representation, .. } = &permit
            && let Some(length) = representation.complete_length
        {
            self.concurrency.confine(length, latency);
        }
        if let Some(attempt) = self.attempts.get_mut(&id)
            && permit != Permit::Reject
        {
            self.making |= matches!(permit, Permit::Begin { .. });
            attempt.flowing = Some(now);
            (attempt.last_bytes, attempt.last_position) = (now, attempt.position);
        }
        permit
    }

    /// Records that a fresh URL has replaced the one that expired.
    pub(crate) fn handle_renewed(&mut self) {
        self.renewed = true;
    }

    /// Records that the body of an attempt is taken from now on. The wait for the file to be created is not the
    /// server's doing, and does not count as its latency or its silence.
    pub(crate) fn handle_flowing(&mut self, id: AttemptId, now: Moment) {
        self.making = false;
        if let Some(attempt) = self.attempts.get_mut(&id)
            && let Some(answered) = attempt.flowing.replace(now)
        {
            attempt.started += now.saturating_sub(answered);
            attempt.last_bytes = now;
        }
    }

    /// Error of a transfer whose requests all get this response.
    pub(crate) fn refusal_of(mut self, head: &ResponseHead) -> Error {
        let Command::Start { id, .. } = self.start(0, ByteRange::new(0, 1), true, Moment::ZERO) else {
            return Error::new(Kind::Other, "the server refused");
        };
        self.stage = Stage::Ranged;
        // There is no other way to ask.
        self.less.plain_asked = true;
        let _ = self.handle_response(id, head, Moment::ZERO);
        self.failure.unwrap_or_else(|| Error::new(Kind::Http, format!("the server answered {}", head.status)))
    }

    fn partial(
        &mut self,
        id: AttemptId,
        stated: ByteRange,
        representation: Representation,
        now: Moment,
    ) -> Permit {
        // A range that begins at 0 proves nothing: there are servers that send the first bytes for any range.
        self.range_worked |= stated.start() > 0;
        if self.is_unproven_renewal(&representation) {
            self.changed("what it answers does not show that it is the same version");
            return Permit::Reject;
        }
        if self.begun {
            let early = self
                .attempts
                .get(&id)
                .is_some_and(|attempt| attempt.early(stated) > EARLY.max(attempt.rest().len()));
            if early && self.joinable() {
                self.single_stream("the server begins its answers far before what is asked for");
                self.stage = Stage::Stream;
                self.concurrency.only_one();
                self.abandon_all();
                return Permit::Reject;
            }
            return Permit::Take { offset: stated.start(), until: stated.end() };
        }
        let Some(length) = representation.complete_length else {
            self.ask_for_everything("the server does not say how long the file is");
            return Permit::Reject;
        };
        self.learned(&representation);
        let complete = stated.start() == 0 && stated.end() == length;
        if !complete && !self.joinable() {
            self.known = None;
            self.sources.forget();
            self.ask_for_everything("the server gives no strong validator, so ranges must not be joined");
            return Permit::Reject;
        }
        self.begun = true;
        if self.joinable() {
            self.stage = Stage::Ranged;
            self.confine(id, length, now);
        } else {
            // All of it comes in this one response; that it is a 206 makes no difference.
            self.serve_alone(id, ByteRange::new(0, length));
        }
        Permit::Begin { offset: stated.start(), until: stated.end(), representation }
    }

    /// Adopts the representation that the lead states.
    fn learned(&mut self, representation: &Representation) {
        self.known = Some(representation.clone());
        self.sources.answered(self.sources.lead(), representation);
    }

    /// Confines the probe to its share, once the length is known.
    fn confine(&mut self, id: AttemptId, length: u64, now: Moment) {
        let connections = self.concurrency.expected(length, now);
        let share = segment::share_of_the_probe(length, connections, self.latency());
        let shortest =
            segment::shortest_first(self.policy.first_split, self.policy.min_split, self.latency());
        let share = share.max(shortest);
        if let Some(attempt) = self.attempts.get_mut(&id) {
            let end = attempt.end.min(length);
            let shared = end.min(attempt.position + share);
            // The part left for another request must be worth one.
            attempt.end = if end - shared < shortest { end } else { shared };
            let more = share.saturating_sub(attempt.end - attempt.position);
            self.reserved = Some((id, more.min(length - attempt.end).min(segment::PROBE_SEGMENT / 2)));
        }
    }

    fn whole(&mut self, id: AttemptId, representation: Representation, same: bool) -> Permit {
        if !same && (!self.written.is_empty() || self.renewed && self.begun) {
            let what = "the server does not show that it still has the same version";
            // One of several servers may omit what the others state.
            match !self.renewed
                && representation.complete_length.is_some()
                && representation.complete_length == self.length()
            {
                true => self.other_version(what),
                false => self.changed(what),
            }
            return Permit::Reject;
        }
        if !same && self.begun {
            // Nothing is lost, but the recorded representation must be that of the bytes to come.
            self.discard = Some("the server does not show which version it has now".to_owned());
            self.stage = Stage::Stream;
            self.abandon_all();
            return Permit::Reject;
        }
        if self.stage != Stage::Stream && self.attempts.get(&id).is_some_and(|attempt| attempt.ask.ranged) {
            // An empty file has no ranges.
            if representation.complete_length != Some(0) {
                self.single_stream("the server does not serve ranges of this file");
            }
        }
        let first = !std::mem::replace(&mut self.begun, true);
        if first {
            self.learned(&representation);
        }
        let everything = ByteRange::new(0, self.length().unwrap_or(u64::MAX));
        if first && self.may_go_on_in_ranges(id) {
            self.stage = Stage::Ranged;
            if let Some(attempt) = self.attempts.get_mut(&id) {
                attempt.ask.wanted = everything;
                (attempt.position, attempt.end) = (everything.start(), everything.end());
            }
        } else {
            self.serve_alone(id, everything);
        }
        if first {
            Permit::Begin { offset: 0, until: u64::MAX, representation }
        } else {
            Permit::Take { offset: 0, until: u64::MAX }
        }
    }

    /// True if the rest of the file may still come in ranges after this response for everything: ranges were not
    /// refused, but not requested yet.
    fn may_go_on_in_ranges(&self, id: AttemptId) -> bool {
        let unasked = self.attempts.get(&id).is_some_and(|attempt| !attempt.ask.ranged);
        unasked && !self.ranges_refused && self.joinable() && self.length().is_some_and(|length| length > 0)
    }

    /// Lets this attempt's response serve everything from here on.
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

    fn empty(&mut self, id: AttemptId, representation: Representation) -> Permit {
        if !self.written.is_empty() {
            self.changed("it has no bytes any more");
            return Permit::Reject;
        }
        if let Some(attempt) = self.attempts.get_mut(&id) {
            // The body of a 416 never holds a byte of the file.
            attempt.end = attempt.position;
        }
        self.learned(&representation);
        if std::mem::replace(&mut self.begun, true) {
            return Permit::Reject;
        }
        Permit::Begin { offset: 0, until: u64::MAX, representation }
    }

    /// Records the position up to which an attempt has written.
    pub(crate) fn handle_progress(&mut self, id: AttemptId, position: u64, now: Moment) {
        let held_back = self.is_held_by_reader(id, position);
        let (patience, pause) = (self.patience(), self.gap_of_bursts());
        let Some(attempt) = self.attempts.get_mut(&id) else {
            return;
        };
        let Some(flowing) = attempt.flowing else {
            attempt.stalled = now.saturating_sub(attempt.started) >= patience;
            return;
        };
        attempt.meter.sample(now, position);
        let (before, started, source) = (attempt.position, attempt.started, attempt.ask.source);
        attempt.pulse.saw(position.saturating_sub(before), pause, now);
        if position >= attempt.last_position + TRICKLE || held_back {
            (attempt.last_bytes, attempt.last_position) = (now, position);
            self.given_up = 0;
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
            self.fresh += fresh;
            if fresh > 0 {
                self.less.refusals = 0;
            }
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

    /// Takes in the state once the progress of all attempts was reported; to be called some fifty times a second.
    /// `held_back`: the disk bounds the rate, and not the line.
    pub(crate) fn handle_look(&mut self, held_back: bool, now: Moment) {
        if self.stage != Stage::Ranged || !self.begun || self.paused {
            return;
        }
        let delivers = |attempt: &&Attempt| {
            attempt.is_active() && !attempt.stalled && attempt.position > attempt.ask.wanted.start()
        };
        let held_back = held_back || self.is_at_the_edge();
        if !held_back && !self.limited.lasts() {
            let pulses =
                self.attempts.values().filter(|attempt| attempt.is_active()).map(|attempt| &attempt.pulse);
            self.pacing.observe(&pulses, self.gap_of_bursts(), now);
        }
        let length = self.length().unwrap_or(u64::MAX);
        let sample = Sample {
            total: self.fresh,
            delivering: self.attempts.values().filter(delivers).count(),
            allowed: usize::MAX,
            round_trip: self.round_trip.unwrap_or_default(),
            rest: length.saturating_sub(self.written.len()),
            held_back,
            pacing: self.pacing,
        };
        self.concurrency.observe(&sample, now);
    }

    fn is_at_the_edge(&self) -> bool {
        self.attempts.iter().any(|(id, attempt)| self.is_held_by_reader(*id, attempt.position))
    }

    /// Records one look at the user's rate limit: `limited` if it delayed a connection.
    pub(crate) fn handle_limited(&mut self, limited: bool) {
        // Before the first bytes there is nothing to delay.
        if self.fresh > 0 {
            self.limited.saw(limited);
        }
    }

    /// Records the connections of other files to the same server. `served`: it is serving one of them; `serves`: the
    /// number of connections in all that it is known to serve at once.
    pub(crate) fn handle_others(&mut self, connections: usize, served: bool, serves: Option<usize>) {
        self.serves_others = connections > 0 && served;
        self.concurrency.others_use(connections, serves);
    }

    /// True if an attempt at the edge of the window waits for the reader of the pipe, or for a slower attempt at the
    /// front, and not for the server.
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

    /// Silence that is normal: some servers take seconds for each response.
    pub(super) fn patience(&self) -> Duration {
        SILENT.max(self.latency() * 3).max(self.pacing.period() * 2)
    }

    /// Silence that separates two bursts, if there are any.
    fn gap_of_bursts(&self) -> Duration {
        PAUSE.max(self.round_trip.unwrap_or_default() * PAUSED_ROUND_TRIPS)
    }

    pub(super) fn latency(&self) -> Duration {
        self.latency.or(self.first_latency).unwrap_or_default()
    }

    /// Records that the attempt will end at `end`; the range beyond it is free for others.
    pub(crate) fn handle_shortened(&mut self, id: AttemptId, end: u64, now: Moment) {
        if let Some(attempt) = self.attempts.get_mut(&id)
            && end < attempt.end
        {
            attempt.end = end;
            attempt.shortened = Some(now);
            // Nothing is left for it, so its further course does not matter.
            attempt.abandoned |= attempt.rest().is_empty();
            if attempt.position == attempt.ask.wanted.start() {
                // A response might still have come: the next attempt is given at least as long.
                let waited = now.saturating_sub(attempt.started);
                self.latency = self.latency.max(Some(waited));
            }
        }
    }

    /// Handles the end of an attempt, which has written up to `position`.
    pub(crate) fn handle_end(&mut self, id: AttemptId, position: u64, end: End, now: Moment) {
        self.handle_progress(id, position, now);
        let Some(attempt) = self.attempts.get(&id) else {
            return;
        };
        let rest = attempt.rest();
        let (abandoned, source, beside) = (attempt.abandoned, attempt.ask.source, attempt.beside);
        let hedges = attempt.second && beside.is_some();
        let streaming = self.stage == Stage::Stream && !abandoned;
        let little = attempt.position - attempt.ask.wanted.start() < LITTLE && !attempt.brought_a_share();
        if matches!(end, End::Complete)
            && attempt.shortened.is_none()
            && rest.is_empty()
            && self.warm.len() < HIGHEST
        {
            // An attempt that is over between two looks was at least this fast.
            let took = now.saturating_sub(attempt.started).max(Duration::from_millis(1));
            let overall = (attempt.position - attempt.ask.wanted.start()) as f64 / took.as_secs_f64();
            self.warm.push(attempt.meter.recent(LATELY).unwrap_or(overall));
        }
        if matches!(end, End::Complete) && rest.is_empty() && attempt.shortened.is_none() {
            let length = attempt.ask.wanted.len();
            self.less.lengths = self.less.lengths.and_then(|lengths| lengths.served(length));
        }
        match end {
            End::Failed(Failure::Fatal(error)) if matches!(error.kind(), Kind::Disk | Kind::Other) => {
                self.fail(error);
            }
            End::Failed(Failure::Fatal(error)) if !hedges => self.source_failed(source, error),
            End::Complete | End::Failed(_) if abandoned => {}
            End::Failed(_) if hedges => self.hedge_failed(id, Duration::ZERO, now),
            End::Complete if hedges && !rest.is_empty() => self.hedge_failed(id, Duration::ZERO, now),
            End::Complete if streaming && self.length().is_none() && self.is_all_before(position) => {
                self.length_learned(position);
            }
            End::Complete if streaming && !rest.is_empty() => {
                self.broken(id, "the answer ended early".into(), now);
            }
            End::Complete if !rest.is_empty() && little && beside.is_none() => {
                self.broken(id, "the server answers with a few bytes at a time".into(), now);
            }
            End::Complete | End::Abandoned => {}
            End::Failed(failure) => self.failed(id, failure, now),
        }
        self.attempts.remove(&id);
        if let Some(other) = beside {
            self.left_alone(other, rest.is_empty());
        }
    }

    fn failed(&mut self, id: AttemptId, failure: Failure, now: Moment) {
        match failure {
            Failure::Broken(cause) | Failure::Silent(cause) => self.broken(id, cause, now),
            Failure::Nameless(cause) => self.torn(id, FailureClass::Nameless, Kind::Network, cause, now),
            Failure::Nonsense(cause) => self.torn(id, FailureClass::Unusable, Kind::Http, cause, now),
            Failure::Fatal(error) => self.fail(error),
        }
    }

    pub(super) fn length(&self) -> Option<u64> {
        self.known.as_ref().and_then(|known| known.complete_length)
    }

    /// True if nothing is written beyond `position`.
    fn is_all_before(&self, position: u64) -> bool {
        self.written.iter().next_back().is_none_or(|last| last.end() <= position)
    }

    fn length_learned(&mut self, length: u64) {
        if let Some(known) = &mut self.known {
            known.complete_length = Some(length);
        }
    }

    pub(super) fn ask_for_everything(&mut self, why: &str) {
        self.single_stream(why);
        self.ranges_refused = true;
        self.stage = Stage::Probing { ranged: false };
    }

    pub(super) fn single_stream(&mut self, why: &str) {
        self.announcements.push_back(Announcement::SingleStream { why: why.to_owned() });
    }

    /// Records that everything before `position` has left through the pipe.
    pub(crate) fn handle_drained(&mut self, position: u64) {
        self.drained = position;
    }

    /// Records that written ranges turned out to be lost: they are wanted again.
    pub(crate) fn handle_lost(&mut self, ranges: &[ByteRange]) {
        for range in ranges {
            self.written.remove(*range);
            self.sources.lost(*range);
        }
        self.finished = false;
    }
}

/// True if a response holds a range, of the known version, that begins at the requested position.
fn is_as_asked(verdict: &Verdict, wanted: ByteRange) -> bool {
    matches!(verdict, Verdict::Partial { stated, .. } if stated.start() == wanted.start())
}

/// Takes a new measurement into a smoothed one.
fn smooth(smoothed: &mut Option<Duration>, measured: Duration) {
    *smoothed = Some(smoothed.map_or(measured, |smoothed| (smoothed * 3 + measured) / 4));
}
