//! Transfer of one file as a state machine: `handle_*` report events to it, `poll_command` returns the next command.
//!
//! It owns no bytes, no clock and no tasks. Its driver must carry out each command, report each attempt's response
//! with [`Transfer::handle_response`], its progress with [`Transfer::handle_progress`], and its end, exactly once, with
//! [`Transfer::handle_end`].

use super::concurrency::{Allowance, Concurrency, HIGHEST, Known, Sample};
use super::meter::Meter;
use super::pace::Binding;
use super::packing::Packing;
use super::pulse::{Pacing, Pulse};
use super::representation::Representation;
use super::response_head::ResponseHead;
use super::retry::{Decision, FailureClass, Retry, RetryPolicy};
use super::segment::{self, Situation, Victim};
use super::slowness;
use super::source::Sources;
use super::verdict::{Expectation, Refusal, Verdict, judge};
use super::{ByteRange, Moment, RangeSet};
use crate::error::{Cause, Error, Failure, Kind, Remedy};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

mod commands;
mod control;
mod events;
mod failures;
mod hedge;
mod inquiring;
mod mirrors;
mod refusing;
mod slow;
mod stealing;
mod trying;

pub(crate) use control::Refused;
pub(crate) use trying::{Comparison, Trial};

/// Settings and limits of a transfer.
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    /// Number of connections.
    pub(crate) connections: Allowance,
    /// Minimum length of a segment, unless it is stolen from a slow connection.
    pub(crate) min_split: u64,
    /// Minimum length of a stolen range, if the user says how short a request may be; else 0.
    pub(crate) min_theft: u64,
    /// Minimum length of the first segments on a high-latency path: a connection that takes long to get up to speed
    /// does not bring much.
    pub(crate) first_split: u64,
    pub(crate) retry: RetryPolicy,
    /// Stall timeout: a connection that delivers nothing for this long is given up.
    pub(crate) stall: Duration,
    /// True if a digest will verify the file, so that ranges may be joined without a strong validator.
    pub(crate) digest_expected: bool,
    /// Length of the file in bytes, if it was given along with its URL.
    pub(crate) length_expected: Option<u64>,
    /// Compression format of the file by its name.
    pub(crate) packing: Option<Packing>,
    /// True if a consumer follows the contiguous front.
    pub(crate) in_order: bool,
    /// Bytes beyond the drained position that may be requested (a pipe with bounded memory).
    pub(crate) window: Option<u64>,
    /// True if a changed resource is started over, once.
    pub(crate) may_restart: bool,
    /// Number of sources: the URL of the file and its mirrors.
    pub(crate) sources: usize,
    /// Seed of the jitter.
    pub(crate) seed: u64,
}

/// Identifier of one attempt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct AttemptId(u64);

/// Request of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SegmentRequest {
    /// Number of the source; 0 is the URL of the file.
    pub(crate) source: usize,
    /// Wanted positions; for a request without `Range`, everything from 0.
    pub(crate) wanted: ByteRange,
    /// True if the request carries `Range`.
    pub(crate) ranged: bool,
    /// `If-Range` value.
    pub(crate) if_range: Option<String>,
}

/// Next action of the driver.
#[derive(Debug)]
pub(crate) enum Command {
    /// Start an attempt.
    Start {
        id: AttemptId,
        ask: SegmentRequest,
    },
    /// Start an attempt at the rest of `beside`. Both go on, and each position is written by the first to bring it;
    /// the position of both is that up to which everything is written.
    Hedge {
        id: AttemptId,
        beside: AttemptId,
        ask: SegmentRequest,
    },
    /// Let the attempt end at `end`, or at the nearest position after it that its writing has reached; report that
    /// with [`Transfer::handle_shortened`].
    Shorten {
        id: AttemptId,
        end: u64,
        leftover: Leftover,
    },
    /// Abandon the attempt, and report its end.
    Abandon {
        id: AttemptId,
    },
    /// Forget the file on disk, for it cannot be continued; no attempt is under way.
    Discard {
        why: String,
        /// Bytes lost by that.
        lost: u64,
    },
    /// Send a HEAD, report that with [`Transfer::handle_inquired`] and its response with [`Transfer::handle_advice`].
    Inquire {
        /// True if the framing shows the end of the body, so that HEAD only confirms it.
        proven: bool,
    },
    Announce(Announcement),
    /// Finish the file: every byte is written.
    Finish,
    /// Report the error; no attempt is under way, and the transfer is over.
    Fail(Error),
}

