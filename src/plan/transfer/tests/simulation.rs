//! Environment of a transfer, in virtual time: a driver, its connections, a server and a disk.
//!
//! The model keeps the driver's side of the contract, and checks the transfer's side at every step.

use super::*;
use crate::plan::response_head::tests::head;
use crate::plan::seed::mix;

const STEP: Duration = Duration::from_millis(20);
/// Limit on the time of any schedule, and on the number of its commands.
const LONGEST: Duration = Duration::from_secs(2 * 3600);
const MOST_COMMANDS: usize = 10_000;
/// Time without a response head after which the transport gives a request up.
const FIRST_BYTE: Duration = Duration::from_secs(30);

/// Random numbers, all from one seed.
#[derive(Debug)]
pub(super) struct Dice(pub(super) u64);

impl Dice {
    /// A number from `low` to `high`, both possible.
    fn roll(&mut self, (low, high): (u64, u64)) -> u64 {
        self.0 = mix(self.0);
        low + self.0 % (high - low + 1)
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.roll((0, 99)) < percent
    }
}

// ---- the server --------------------------------------------------------------------------------------

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Validator {
    StrongTag,
    Date,
    WeakTag,
    Nothing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ranges {
    Served,
    /// Every response is a 200 with everything.
    Ignored,
    /// Bytes of a response, at most.
    Short(u64),
    /// Bytes by which a response begins before the requested range.
    Early(u64),
    /// The complete length is `*`.
    WithoutTotal,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The connection breaks before the head.
    Refused,
    Status(u16, Option<u64>),
    /// The bytes in place of the head are not HTTP.
    Nonsense,
    /// The connection breaks after this many bytes of the body.
    Cut(u64),
    /// The framing makes no sense after this many bytes of the body.
    Garbled(u64),
    /// Nothing comes after this many bytes of the body, and the connection stays.
    Silent(u64),
    /// No head ever comes.
    Mute,
}

#[derive(Clone, Debug)]
pub(super) struct Server {
    pub(super) length: u64,
    /// Times of new versions, and their lengths.
    pub(super) changes: Vec<(Moment, u64)>,
    pub(super) validator: Validator,
    pub(super) ranges: Ranges,
    pub(super) likes_if_range: bool,
    /// True if a 200 has a Content-Length.
    pub(super) tells_length: bool,
    /// Percentage of responses that lack their validator.
    pub(super) forgets: u64,
    /// Number of connections served at once, and the fault of the next one.
    pub(super) limit: Option<(usize, Fault)>,
    /// Bytes a second of a connection, from and to.
    pub(super) rates: (u64, u64),
    /// Requests, counted from 1, with another rate: the time from which on it applies, and the rate.
    pub(super) uneven: Vec<(usize, Moment, u64)>,
    /// Position beyond which a response that began before it has this rate, until the given time.
    pub(super) slow_beyond: Option<(u64, u64, Moment)>,
    /// Milliseconds from the request to the head, from and to.
    pub(super) head: (u64, u64),
    /// Number of requests after which the time to the head is this instead.
    pub(super) later_head: Option<(usize, (u64, u64))>,
    /// Milliseconds from the head to the first byte.
    pub(super) lag: u64,
    /// Faults of the coming requests, in order.
    pub(super) faults: VecDeque<Option<Fault>>,
    /// Fault of every request after those.
    pub(super) always: Option<Fault>,
}

impl Server {
    /// A server without faults, of `length` bytes.
    pub(super) fn of(length: u64) -> Self {
        Self {
            length,
            changes: Vec::new(),
            validator: Validator::StrongTag,
            ranges: Ranges::Served,
            likes_if_range: true,
            tells_length: true,
            forgets: 0,
            limit: None,
            rates: (2_000_000, 2_000_000),
            uneven: Vec::new(),
            slow_beyond: None,
            head: (30, 30),
            later_head: None,
            lag: 0,
            faults: VecDeque::new(),
            always: None,
        }
    }

    /// The number and the length of the version at `now`.
    fn version_at(&self, now: Moment) -> (usize, u64) {
        let changes = self.changes.iter().filter(|(at, _)| *at <= now);
        changes.enumerate().last().map_or((1, self.length), |(index, (_, length))| (index + 2, *length))
    }

    fn head_after(&self, requests: usize) -> (u64, u64) {
        let later = self.later_head.filter(|(after, _)| requests > *after);
        later.map_or(self.head, |(_, head)| head)
    }

    pub(super) fn lengths(&self) -> impl Iterator<Item = u64> {
        self.changes.iter().map(|(_, length)| *length).chain([self.length])
    }

    pub(super) fn length_of(&self, version: usize) -> u64 {
        if version == 1 { self.length } else { self.changes[version - 2].1 }
    }

    pub(super) fn has_strong_validator(&self) -> bool {
        self.forgets == 0 && matches!(self.validator, Validator::StrongTag | Validator::Date)
    }

    fn validator_lines(&self, version: usize) -> Vec<(&'static str, String)> {
        match self.validator {
            Validator::StrongTag => vec![("etag", format!("\"v{version}\""))],
            Validator::WeakTag => vec![("etag", format!("W/\"v{version}\""))],
            Validator::Date => vec![
                ("last-modified", format!("Sun, 06 Nov 1994 08:49:{version:02} GMT")),
                ("date", "Sun, 06 Nov 1994 09:00:00 GMT".to_owned()),
            ],
            Validator::Nothing => Vec::new(),
        }
    }

    /// The representation that an earlier run would have recorded.
    pub(super) fn representation(&self) -> Representation {
        let lines = self.validator_lines(1);
        let lines: Vec<_> = lines.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let validators = head(200, &lines).validators;
        Representation { complete_length: Some(self.length), validators, media_type: None }
    }

    /// True if an `If-Range` lets the range through.
    fn lets_through(&self, ask: &SegmentRequest, version: usize) -> bool {
        let current = self.validator_lines(version).first().map(|(_, value)| value.clone());
        ask.if_range.is_none() || (self.likes_if_range && ask.if_range == current)
    }

    /// Response, the positions that its body holds, and the version they are of.
    fn respond(
        &self,
        ask: &SegmentRequest,
        now: Moment,
        dice: &mut Dice,
    ) -> (ResponseHead, ByteRange, usize) {
        let (version, length) = self.version_at(now);
        let mut lines = if dice.chance(self.forgets) { Vec::new() } else { self.validator_lines(version) };
        let everything = ByteRange::new(0, length);
        let (status, body) =
            if !ask.ranged || self.ranges == Ranges::Ignored || !self.lets_through(ask, version) {
                (200, everything)
            } else if ask.wanted.start() >= length {
                lines.push(("content-range", format!("bytes */{length}")));
                (416, ByteRange::default())
            } else {
                (206, self.held(ask.wanted.intersection(everything)))
            };
        if status == 206 {
            let total = if self.ranges == Ranges::WithoutTotal { "*".to_owned() } else { length.to_string() };
            lines.push(("content-range", format!("bytes {}-{}/{total}", body.start(), body.end() - 1)));
        }
        if status == 206 || (status == 200 && self.tells_length) {
            lines.push(("content-length", body.len().to_string()));
        }
        let lines: Vec<_> = lines.iter().map(|(name, value)| (*name, value.as_str())).collect();
        (head(status, &lines), body, version)
    }

    fn held(&self, wanted: ByteRange) -> ByteRange {
        match self.ranges {
            Ranges::Short(most) => ByteRange::new(wanted.start(), wanted.end().min(wanted.start() + most)),
            Ranges::Early(before) => ByteRange::new(wanted.start().saturating_sub(before), wanted.end()),
            _ => wanted,
        }
    }
}

// ---- the disk ----------------------------------------------------------------------------------------

/// Origin of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Source {
    pub(super) version: usize,
    /// `None` for the bytes of an earlier run.
    pub(super) attempt: Option<AttemptId>,
}

