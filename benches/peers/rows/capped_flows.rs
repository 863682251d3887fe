//! A network that gives each connection 10 MB/s: measures the share of the line that haul takes, and the time until
//! then.

use std::path::Path;
use std::time::Duration;

use super::Row;
use super::course::{Course, payload};
use crate::Outcome;
use crate::arm::Arm;
use crate::check::Check;
use crate::race::{Standings, Track, median};
use crate::wan::{Line, PAYLOAD_SHARE, Setting};

/// Share of the line's rate that counts as full.
const FULL: f64 = 0.9;
const MEGABITS: f64 = 400.0;
/// The line's rate in bytes a second.
const RATE: f64 = MEGABITS * 1e6 / 8.0;

pub(super) fn run(track: &Track<'_>, root: &Path) -> Outcome<Row> {
    let size = track.options.capped_flows_size();
    let payload = payload(track, root, size)?;
    let line = Line { flow: Some(10e6), ..Line::new(MEGABITS, Duration::from_millis(20)) };
    let course = Course::open(track, root, &Setting::new(line.clone()))?;
    let mut starts = Vec::new();
    let standings =
        track.watched_race(&[Arm::Haul, Arm::Aria2Best], &course.errand(&payload), &mut |arm| {
            if arm == Arm::Haul {
                let reached = course.wan.delivered().reached(FULL * RATE);
                starts.push(reached.map_or(f64::INFINITY, |moment| moment.as_secs_f64()));
            }
            Ok(())
        })?;
    Ok(Row {
        title: format!("capped-flows: {} MB over a line with 10 MB/s a connection", size / 1_000_000),
        table: standings.table(),
        checks: checks(&standings, size, &starts),
        notes: vec![
            format!("Line: {line}."),
            "The full rate is 90 % of the line over half a second, as counted at the client's end of it."
                .to_owned(),
        ],
        wrong: standings.wrong,
    })
}

fn checks(standings: &Standings, size: u64, starts: &[f64]) -> Vec<Check> {
    let Some(haul) = standings.of(Arm::Haul) else {
        return Vec::new();
    };
    let rate = size as f64 / haul.wall();
    vec![
        Check::at_least("rate over the whole run ÷ line", rate / (RATE * PAYLOAD_SHARE), FULL, ""),
        Check::at_most("until the full rate", median(starts.iter().copied()), 2.5, " s"),
    ]
}