/// Part of a response beyond its wanted positions that is worth reading, so that its connection can be reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Leftover {
    /// Bytes beyond which it is cheaper to close the connection.
    pub(crate) bytes: u64,
    pub(crate) time: Duration,
}

impl Leftover {
    /// The connection will not be needed.
    const NOTHING: Self = Self { bytes: 0, time: Duration::ZERO };
}

impl Default for Leftover {
    /// Limits before anything is known of the connection.
    fn default() -> Self {
        Self { bytes: 64 << 10, time: Duration::from_millis(200) }
    }
}

/// Message for the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Announcement {
    Retry {
        cause: String,
        status: Option<u16>,
        wait: Duration,
        attempt: u32,
    },
    /// One connection serves everything, and the reason.
    SingleStream {
        why: String,
    },
    /// A connection that delivered nothing is given up.
    Stalled,
    /// A source backs off, and the reason.
    SourceRests {
        source: usize,
        why: String,
        status: Option<u16>,
        wait: Duration,
        /// Number of failures in a row.
        attempt: u32,
    },
    /// A source is not asked any more, and the reason.
    SourceDropped {
        source: usize,
        why: String,
    },
}

/// Permit for the body of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Permit {
    /// The first byte of the body belongs at `offset`, and the body ends at `until`, whatever may follow.
    Take { offset: u64, until: u64 },
    /// As `Take`, for the first usable response: the file must be created for `representation` first.
    Begin { offset: u64, until: u64, representation: Representation },
    /// No byte of the body may be read.
    Reject,
}

/// End of an attempt.
#[derive(Debug)]
pub(crate) enum End {
    /// Wrote its whole range, or the body ended where the framing said.
    Complete,
    /// Abandoned, or its response was rejected.
    Abandoned,
    Failed(Failure),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// One attempt probes the server; nothing is known yet.
    Probing { ranged: bool },
    /// Several connections, each with a range of its own.
    Ranged,
    /// One connection, everything from 0; positions already written are skipped.
    Stream,
}

#[derive(Debug)]
struct Attempt {
    ask: SegmentRequest,
    started: Moment,
    /// Time at which its response was accepted, then the time from which its body is taken.
    flowing: Option<Moment>,
    /// Position up to which it has written, from `wanted.start()` on.
    position: u64,
    /// Position at which it is to stop.
    end: u64,
    /// Number of bytes it wrote that had not been written before.
    fresh: u64,
    last_bytes: Moment,
    /// Position at that time.
    last_position: u64,
    meter: Meter,
    pulse: Pulse,
    shortened: Option<Moment>,
    abandoned: bool,
    /// True once the driver has been told to abandon it.
    told: bool,
    stalled: bool,
    /// True if it was told to end where it is, because fewer connections are as fast.
    retired: bool,
    /// Other attempt at the same piece.
    beside: Option<AttemptId>,
    /// True for a hedge: its positions are those of the first attempt, whatever its response holds.
    second: bool,
}

impl Attempt {
    /// True if it counts as one of the connections in use.
    fn is_active(&self) -> bool {
        !self.abandoned && !self.retired
    }

    fn rest(&self) -> ByteRange {
        ByteRange::new(self.position, self.end)
    }

    /// Bytes a second, as far as the recent past tells: zero if it has fallen silent, and little if it has been silent
    /// for longer than usual. A server that sends in bursts is measured over whole periods.
    fn pace(&self, pacing: Pacing, now: Moment) -> f64 {
        if self.stalled {
            return 0.0;
        }
        let period = pacing.period();
        if let Some(cap) = pacing.cap()
            && !self.pulse.is_even()
            && self.pulse.is_explained(cap, now)
        {
            return cap;
        }
        let period = if self.pulse.is_even() { Duration::ZERO } else { period };
        let lately = LATELY.max(period);
        let recent = self.meter.recent(lately).unwrap_or(0.0);
        let last = self.meter.recent(lately / 2).unwrap_or(0.0);
        if !period.is_zero() {
            // A burst is all that comes in its period.
            let age = self.flowing.map_or(Duration::ZERO, |flowing| now.saturating_sub(flowing));
            return recent * (age.as_secs_f64() / period.as_secs_f64()).min(1.0);
        }
        // An attempt that is getting faster goes on to do so for a while.
        let recent = if last > recent && recent > 0.0 { last * last / recent } else { recent };
        let silent = now.saturating_sub(self.last_bytes).saturating_sub(LATELY);
        recent / (1.0 + silent.as_secs_f64() / LATELY.as_secs_f64())
    }

