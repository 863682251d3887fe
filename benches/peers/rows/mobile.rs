//! A mobile line: far, and one packet in a hundred is lost.

use std::path::Path;
use std::time::Duration;

use super::Row;
use super::course::{Course, EVERYBODY, against_the_best, payload};
use crate::Outcome;
use crate::race::Track;
use crate::wan::{Line, Setting};

pub(super) fn run(track: &Track<'_>, root: &Path) -> Outcome<Row> {
    let size = track.options.short_line_size();
    let payload = payload(track, root, size)?;
    let line = Line { loss: 0.01, ..Line::new(30.0, Duration::from_millis(120)) };
    let course = Course::open(track, root, &Setting::new(line.clone()))?;
    let standings = track.race(&EVERYBODY, &course.errand(&payload))?;
    Ok(Row {
        title: format!("mobile: {} MB over a far line that loses packets", size / 1_000_000),
        table: standings.table(),
        checks: against_the_best(&standings, 0.90).into_iter().collect(),
        notes: vec![format!("Line: {line}; the server's congestion control is CUBIC.")],
        wrong: standings.wrong,
    })
}
