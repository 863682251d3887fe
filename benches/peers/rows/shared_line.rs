//! Another download on the same line: measures the share that haul leaves to it.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::Row;
use super::course::{Course, against_curl, payload};
use crate::Outcome;
use crate::arm::{Arm, Errand};
use crate::check::Check;
use crate::race::{Track, median};
use crate::tools::clean;
use crate::wan::{Line, Setting};

const MEGABITS: f64 = 100.0;
/// The line's rate in bytes a second.
const RATE: f64 = MEGABITS * 1e6 / 8.0;
/// Head start of the neighbour.
const AHEAD: Duration = Duration::from_secs(2);
/// File of the neighbour: more than it can get, and all of it a hole.
const ENDLESS: (&str, u64) = ("neighbour.bin", 8 << 30);

pub(super) fn run(track: &Track<'_>, root: &Path) -> Outcome<Row> {
    let size = track.options.wan_size();
    let payload = payload(track, root, size)?;
    lay_out(root)?;
    let line = Line { queue: RATE * 0.05, ..Line::new(MEGABITS, Duration::from_millis(20)) };
    let course = Course::open(track, root, &Setting::new(line.clone()))?;
    let errand = course.errand(&payload);
    let alone = track.race(&[Arm::Haul, Arm::Curl], &errand)?;
    let mut wrong = alone.wrong.clone();
    let shares = shares(track, &course, &errand, &mut wrong)?;
    let mut checks: Vec<_> = against_curl(&alone, "alone: wall ÷ curl", 1.03).into_iter().collect();
    if !shares.is_empty() {
        let share = median(shares.iter().copied());
        checks.push(Check::at_least("the neighbour's share of the line while haul runs", share, 0.25, ""));
    }
    Ok(Row {
        title: format!("shared-line: {} MB, alone and beside a neighbour's curl", size / 1_000_000),
        table: alone.table(),
        checks,
        notes: vec![
            format!("Line: {line}."),
            "The table is of the runs without the neighbour, whose share is counted at the client's end."
                .to_owned(),
        ],
        wrong,
    })
}

/// Returns the neighbour's share in each round.
fn shares(
    track: &Track<'_>,
    course: &Course,
    errand: &Errand<'_>,
    wrong: &mut Vec<String>,
) -> Outcome<Vec<f64>> {
    let mut shares = Vec::new();
    if !Arm::Curl.is_there(track.tools) {
        return Ok(shares);
    }
    for round in 1..=track.options.rounds {
        eprintln!("round {round} of {}: haul beside a neighbour", track.options.rounds);
        course.wan.reset();
        let start = Instant::now();
        let neighbour = Neighbour::start(track, course)?;
        thread::sleep(AHEAD);
        let from = start.elapsed();
        let lap = track.single(Arm::Haul, errand)?;
        drop(neighbour);
        match lap {
            Ok(cost) => {
                // The neighbour started first, so its flow is the first one.
                let bytes = course.wan.delivered().between(0, from, from + cost.wall);
                shares.push(bytes as f64 / (RATE * cost.wall.as_secs_f64()));
            }
            Err(why) => wrong.push(format!("haul beside a neighbour, round {round}: {why}")),
        }
    }
    Ok(shares)
}

/// Lays out the neighbour's file.
pub(super) fn lay_out(root: &Path) -> Outcome<()> {
    File::create(root.join(ENDLESS.0))?.set_len(ENDLESS.1)?;
    Ok(())
}

/// A curl that downloads until it is dropped.
pub(super) struct Neighbour(Child);

impl Neighbour {
    pub(super) fn start(track: &Track<'_>, course: &Course) -> Outcome<Self> {
        let mut curl = clean(track.tools.curl.as_ref().ok_or("curl is not installed")?);
        let url = format!("http://{}/{}", course.nginx.address(), ENDLESS.0);
        curl.args(["--disable", "--silent", "-o", "/dev/null", &url]);
        let mut command = course.wan.client().inside(&curl);
        Ok(Self(command.stdin(Stdio::null()).spawn()?))
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        // It can only have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
