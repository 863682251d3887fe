//! The climb over a line in virtual time: a capacity that flows share, a bound on each of them, neighbours, and the
//! time that each flow takes to get up to speed.

use super::*;
use crate::plan::pulse::Pacing;
use crate::plan::seed::mix;
use proptest::prelude::*;

const TICK: Duration = Duration::from_millis(20);

#[derive(Clone, Copy, Debug)]
struct Line {
    /// Bytes a second of all flows together.
    capacity: f64,
    /// Bytes a second of one flow, at most: bounded by its server, loss or a window.
    each: f64,
    /// Flows of others, with an equal right to the line.
    neighbours: usize,
    /// Time that others, who were there first, take to make room.
    opening: Duration,
    round_trip: Duration,
    /// Deviation of the momentary rate from the ideal one, at most, as a fraction.
    noise: f64,
    /// Number of connections that the server serves.
    serves: usize,
}

impl Line {
    fn new(capacity: f64, each: f64, milliseconds: u64) -> Self {
        let round_trip = Duration::from_millis(milliseconds);
        let opening = Duration::ZERO;
        Self { capacity, each, neighbours: 0, opening, round_trip, noise: 0.1, serves: usize::MAX }
    }

    /// Combined goodput of `flows` that have run for long.
    fn goodput(&self, flows: usize) -> f64 {
        let fair = self.capacity * flows as f64 / (flows + self.neighbours).max(1) as f64;
        (self.each * flows as f64).min(fair)
    }

    /// Best goodput with up to `most` flows.
    fn best(&self, most: usize) -> f64 {
        (1..=most).map(|flows| self.goodput(flows)).fold(0.0, f64::max)
    }

    /// Fraction of the line that is available by now.
    fn open(&self, now: Moment) -> f64 {
        if now >= self.opening { 1.0 } else { 0.25 + 0.75 * now.as_secs_f64() / self.opening.as_secs_f64() }
    }

    /// Bytes a second allowed to a flow of this age: ten packets in the first round trip, twice as many in the next.
    fn ramp(&self, age: Duration) -> f64 {
        let trips = age.as_secs_f64() / self.round_trip.as_secs_f64();
        14_600.0 / self.round_trip.as_secs_f64() * trips.min(40.0).exp2()
    }
}

/// Run of one file over a line.
struct Run {
    concurrency: Concurrency,
    line: Line,
    now: Moment,
    /// Time at which each flow was requested.
    flows: Vec<Moment>,
    total: f64,
    length: f64,
    seed: u64,
    /// Limit at each tick.
    levels: Vec<usize>,
    refusals: usize,
}

impl Run {
    fn new(line: Line, length: f64, seed: u64) -> Self {
        Self::with(Concurrency::new(Allowance::Adaptive(HIGHEST)), line, length, seed)
    }

    /// A second run on what the first one has found.
    fn after(first: &Self, line: Line, length: f64, seed: u64) -> Self {
        let mut concurrency = Concurrency::new(Allowance::Adaptive(HIGHEST));
        if let Some(found) = first.concurrency.found() {
            concurrency.begin_with(found);
        }
        Self::with(concurrency, line, length, seed)
    }

    fn with(mut concurrency: Concurrency, line: Line, length: f64, seed: u64) -> Self {
        let connecting = line.round_trip * 2;
        concurrency.begin(connecting, connecting);
        Self {
            concurrency,
            line,
            now: connecting,
            flows: vec![Moment::ZERO],
            total: 0.0,
            length,
            seed,
            levels: Vec::new(),
            refusals: 0,
        }
    }

    fn chance(&mut self) -> f64 {
        self.seed = mix(self.seed);
        (self.seed % 10_000) as f64 / 10_000.0
    }

