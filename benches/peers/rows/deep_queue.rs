//! A line whose queue holds a second of its rate: a sender that fills it waits for itself.

use std::path::Path;
use std::time::Duration;

use super::Row;
use super::course::{Course, EVERYBODY, against_the_best, payload};
use crate::Outcome;
use crate::race::Track;
use crate::wan::{Line, Setting};

const MEGABITS: f64 = 50.0;

pub(super) fn run(track: &Track<'_>, root: &Path) -> Outcome<Row> {
    let size = track.options.short_line_size();
    let payload = payload(track, root, size)?;
    let line = Line { queue: MEGABITS * 1e6 / 8.0, ..Line::new(MEGABITS, Duration::from_millis(40)) };
    let course = Course::open(track, root, &Setting::new(line.clone()))?;
    let standings = track.race(&EVERYBODY, &course.errand(&payload))?;
    Ok(Row {
        title: format!("deep-queue: {} MB over a line with a queue of a second", size / 1_000_000),
        table: standings.table(),
        checks: against_the_best(&standings, 1.02).into_iter().collect(),
        notes: vec![format!("Line: {line}.")],
        wrong: standings.wrong,
    })
}
