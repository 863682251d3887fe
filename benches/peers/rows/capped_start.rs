//! Networks that give each connection little, and files that end before haul has sampled the rate often.

use std::path::Path;
use std::time::Duration;

use super::Row;
use super::course::{Course, append, best_of, known_against_the_best, payload};
use crate::Outcome;
use crate::arm::Arm;
use crate::race::Track;
use crate::wan::{Line, Setting};

/// The file in 10⁶ bytes, the line in Mbit/s, the round trip in milliseconds, 10⁶ bytes a second for each connection,
/// and the bounds of haul's time as a multiple of the best peer's, in the first run and in the second.
const CASES: [(u64, f64, u64, f64, f64, f64); 3] = [
    (16, 400.0, 20, 10.0, 1.10, 1.00),
    (100, 400.0, 20, 10.0, 1.00, 0.95),
    (100, 200.0, 40, 2.0, 1.00, 0.95),
];
/// All clients, and haul in a second run.
const ARMS: [Arm; 7] =
    [Arm::Haul, Arm::HaulKnowing, Arm::Curl, Arm::Aria2Best, Arm::Axel, Arm::Wget2, Arm::FastDown];

pub(super) fn run(track: &Track<'_>, root: &Path) -> Outcome<Row> {
    let mut row = Row {
        title: "capped-start: files over lines that give each connection a part".to_owned(),
        ..Row::default()
    };
    for (megabytes, megabits, milliseconds, each, bound, known) in CASES {
        let megabytes = if track.options.quick { megabytes / 8 } else { megabytes };
        let line = Line::new(megabits, Duration::from_millis(milliseconds));
        let line = Line { flow: Some(each * 1e6), ..line };
        let course = Course::open(track, root, &Setting::new(line.clone()))?;
        let payload = payload(track, root, megabytes * 1_000_000)?;
        let standings = track.race(&ARMS, &course.errand_after_a_run(track, &payload)?)?;
        let caption = format!("{megabytes} MB, {each} MB/s a connection, {milliseconds} ms");
        append(&mut row.table, &caption, &standings);
        row.checks.extend(best_of(&standings, &caption, bound));
        row.checks.extend(known_against_the_best(&standings, &caption, known));
        row.notes.push(format!("{caption}: {line}."));
        row.wrong.extend(standings.wrong);
    }
    Ok(row)
}