#[derive(Debug, Default)]
pub(super) struct Disk {
    written: RangeSet,
    sources: BTreeMap<Source, RangeSet>,
}

impl Disk {
    pub(super) fn write(&mut self, range: ByteRange, source: Source) {
        if self.written.insert(range) < range.len() {
            self.sources.values_mut().for_each(|others| others.remove(range));
            self.sources.retain(|_, ranges| !ranges.is_empty());
        }
        if !range.is_empty() {
            self.sources.entry(source).or_default().insert(range);
        }
    }

    pub(super) fn written(&self) -> &RangeSet {
        &self.written
    }

    pub(super) fn sources(&self) -> Vec<Source> {
        self.sources.keys().copied().collect()
    }

    /// Sources that wrote some of `range`.
    pub(super) fn sources_within(&self, range: ByteRange) -> Vec<Source> {
        let wrote = |ranges: &RangeSet| ranges.iter().any(|written| !written.intersection(range).is_empty());
        self.sources.iter().filter(|(_, ranges)| wrote(ranges)).map(|(source, _)| *source).collect()
    }

    pub(super) fn versions(&self) -> Vec<usize> {
        let after = |version| self.sources.range(Source { version, attempt: None }..).next();
        let next = |version: &usize| after(version + 1).map(|(source, _)| source.version);
        std::iter::successors(after(0).map(|(source, _)| source.version), next).collect()
    }
}

