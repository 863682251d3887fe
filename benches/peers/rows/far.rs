//! A large file from far away over a line without a limit: windows alone decide.

use std::path::Path;
use std::time::Duration;

use super::Row;
use super::course::{Course, EVERYBODY, against_the_best, payload};
use crate::Outcome;
use crate::race::Track;
use crate::wan::{Line, Setting};

pub(super) fn run(track: &Track<'_>, root: &Path) -> Outcome<Row> {
    let size = track.options.capped_flows_size();
    let payload = payload(track, root, size)?;
    let line = Line { delay: Duration::from_millis(50), ..Line::default() };
    let course = Course::open(track, root, &Setting::new(line.clone()))?;
    let standings = track.race(&EVERYBODY, &course.errand(&payload))?;
    Ok(Row {
        title: format!("far: {} MB over a line without a limit", size / 1_000_000),
        table: standings.table(),
        checks: against_the_best(&standings, 0.90).into_iter().collect(),
        notes: vec![format!("Line: {line}.")],
        wrong: standings.wrong,
    })
}
