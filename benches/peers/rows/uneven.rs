//! One of eight connections is slow, from the start or from the middle on: its cost, against the time of an ideal
//! division of the file among the same rates.

use std::path::Path;
use std::time::Duration;

use super::Row;
use super::course::{Course, append, payload};
use super::told;
use crate::Outcome;
use crate::arm::{Arm, Errand};
use crate::check::Check;
use crate::race::{Standings, Track};
use crate::wan::{Exception, Line, PAYLOAD_SHARE, Setting};

const CONNECTIONS: usize = 8;
/// Rate of one flow, in bytes a second.
const EACH: f64 = 4e6;
/// Share of the rate that the slow flow keeps.
const SHARE: f64 = 1.0 / 50.0;
const ROUND_TRIP: Duration = Duration::from_millis(20);
/// Two set-ups, each two round trips: the first connection's, and that of the last segment.
const SET_UPS: f64 = 4.0 * 0.020;

pub(super) fn run(track: &Track<'_>, root: &Path) -> Outcome<Row> {
    let size = track.options.uneven_size();
    let payload = payload(track, root, size)?;
    let half_way = Duration::from_secs_f64(size as f64 / (2.0 * CONNECTIONS as f64 * EACH));
    let variants = [
        ("the last one slow", Exception { nth: CONNECTIONS, after: Duration::ZERO, share: SHARE }),
        ("the third one slow from half-way on", Exception { nth: 3, after: half_way, share: SHARE }),
    ];
    let even = Line { flow: Some(EACH), delay: ROUND_TRIP / 2, ..Line::default() };
    let course = Course::open(track, root, &Setting::new(even.clone()))?;
    let errand = Errand { connections: Some(CONNECTIONS as u64), ..course.errand(&payload) };
    let mut row = Row {
        title: format!("uneven: {} MB over 8 connections, one of them slow", size / 1_000_000),
        ..Row::default()
    };
    for (caption, exception) in variants {
        let bound = fluid_bound(size, exception.after);
        let line = Line { exceptions: vec![exception], ..even.clone() };
        row.notes.push(format!("{caption}: {line}; ideally {bound:.2} s."));
        course.wan.change(line);
        let (standings, worst) = race(track, &errand)?;
        append(&mut row.table, caption, &standings);
        row.checks.extend(checks(caption, &standings, bound, size, worst));
        row.wrong.extend(standings.wrong);
    }
    Ok(row)
}

/// Runs the race, and returns the most bytes that any of the runs reports as fetched.
fn race(track: &Track<'_>, errand: &Errand<'_>) -> Outcome<(Standings, Option<u64>)> {
    let mut worst = None;
    let standings = track.watched_race(&[Arm::HaulTelling], errand, &mut |_| {
        worst = worst.max(told(&track.said()?, "fetched").and_then(|bytes| bytes.as_u64()));
        Ok(())
    })?;
    Ok((standings, worst))
}

fn checks(caption: &str, standings: &Standings, bound: f64, size: u64, fetched: Option<u64>) -> Vec<Check> {
    let (Some(haul), Some(fetched)) = (standings.of(Arm::HaulTelling), fetched) else {
        return Vec::new();
    };
    let again = 100.0 * (fetched as f64 - size as f64) / size as f64;
    vec![
        Check::at_most(format!("{caption}: wall"), haul.wall(), 1.05 * bound + SET_UPS, " s"),
        Check::at_most(format!("{caption}: fetched more than once, worst run"), again, 0.5, " %"),
    ]
}

/// Seconds until all flows together have moved this many bytes of payload, if one of them is slow after a while.
fn fluid_bound(size: u64, after: Duration) -> f64 {
    let (size, each, after) = (size as f64, EACH * PAYLOAD_SHARE, after.as_secs_f64());
    let all = CONNECTIONS as f64 * each;
    let left = size - all * after;
    if left <= 0.0 { size / all } else { after + left / (all - each * (1.0 - SHARE)) }
}
