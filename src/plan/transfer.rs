//! One file's transfer as a state machine: `handle_*` is told what happened, `poll_command` says what to do.
//!
//! It owns no bytes, no clock and no tasks. Whoever drives it must: carry out each command, report each
//! attempt's answer with [`Transfer::handle_answer`], its progress with [`Transfer::handle_progress`], and its
//! end, exactly once, with [`Transfer::handle_end`].

use super::answer::Answer;
use super::concurrency::{Allowance, Concurrency, HIGHEST, Sample};
use super::meter::Meter;
use super::pace::Binding;
use super::packing::Packing;
use super::pulse::{Pacing, Pulse};
use super::representation::Representation;
use super::retry::{Decision, Retry, RetryPolicy, Setback};
use super::segment::{self, Prey, Situation};
use super::source::Sources;
use super::verdict::{Asked, Refusal, Verdict, judge};
use super::{ByteRange, Moment, RangeSet};
use crate::error::{Error, Kind};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

mod deciding;
mod failing;
mod happened;
mod hedging;
mod helping;
mod inquiring;
mod refusing;
mod relieving;
mod trying;

pub(crate) use trying::{Comparison, Trial};

/// What a transfer may do.
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    /// How many connections.
    pub(crate) connections: Allowance,
    /// No segment is cut shorter than this, unless to take over from a slow connection.
    pub(crate) min_split: u64,
    /// Nor then: the user says how short a request may be.
    pub(crate) min_theft: u64,
    /// The same for the first segments where the way is long: one that takes long to get up to speed does not bring much.
    pub(crate) first_split: u64,
    pub(crate) retry: RetryPolicy,
    /// A connection that delivers nothing for this long is given up.
    pub(crate) stall: Duration,
    /// A digest will prove the file, so ranges may be joined without a strong validator.
    pub(crate) digest_expected: bool,
    /// How many bytes the file has, according to whoever named it.
    pub(crate) length_expected: Option<u64>,
    /// What the file is packed in by its name.
    pub(crate) packing: Option<Packing>,
    /// Somebody follows the contiguous front.
    pub(crate) in_order: bool,
    /// Nothing is asked for further than this beyond the front (a pipe with bounded memory).
    pub(crate) window: Option<u64>,
    /// Whether a changed resource is started over, once.
    pub(crate) may_restart: bool,
    /// The URL of the file and its mirrors, counted.
    pub(crate) sources: usize,
    /// Seed of the jitter.
    pub(crate) seed: u64,
}

/// Names one attempt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct AttemptId(u64);

/// What an attempt asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ask {
    /// Of whom, by number; 0 is the URL of the file.
    pub(crate) source: usize,
    /// The positions wanted; for a request without `Range`, everything from 0.
    pub(crate) wanted: ByteRange,
    /// Whether the request carries `Range`.
    pub(crate) ranged: bool,
    /// The `If-Range` value.
    pub(crate) if_range: Option<String>,
}

/// What to do.
#[derive(Debug)]
pub(crate) enum Command {
    /// Make an attempt.
    Start {
        id: AttemptId,
        ask: Ask,
    },
    /// Make an attempt at what `beside` is still to bring. Both go on, and each position is written by whoever brings it
    /// first; the position of both is up to where everything is written.
    Hedge {
        id: AttemptId,
        beside: AttemptId,
        ask: Ask,
    },
    /// Let the attempt end at `end`, or as near after it as its writing has come; report that with
    /// [`Transfer::handle_shortened`].
    Shorten {
        id: AttemptId,
        end: u64,
        leftover: Leftover,
    },
    /// Give the attempt up, and report its end.
    Abandon {
        id: AttemptId,
    },
    /// Nothing is under way: forget what is on disk, for it cannot be continued.
    Discard {
        why: String,
        /// How many bytes that costs.
        lost: u64,
    },
    /// Ask with HEAD, and report that with [`Transfer::handle_inquired`] and what it says with [`Transfer::handle_advice`].
    Inquire {
        /// The framing shows where the body ends, so that HEAD only confirms it.
        proven: bool,
    },
    Announce(Announcement),
    /// Every byte is written.
    Finish,
    /// Nothing is under way and nothing more can be done.
    Fail(Error),
}

/// What of an answer is worth reading beyond what is wanted of it, so that its connection can be used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Leftover {
    /// More than this is cheaper left, and the connection closed.
    pub(crate) bytes: u64,
    pub(crate) time: Duration,
}

impl Leftover {
    /// Nobody will need the connection.
    const NOTHING: Self = Self { bytes: 0, time: Duration::ZERO };
}