    fn tick(&mut self) {
        self.now += TICK;
        let limit = self.concurrency.limit(self.now);
        while self.flows.len() < limit {
            if self.flows.len() >= self.line.serves {
                self.refusals += 1;
                self.concurrency.refused(self.flows.len(), self.now, Duration::ZERO);
                break;
            }
            self.flows.push(self.now);
        }
        let surplus = self.concurrency.surplus(self.flows.len());
        self.flows.truncate(self.flows.len() - surplus);
        let set_up = self.line.round_trip * 2;
        let ages: Vec<_> =
            self.flows.iter().filter_map(|asked| self.now.checked_sub(*asked + set_up)).collect();
        let open = self.line.open(self.now);
        let ready = open * self.line.goodput(ages.len()) / ages.len().max(1) as f64;
        let mut rate: f64 = ages.iter().map(|age| self.line.ramp(*age).min(ready)).sum();
        rate *= 1.0 + self.line.noise * (2.0 * self.chance() - 1.0);
        self.total += rate * TICK.as_secs_f64();
        let sample = Sample {
            total: self.total as u64,
            delivering: ages.len(),
            allowed: usize::MAX,
            round_trip: self.line.round_trip,
            rest: (self.length - self.total).max(0.0) as u64,
            held_back: false,
            pacing: Pacing::default(),
        };
        self.concurrency.observe(&sample, self.now);
        self.levels.push(limit);
    }

    /// Runs to the end of the file; returns the time at its end in seconds.
    fn run_to_end(&mut self) -> f64 {
        while self.total < self.length {
            self.tick();
            assert!(self.now < Duration::from_secs(3600), "it does not end");
        }
        self.now.as_secs_f64()
    }

    fn until(&mut self, seconds: f64) {
        while self.now.as_secs_f64() < seconds {
            self.tick();
        }
    }

    fn level(&self) -> usize {
        self.levels.last().copied().unwrap_or(0)
    }
}

#[test]
fn a_server_that_holds_each_connection_back_is_asked_on_as_many_as_fill_the_line() {
    let mut run = Run::new(Line::new(48e6, 10e6, 20), 1e9, 1);
    run.until(2.5);
    assert!(run.line.goodput(run.level()) >= 0.9 * 48e6, "{} connections after 2.5 s", run.level());
    let seconds = run.run_to_end();
    assert!(seconds <= 1e9 / 48e6 / 0.92, "{seconds} s");
    assert!(run.levels.iter().all(|level| *level <= 16), "{:?}", run.levels.iter().max());
}

#[test]
fn where_loss_bounds_each_connection_there_may_be_twice_as_many() {
    let mut run = Run::new(Line::new(24e6, 0.31e6, 80), 100e6, 1);
    let seconds = run.run_to_end();
    assert_eq!(run.levels.iter().max(), Some(&HIGHEST));
    assert!(seconds <= 8.0, "{seconds} s");
}

#[test]
fn connections_with_a_good_rate_of_their_own_are_not_multiplied_beyond_the_ceiling() {
    let mut run = Run::new(Line::new(1e9, 2e6, 20), 2e9, 1);
    run.run_to_end();
    assert_eq!(run.levels.iter().max(), Some(&CEILING));
}

#[test]
fn a_neighbour_keeps_a_fair_part_of_the_line() {
    for seed in 0..50 {
        let line = Line { neighbours: 1, ..Line::new(12e6, 12e6, 20) };
        let mut run = Run::new(line, 100e6, seed);
        run.run_to_end();
        let share: f64 =
            run.levels.iter().map(|level| 1.0 / (*level as f64 + 1.0)).sum::<f64>() / run.levels.len() as f64;
        assert!(share >= 0.25, "seed {seed}: the neighbour had {share}");
    }
}

#[test]
fn what_time_brings_is_not_taken_for_the_merit_of_more_connections() {
    for (seconds, seed) in (4..10).flat_map(|seconds| (0..10).map(move |seed| (seconds, seed))) {
        let opening = Duration::from_secs(seconds);
        let line = Line { opening, noise: 0.02, ..Line::new(12e6, 12e6, 60) };
        let mut run = Run::new(line, 200e6, seed);
        run.run_to_end();
        let settled = run.levels.iter().rev().take(200).max().copied().unwrap_or_default();
        assert!(settled <= 4, "opening within {seconds} s, seed {seed}: {settled} connections");
    }
}

#[test]
fn one_connection_that_fills_the_line_is_enough_in_the_end() {
    let mut run = Run::new(Line { noise: 0.02, ..Line::new(12e6, 12e6, 20) }, 3e9, 1);
    run.until(100.0);
    assert_eq!(run.level(), 1);
}

// T049
#[test]
fn a_server_that_serves_few_refuses_only_a_few_more() {
    for serves in [1, 2, 3, 5] {
        let mut run = Run::new(Line { serves, ..Line::new(100e6, 10e6, 100) }, 600e6 * serves as f64, 1);
        run.run_to_end();
        assert!(run.refusals <= 8, "{serves}: {} refusals", run.refusals);
        assert_eq!(run.level(), serves);
    }
}

