//! Measurement of a level: its duration, its window, and the comparison of two rates.

use crate::plan::Moment;
use crate::plan::pulse::Pacing;
use crate::plan::segment::slow_start;
use std::time::Duration;

/// Round trips that a measurement lasts, …
const ROUND_TRIPS: f64 = 2.5;
/// … but no less than this, and no more than `LONGEST`.
const SHORTEST: Duration = Duration::from_millis(200);
/// Minimum for the first looks at a level, which are shorter: enough for clear results.
const SHORTEST_LOOK: Duration = Duration::from_millis(80);
pub(super) const LOOKS: u32 = 3;
/// Round trip below which a path is short: there a rate is that of the machines more than that of the line, and no
/// look tells much.
const SHORT_WAY: Duration = Duration::from_millis(5);
const LONGEST: Duration = Duration::from_millis(600);
/// Windows after which a measurement is taken as it is.
pub(super) const MOST_WINDOWS: u32 = 8;
/// Factor within which the windows of a steady level, and its last measured goodput, differ.
pub(super) const STEADY: f64 = 1.1;
/// Remaining time, plus this many round trips, that is not worth a trial, which takes as long.
const NEARLY_DONE: Duration = Duration::from_millis(400);
const NEARLY_DONE_ROUND_TRIPS: u32 = 10;
/// Remaining time, plus this many round trips, in which fewer connections do not get as fast as more: they must open
/// their windows again, which takes seconds after a loss.
const OVER_SOON: Duration = Duration::from_secs(2);
const OVER_SOON_ROUND_TRIPS: u32 = 25;

/// State of the transfer at one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sample {
    /// Received bytes, a counter that only grows.
    pub(crate) total: u64,
    /// Connections that deliver.
    pub(crate) delivering: usize,
    /// Connections that would be used if there were work for them.
    pub(crate) allowed: usize,
    /// Shortest time seen from a request to its response.
    pub(crate) round_trip: Duration,
    /// Remaining bytes.
    pub(crate) rest: u64,
    /// True if something other than the line limits the transfer: the disk, the reader of a pipe.
    pub(crate) held_back: bool,
    /// Pacing by the server, if it sends in bursts.
    pub(crate) pacing: Pacing,
}

/// A number of connections, and the rate that all of them bring together, bytes a second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Base {
    pub(crate) level: usize,
    pub(crate) goodput: f64,
}

/// A window of time, and the observations since it began.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Window {
    pub(super) since: Moment,
    pub(super) total: u64,
    /// Fewest connections that delivered in it.
    pub(super) fewest: usize,
}

impl Window {
    /// Bytes a second since the window began, with the counter at `total` now.
    pub(super) fn goodput(&self, total: u64, now: Moment) -> f64 {
        let elapsed = now.saturating_sub(self.since).as_secs_f64();
        total.saturating_sub(self.total) as f64 / elapsed.max(1e-3)
    }
}

/// Duration of a measurement: some round trips, and a whole period if the server sends in bursts, since a part of one
/// holds only the burst or only the pause.
pub(super) fn length(sample: &Sample) -> Duration {
    at_least(SHORTEST, sample)
}

/// Duration of one of the first looks.
pub(super) fn length_of_look(sample: &Sample) -> Duration {
    at_least(if sample.round_trip < SHORT_WAY { SHORTEST } else { SHORTEST_LOOK }, sample)
}

fn at_least(shortest: Duration, sample: &Sample) -> Duration {
    sample.round_trip.mul_f64(ROUND_TRIPS).clamp(shortest, LONGEST).max(sample.pacing.period())
}

/// Windows until a new connection is as fast as one of the base.
pub(super) fn windows_of_slow_start(base: Base, sample: &Sample) -> u32 {
    let start = slow_start(base.goodput / base.level as f64, sample.round_trip);
    let windows = (start.as_secs_f64() / length_of_look(sample).as_secs_f64()).ceil();
    (windows as u32).min(MOST_WINDOWS)
}

pub(super) fn is_about(one: f64, other: f64) -> bool {
    is_within(one, other, STEADY)
}

/// True if the two differ by no more than this factor.
pub(super) fn is_within(one: f64, other: f64, factor: f64) -> bool {
    one <= other * factor && other <= one * factor
}

pub(super) fn is_nearly_done(sample: &Sample, goodput: f64) -> bool {
    let time = NEARLY_DONE + sample.round_trip * NEARLY_DONE_ROUND_TRIPS;
    sample.rest as f64 <= goodput * time.as_secs_f64()
}

/// True if the file is over before connections that lost packets would be up to speed again.
pub(super) fn is_over_soon(sample: &Sample, goodput: f64) -> bool {
    let time = OVER_SOON + sample.round_trip * OVER_SOON_ROUND_TRIPS;
    sample.rest as f64 <= goodput * time.as_secs_f64()
}

/// Exponent that turns the growth in number into the growth in rate: 1 if each connection brings as much as before.
pub(super) fn gain(base: Base, level: usize, goodput: f64) -> f64 {
    (goodput / base.goodput.max(1.0)).ln() / (level as f64 / base.level as f64).ln()
}