impl Default for Leftover {
    /// What is read before anything is known of the connection.
    fn default() -> Self {
        Self { bytes: 64 << 10, time: Duration::from_millis(200) }
    }
}

/// What a person may want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Announcement {
    Retry {
        cause: String,
        status: Option<u16>,
        wait: Duration,
        attempt: u32,
    },
    /// One connection serves everything, and why.
    SingleStream {
        why: String,
    },
    /// A connection that delivered nothing was replaced.
    Stalled,
    /// A source is left alone for a while, and why.
    SourceRests {
        source: usize,
        why: String,
        status: Option<u16>,
        wait: Duration,
        /// How many times in a row it failed.
        attempt: u32,
    },
    /// A source is not asked any more, and why.
    SourceDropped {
        source: usize,
        why: String,
    },
}

/// What to do with the body of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ruling {
    /// Its first byte belongs at `offset`, and it ends at `until` whatever more may come.
    Take { offset: u64, until: u64 },
    /// The same, and this is the first usable answer: the file must be made for `representation` first.
    Begin { offset: u64, until: u64, representation: Representation },
    /// None of it may be read.
    Leave,
}

/// How an attempt ended.
#[derive(Debug)]
pub(crate) enum End {
    /// It wrote all it was to write, or the body ended where the framing said.
    Complete,
    /// It was abandoned, or its answer was not to be taken.
    Left,
    /// The connection could not be made, or broke; in words.
    Broken(String),
    /// The resolver says that there is no such name; in words.
    Nameless(String),
    /// What came is not HTTP, in words.
    Nonsense(String),
    /// Nothing that trying again would mend.
    Fatal(Error),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Nothing is known; one attempt finds out.
    Probing { ranged: bool },
    /// Several connections, each its range.
    Ranged,
    /// One connection, everything from 0; what is written already is skipped.
    Stream,
}

#[derive(Debug)]
struct Attempt {
    ask: Ask,
    started: Moment,
    /// When the head of the answer came and its body was taken.
    flowing: Option<Moment>,
    /// Up to where it has written, from `wanted.start()` on.
    position: u64,
    /// Where it is to stop.
    end: u64,
    /// How much of it was not written before.
    fresh: u64,
    last_bytes: Moment,
    /// Where it was then.
    last_position: u64,
    meter: Meter,
    pulse: Pulse,
    shortened: Option<Moment>,
    abandoned: bool,
    /// Whether the driver has been told to abandon it.
    told: bool,
    stalled: bool,
    /// It was told to end where it is, because fewer connections are as fast.
    retired: bool,
    /// The other one that is at the same piece.
    beside: Option<AttemptId>,
    /// It was made beside another one: its positions are those of the first, whatever it is answered.
    second: bool,
}

impl Attempt {
    /// Whether it counts as one of the connections that are used.
    fn is_active(&self) -> bool {
        !self.abandoned && !self.retired
    }

    fn rest(&self) -> ByteRange {
        ByteRange::new(self.position, self.end)
    }

    /// Bytes a second, as far as the recent past tells: nothing for one that has fallen silent, and little for one
    /// that has been silent for longer than it usually is. A server that sends in bursts is measured over whole periods.
    fn pace(&self, period: Duration, now: Moment) -> f64 {
        if self.stalled {
            return 0.0;
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
        // One that is getting faster goes on to do so for a while.
        let recent = if last > recent && recent > 0.0 { last * last / recent } else { recent };
        let silent = now.saturating_sub(self.last_bytes).saturating_sub(LATELY);
        recent / (1.0 + silent.as_secs_f64() / LATELY.as_secs_f64())
    }

    /// Whether it has delivered for long enough to tell how fast it is.
    fn is_known(&self, soonest: Duration, now: Moment) -> bool {
        self.flowing.is_some_and(|flowing| now.saturating_sub(flowing) >= KNOWN.max(soonest))
    }

    fn prey(&self, period: Duration, now: Moment) -> Prey {
        Prey { position: self.position, end: self.end, rate: self.pace(period, now) }
    }

    /// Whether its answer holds more than is wanted of it now, and all of that is written.
    fn only_reads_on(&self) -> bool {
        self.rest().is_empty() && self.end < self.ask.wanted.end()
    }

    /// How far before what is wanted an answer begins.
    fn early(&self, stated: ByteRange) -> u64 {
        self.ask.wanted.start().saturating_sub(stated.start())
    }

    /// Whether it brought a quarter of what it was to bring. However little that is, it is progress: a range is
    /// complete after so many attempts as its length has binary digits, a few times over.
    fn brought_a_share(&self) -> bool {
        self.fresh > 0 && self.fresh >= (self.end - self.ask.wanted.start()) / 4
    }
}

/// A view of one attempt, for whoever shows progress.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct AttemptView {
    pub(crate) range: ByteRange,
    pub(crate) position: u64,
    pub(crate) stalled: bool,
}