#[test]
fn a_given_number_is_not_changed() {
    let mut concurrency = Concurrency::new(Allowance::Fixed(5));
    concurrency.begin(Duration::from_millis(300), Moment::ZERO);
    assert_eq!(concurrency.limit(Moment::ZERO), 5);
    assert_eq!(concurrency.surplus(5), 0);
}

// T049
#[test]
fn a_refusal_is_a_lesson_for_all_files_and_only_once() {
    let mut concurrency = Concurrency::new(Allowance::Fixed(8));
    concurrency.others_use(2, None);
    concurrency.refused(3, Moment::ZERO, Duration::ZERO);
    assert_eq!((concurrency.take_learned_limit(), concurrency.take_learned_limit()), (Some(5), None));
    // Later connections of the other files do not change it.
    concurrency.others_use(7, Some(5));
    assert_eq!(concurrency.take_learned_limit(), None);
    concurrency.others_use(4, None);
    concurrency.waits_for_slot();
    assert_eq!((concurrency.take_learned_limit(), concurrency.limit(Moment::ZERO)), (Some(4), 0));
}

#[test]
fn files_of_one_server_share_its_connections() {
    let mut concurrency = Concurrency::new(Allowance::Adaptive(CEILING));
    concurrency.begin(Duration::from_millis(300), Moment::ZERO);
    concurrency.others_use(CEILING - 3, None);
    assert_eq!(concurrency.limit(Moment::ZERO), 3);
    concurrency.others_use(1000, None);
    assert_eq!(concurrency.limit(Moment::ZERO), 1);
    // If the server is known to serve no more, a file waits.
    concurrency.others_use(2, Some(2));
    assert_eq!(concurrency.limit(Moment::ZERO), 0);
    concurrency.others_use(1, Some(2));
    assert_eq!(concurrency.limit(Moment::ZERO), 1);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    // The bound: compared with knowing the best number from the start, the loss is the time of the climb, and an
    // eighth of the rate.
    #[test]
    fn whatever_the_line_the_loss_against_the_best_number_is_bounded(
        capacity in 1e6_f64..2e8, share in 0.01_f64..1.5, milliseconds in 2_u64..200,
        noise in 0.0_f64..0.1, seed: u64,
    ) {
        let line = Line { noise, ..Line::new(capacity, capacity * share, milliseconds) };
        let best = line.best(CEILING);
        let length = best * 60.0;
        let mut run = Run::new(line, length, seed);
        let seconds = run.run_to_end();
        let climbing = 5.0 + 40.0 * line.round_trip.as_secs_f64();
        prop_assert!(seconds <= 60.0 / 0.875 + climbing, "{seconds} s with up to {:?}", run.levels.iter().max());
        prop_assert!(run.levels.iter().all(|level| *level <= HIGHEST));
    }
}

#[test]
fn perfect_scaling_is_followed_within_a_few_round_trips() {
    for seed in 0..20 {
        let mut run = Run::new(Line::new(25e6, 2e6, 40), 100e6, seed);
        run.until(1.0);
        assert!(run.line.goodput(run.level()) >= 0.9 * 25e6, "{} connections after 1 s", run.level());
        let seconds = run.run_to_end();
        assert!(seconds <= 1.2 * 100e6 / 25e6, "{seconds} s, seed {seed}");
    }
}

#[test]
fn a_file_of_some_megabytes_is_begun_with_as_many_as_pay_within_it() {
    for seed in 0..20 {
        let mut run = Run::new(Line::new(48e6, 10e6, 20), 16e6, seed);
        let seconds = run.run_to_end();
        assert!(seconds <= 0.56, "{seconds} s, seed {seed}");
    }
}

#[test]
fn what_was_begun_with_must_earn_its_keep_against_half_of_it() {
    for seed in 0..20 {
        let mut run = Run::new(Line { noise: 0.02, ..Line::new(12e6, 12e6, 20) }, 200e6, seed);
        run.until(4.0);
        assert!(run.level() <= 2, "{} connections on a line that one fills, seed {seed}", run.level());
    }
}

