//! Several arms on one errand, in interleaved rounds, so that a disturbance of the machine affects them all.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::Outcome;
use crate::arm::{Arm, Errand};
use crate::options::Options;
use crate::payload::Random;
use crate::stopwatch::{self, Cost};
use crate::tools::Tools;
use crate::wan::Wan;
use crate::workshop::Workshop;

/// Name of the file in the directory of an arm.
pub(crate) const OUTPUT: &str = "file.bin";

/// Checks the files that a run left in its directory; returns the error, if there is any.
pub(crate) type Judge<'a> = &'a dyn Fn(&Path) -> Option<String>;

/// Builds the programs that save into an empty directory.
type Commands<'a> = Box<dyn Fn(&Path) -> Outcome<Vec<Command>> + 'a>;

/// A participant: a name, and the programs to run one after the other.
pub(crate) struct Entrant<'a> {
    pub(crate) name: &'static str,
    pub(crate) commands: Commands<'a>,
    /// True if it saves files to be checked.
    pub(crate) saves: bool,
}

impl<'a> Entrant<'a> {
    pub(crate) fn new(name: &'static str, commands: impl Fn(&Path) -> Outcome<Vec<Command>> + 'a) -> Self {
        Self { name, commands: Box::new(commands), saves: true }
    }
}

/// All runs of one arm.
pub(crate) struct Laps {
    pub(crate) name: &'static str,
    pub(crate) costs: Vec<Cost>,
}

impl Laps {
    pub(crate) fn wall(&self) -> f64 {
        median(self.walls())
    }

    pub(crate) fn cpu(&self) -> f64 {
        median(self.costs.iter().map(|cost| cost.cpu.as_secs_f64()))
    }

    /// Largest peak of any run, in bytes: a bound on memory is a bound on every run.
    pub(crate) fn peak(&self) -> f64 {
        self.costs.iter().map(|cost| cost.peak).max().unwrap_or(0) as f64
    }

    /// Formats a line of the Markdown table.
    pub(crate) fn line(&self, reference: Option<f64>) -> String {
        let (name, wall, cpu) = (self.name, self.wall(), self.cpu());
        let fastest = self.walls().fold(f64::INFINITY, f64::min);
        let slowest = self.walls().fold(0.0, f64::max);
        let peak = self.peak() / 1_048_576.0;
        let ratio = reference.map_or_else(String::new, |of| format!("{:.2}", wall / of));
        format!("| {name} | {wall:.3} | {fastest:.3}–{slowest:.3} | {cpu:.3} | {peak:.1} | {ratio} |")
    }

    fn walls(&self) -> impl Iterator<Item = f64> {
        self.costs.iter().map(|cost| cost.wall.as_secs_f64())
    }
}

/// Result of a race.
pub(crate) struct Standings {
    pub(crate) laps: Vec<Laps>,
    /// Runs that failed or saved a wrong file.
    pub(crate) wrong: Vec<String>,
}

impl Standings {
    /// Runs of this arm, if any of them counts.
    pub(crate) fn of(&self, arm: Arm) -> Option<&Laps> {
        self.named(arm.name())
    }

    /// Runs of the entrant of this name, if any of them counts.
    pub(crate) fn named(&self, name: &str) -> Option<&Laps> {
        self.laps.iter().find(|laps| laps.name == name && !laps.costs.is_empty())
    }

    /// Returns the fastest of these arms, by its median.
    pub(crate) fn best(&self, arms: &[Arm]) -> Option<&Laps> {
        let there = arms.iter().filter_map(|&arm| self.of(arm));
        there.min_by(|one, other| one.wall().total_cmp(&other.wall()))
    }

    /// Formats the table of all arms, with wall times as multiples of the first arm's.
    pub(crate) fn table(&self) -> Vec<String> {
        let run: Vec<_> = self.laps.iter().filter(|laps| !laps.costs.is_empty()).collect();
        let reference = run.first().map(|laps| laps.wall());
        let mut lines = vec![
            "| client | wall s, median | fastest–slowest | CPU s | peak MiB | ÷ first |".to_owned(),
            "|---|---:|---:|---:|---:|---:|".to_owned(),
        ];
        lines.extend(run.iter().map(|laps| laps.line(reference)));
        lines
    }
}

/// A peer that takes longer than this runs only once.
const SLOW: Duration = Duration::from_secs(20);

/// Environment in which the arms run.
pub(crate) struct Track<'a> {
    pub(crate) options: &'a Options,
    pub(crate) tools: &'a Tools,
    pub(crate) workshop: &'a Workshop,
}

