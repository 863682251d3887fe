//! `haul --background`: alone on a line, and beside a neighbour that was there first or comes later.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::Row;
use super::course::{Course, payload};
use super::shared_line::{Neighbour, lay_out};
use crate::Outcome;
use crate::arm::{Arm, Errand};
use crate::check::Check;
use crate::race::{Track, median};
use crate::wan::{Line, PAYLOAD_SHARE, Setting};

const MEGABITS: f64 = 100.0;
/// The line's rate in bytes a second.
const RATE: f64 = MEGABITS * 1e6 / 8.0;
/// The second one comes this much later, …
const LATER: Duration = Duration::from_secs(3);
/// … and after this the neighbour is measured, for so long.
const SETTLED: Duration = Duration::from_secs(3);

/// Order of arrival.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Order {
    Alone,
    NeighbourFirst,
    HaulFirst,
}

pub(super) fn run(track: &Track<'_>, root: &Path) -> Outcome<Row> {
    let size = track.options.wan_size();
    let payload = payload(track, root, size)?;
    lay_out(root)?;
    let line = Line::new(MEGABITS, Duration::from_millis(40));
    let course = Course::open(track, root, &Setting::new(line.clone()))?;
    let errand = course.errand(&payload);
    let alone = track.race(&[Arm::HaulBackground, Arm::Haul], &errand)?;
    let mut checks = Vec::new();
    if let Some(haul) = alone.of(Arm::HaulBackground) {
        let rate = size as f64 / haul.wall() / (RATE * PAYLOAD_SHARE);
        checks.push(Check::at_least("alone: rate over the whole run ÷ line", rate, 0.95, ""));
    }
    if Arm::Curl.is_there(track.tools) {
        checks.extend(beside(track, &course, &errand)?);
    }
    Ok(Row {
        title: format!("background: {} MB with --background, alone and beside a neighbour's curl", size / 1_000_000),
        table: alone.table(),
        checks,
        notes: vec![
            format!("Line: {line}; the neighbour's congestion control is CUBIC."),
            "The table is of the runs alone. The neighbour's bytes, and the time that its packets wait in the line's queue, are \
             counted in the line."
                .to_owned(),
        ],
        wrong: alone.wrong,
    })
}

fn beside(track: &Track<'_>, course: &Course, errand: &Errand<'_>) -> Outcome<Vec<Check>> {
    let mut seen = [const { Vec::new() }; 3];
    for round in 1..=track.options.rounds {
        for (order, seen) in
            [Order::Alone, Order::NeighbourFirst, Order::HaulFirst].into_iter().zip(&mut seen)
        {
            eprintln!("round {round} of {}: {order:?}", track.options.rounds);
            seen.push(neighbour(track, course, errand, order)?);
        }
    }
    let share = |nth: usize| median(seen[nth].iter().map(|(share, _)| *share));
    let wait = |nth: usize| median(seen[nth].iter().map(|(_, wait)| *wait));
    let mut checks = Vec::new();
    for (nth, who) in [(1, "neighbour first"), (2, "haul first")] {
        let (part, added) = (share(nth) / share(0), (wait(nth) - wait(0)) * 1e3);
        checks.push(Check::at_least(format!("{who}: the neighbour's rate ÷ alone"), part, 0.90, ""));
        checks.push(Check::at_most(format!("{who}: delay added for 95 of 100 packets"), added, 25.0, " ms"));
    }
    Ok(checks)
}

/// The neighbour's rate as a share of the line, and the wait that 95 of 100 of its packets did not exceed, in seconds.
fn neighbour(track: &Track<'_>, course: &Course, errand: &Errand<'_>, order: Order) -> Outcome<(f64, f64)> {
    let directory = track.workshop.fresh("background")?;
    let haul = || -> Outcome<Running> {
        let mut commands = Arm::HaulBackground.commands(track.tools, errand, &directory.join("file.bin"))?;
        Running::start(&mut commands.remove(0))
    };
    course.wan.reset();
    let start = Instant::now();
    let first = if order == Order::HaulFirst { Some(haul()?) } else { None };
    if first.is_some() {
        thread::sleep(LATER);
    }
    // haul has all the connections by now that it will have.
    let flow = course.wan.delivered().flows();
    let neighbour = Neighbour::start(track, course)?;
    thread::sleep(LATER);
    let second = if order == Order::NeighbourFirst { Some(haul()?) } else { None };
    thread::sleep(SETTLED);
    let from = start.elapsed();
    thread::sleep(track.options.watching());
    let to = start.elapsed();
    let delivered = course.wan.delivered();
    drop((first, second, neighbour));
    std::fs::remove_dir_all(directory)?;
    let bytes = delivered.between(flow, from, to) as f64;
    Ok((bytes / (RATE * (to - from).as_secs_f64()), delivered.late_wait(flow, from, to).as_secs_f64()))
}

/// A program that is killed when it is dropped.
struct Running(Child);

impl Running {
    fn start(command: &mut Command) -> Outcome<Self> {
        Ok(Self(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It can only have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