#[test]
fn a_second_file_has_its_level_from_the_first_answer_on_and_needs_no_more_time_than_the_best_fixed_number() {
    let lines = [(48e6, 10e6, 20), (25e6, 2e6, 40), (12e6, 3e6, 60), (100e6, 8e6, 10)];
    for ((capacity, each, trip), seed) in
        lines.into_iter().flat_map(|line| (0..10).map(move |seed| (line, seed)))
    {
        let line = Line::new(capacity, each, trip);
        for seconds in [0.5, 2.0, 10.0] {
            let length = seconds * capacity;
            let mut first = Run::new(line, length, seed);
            let before = first.run_to_end();
            let mut second = Run::after(&first, line, length, seed + 100);
            let mut took = second.run_to_end();
            assert!(took <= before + 0.05, "{took} s after {before} s: {line:?}, seed {seed}");
            // A file that is over before more connections were found not to pay leaves that to the next one.
            for _ in 0..4 {
                second = Run::after(&second, line, length, seed + 100);
                took = second.run_to_end();
            }
            let fixed = (1..=CEILING).map(|level| {
                let mut concurrency = Concurrency::new(Allowance::Fixed(level));
                concurrency.begin(line.round_trip * 2, line.round_trip * 2);
                Run::with(concurrency, line, length, seed + 100).run_to_end()
            });
            let best = fixed.fold(f64::MAX, f64::min);
            assert!(took <= 1.08 * best + 0.06, "{took} s, at best {best} s: {line:?}, seed {seed}");
        }
    }
}

#[test]
fn a_level_from_another_time_is_verified_and_given_up_on_a_line_that_a_neighbour_is_on() {
    for seed in 0..20 {
        let alone = Line { noise: 0.02, ..Line::new(48e6, 10e6, 20) };
        let mut first = Run::new(alone, 500e6, seed);
        first.run_to_end();
        let line = Line { neighbours: 1, ..Line::new(12e6, 12e6, 20) };
        let mut second = Run::after(&first, line, 100e6, seed);
        assert!(second.concurrency.limit(second.now) >= 5);
        second.run_to_end();
        let part = |level: &usize| 1.0 / (*level as f64 + 1.0);
        let share: f64 = second.levels.iter().map(part).sum::<f64>() / second.levels.len() as f64;
        assert!(share >= 0.25, "seed {seed}: the neighbour had {share}");
    }
}

#[test]
fn nothing_is_found_in_a_file_that_others_shared_its_server_with() {
    let line = Line::new(48e6, 10e6, 20);
    let mut run = Run::new(line, 500e6, 1);
    run.until(1.0);
    assert!(run.concurrency.found().is_some());
    run.concurrency.others_use(1, None);
    assert_eq!(run.concurrency.found(), None);
}

#[test]
fn a_known_level_is_that_of_all_files_together() {
    let mut concurrency = Concurrency::new(Allowance::Adaptive(HIGHEST));
    concurrency.begin_with(Known { base: Base { level: 12, goodput: 1e6 }, settled: true });
    assert_eq!(concurrency.first_limit(Duration::from_millis(1), Some(1 << 30)), 12);
    concurrency.others_use(8, None);
    assert_eq!(concurrency.first_limit(Duration::from_millis(1), Some(1 << 30)), 4);
    concurrency.others_use(11, None);
    concurrency.begin(Duration::from_millis(1), Moment::ZERO);
    assert_eq!(concurrency.limit(Moment::ZERO), 2);
}

#[test]
fn a_server_that_sends_in_bursts_is_asked_on_many_connections_at_once() {
    let mut pacing = Pacing::default();
    let mut pulse = crate::plan::pulse::Pulse::default();
    pulse.saw(1 << 20, TICK, Moment::ZERO);
    pacing.observe(&[pulse, pulse].iter(), TICK, TICK * 2);
    let mut climb = Climb::new(2, false, Moment::ZERO);
    let mut sample = Sample {
        total: 2 << 20,
        delivering: 2,
        allowed: usize::MAX,
        round_trip: Duration::from_millis(1),
        rest: 62 << 20,
        held_back: false,
        pacing,
    };
    for tick in 1..8 {
        climb.observe(&sample, TICK * tick);
        sample.delivering = climb.level();
    }
    assert_eq!(climb.level(), CEILING);
    // A pause is no reason to hold fewer connections.
    for tick in 8..40 {
        climb.observe(&sample, TICK * tick);
    }
    assert_eq!((climb.level(), climb.has_shrunk()), (CEILING, false));
}