    /// True if it has delivered for long enough to tell its rate.
    fn is_known(&self, soonest: Duration, now: Moment) -> bool {
        self.flowing.is_some_and(|flowing| now.saturating_sub(flowing) >= KNOWN.max(soonest))
    }

    fn victim(&self, pacing: Pacing, now: Moment) -> Victim {
        Victim { position: self.position, end: self.end, rate: self.pace(pacing, now) }
    }

    /// True if its response holds more than is still wanted of it, and all of the wanted part is written.
    fn only_reads_on(&self) -> bool {
        self.rest().is_empty() && self.end < self.ask.wanted.end()
    }

    /// Bytes by which a response begins before the wanted positions.
    fn early(&self, stated: ByteRange) -> u64 {
        self.ask.wanted.start().saturating_sub(stated.start())
    }

    /// True if it brought a quarter of its range. However little that is, it is progress: a range is complete after as
    /// many attempts as its length has binary digits, a few times over.
    fn brought_a_share(&self) -> bool {
        self.fresh > 0 && self.fresh >= (self.end - self.ask.wanted.start()) / 4
    }
}

/// View of one attempt, for a progress display.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct AttemptView {
    pub(crate) range: ByteRange,
    pub(crate) position: u64,
    pub(crate) stalled: bool,
}