// ---- the connections ---------------------------------------------------------------------------------

#[derive(Debug)]
struct Body {
    offset: u64,
    end: u64,
    version: usize,
    /// Time before which nothing comes.
    from: Moment,
    /// Position at which the fault strikes.
    until: u64,
}

#[derive(Debug)]
struct Connection {
    /// Number of the request in its run, counted from 1.
    nth: usize,
    ask: SegmentRequest,
    started: Moment,
    head_at: Moment,
    fault: Option<Fault>,
    rate: u64,
    body: Option<Body>,
    start: u64,
    end: u64,
    position: u64,
    skip: RangeSet,
    /// Attempt whose positions it has as well.
    beside: Option<AttemptId>,
    /// True if it is to end without (more of) its body.
    left: bool,
}

/// Command of the application, at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Pause,
    GoOn,
    Allow(usize),
    /// Adds the next of the mirrors.
    AddSource,
    RemoveSource(usize),
}

/// Outcome of a run.
#[derive(Debug)]
pub(super) enum Outcome {
    Finished,
    Failed(Error),
}

/// Statistics of a run.
#[derive(Debug, Default)]
pub(super) struct Log {
    pub(super) commands: usize,
    pub(super) starts: Vec<(Moment, SegmentRequest)>,
    pub(super) announcements: Vec<Announcement>,
    /// Positions handed to an attempt, less those taken from it again.
    pub(super) assigned: u64,
    /// Positions that came back, because an attempt ended early or was shortened.
    pub(super) returned: u64,
    pub(super) shortened: usize,
    /// Ranges that were requested a second time while they were under way.
    pub(super) hedges: Vec<ByteRange>,
    pub(super) setbacks: usize,
    pub(super) discards: usize,
    /// Bytes received from the network.
    pub(super) received: u64,
    pub(super) most_views: usize,
    pub(super) most_ranges: usize,
}

/// See the module.
pub(super) struct Simulation {
    pub(super) transfer: Transfer,
    pub(super) policy: Policy,
    pub(super) server: Server,
    /// Servers of the mirrors; the server of the URL is `server`.
    pub(super) mirrors: Vec<Server>,
    pub(super) now: Moment,
    pub(super) disk: Disk,
    pub(super) log: Log,
    pub(super) step: Duration,
    /// Commands of the application, in order of time.
    pub(super) orders: VecDeque<(Moment, Order)>,
    /// Time since which it is paused.
    paused: Option<Moment>,
    /// Bytes a second that leave through the pipe, if there is one.
    pub(super) drain: u64,
    drained: u64,
    dice: Dice,
    connections: BTreeMap<AttemptId, Connection>,
    /// Version and representation that the file on disk was created for.
    made_for: Option<(usize, Representation)>,
    /// Time before which no request may be sent.
    wait_until: Moment,
    outcome: Option<Outcome>,
}

impl Simulation {
    pub(super) fn new(policy: Policy, server: Server) -> Self {
        Self {
            transfer: Transfer::new(policy.clone()),
            dice: Dice(policy.seed),
            policy,
            server,
            mirrors: Vec::new(),
            now: Moment::ZERO,
            disk: Disk::default(),
            log: Log::default(),
            step: STEP,
            orders: VecDeque::new(),
            paused: None,
            drain: 0,
            drained: 0,
            connections: BTreeMap::new(),
            made_for: None,
            wait_until: Moment::ZERO,
            outcome: None,
        }
    }

