//! Finding out how many connections serve a file well, from the rate that all of them have together.
//!
//! Latency says nothing here: on a shared line a range takes longer the more connections share it, by nature. So a
//! level is judged by its goodput alone: more connections are tried, and kept if they earn their keep.

use super::measure::{
    Base, LOOKS, MOST_WINDOWS, STEADY, Sample, Window, gain, is_about, is_nearly_done, is_over_soon, length,
    length_of_look, windows_of_slow_start,
};
use crate::plan::Moment;
use std::time::Duration;

/// Connections of one file, unless its server gives each of them little.
pub(crate) const CEILING: usize = 32;
/// With so little a connection (bytes a second), and a rate that still grows with their number, twice as many are
/// tried: what bounds each of them is loss on the way, or a window, and not the line.
const LITTLE_EACH: f64 = 1e6;
pub(crate) const HIGHEST: usize = 64;

/// A rate that grows by more than this from one window to the next is not the rate of the level yet.
const GROWING: f64 = 1.15;
/// `n` times as many connections must bring `n` to this power times the rate. One of two flows that share a line
/// with a third gains less by becoming two; one that its server, loss or a window holds back gains more.
const EARNED: f64 = 0.4;
/// What shows it in one window, even in one in which the rate still grows.
const CLEARLY: f64 = 0.68;
/// Each new connection brought nearly as much as those before: the limit is far.
const PERFECTLY: f64 = 0.85;
/// What one connection costs the server and its neighbours, as a part of the rate: fewer are enough if they bring
/// what remains after that.
const COST: f64 = 1.02;
/// How the number grows, one after the other until one pays no more.
const STEPS: [f64; 3] = [2.0, 1.5, 1.25];
/// A rate that is away from what it was by more than this factor is another line than the one that was judged.
const CHANGED: f64 = 1.4;
/// How long a level is kept before another is tried, the first time.
const FIRST_HOLD: Duration = Duration::from_secs(5);
const LONGEST_HOLD: Duration = Duration::from_secs(80);
/// Connections are not multiplied unseen below so many bytes for each of them.
const WORTH_ONE: u64 = 1 << 20;
/// From the first connecting to the first answer.
const LONG_WAY: Duration = Duration::from_millis(150);
/// The same, from where on more than two are begun with: on a shorter way two looks take no time.
const MIDDLE_WAY: Duration = Duration::from_millis(30);
const FEWEST_AT_FIRST: usize = 2;
const SOME_AT_FIRST: usize = 5;
/// Connections of which not all deliver within this time are starved: those that do are the level.
const STARVED: Duration = Duration::from_secs(4);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Trial {
    /// Nothing is judged: as long as all are served there may be twice as many.
    FanOut,
    /// Finds out what the level brings.
    Base,
    /// More than the base.
    Up(Base),
    /// Fewer.
    Down(Base),
    /// Half as many as were begun with.
    Half(Base),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    /// Until all connections of the level deliver.
    Filling {
        since: Moment,
    },
    Measuring {
        window: Window,
        before: Option<f64>,
        windows: u32,
    },
    /// Nothing is tried until then, unless the line changes.
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
    /// Which of the steps is tried next.
    step: usize,
    /// What the level was last seen to bring.
    held: Option<f64>,
    /// The last level that was measured for others to be held against.
    last: Option<Base>,
    /// Whether that was steady. Where it was not, it grows by itself, as it does for seconds beside somebody who was there
    /// first: then what seems to be the merit of more connections may be that of the time that has passed.
    steady: bool,
    /// The last level that did not pay. If what it was held against turns out to bring less than was thought, it did.
    tried: Option<Base>,
    hold: Duration,
    /// Whether the last trial after a hold was one with fewer.
    went_down: bool,
    /// Set when the level fell: connections beyond it are to be given up.
    shrunk: bool,
    /// How many there may be at the most, as was last heard.
    allowed: usize,
    /// Bytes that a new connection brings at once, where the server sends in bursts.
    burst: Option<u64>,
    /// Whether short looks have told enough so far.
    looking: bool,
    /// Whether nothing has shown yet that as many are needed as were begun with.
    unproven: bool,
}