/// Reduced demands on a server that refuses ranges of a file.
#[derive(Clone, Copy, Debug, Default)]
struct Less {
    /// True once the first ranged request was repeated without a range.
    plain_asked: bool,
    /// True while that request is under way, or about to be.
    plain: bool,
    /// True once the server was reached: a break may be a response to the request.
    reached: bool,
    /// Refusals of a range since bytes last came, while no other attempt was served.
    refusals: u32,
    /// True once the rest was requested in one response, as a last resort before the transfer fails.
    last_resort: bool,
    lengths: Option<refusing::Lengths>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Transfer {
    policy: Policy,
    stage: Stage,
    known: Option<Representation>,
    /// True if the responses so far were for a file that exists on disk under `known`.
    begun: bool,
    /// True between the commands to pause and to go on.
    paused: bool,
    /// True while the file is being created; until then no byte of any response is taken.
    making: bool,
    written: RangeSet,
    attempts: BTreeMap<AttemptId, Attempt>,
    next_id: u64,
    retry: Retry,
    concurrency: Concurrency,
    /// Smoothed time from the start of an attempt to its first bytes.
    latency: Option<Duration>,
    /// Time to the head of the first response, used until that is known.
    first_latency: Option<Duration>,
    /// Shortest time from the start of an attempt to its response: the nearest there is to a round trip.
    round_trip: Option<Duration>,
    /// Number of bytes written for the first time, in this run.
    fresh: u64,
    /// Tells if a rate limit of our own holds connections back.
    limited: Binding,
    /// Pacing by the server, if it sends in bursts.
    pacing: Pacing,
    /// Number of connections given up since bytes last came, because all were silent.
    given_up: u32,
    /// True if the server serves other files at this moment.
    serves_others: bool,
    /// Rates of the connections that have just come free, in bytes a second.
    warm: Vec<f64>,
    /// The probe, and the bytes it would have kept if it had requested more; they are its own as long as it is under
    /// way.
    reserved: Option<(AttemptId, u64)>,
    /// Number of bytes requested a second time while they were still under way.
    hedged: u64,
    /// Time before which no hedge is made, because the last one was of no use; and the length of that back-off.
    hedges_rest: (Moment, Duration),
    /// Time of the next look for collapsed connections.
    look_for_collapsed: Moment,
    /// Smoothed rate of one connection, in bytes a second.
    connection_rate: Option<f64>,
    sources: Sources,
    inquest: trying::Inquest,
    range_worked: bool,
    /// True once a fresh URL has replaced the one that expired: it must lead to the same version.
    renewed: bool,
    /// True if the server has refused access, or reported that there is no such file.
    denied: bool,
    /// True if ranges were refused or of no use, so that one response serves everything.
    ranges_refused: bool,
    /// True if responses under different validators were joined, for the digest to verify.
    mixed: bool,
    less: Less,
    /// Latest refusal that kept connections back.
    refusal: Option<slow::Refusal>,
    inquiry: inquiring::Inquiry,
    restarted: bool,
    announcements: VecDeque<Announcement>,
    discard: Option<String>,
    failure: Option<Error>,
    finished: bool,
    /// Position up to which bytes have left through the pipe, if there is one.
    drained: u64,
    /// Number of times that everything had to be fetched again, because responses must not be joined or end too early.
    fresh_starts: u32,
}

/// Age below which the rate of an attempt says nothing.
const WARM: Duration = Duration::from_millis(500);
/// Connect time below which connecting in advance gains nothing.
const WORTH_SPARING: Duration = Duration::from_millis(10);
/// Limit on fetching everything again, for a file that cannot be continued.
const FRESH_STARTS: u32 = 2;
/// Silence after which a connection is shown as stalled, and may be stolen from.
const SILENT: Duration = Duration::from_secs(2);
/// Bytes of a short response below which it counts as a failure: requests must be worth their cost.
const LITTLE: u64 = 4 * 1024;
/// Bytes that count as a sign of life, at the least: a connection that drips is as good as silent.
const TRICKLE: u64 = 1024;
/// Bytes by which a response may begin before its wanted positions; or as many as are wanted, if that is more.
const EARLY: u64 = 2 << 20;
/// Window over which the rate of one attempt is measured.
const RATE_WINDOW: Duration = Duration::from_secs(2);
/// Time for which a victim is left alone after it was shortened.
const STEAL_PAUSE: Duration = Duration::from_millis(300);
/// Factor by which a collapsed connection is slower than the average: less is merely uneven.
const COLLAPSED: f64 = 4.0;
/// Delivery time after which the rate of a connection is known well enough to steal from it.
const KNOWN: Duration = Duration::from_millis(200);
/// Silence that ends a burst, if it is one: at least this …
const PAUSE: Duration = Duration::from_millis(100);
/// … and at least this many round trips.
const PAUSED_ROUND_TRIPS: u32 = 3;
/// Recent past from which the next rate of a connection is predicted.
const LATELY: Duration = Duration::from_millis(400);

impl Transfer {
    /// Creates a transfer of which nothing is known.
    pub(crate) fn new(policy: Policy) -> Self {
        Self {
            // One connection means one request for everything: a link may be good for no more.
            stage: Stage::Probing { ranged: policy.connections.most() > 1 },
            known: None,
            begun: false,
            paused: false,
            making: false,
            written: RangeSet::new(),
            attempts: BTreeMap::new(),
            next_id: 0,
            retry: Retry::new(policy.retry.clone(), policy.seed),
            concurrency: Concurrency::new(policy.connections),
            latency: None,
            first_latency: None,
            round_trip: None,
            fresh: 0,
            limited: Binding::default(),
            pacing: Pacing::default(),
            given_up: 0,
            serves_others: false,
            connection_rate: None,
            warm: Vec::new(),
            reserved: None,
            hedged: 0,
            hedges_rest: (Moment::ZERO, Duration::ZERO),
            look_for_collapsed: Moment::ZERO,
            sources: Sources::new(policy.sources),
            inquest: trying::Inquest::default(),
            range_worked: false,
            renewed: false,
            denied: false,
            ranges_refused: false,
            mixed: false,
            less: Less::default(),
            refusal: None,
            inquiry: inquiring::Inquiry::default(),
            restarted: false,
            announcements: VecDeque::new(),
            discard: None,
            failure: None,
            finished: false,
            drained: 0,
            fresh_starts: 0,
            policy,
        }
    }

    /// Resumes what an earlier run left: all of `have` is written and of version `known`.
    pub(crate) fn resume(policy: Policy, known: Representation, have: RangeSet) -> Self {
        let mut transfer = Self { known: Some(known), begun: true, written: have, ..Self::new(policy) };
        if let Some(known) = &transfer.known {
            transfer.sources.answered(0, known);
        }
        transfer.sources.inherit(&transfer.written);
        let ranged = transfer.joinable() && transfer.length().is_some();
        transfer.stage = if ranged { Stage::Ranged } else { Stage::Stream };
        if !ranged {
            transfer.concurrency.only_one();
        }
        transfer
    }

    /// An earlier file from the same server ended at this level.
    pub(crate) fn begin_with(&mut self, level: Known) {
        self.concurrency.begin_with(level);
    }

    /// Time from the first request to its response, with the time that a new connection takes.
    pub(crate) fn first_latency(&self) -> Option<Duration> {
        self.first_latency
    }