    /// A run that resumes from `have`, of the first version.
    pub(super) fn resumed(policy: Policy, server: Server, have: &RangeSet) -> Self {
        let known = server.representation();
        let mut simulation = Self::new(policy.clone(), server);
        for range in have.iter() {
            simulation.disk.write(range, Source { version: 1, attempt: None });
        }
        simulation.transfer = Transfer::resume(policy, known.clone(), have.clone());
        simulation.made_for = Some((1, known));
        simulation
    }

    /// Removes the length from the recorded representation.
    pub(super) fn forget_length(&mut self) {
        let have = self.transfer.written().clone();
        let known = Representation { complete_length: None, ..self.server.representation() };
        self.transfer = Transfer::resume(self.policy.clone(), known, have);
    }

    /// Runs to the end.
    pub(super) fn run(&mut self) -> Outcome {
        self.obey();
        while self.outcome.is_none() {
            self.tick();
            assert!(self.now < LONGEST, "no end after {} requests: {self:?}", self.log.starts.len());
        }
        self.outcome.take().unwrap()
    }

    /// Runs until `until`, or to the end if that comes first.
    pub(super) fn run_until(&mut self, until: Moment) {
        self.obey();
        while self.outcome.is_none() && self.now < until {
            self.tick();
        }
    }

    // ---- the driver ----------------------------------------------------------------------------------

    fn tick(&mut self) {
        self.now += if self.connections.is_empty() { self.step * 4 } else { self.step };
        for id in self.connections.keys().copied().collect::<Vec<_>>() {
            self.attend(id);
            self.obey();
        }
        for (id, connection) in &self.connections {
            self.transfer.handle_progress(*id, connection.position, self.now);
        }
        self.transfer.handle_look(false, self.now);
        self.let_drain();
        self.take_orders();
        self.obey();
        self.check();
    }

    fn take_orders(&mut self) {
        while let Some((at, order)) = self.orders.front().copied()
            && at <= self.now
            && self.outcome.is_none()
        {
            self.orders.pop_front();
            match order {
                Order::Pause => {
                    if self.transfer.pause().is_ok() {
                        self.paused.get_or_insert(self.now);
                    }
                }
                Order::GoOn => {
                    self.transfer.go_on(self.now);
                    self.paused = None;
                }
                Order::Allow(connections) => {
                    self.policy.connections = Allowance::Fixed(connections);
                    self.transfer.allow(self.policy.connections, self.now);
                }
                Order::AddSource if self.transfer.sources.count() <= self.mirrors.len() => {
                    let _ = self.transfer.add_source();
                }
                Order::AddSource => {}
                Order::RemoveSource(source) => {
                    let present = self.transfer.sources.present().any(|one| one == source);
                    let _ = present.then(|| self.transfer.remove_source(source));
                }
            }
        }
    }

    fn obey(&mut self) {
        while self.outcome.is_none()
            && let Some(command) = self.transfer.poll_command(self.now)
        {
            self.log.commands += 1;
            assert!(self.log.commands < MOST_COMMANDS, "too many commands: {self:?}");
            self.carry_out(command);
        }
    }

    fn carry_out(&mut self, command: Command) {
        match command {
            Command::Start { id, ask } => self.start(id, ask, None),
            Command::Hedge { id, beside, ask } => self.hedge(id, beside, ask),
            Command::Shorten { id, end, .. } => self.shorten(id, end),
            Command::Abandon { id } => self.connections.get_mut(&id).expect("it is under way").left = true,
            Command::Discard { .. } => {
                assert!(self.connections.is_empty(), "nothing is under way");
                self.log.discards += 1;
                self.disk = Disk::default();
                self.made_for = None;
            }
            Command::Inquire { .. } => {
                self.transfer.handle_reached();
                self.transfer.handle_inquired();
                self.transfer.handle_advice(None);
            }
            Command::Announce(announcement) => self.log.announcements.push(announcement),
            Command::Finish => self.end_run(Outcome::Finished),
            Command::Fail(error) => self.end_run(Outcome::Failed(error)),
        }
    }

    fn end_run(&mut self, outcome: Outcome) {
        assert!(self.connections.is_empty(), "nothing is under way");
        self.outcome = Some(outcome);
    }