impl Climb {
    /// One that begins with `level` connections, and goes on to the ceiling at once where the way is `long`.
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
        }
    }

    /// How many connections to begin with, where the first answer took `latency`, the connecting included. On a long
    /// way a connection takes long to get up to speed, and several do that together; on a short one it does not matter.
    pub(crate) fn first_level(latency: Duration) -> usize {
        if Self::is_long(latency) {
            return 12;
        }
        if latency < MIDDLE_WAY { FEWEST_AT_FIRST } else { SOME_AT_FIRST }
    }

    /// Whether the way is so long that a measurement would take longer than is worth waiting for, at first.
    pub(crate) fn is_long(latency: Duration) -> bool {
        latency >= LONG_WAY
    }

    pub(crate) fn level(&self) -> usize {
        self.level
    }

    /// Whether connections beyond the level are to be given up, and not merely not replaced.
    pub(crate) fn has_shrunk(&self) -> bool {
        self.shrunk
    }

    /// No more than `most` are served. What is being tried ends.
    pub(crate) fn bounded(&mut self, most: usize, now: Moment) {
        if self.level > most.max(1) {
            self.level = most.max(1);
            self.rest(now);
        }
    }

    /// Takes in how things stand; to be called some fifty times a second.
    pub(crate) fn observe(&mut self, sample: &Sample, now: Moment) {
        self.allowed = sample.allowed.max(1);
        if let Some(burst) = sample.pacing.burst().filter(|_| self.burst.is_none()) {
            // The server holds each connection back, and a new one brings a burst at once: that needs no proof.
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

    /// The next level of the fan-out: twice as many, where there is enough left for each of them.
    fn fanned_out(&self, level: usize, rest: u64) -> usize {
        let more = (level * 2).min(self.ceiling).min(self.allowed);
        let worth = self.burst.unwrap_or(WORTH_ONE).min(WORTH_ONE);
        if rest / more.max(1) as u64 >= worth { more.max(level) } else { level }
    }

    /// How many connections there will be in a moment, if all goes well.
    pub(crate) fn expected(&self, rest: u64) -> usize {
        let mut level = self.level;
        while self.trial == Trial::FanOut && self.fanned_out(level, rest) > level {
            level = self.fanned_out(level, rest);
        }
        level
    }

    /// Nothing is tried, but it is watched whether the line is still the one that was judged.
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

    /// A connection between two requests is no flaw, several are.
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

    /// Some are never served: no use in having them.
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
        // What others are held against must not grow by itself.
        let growing = if self.trial == Trial::Base { STEADY } else { GROWING };
        let settled = full && before.is_some_and(|before| goodput <= before * growing);
        self.phase = Phase::Measuring { window: next, before: full.then_some(goodput).or(before), windows };
        if sample.held_back || is_nearly_done(sample, goodput) {
            // Whatever is seen now says nothing about the connections, or comes too late.
            if let Trial::Down(base) | Trial::Half(base) = self.trial {
                self.level = base.level;
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
                    // What a look has told of the base does not tell a small gain from none.
                    self.earned(base, mean, now);
                } else {
                    self.not_earned(base, mean, now);
                }
            }
            Trial::Down(base) | Trial::Half(base) if enough => self.judge_fewer(base, mean, now),
            Trial::FanOut | Trial::Base | Trial::Up(_) | Trial::Down(_) | Trial::Half(_) => {}
        }
    }

    /// What the level brings is known: something else can be held against it.
    fn measured(&mut self, goodput: f64, now: Moment) {
        let base = Base { level: self.level, goodput };
        self.held = Some(goodput);
        let last = self.last.replace(base).filter(|last| last.level == base.level);
        self.steady &= last.is_none_or(|last| is_about(last.goodput, goodput));
        if let Some(tried) = self.tried.take().filter(|tried| tried.level > base.level)
            && gain(base, tried.level, tried.goodput) >= EARNED
        {
            // The rate of the base had been falling all the while: the trial was better than what there is without it.
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
        (self.hold, self.unproven) = (FIRST_HOLD, false);
        (self.held, self.tried) = (Some(goodput), None);
        self.try_more(Base { level: self.level, goodput }, now);
    }

    /// More do not pay. The number that was begun with must earn its keep like any other.
    fn settle(&mut self, base: Base, now: Moment) {
        if std::mem::take(&mut self.unproven) && base.level > FEWEST_AT_FIRST {
            return self.go_to(base.level / 2, Trial::Half(base), now);
        }
        self.level = base.level;
        self.rest(now);
    }

    fn not_earned(&mut self, base: Base, goodput: f64, now: Moment) {
        self.tried = Some(Base { level: self.level, goodput });
        if std::mem::take(&mut self.looking) {
            if self.unproven && base.level > FEWEST_AT_FIRST {
                return self.settle(base, now);
            }
            // With more time for each look.
            return self.go_to(base.level, Trial::Base, now);
        }
        self.step = (self.step + 1).min(STEPS.len());
        if STEPS[self.step..].iter().any(|step| (base.level as f64 * step) as usize > base.level) {
            // What it brings may have changed meanwhile, so it is measured anew.
            self.go_to(base.level, Trial::Base, now);
        } else {
            self.settle(base, now);
        }
    }

    /// What is there stays, if it brings more: fewer connections would take long to be as fast as they may be. After a hold
    /// fewer are tried.
    fn keep_the_faster(&mut self, base: Base, goodput: f64, now: Moment) {
        let faster = goodput >= base.goodput;
        (self.level, self.looking) = (if faster { self.level } else { base.level }, false);
        self.held = Some(goodput.max(base.goodput));
        self.rest(now);
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

    /// Keeps the level for a while, and longer each time.
    fn rest(&mut self, now: Moment) {
        self.shrunk = true;
        self.step = STEPS.len();
        // After a hold it would be held against another time.
        self.tried = None;
        self.phase = Phase::Holding { until: now + self.hold, window: None, changed: 0 };
        self.hold = (self.hold * 2).min(LONGEST_HOLD);
    }
}

fn fewer(level: usize) -> usize {
    level - (level / 4).max(1)
}
