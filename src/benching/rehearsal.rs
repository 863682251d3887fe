//! A whole download in virtual time: the plan decides as it always does, and the bytes are only counted.

use crate::error::{Error, Kind};
use crate::plan::concurrency::{Allowance, HIGHEST};
use crate::plan::response_head::ResponseHead;
use crate::plan::retry::RetryPolicy;
use crate::plan::transfer::{AttemptId, Command, End, Permit, Policy, Transfer};
use crate::plan::{ByteRange, Moment};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

/// As often as a driver looks around.
const TICK: Duration = Duration::from_millis(20);

/// A download that is played through.
#[derive(Debug)]
pub struct Rehearsal {
    transfer: Transfer,
    length: u64,
    /// Bytes a second of all connections together.
    rate: u64,
    now: Moment,
    lanes: BTreeMap<AttemptId, ByteRange>,
    requests: u64,
}

/// Result of the rehearsal.
#[derive(Clone, Copy, Debug)]
pub struct Rehearsed {
    /// Number of requests that the plan wanted.
    pub requests: u64,
    /// Time that the download would have taken.
    pub elapsed: Duration,
}

impl Rehearsal {
    /// A file of `length` bytes over a line of `rate` bytes a second, over as many connections as haul takes
    /// when it is told nothing.
    #[must_use]
    pub fn new(length: u64, rate: u64) -> Self {
        let policy = Policy {
            connections: Allowance::Adaptive(HIGHEST),
            min_split: 1 << 20,
            min_theft: 0,
            first_split: 1 << 20,
            retry: RetryPolicy::default(),
            stall: Duration::from_secs(30),
            digest_expected: false,
            length_expected: None,
            packing: None,
            in_order: false,
            window: None,
            may_restart: true,
            sources: 1,
            seed: 7,
        };
        let transfer = Transfer::new(policy);
        Self { transfer, length, rate, now: Moment::ZERO, lanes: BTreeMap::new(), requests: 0 }
    }

    /// Plays it to its end.
    ///
    /// # Errors
    /// Whatever the plan fails with, which would be a defect, or that it does not come to an end.
    pub fn play(mut self) -> Result<Rehearsed, Error> {
        let longest = Duration::from_secs(60 + 2 * self.length / self.rate.max(1));
        while !self.obey()? {
            if self.now > longest {
                return Err(Error::new(Kind::Other, "the plan does not come to an end"));
            }
            self.tick();
        }
        Ok(Rehearsed { requests: self.requests, elapsed: self.now })
    }

    /// Carries out what the plan wants; whether that was to finish.
    fn obey(&mut self) -> Result<bool, Error> {
        while let Some(command) = self.transfer.poll_command(self.now) {
            match command {
                Command::Start { id, ask } | Command::Hedge { id, ask, .. } => self.start(id, ask.wanted),
                Command::Shorten { id, end, .. } => self.shorten(id, end),
                Command::Abandon { id } => self.leave(id),
                Command::Finish => return Ok(true),
                Command::Fail(error) => return Err(error),
                Command::Discard { .. } | Command::Announce(_) | Command::Inquire { .. } => {}
            }
        }
        Ok(false)
    }

    fn start(&mut self, id: AttemptId, wanted: ByteRange) {
        self.requests += 1;
        let answer = self.answer(wanted);
        match self.transfer.handle_response(id, &answer, self.now) {
            Permit::Take { .. } | Permit::Begin { .. } => {
                self.transfer.handle_flowing(id, self.now);
                self.lanes.insert(id, self.transfer.lane_of(id));
            }
            Permit::Reject => self.transfer.handle_end(id, wanted.start(), End::Abandoned, self.now),
        }
    }

    /// Response of a server that has everything and changes nothing.
    fn answer(&self, wanted: ByteRange) -> ResponseHead {
        let (first, last, length) = (wanted.start(), wanted.end().min(self.length) - 1, self.length);
        let mut headers = HeaderMap::new();
        headers.insert(header::ETAG, HeaderValue::from_static("\"rehearsed\""));
        // Digits and signs are always a header value.
        if let Ok(range) = HeaderValue::from_str(&format!("bytes {first}-{last}/{length}")) {
            headers.insert(header::CONTENT_RANGE, range);
        }
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(last + 1 - first));
        ResponseHead::read(StatusCode::PARTIAL_CONTENT, &headers, SystemTime::UNIX_EPOCH)
    }

    fn shorten(&mut self, id: AttemptId, end: u64) {
        if let Some(lane) = self.lanes.get_mut(&id) {
            let end = end.max(lane.start());
            *lane = ByteRange::new(lane.start(), end);
            self.transfer.handle_shortened(id, end, self.now);
        }
    }

    fn leave(&mut self, id: AttemptId) {
        if let Some(lane) = self.lanes.remove(&id) {
            self.transfer.handle_end(id, lane.start(), End::Abandoned, self.now);
        }
    }

    /// Lets a moment pass: every connection brings its share of what the line carries.
    fn tick(&mut self) {
        self.now += TICK;
        let share = self.rate / 50 / self.lanes.len().max(1) as u64;
        let (transfer, now) = (&mut self.transfer, self.now);
        self.lanes.retain(|id, lane| {
            let position = (lane.start() + share).min(lane.end());
            *lane = ByteRange::new(position, lane.end());
            if lane.is_empty() {
                transfer.handle_end(*id, position, End::Complete, now);
            } else {
                transfer.handle_progress(*id, position, now);
            }
            !lane.is_empty()
        });
        transfer.handle_look(false, now);
    }
}