    /// Level for a later file from the same server to begin with.
    pub(crate) fn found(&self) -> Option<Known> {
        // Under a limit of the caller's more connections cannot pay.
        self.concurrency.found().filter(|_| !self.limited.lasts())
    }

    pub(crate) fn representation(&self) -> Option<&Representation> {
        self.known.as_ref()
    }

    /// Written positions, of this run and of earlier ones.
    pub(crate) fn written(&self) -> &RangeSet {
        &self.written
    }

    /// Number of the lead, the source that defines the file.
    pub(crate) fn lead(&self) -> usize {
        self.sources.lead()
    }

    /// Numbers of the sources that have given bytes in this run.
    pub(crate) fn contributors(&self) -> Vec<usize> {
        self.sources.contributors()
    }

    /// True if a usable response has come, in this run or an earlier one.
    pub(crate) fn has_begun(&self) -> bool {
        self.begun
    }

    /// True if the server, and not a proxy, has refused access or reported that there is no such file.
    pub(crate) fn was_denied(&self) -> bool {
        self.denied
    }

    /// Number of connections that the server serves at once, to be passed on to the other files after a refusal.
    pub(crate) fn take_learned_limit(&mut self) -> Option<usize> {
        self.concurrency.take_learned_limit()
    }

    /// Number of connections worth establishing in advance, now that the first one stands: as many as will follow the
    /// first response, if connecting takes long.
    pub(crate) fn spares(&self, now: Moment) -> usize {
        if self.first_latency.is_some() {
            return 0;
        }
        let Some(connecting) = self.took_long_to_connect(now) else {
            return 0;
        };
        let missing = self.length().map_or(u64::MAX, |length| length.saturating_sub(self.written.len()));
        let most = usize::try_from(missing / self.policy.first_split).unwrap_or(usize::MAX);
        // The response will take at least one round trip more.
        self.concurrency.first_limit(connecting * 2, self.length()).min(most).saturating_sub(1)
    }

    /// Connect time of the first connection, if it is long enough for others to be established beside it.
    fn took_long_to_connect(&self, now: Moment) -> Option<Duration> {
        let started = self.attempts.values().map(|attempt| attempt.started).min()?;
        Some(now.saturating_sub(started)).filter(|connecting| *connecting >= WORTH_SPARING)
    }

    /// Number of connections that the missing bytes can keep busy, as far as the length is known.
    pub(crate) fn worthwhile(&self) -> usize {
        let missing = self.length().map_or(u64::MAX, |length| length.saturating_sub(self.written.len()));
        let shortest = self.policy.first_split.min(self.policy.min_split).max(1);
        usize::try_from(missing.div_ceil(shortest)).unwrap_or(usize::MAX).max(1)
    }

    /// Number of connections that will be wanted in a moment, beyond those in use.
    pub(crate) fn soon(&mut self, now: Moment) -> usize {
        let rest = self.length().map_or(0, |length| length.saturating_sub(self.written.len()));
        self.concurrency.expected(rest, now).saturating_sub(self.attempts.len())
    }

    /// Ranges that attempts are working on, in order of position.
    pub(crate) fn attempts(&self) -> Vec<AttemptView> {
        let mut views: Vec<_> = self
            .attempts
            .values()
            .filter(|attempt| !attempt.abandoned)
            .map(|attempt| AttemptView {
                range: ByteRange::new(attempt.ask.wanted.start(), attempt.end),
                position: attempt.position,
                stalled: attempt.stalled,
            })
            .collect();
        views.sort_by_key(|view| view.position);
        views
    }

    /// True if the file can be continued after an interruption, as far as the responses have shown.
    pub(crate) fn joinable(&self) -> bool {
        self.policy.digest_expected
            || self.known.as_ref().is_some_and(|known| known.validators.strong().is_some())
    }

    /// Range that the attempt is to write, once its response was ruled on.
    pub(crate) fn lane_of(&self, id: AttemptId) -> ByteRange {
        self.attempts.get(&id).map_or(ByteRange::default(), Attempt::rest)
    }

    /// True if one response serves everything, so that positions already written are to be skipped in it.
    pub(crate) fn is_streaming(&self) -> bool {
        self.stage == Stage::Stream
    }

    /// True if it has failed and only waits for its attempts to end.
    pub(crate) fn is_over(&self) -> bool {
        self.failure.is_some()
    }
}

#[cfg(test)]
mod tests;
