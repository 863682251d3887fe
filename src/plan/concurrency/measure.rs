//! Measuring a level: for how long, over which window, and what one rate says against another.

use crate::plan::Moment;
use crate::plan::pulse::Pacing;
use crate::plan::segment::slow_start;
use std::time::Duration;

/// A measurement lasts for this many round trips, …
const ROUND_TRIPS: f64 = 2.5;
/// … but not for less or longer than this.
const SHORTEST: Duration = Duration::from_millis(200);
/// The first looks at a level are shorter: enough for what is clear.
const SHORTEST_LOOK: Duration = Duration::from_millis(80);
pub(super) const LOOKS: u32 = 3;
/// On a short way a rate is that of the machines more than that of the line, and no look tells much.
const SHORT_WAY: Duration = Duration::from_millis(5);
const LONGEST: Duration = Duration::from_millis(600);
/// After so many windows it is taken as it is.
pub(super) const MOST_WINDOWS: u32 = 8;
/// A level is steady if its windows, and what it brought when it was last measured, differ by no more than this factor.
pub(super) const STEADY: f64 = 1.1;
/// A file that is done within this time, and so many round trips, is not worth a trial: that takes as long.
const NEARLY_DONE: Duration = Duration::from_millis(400);
const NEARLY_DONE_ROUND_TRIPS: u32 = 10;
/// Fewer connections are as fast as more only after they have opened their windows again, which takes seconds after a loss.
const OVER_SOON: Duration = Duration::from_secs(2);
const OVER_SOON_ROUND_TRIPS: u32 = 25;

/// How things stand.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sample {
    /// Bytes that have come, a counter that only grows.
    pub(crate) total: u64,
    /// Connections that deliver.
    pub(crate) delivering: usize,
    /// Connections that would be used if there were something for them to do.
    pub(crate) allowed: usize,
    /// The shortest time seen from a request to its answer.
    pub(crate) round_trip: Duration,
    /// Bytes still to come.
    pub(crate) rest: u64,
    /// Something else than the line holds the transfer back: the disk, the reader of a pipe.
    pub(crate) held_back: bool,
    /// How the server sends in bursts, if it does.
    pub(crate) pacing: Pacing,
}

/// A level and what it brings.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Base {
    pub(super) level: usize,
    pub(super) goodput: f64,
}

/// A window of time, and what has been seen since it began.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Window {
    pub(super) since: Moment,
    pub(super) total: u64,
    /// The fewest that delivered in it.
    pub(super) fewest: usize,
}

impl Window {
    /// Bytes a second since it began, where `total` is the counter now.
    pub(super) fn goodput(&self, total: u64, now: Moment) -> f64 {
        let elapsed = now.saturating_sub(self.since).as_secs_f64();
        total.saturating_sub(self.total) as f64 / elapsed.max(1e-3)
    }
}

/// How long a measurement lasts: some round trips, and a whole period where the server sends in bursts, for a part of
/// one sees the burst or the pause.
pub(super) fn length(sample: &Sample) -> Duration {
    at_least(SHORTEST, sample)
}

/// The same for one of the first looks.
pub(super) fn length_of_look(sample: &Sample) -> Duration {
    at_least(if sample.round_trip < SHORT_WAY { SHORTEST } else { SHORTEST_LOOK }, sample)
}

fn at_least(shortest: Duration, sample: &Sample) -> Duration {
    sample.round_trip.mul_f64(ROUND_TRIPS).clamp(shortest, LONGEST).max(sample.pacing.period())
}

/// How many windows a new connection takes until it is as fast as one of the base.
pub(super) fn windows_of_slow_start(base: Base, sample: &Sample) -> u32 {
    let start = slow_start(base.goodput / base.level as f64, sample.round_trip);
    let windows = (start.as_secs_f64() / length_of_look(sample).as_secs_f64()).ceil();
    (windows as u32).min(MOST_WINDOWS)
}

pub(super) fn is_about(one: f64, other: f64) -> bool {
    one <= other * STEADY && other <= one * STEADY
}

pub(super) fn is_nearly_done(sample: &Sample, goodput: f64) -> bool {
    let time = NEARLY_DONE + sample.round_trip * NEARLY_DONE_ROUND_TRIPS;
    sample.rest as f64 <= goodput * time.as_secs_f64()
}

/// Whether the file is over before connections that lost something would be as fast as they may be.
pub(super) fn is_over_soon(sample: &Sample, goodput: f64) -> bool {
    let time = OVER_SOON + sample.round_trip * OVER_SOON_ROUND_TRIPS;
    sample.rest as f64 <= goodput * time.as_secs_f64()
}

/// The power of the growth in number that the growth in rate amounts to: 1 if each brings as much as before.
pub(super) fn gain(base: Base, level: usize, goodput: f64) -> f64 {
    (goodput / base.goodput.max(1.0)).ln() / (level as f64 / base.level as f64).ln()
}