/// How much less is asked of a server that refuses ranges of a file.
#[derive(Clone, Copy, Debug, Default)]
struct Less {
    /// The first ranged request was asked once more without a range.
    plain_asked: bool,
    /// That request is under way, or about to be.
    plain: bool,
    /// The server was reached: a break may be an answer to what was asked.
    reached: bool,
    /// Refusals of a range since bytes last came, with nobody else being served.
    refusals: u32,
    /// Before it fails, the rest was asked for in one answer.
    last_resort: bool,
    /// No range is longer than this any more.
    longest: Option<u64>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Transfer {
    policy: Policy,
    stage: Stage,
    known: Option<Representation>,
    /// Whether the answers so far were to a file that exists on disk under `known`.
    begun: bool,
    /// The file is being made, and until then no byte of any answer is taken.
    making: bool,
    written: RangeSet,
    attempts: BTreeMap<AttemptId, Attempt>,
    next_id: u64,
    retry: Retry,
    concurrency: Concurrency,
    /// Smoothed time from the start of an attempt to its first bytes.
    latency: Option<Duration>,
    /// Until that is known: the time to the head of the first answer.
    first_latency: Option<Duration>,
    /// The shortest time from the start of an attempt to its answer: the nearest there is to a round trip.
    round_trip: Option<Duration>,
    /// Bytes that were written for the first time, in this run.
    fresh: u64,
    /// How a limit of our own holds connections back.
    limited: Binding,
    /// How the server does, where it sends in bursts.
    pacing: Pacing,
    /// Connections that were given up since bytes last came, because all were silent.
    given_up: u32,
    /// Whether the server serves other files at this moment.
    serves_others: bool,
    /// How fast the connections were that have just come free.
    warm: Vec<f64>,
    /// The probe, and the bytes that it would have kept if it had been asked for more. Theirs as long as it is under way.
    reserved: Option<(AttemptId, u64)>,
    /// Bytes that were asked for a second time while they were still under way.
    hedged: u64,
    /// No hedge before then, for the last one was of no use; and how long that is.
    hedges_rest: (Moment, Duration),
    /// When collapsed connections are looked for next.
    look_for_collapsed: Moment,
    /// Smoothed rate of one connection.
    connection_rate: Option<f64>,
    sources: Sources,
    inquest: trying::Inquest,
    range_worked: bool,
    /// A fresh URL has taken the place of the one that expired: it must lead to the same version.
    renewed: bool,
    /// The server has refused access, or said that there is no such file.
    denied: bool,
    /// Ranges were refused or of no use, so that one answer serves everything.
    ranges_refused: bool,
    /// Answers under different validators were joined, for the digest to prove.
    mixed: bool,
    less: Less,
    inquiry: inquiring::Inquiry,
    restarted: bool,
    announcements: VecDeque<Announcement>,
    discard: Option<String>,
    failure: Option<Error>,
    finished: bool,
    /// What has left through the pipe, where there is one.
    drained: u64,
    /// How often everything had to be fetched again because two answers must not be joined.
    fresh_starts: u32,
}

/// An attempt that has run for less than this says nothing yet about its rate.
const WARM: Duration = Duration::from_millis(500);
/// Where connecting takes less, there is nothing to be gained by doing it in advance.
const WORTH_SPARING: Duration = Duration::from_millis(10);
/// A file that cannot be continued is begun anew at most this often after a broken connection.
const FRESH_STARTS: u32 = 2;
/// How long before a connection without bytes is marked as stalled on the screen, and may be robbed.
const SILENT: Duration = Duration::from_secs(2);
/// A short answer is progress, but one below this is counted as a failure: requests must be worth their bytes.
const LITTLE: u64 = 4 * 1024;
/// Fewer bytes than this do not count as life: a connection that drips is as good as silent.
const TRICKLE: u64 = 1024;
/// An answer may begin this much, or as much as is wanted of it, before what was asked for.
const EARLY: u64 = 2 << 20;
/// The rate of one attempt is that of the last seconds.
const RATE_WINDOW: Duration = Duration::from_secs(2);
/// A victim is left alone for this long after it was shortened.
const STEAL_PAUSE: Duration = Duration::from_millis(300);
/// One that is slower than the others by this factor is not merely uneven.
const COLLAPSED: f64 = 4.0;
/// How fast one is that has been delivering for this long, is known well enough to rob it.
const KNOWN: Duration = Duration::from_millis(200);
/// A connection that brings nothing for this long has come to the end of a burst, if it is one …
const PAUSE: Duration = Duration::from_millis(100);
/// … or for so many round trips.
const PAUSED_ROUND_TRIPS: u32 = 3;
/// What one is going to do is told from what it did in this time.
const LATELY: Duration = Duration::from_millis(400);

impl Transfer {
    /// A transfer of which nothing is known.
    pub(crate) fn new(policy: Policy) -> Self {
        Self {
            // One connection is one request for everything: a link may be good for no more.
            stage: Stage::Probing { ranged: policy.connections.most() > 1 },
            known: None,
            begun: false,
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

    /// A transfer that goes on from what an earlier run left: all of `have` is written and of version `known`.
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

    pub(crate) fn representation(&self) -> Option<&Representation> {
        self.known.as_ref()
    }

    /// What is written, of this run and of earlier ones.
    pub(crate) fn written(&self) -> &RangeSet {
        &self.written
    }

    /// Who says what the file is, by number.
    pub(crate) fn lead(&self) -> usize {
        self.sources.lead()
    }

    /// Who has given bytes in this run, by number.
    pub(crate) fn contributors(&self) -> Vec<usize> {
        self.sources.contributors()
    }

    /// Whether a usable answer has come, in this run or an earlier one.
    pub(crate) fn has_begun(&self) -> bool {
        self.begun
    }

    /// Whether the server, and not a proxy, has refused access or said that there is no such file.
    pub(crate) fn was_denied(&self) -> bool {
        self.denied
    }

    /// Whether the server has asked for less, lately.
    pub(crate) fn is_held_back(&self) -> bool {
        self.concurrency.is_lowered()
    }

    /// What the other files are to be told that the server serves at once, after a refusal.
    pub(crate) fn take_lesson(&mut self) -> Option<usize> {
        self.concurrency.take_lesson()
    }

    /// How many connections are worth making in advance, now that the first one stands: as many as the first answer
    /// will be followed by, where making one takes long.
    pub(crate) fn spares(&self, now: Moment) -> usize {
        if self.first_latency.is_some() {
            return 0;
        }
        let Some(connecting) = self.took_long_to_connect(now) else {
            return 0;
        };
        let missing = self.length().map_or(u64::MAX, |length| length.saturating_sub(self.written.len()));
        let most = usize::try_from(missing / self.policy.first_split).unwrap_or(usize::MAX);
        // The answer will take a round trip more, at the least.
        self.concurrency.first_limit(connecting * 2).min(most).saturating_sub(1)
    }

    /// How long the first connection took, where that is long enough for others to be made beside it.
    fn took_long_to_connect(&self, now: Moment) -> Option<Duration> {
        let started = self.attempts.values().map(|attempt| attempt.started).min()?;
        Some(now.saturating_sub(started)).filter(|connecting| *connecting >= WORTH_SPARING)
    }

    /// How many connections what is missing can keep busy, as far as its length is known.
    pub(crate) fn worthwhile(&self) -> usize {
        let missing = self.length().map_or(u64::MAX, |length| length.saturating_sub(self.written.len()));
        let shortest = self.policy.first_split.min(self.policy.min_split).max(1);
        usize::try_from(missing.div_ceil(shortest)).unwrap_or(usize::MAX).max(1)
    }

    /// How many connections will be wanted in a round trip, beside those in use.
    pub(crate) fn soon(&mut self, now: Moment) -> usize {
        let rest = self.length().map_or(0, |length| length.saturating_sub(self.written.len()));
        self.concurrency.expected(rest, now).saturating_sub(self.attempts.len())
    }

    /// What is being worked on now, in order of position.
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

    /// Whether the file can be continued after an interruption, as far as the answers have shown.
    pub(crate) fn joinable(&self) -> bool {
        self.policy.digest_expected
            || self.known.as_ref().is_some_and(|known| known.validators.strong().is_some())
    }

    /// What the attempt is to write, now that its answer was ruled on.
    pub(crate) fn lane_of(&self, id: AttemptId) -> ByteRange {
        self.attempts.get(&id).map_or(ByteRange::default(), Attempt::rest)
    }

    /// Whether one answer serves everything, so that what is written already is to be skipped in it.
    pub(crate) fn is_streaming(&self) -> bool {
        self.stage == Stage::Stream
    }

    /// Whether it only waits for its attempts to end.
    pub(crate) fn is_over(&self) -> bool {
        self.failure.is_some()
    }
}

#[cfg(test)]
mod tests;