    fn hedge(&mut self, id: AttemptId, beside: AttemptId, ask: SegmentRequest) {
        let first = self.connections.get(&beside).expect("it is under way");
        assert!(first.beside.is_none() && first.body.is_some(), "one that is known, and one at a time");
        assert!(first.start <= ask.wanted.start() && ask.wanted.start() <= first.position);
        assert_eq!(ask.wanted.end(), first.end);
        let position = first.position;
        self.log.hedges.push(ask.wanted);
        self.start(id, ask, Some(beside));
        let second = self.connections.get_mut(&id).expect("it was just begun");
        second.position = position;
    }

    fn start(&mut self, id: AttemptId, ask: SegmentRequest, beside: Option<AttemptId>) {
        assert!(!ask.wanted.is_empty(), "an empty range has no form");
        assert!(self.paused.is_none(), "nothing is requested during a pause: {self:?}");
        assert!(
            self.now >= self.wait_until,
            "the server asked to wait until {:?}: {self:?}",
            self.wait_until
        );
        assert!(self.connections.len() < self.policy.connections.most());
        if let Some(window) = self.policy.window.filter(|_| ask.ranged) {
            assert!(ask.wanted.end() <= self.drained + window, "{ask:?} lies beyond the window");
        }
        self.log.starts.push((self.now, ask.clone()));
        let server = match ask.source {
            0 => &mut self.server,
            mirror => &mut self.mirrors[mirror - 1],
        };
        let connection = Connection {
            nth: self.log.starts.len(),
            started: self.now,
            head_at: self.now
                + Duration::from_millis(self.dice.roll(server.head_after(self.log.starts.len()))),
            fault: server.faults.pop_front().unwrap_or(server.always),
            rate: self.dice.roll(server.rates),
            body: None,
            start: ask.wanted.start(),
            end: ask.wanted.end(),
            position: ask.wanted.start(),
            skip: RangeSet::new(),
            beside,
            left: false,
            ask,
        };
        self.connections.insert(id, connection);
    }

    fn shorten(&mut self, id: AttemptId, end: u64) {
        let in_hand = self.dice.roll((0, 30_000));
        let connection = self.connections.get_mut(&id).expect("it is under way");
        assert!(end >= connection.start && end < connection.end, "{end}: {connection:#?}");
        // Bytes that are claimed but not written yet stay with the attempt.
        let coming = connection.body.as_ref().filter(|body| body.from <= self.now);
        let in_hand = coming.map_or(0, |body| in_hand.min(body.until.saturating_sub(connection.position)));
        let claimed = connection.position + in_hand;
        let end = connection.end.min(end.max(claimed));
        if connection.body.is_some() {
            self.log.returned += connection.end - end;
        }
        self.log.shortened += 1;
        connection.end = end;
        self.transfer.handle_shortened(id, end, self.now);
    }

    /// Advances one connection.
    fn attend(&mut self, id: AttemptId) {
        let connection = &self.connections[&id];
        let mute = connection.fault == Some(Fault::Mute);
        if connection.left {
            self.flow(id);
            self.end(id, End::Abandoned);
        } else if connection.body.is_some() {
            if let Some(end) = self.flow(id) {
                self.end(id, end);
            }
        } else if mute && self.now >= connection.started + FIRST_BYTE {
            self.end(id, End::Failed(Failure::Broken("no answer".into())));
        } else if !mute && self.now >= connection.head_at {
            self.hear(id);
        }
    }

    fn end(&mut self, id: AttemptId, end: End) {
        let connection = self.connections.remove(&id).expect("it is under way");
        self.log.setbacks += usize::from(!matches!(end, End::Complete | End::Abandoned));
        // An attempt that was given up before its response had been assigned nothing yet.
        if connection.beside.is_none() && connection.body.is_some() {
            self.log.returned += connection.end.min(self.server.length).saturating_sub(connection.position);
        }
        self.transfer.handle_end(id, connection.position, end, self.now);
    }