impl Track<'_> {
    /// Runs the arms that are installed.
    pub(crate) fn race(&self, arms: &[Arm], errand: &Errand<'_>) -> Outcome<Standings> {
        self.watched_race(arms, errand, &mut |_| Ok(()))
    }

    /// Does the same as [`Self::race`], and calls `after` after each lap.
    pub(crate) fn watched_race(
        &self,
        arms: &[Arm],
        errand: &Errand<'_>,
        after: &mut dyn FnMut(Arm) -> Outcome<()>,
    ) -> Outcome<Standings> {
        let there: Vec<_> = arms.iter().copied().filter(|arm| arm.is_there(self.tools)).collect();
        let entrants: Vec<_> = there.iter().map(|&arm| self.entrant(arm, errand)).collect();
        let judge = |directory: &Path| errand.payload.difference(&directory.join(OUTPUT));
        let before = || {
            if let Some(wan) = errand.wan {
                wan.reset();
            }
        };
        self.rounds(self.workshop, &entrants, &judge, &before, &mut |nth| after(there[nth]))
    }

    fn entrant<'b>(&'b self, arm: Arm, errand: &'b Errand<'b>) -> Entrant<'b> {
        Entrant {
            saves: arm.saves(),
            ..Entrant::new(arm.name(), move |directory: &Path| {
                arm.commands(self.tools, errand, &directory.join(OUTPUT))
            })
        }
    }

    /// Runs one lap of one arm, outside of all races.
    pub(crate) fn single(&self, arm: Arm, errand: &Errand<'_>) -> Outcome<Result<Cost, String>> {
        let judge = |directory: &Path| errand.payload.difference(&directory.join(OUTPUT));
        self.lap(self.workshop, &self.entrant(arm, errand), &judge)
    }

    /// Runs the entrants, which save into a directory of `place`.
    pub(crate) fn heat(
        &self,
        place: &Workshop,
        entrants: &[Entrant<'_>],
        judge: Judge<'_>,
    ) -> Outcome<Standings> {
        self.rounds(place, entrants, judge, &|| {}, &mut |_| Ok(()))
    }

    /// The same over a line, which is reset before each lap.
    pub(crate) fn heat_over(
        &self,
        wan: &Wan,
        entrants: &[Entrant<'_>],
        judge: Judge<'_>,
    ) -> Outcome<Standings> {
        self.rounds(self.workshop, entrants, judge, &|| wan.reset(), &mut |_| Ok(()))
    }

    fn rounds(
        &self,
        place: &Workshop,
        entrants: &[Entrant<'_>],
        judge: Judge<'_>,
        before: &dyn Fn(),
        after: &mut dyn FnMut(usize) -> Outcome<()>,
    ) -> Outcome<Standings> {
        let mut standings = Standings {
            laps: entrants.iter().map(|one| Laps { name: one.name, costs: Vec::new() }).collect(),
            wrong: Vec::new(),
        };
        let mut random = Random::new(self.options.seed);
        for round in 1..=self.options.rounds {
            for nth in shuffled(standings.laps.len(), &mut random) {
                let entrant = &entrants[nth];
                let slow = standings.laps[nth].costs.iter().any(|cost| cost.wall >= SLOW);
                if slow && !entrant.name.starts_with("haul") {
                    continue;
                }
                eprintln!("round {round} of {}: {}", self.options.rounds, entrant.name);
                before();
                match self.lap(place, entrant, judge)? {
                    Ok(cost) => standings.laps[nth].costs.push(cost),
                    Err(why) => standings.wrong.push(format!("{}, round {round}: {why}", entrant.name)),
                }
                after(nth)?;
            }
        }
        Ok(standings)
    }

    /// Runs one lap; the inner error is the arm's own failure, which does not end the race.
    fn lap(
        &self,
        place: &Workshop,
        entrant: &Entrant<'_>,
        judge: Judge<'_>,
    ) -> Outcome<Result<Cost, String>> {
        let directory = place.fresh("output")?;
        let mut total = Cost::default();
        for mut command in (entrant.commands)(&directory)? {
            match self.time(&mut command)? {
                Ok(cost) => total = total.then(cost),
                Err(why) => return Ok(Err(why)),
            }
        }
        let difference = if entrant.saves { judge(&directory) } else { None };
        fs::remove_dir_all(&directory)?;
        Ok(difference.map_or(Ok(total), Err))
    }

    /// Output of the last program on its standard output.
    pub(crate) fn said(&self) -> io::Result<String> {
        let bytes = fs::read(self.stdout())?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn stdout(&self) -> PathBuf {
        self.workshop.root().join("stdout")
    }

    fn time(&self, command: &mut Command) -> Outcome<Result<Cost, String>> {
        let complaints = self.workshop.root().join("stderr");
        command.stdin(Stdio::null()).stdout(File::create(self.stdout())?).stderr(File::create(&complaints)?);
        let (status, cost) = stopwatch::time(command)?;
        if status.success() {
            return Ok(Ok(cost));
        }
        let complaint = fs::read_to_string(&complaints).unwrap_or_default();
        let line = complaint.lines().last().unwrap_or("no message");
        Ok(Err(format!("{status}: {line}")))
    }
}

/// Returns 0, 1, … in a new order each time, so that no arm always follows the same other one.
fn shuffled(count: usize, random: &mut Random) -> Vec<usize> {
    let mut order: Vec<_> = (0..count).map(|nth| (random.next(), nth)).collect();
    order.sort_unstable();
    order.into_iter().map(|(_, nth)| nth).collect()
}

/// Returns the middle number, or the mean of the two in the middle.
pub(crate) fn median(numbers: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<_> = numbers.collect();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => sorted[odd / 2],
        even => f64::midpoint(sorted[even / 2 - 1], sorted[even / 2]),
    }
}

/// Throughput in megabytes (10⁶ bytes) a second.
pub(crate) fn megabytes_a_second(bytes: u64, seconds: f64) -> f64 {
    bytes as f64 / seconds / 1e6
}
