//! Search for the number of connections that serve a file well, guided by their combined rate.
//!
//! Latency says nothing here: on a shared line a range takes longer the more connections share it, by nature. So a
//! level is judged by its goodput alone: more connections are tried, and kept if they pay.

use super::Known;
use super::measure::{
    Base, LOOKS, MOST_WINDOWS, STEADY, Sample, Window, gain, is_about, is_nearly_done, is_over_soon,
    is_within, length, length_of_look, windows_of_slow_start,
};
use crate::plan::Moment;
use std::time::Duration;

/// Most connections of one file, unless its server gives each of them little.
pub(crate) const CEILING: usize = 32;
/// Rate of a connection, in bytes a second, below which twice as many are tried while the total still grows with their
/// number: each of them is limited by loss on the path, or by a window, and not by the line.
const LITTLE_EACH: f64 = 1e6;
pub(crate) const HIGHEST: usize = 64;

/// Growth of the rate from one window to the next beyond which the level has not settled yet.
const GROWING: f64 = 1.15;
/// Exponent of a number that pays: `n` times as many connections must bring `n` to this power times the rate. One of
/// two flows that share a line with a third gains less by becoming two; one that is limited by its server, loss or a
/// window gains more.
const EARNED: f64 = 0.4;
/// Exponent that shows it in one window, even in one in which the rate still grows.
const CLEARLY: f64 = 0.68;
/// Exponent at which each new connection brought nearly as much as those before: the limit is far.
const PERFECTLY: f64 = 0.85;
/// Cost of one connection to the server and its neighbours, as a factor of the rate: fewer are enough if they bring
/// the rate less that cost.
const COST: f64 = 1.02;
/// Growth factors of the number, tried one after the other until none pays any more.
const STEPS: [f64; 3] = [2.0, 1.5, 1.25];
/// Factor of a change in rate beyond which the line is not the one that was judged.
const CHANGED: f64 = 1.4;
/// Time for which a level is kept before another is tried, at first.
const FIRST_HOLD: Duration = Duration::from_secs(5);
const LONGEST_HOLD: Duration = Duration::from_secs(80);
/// Remaining bytes per connection below which the number is not multiplied untested.
const WORTH_ONE: u64 = 1 << 20;
/// Latency of a long path, at the least, from the first connect to the first response.
const LONG_WAY: Duration = Duration::from_millis(150);
/// Latency, measured likewise, from which on more than two connections are begun with: on a shorter path two looks
/// take no time.
const MIDDLE_WAY: Duration = Duration::from_millis(30);
const FEWEST_AT_FIRST: usize = 2;
const SOME_AT_FIRST: usize = 5;
/// Time after which connections that do not all deliver are starved: those that deliver are the level.
const STARVED: Duration = Duration::from_secs(4);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Trial {
    /// Judges nothing: as long as all are served the number may double.
    FanOut,
    /// Measures the goodput of the level.
    Base,
    /// More connections than the base.
    Up(Base),
    /// Fewer connections than the base.
    Down(Base),
    /// Half of the initial number.
    Half(Base),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    /// Waits until all connections of the level deliver.
    Filling {
        since: Moment,
    },
    Measuring {
        window: Window,
        before: Option<f64>,
        windows: u32,
    },
    /// Tries nothing until then, unless the line changes.
    Holding {
        until: Moment,
        window: Option<Window>,
        changed: u32,
    },
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Climb {
    level: usize,
    ceiling: usize,
    trial: Trial,
    phase: Phase,
    /// Index of the next step to try.
    step: usize,
    /// Goodput of the level when it was last seen.
    held: Option<f64>,
    /// Last level that was measured as a base for comparison.
    last: Option<Base>,
    /// True if that measurement was steady. Otherwise the rate grows by itself, as it does for seconds beside a flow
    /// that was there first: then an apparent gain of more connections may be that of the time that has passed.
    steady: bool,
    /// Last level that did not pay. If its base turns out to bring less than was thought, it did.
    tried: Option<Base>,
    hold: Duration,
    /// True if the last trial after a hold was one with fewer connections.
    went_down: bool,
    /// Set when the level fell: connections beyond it are to be retired.
    shrunk: bool,
    /// Number of connections allowed, as last reported.
    allowed: usize,
    /// Bytes that a new connection brings at once, if the server sends in bursts.
    burst: Option<u64>,
    /// True while short looks are conclusive.
    looking: bool,
    /// True while nothing has shown that the initial number is needed.
    unproven: bool,
    /// Rate that an earlier file had with the level, to be verified before anything else is tried.
    remembered: Option<f64>,
    /// Level of an earlier file that was over before more could be tried.
    unsettled: Option<Base>,
    /// Last level that was measured, for a later file to begin with.
    found: Option<Base>,
    /// True once more connections were tried and did not pay, or were refused.
    settled: bool,
}

impl Climb {
    /// A climb that begins with `level` connections, and goes on to the ceiling at once if the path is `long`.
    pub(crate) fn new(level: usize, long: bool, now: Moment) -> Self {
        Self {
            level: level.max(1),
            ceiling: CEILING,
            trial: if long { Trial::FanOut } else { Trial::Base },
            phase: Phase::Filling { since: now },
            step: 0,
            held: None,
            last: None,
            steady: true,
            tried: None,
            hold: FIRST_HOLD,
            went_down: false,
            shrunk: false,
            allowed: HIGHEST,
            burst: None,
            looking: true,
            unproven: !long,
            remembered: None,
            unsettled: None,
            found: None,
            settled: false,
        }
    }

    /// Begins with `level`, as an earlier file suggests. A settled level that brings about the same as then is kept; any other
    /// must prove itself.
    pub(crate) fn known(known: Known, level: usize, now: Moment) -> Self {
        let Known { base, settled } = known;
        Self {
            remembered: settled.then_some(base.goodput),
            unsettled: (!settled).then_some(base),
            ..Self::new(level, false, now)
        }
    }

    /// Measures the level again from `now` on: what came before is of another time.
    pub(crate) fn begin_again(&mut self, now: Moment) {
        (self.held, self.last, self.tried) = (None, None, None);
        (self.step, self.looking, self.hold) = (0, true, FIRST_HOLD);
        self.go_to(self.level, Trial::Base, now);
    }

    /// Number of connections that a file of this length keeps busy.
    pub(crate) fn worth(length: u64) -> usize {
        usize::try_from(length / WORTH_ONE).unwrap_or(usize::MAX)
    }

    /// Uses no more connections than the file keeps busy, if it began with those of an earlier one.
    pub(crate) fn confine(&mut self, length: u64, latency: Duration) {
        if self.remembered.is_some() || self.unsettled.is_some() {
            self.level = self.level.min(Self::worth(length).max(Self::first_level(latency)));
        }
    }

    /// Level for a later file to begin with.
    pub(crate) fn found(&self) -> Option<Known> {
        let base = self.found?;
        let settled = self.settled;
        Some(match self.unsettled {
            // More than the earlier file had, and no better.
            Some(before) if base.level > before.level && gain(before, base.level, base.goodput) < EARNED => {
                Known { base: before, settled: true }
            }
            _ => Known { base, settled },
        })
    }

    /// Number of connections to begin with, if the first response took `latency`, connecting included. On a long path
    /// a connection takes long to get up to speed, and several do so together; on a short one it does not matter.
    pub(crate) fn first_level(latency: Duration) -> usize {
        if Self::is_long(latency) {
            return 12;
        }
        if latency < MIDDLE_WAY { FEWEST_AT_FIRST } else { SOME_AT_FIRST }
    }

    /// True if the path is so long that an initial measurement is not worth its duration.
    pub(crate) fn is_long(latency: Duration) -> bool {
        latency >= LONG_WAY
    }

    pub(crate) fn level(&self) -> usize {
        self.level
    }

    /// True if connections beyond the level are to be retired, and not merely not replaced.
    pub(crate) fn has_shrunk(&self) -> bool {
        self.shrunk
    }

    /// Bounds the level by the `most` connections that are served; a trial beyond that ends.
    pub(crate) fn bounded(&mut self, most: usize, now: Moment) {
        if self.level > most.max(1) {
            self.level = most.max(1);
            self.rest(now);
        }
    }

    /// Takes in a sample; to be called some fifty times a second.
    pub(crate) fn observe(&mut self, sample: &Sample, now: Moment) {
        self.allowed = sample.allowed.max(1);
        if let Some(burst) = sample.pacing.burst().filter(|_| self.burst.is_none()) {
            // The server limits each connection, and a new one brings a burst at once: that needs no proof.
            self.burst = Some(burst);
            return self.go_to(self.fanned_out(self.level, sample.rest), Trial::FanOut, now);
        }
        match self.phase {
            Phase::Holding { until, window, changed } => self.keep(until, window, changed, sample, now),
            Phase::Filling { since } => self.fill(since, sample, now),
            Phase::Measuring { window, before, windows } => {
                self.measure(window, before, windows, sample, now);
            }
        }
    }

    /// Next level of the fan-out: twice as many, if enough bytes are left for each of them.
    fn fanned_out(&self, level: usize, rest: u64) -> usize {
        let more = (level * 2).min(self.ceiling).min(self.allowed);
        let worth = self.burst.unwrap_or(WORTH_ONE).min(WORTH_ONE);
        if rest / more.max(1) as u64 >= worth { more.max(level) } else { level }
    }

    /// Number of connections expected in a moment, if all goes well.
    pub(crate) fn expected(&self, rest: u64) -> usize {
        let mut level = self.level;
        while self.trial == Trial::FanOut && self.fanned_out(level, rest) > level {
            level = self.fanned_out(level, rest);
        }
        level
    }

    /// Holds the level, and watches if the line is still the one that was judged.
    fn keep(&mut self, until: Moment, window: Option<Window>, changed: u32, sample: &Sample, now: Moment) {
        if now >= until && !sample.held_back {
            return self.go_to(self.level, Trial::Base, now);
        }
        let begun = Window { since: now, total: sample.total, fewest: sample.delivering };
        let Some(mut window) = window else {
            self.phase = Phase::Holding { until, window: Some(begun), changed };
            return;
        };
        window.fewest = window.fewest.min(sample.delivering);
        if now.saturating_sub(window.since) < length(sample) * 2 {
            self.phase = Phase::Holding { until, window: Some(window), changed };
            return;
        }
        let goodput = window.goodput(sample.total, now);
        let differs = self.held.is_some_and(|held| goodput * CHANGED < held || goodput > held * CHANGED);
        let counts = self.is_full(&window, sample) && !sample.held_back && !is_nearly_done(sample, goodput);
        let changed = if differs && counts { changed + 1 } else { 0 };
        self.phase = Phase::Holding { until, window: Some(begun), changed };
        if changed >= 2 {
            (self.step, self.tried) = (0, None);
            self.go_to(self.level, Trial::Base, now);
        }
    }

    /// True if the level delivered throughout the window: one connection between two requests is no flaw, several are.
    fn is_full(&self, window: &Window, sample: &Sample) -> bool {
        window.fewest + self.level / 4 >= self.level.min(sample.allowed)
    }

    fn fill(&mut self, since: Moment, sample: &Sample, now: Moment) {
        let wanted = self.level.min(sample.allowed);
        if sample.delivering >= wanted {
            self.shrunk = false;
            if self.trial == Trial::FanOut {
                let more = self.fanned_out(self.level, sample.rest);
                let trial = if more > self.level { Trial::FanOut } else { Trial::Base };
                return self.go_to(more, trial, now);
            }
            let window = Window { since: now, total: sample.total, fewest: sample.delivering };
            self.phase = Phase::Measuring { window, before: None, windows: 0 };
        } else if now.saturating_sub(since) >= STARVED.max(sample.round_trip * 10) {
            self.starved(sample.delivering, now);
        }
    }

    /// Ends a trial of which some connections are never served.
    fn starved(&mut self, delivering: usize, now: Moment) {
        match self.trial {
            Trial::Up(base) => self.level = base.level.max(delivering.min(self.level)),
            Trial::FanOut => self.level = self.level.min(delivering.max(1)),
            Trial::Down(base) | Trial::Half(base) => self.level = base.level,
            Trial::Base => {}
        }
        self.rest(now);
    }

    fn measure(
        &mut self,
        mut window: Window,
        before: Option<f64>,
        windows: u32,
        sample: &Sample,
        now: Moment,
    ) {
        window.fewest = window.fewest.min(sample.delivering);
        let elapsed = now.saturating_sub(window.since);
        let looks = self.looking && windows < LOOKS && !matches!(self.trial, Trial::Down(_) | Trial::Half(_));
        if elapsed < if looks { length_of_look(sample) } else { length(sample) } {
            self.phase = Phase::Measuring { window, before, windows };
            return;
        }
        let goodput = window.goodput(sample.total, now);
        let next = Window { since: now, total: sample.total, fewest: sample.delivering };
        let full = self.is_full(&window, sample);
        let windows = windows + 1;
        // A base for comparison must not grow by itself.
        let growing = if self.trial == Trial::Base { STEADY } else { GROWING };
        let settled = full && before.is_some_and(|before| goodput <= before * growing);
        self.phase = Phase::Measuring { window: next, before: full.then_some(goodput).or(before), windows };
        if sample.held_back || is_nearly_done(sample, goodput) {
            // A rate seen now says nothing about the connections, or comes too late.
            if let Trial::Down(base) | Trial::Half(base) = self.trial {
                self.level = base.level;
            } else if !sample.held_back {
                self.find(goodput);
            }
            return self.rest(now);
        }
        let slow_start = match self.trial {
            Trial::Up(base) => windows_of_slow_start(base, sample),
            Trial::FanOut | Trial::Base | Trial::Down(_) | Trial::Half(_) => 0,
        };
        // Two windows tell more than one.
        let mean = before.filter(|_| settled).map_or(goodput, |before| f64::midpoint(before, goodput));
        let clearly = if self.looking { PERFECTLY } else { CLEARLY };
        let enough = windows > slow_start && (settled || windows >= MOST_WINDOWS);
        match self.trial {
            Trial::Base if enough => {
                self.steady = before.is_none_or(|before| is_about(before, goodput));
                self.measured(if self.steady { mean } else { goodput }, now);
            }
            Trial::Up(base)
                if self.steady && before.is_some() && full && gain(base, self.level, goodput) >= clearly =>
            {
                self.earned(base, goodput, now);
            }
            Trial::Up(base) if enough && !looks => {
                if self.looking && (!self.unproven || is_over_soon(sample, goodput)) {
                    self.keep_the_faster(base, mean, now);
                } else if self.steady && !self.looking && gain(base, self.level, mean) >= EARNED {
                    // A base that is known from a look does not tell a small gain from none.
                    self.earned(base, mean, now);
                } else {
                    self.not_earned(base, mean, now);
                }
            }
            Trial::Down(base) | Trial::Half(base) if enough => self.judge_fewer(base, mean, now),
            Trial::FanOut | Trial::Base | Trial::Up(_) | Trial::Down(_) | Trial::Half(_) => {}
        }
    }

    /// Records the goodput of the level, now a base for comparison, and begins the next trial.
    fn measured(&mut self, goodput: f64, now: Moment) {
        let base = Base { level: self.level, goodput };
        self.held = Some(goodput);
        self.find(goodput);
        if self.remembered.take().is_some_and(|before| is_within(before, goodput, CHANGED)) {
            (self.unproven, self.settled, self.last) = (false, true, Some(base));
            return self.rest(now);
        }
        let last = self.last.replace(base).filter(|last| last.level == base.level);
        self.steady &= last.is_none_or(|last| is_about(last.goodput, goodput));
        if let Some(tried) = self.tried.take().filter(|tried| tried.level > base.level)
            && gain(base, tried.level, tried.goodput) >= EARNED
        {
            // The rate of the base had been falling all the while: the trial was better than its base.
            self.step = 0;
            let level = tried.level.min(self.ceiling).min(self.allowed);
            return self.go_to(level, Trial::Base, now);
        }
        let probing_down = self.step >= STEPS.len() && !self.went_down && self.level > 1;
        if probing_down {
            self.went_down = true;
            return self.go_to(fewer(self.level), Trial::Down(base), now);
        }
        if self.step >= STEPS.len() {
            // Back from a hold: up again, with the small steps.
            self.went_down = false;
            self.step = 1;
        }
        self.try_more(base, now);
    }

    fn try_more(&mut self, base: Base, now: Moment) {
        if base.level >= CEILING && base.goodput / (base.level as f64) < LITTLE_EACH {
            self.ceiling = HIGHEST;
        }
        while self.step < STEPS.len() {
            let level = ((base.level as f64 * STEPS[self.step]) as usize).min(self.ceiling).min(self.allowed);
            if level > base.level {
                return self.go_to(level, Trial::Up(base), now);
            }
            self.step += 1;
        }
        self.settle(base, now);
    }

    fn earned(&mut self, base: Base, goodput: f64, now: Moment) {
        let gain = gain(base, self.level, goodput);
        if gain >= CLEARLY {
            self.step = 0;
        }
        (self.hold, self.unproven, self.settled) = (FIRST_HOLD, false, false);
        (self.held, self.tried) = (Some(goodput), None);
        self.try_more(Base { level: self.level, goodput }, now);
    }

    /// Settles on the base, since more connections do not pay. An initial number must first prove better than half of
    /// it.
    fn settle(&mut self, base: Base, now: Moment) {
        if std::mem::take(&mut self.unproven) && base.level > FEWEST_AT_FIRST {
            return self.go_to(base.level / 2, Trial::Half(base), now);
        }
        // If more are not allowed, nothing shows that they do not pay.
        (self.level, self.settled) = (base.level, base.level < self.allowed);
        self.rest(now);
    }

    fn not_earned(&mut self, base: Base, goodput: f64, now: Moment) {
        self.tried = Some(Base { level: self.level, goodput });
        if std::mem::take(&mut self.looking) {
            if self.unproven && base.level > FEWEST_AT_FIRST {
                return self.settle(base, now);
            }
            // Measure again, with more time for each look.
            return self.go_to(base.level, Trial::Base, now);
        }
        self.step = (self.step + 1).min(STEPS.len());
        if STEPS[self.step..].iter().any(|step| (base.level as f64 * step) as usize > base.level) {
            // The rate of the base may have changed meanwhile, so it is measured anew.
            self.go_to(base.level, Trial::Base, now);
        } else {
            self.settle(base, now);
        }
    }

    /// Keeps the level if it brings more than the base: fewer connections would take long to get up to speed. Fewer
    /// are tried after a hold.
    fn keep_the_faster(&mut self, base: Base, goodput: f64, now: Moment) {
        let faster = goodput >= base.goodput;
        (self.level, self.looking) = (if faster { self.level } else { base.level }, false);
        self.held = Some(goodput.max(base.goodput));
        self.find(goodput.max(base.goodput));
        self.rest(now);
    }

    /// The level is judged, for now.
    fn find(&mut self, goodput: f64) {
        self.found = Some(Base { level: self.level, goodput });
    }

    fn judge_fewer(&mut self, base: Base, goodput: f64, now: Moment) {
        let saved = (base.level - self.level.min(base.level)) as i32;
        let enough = match self.trial {
            Trial::Half(_) => gain(Base { level: self.level, goodput }, base.level, base.goodput) < EARNED,
            _ => goodput * COST.powi(saved) >= base.goodput,
        };
        if enough {
            // They were too many: perhaps fewer still are enough.
            self.hold = FIRST_HOLD;
            self.went_down = false;
            self.held = Some(goodput);
            return self.go_to(self.level, Trial::Base, now);
        }
        if matches!(self.trial, Trial::Half(_)) {
            // All of them are needed; perhaps a few more are.
            self.step = 1;
            return self.go_to(base.level, Trial::Base, now);
        }
        self.level = base.level;
        self.rest(now);
    }

    fn go_to(&mut self, level: usize, trial: Trial, now: Moment) {
        self.shrunk = level < self.level;
        self.level = level;
        self.trial = trial;
        self.phase = Phase::Filling { since: now };
    }

    /// Holds the level for a while, and longer each time.
    fn rest(&mut self, now: Moment) {
        self.shrunk = true;
        self.step = STEPS.len();
        // It would be compared with a base of another time after the hold.
        self.tried = None;
        self.phase = Phase::Holding { until: now + self.hold, window: None, changed: 0 };
        self.hold = (self.hold * 2).min(LONGEST_HOLD);
    }
}

fn fewer(level: usize) -> usize {
    level - (level / 4).max(1)
}