    /// Delivers the head, or the fault in its place.
    fn hear(&mut self, id: AttemptId) {
        let serving = self.connections.values().filter(|connection| connection.body.is_some()).count();
        let refused = self.server.limit.filter(|(limit, _)| serving >= *limit).map(|(_, fault)| fault);
        match refused.or(self.connections[&id].fault) {
            Some(Fault::Refused) => self.end(id, End::Failed(Failure::Broken("refused".into()))),
            Some(Fault::Nonsense) => self.end(id, End::Failed(Failure::Nonsense("that is not HTTP".into()))),
            Some(Fault::Status(status, retry_after)) => self.hear_status(id, status, retry_after),
            _ => {
                let ask = self.connections[&id].ask.clone();
                let server = match ask.source {
                    0 => &self.server,
                    mirror => &self.mirrors[mirror - 1],
                };
                let (head, body, version) = server.respond(&ask, self.now, &mut self.dice);
                let permit = self.transfer.handle_response(id, &head, self.now);
                self.rule(id, permit, body, version);
            }
        }
    }

    fn hear_status(&mut self, id: AttemptId, status: u16, retry_after: Option<u64>) {
        let seconds = retry_after.map(|seconds| seconds.to_string());
        let lines: Vec<_> = seconds.iter().map(|seconds| ("retry-after", seconds.as_str())).collect();
        assert_eq!(self.transfer.handle_response(id, &head(status, &lines), self.now), Permit::Reject);
        self.log.setbacks += 1;
        let wait = Duration::from_secs(retry_after.unwrap_or(0));
        // A longer wait ends the transfer, or concerns only the connection that was one too many.
        if wait <= self.policy.retry.retry_after_cap && self.mirrors.is_empty() {
            self.wait_until = self.wait_until.max(self.now + wait);
        }
        self.connections.get_mut(&id).expect("it is under way").left = true;
    }

    fn rule(&mut self, id: AttemptId, permit: Permit, held: ByteRange, version: usize) {
        let connection = self.connections.get_mut(&id).expect("it is under way");
        let offset = match permit {
            Permit::Reject => {
                connection.left = true;
                return;
            }
            Permit::Take { offset, .. } => offset,
            Permit::Begin { offset, representation, .. } => {
                assert!(self.made_for.is_none(), "the file is made once");
                connection.left = representation.complete_length == Some(0);
                self.made_for = Some((version, representation));
                offset
            }
        };
        if let Some((made_for, _)) = self.made_for.as_mut().filter(|_| self.disk.written().is_empty()) {
            *made_for = version;
        }
        let made_for = self.made_for.as_ref().map(|(_, representation)| &representation.validators);
        assert_eq!(
            made_for,
            self.transfer.representation().map(|known| &known.validators),
            "what is recorded"
        );
        assert_eq!(offset, held.start());
        self.transfer.handle_flowing(id, self.now);
        let lane = self.transfer.lane_of(id);
        if connection.beside.is_none() {
            self.log.assigned += lane.end().min(self.server.length_of(version)) - lane.start();
            (connection.start, connection.end, connection.position) =
                (lane.start(), lane.end(), lane.start());
        }
        if self.transfer.is_streaming() {
            connection.skip = self.transfer.written().clone();
        }
        let until = match connection.fault {
            Some(Fault::Cut(after) | Fault::Garbled(after) | Fault::Silent(after)) => {
                held.end().min(offset + after)
            }
            _ => held.end(),
        };
        let from = self.now + Duration::from_millis(self.server.lag);
        connection.body = Some(Body { offset, end: held.end(), version, from, until });
    }

    /// Delivers bytes; returns the end of the connection, if it ends.
    fn flow(&mut self, id: AttemptId) -> Option<End> {
        let connection = self.connections.get_mut(&id).expect("it is under way");
        let body = connection.body.as_mut().filter(|body| body.from <= self.now)?;
        let now = self.now;
        let uneven = self.server.uneven.iter().find(|(nth, from, _)| *nth == connection.nth && *from <= now);
        let rate = uneven.map_or(connection.rate, |(.., rate)| *rate);
        let beyond = self
            .server
            .slow_beyond
            .filter(|(from, _, until)| connection.ask.wanted.start() < *from && now < *until);
        let rate = beyond.filter(|(from, ..)| body.offset >= *from).map_or(rate, |(_, rate, _)| rate);
        let most = (rate as f64 * self.step.as_secs_f64()) as u64;
        let edge = beyond.map_or(u64::MAX, |(from, ..)| if body.offset < from { from } else { u64::MAX });
        let room = self.policy.window.map_or(u64::MAX, |window| self.drained + window);
        let came = ByteRange::new(body.offset, body.until.min(room).min(edge).min(body.offset + most.max(1)));
        body.offset = came.end();
        self.log.received += came.len();
        let wanted = came.intersection(ByteRange::new(connection.position, connection.end));
        let source = Source { version: body.version, attempt: Some(id) };
        for gap in connection.skip.gaps(wanted) {
            self.disk.write(gap, source);
        }
        connection.position = connection.position.max(wanted.end().min(connection.end));
        let (position, end, beside) = (connection.position, connection.end, connection.beside);
        let ended = !came.is_empty() && body.offset.max(position) >= end || body.offset == body.end;
        let broken = match connection.fault {
            Some(Fault::Cut(_)) if body.offset == body.until => {
                Some(End::Failed(Failure::Broken("cut".into())))
            }
            Some(Fault::Garbled(_)) if body.offset == body.until => {
                Some(End::Failed(Failure::Nonsense("garbled".into())))
            }
            _ => None,
        };
        for (other, connection) in &mut self.connections {
            if beside == Some(*other) || connection.beside == Some(id) {
                connection.position = position;
            }
        }
        if ended { Some(End::Complete) } else { broken }
    }

    fn let_drain(&mut self) {
        if self.policy.window.is_some() {
            let most = (self.drain as f64 * self.step.as_secs_f64()) as u64;
            self.drained = self.disk.written().front().min(self.drained + most);
            self.transfer.handle_drained(self.drained);
        }
    }

    // ---- invariants of every step --------------------------------------------------------------------

    fn check(&mut self) {
        self.log.most_views = self.log.most_views.max(self.transfer.attempts().len());
        self.log.most_ranges = self.log.most_ranges.max(self.transfer.written().iter().count());
        if !self.transfer.is_streaming() {
            self.check_lanes();
        }
        if self.paused.is_some_and(|since| self.now > since + self.step) {
            assert!(self.connections.is_empty(), "an attempt outlives the pause: {self:?}");
        }
        if let Some((version, _)) = &self.made_for {
            let foreign = self.disk.versions().iter().any(|written| !self.may_be_joined(*written, *version));
            assert!(!foreign, "the file was made for version {version}: {self:?}");
        }
    }

    /// Two versions may share a file only under an expected digest: if nothing tells them apart, or if only a tag does and
    /// the lengths are equal, because servers behind a balancer give the same bytes different tags.
    pub(super) fn may_be_joined(&self, one: usize, other: usize) -> bool {
        let server = &self.server;
        let alike = match server.validator {
            Validator::StrongTag => server.length_of(one) == server.length_of(other),
            Validator::Date => false,
            _ => true,
        };
        one == other || self.policy.digest_expected && (alike || !server.has_strong_validator())
    }

    /// Checks that no position is worked on twice, except hedged ones, and that those are few.
    fn check_lanes(&self) {
        let mut all = RangeSet::new();
        // Nothing is written of a response that has not come, if several are requested for the first one.
        let works = |connection: &&Connection| {
            connection.beside.is_none()
                && (connection.body.is_some() || self.made_for.is_some() && !connection.left)
        };
        for connection in self.connections.values().filter(works) {
            let lane = ByteRange::new(connection.position, connection.end);
            assert_eq!(all.insert(lane), lane.len(), "{lane:?} is worked on twice: {self:?}");
        }
        let hedged: u64 = self.log.hedges.iter().map(|range| range.len()).sum();
        let lengths = self.server.lengths().max().unwrap_or(0);
        assert!(hedged <= lengths / 200, "{:?} of {lengths}", self.log.hedges);
    }
}

impl std::fmt::Debug for Simulation {
    /// Prints the state needed to understand a failed schedule.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "at {:?}\n{:?}\n{:?}", self.now, self.policy, self.server)?;
        writeln!(f, "made for {:?}, known is {:?}", self.made_for, self.transfer.known)?;
        writeln!(f, "{:?}, written {:?}, disk {:?}", self.transfer.stage, self.transfer.written, self.disk)?;
        for (at, ask) in self.log.starts.iter().rev().take(40).rev() {
            writeln!(f, "{at:?} {ask:?}")?;
        }
        writeln!(f, "{:?}", self.log.announcements.iter().rev().take(20).collect::<Vec<_>>())?;
        writeln!(f, "under way: {:?}", self.connections)
    }
}
