//! A fast line to a distant server: one connection takes seconds to fill it.

use std::path::Path;
use std::time::Duration;

use super::Row;
use super::course::{Course, EVERYBODY, against_the_best, payload};
use crate::Outcome;
use crate::race::Track;
use crate::wan::{Line, Setting};

/// Line of this row and of the next.
pub(super) fn line() -> Line {
    Line::new(400.0, Duration::from_millis(100))
}

pub(super) fn run(track: &Track<'_>, root: &Path) -> Outcome<Row> {
    let size = track.options.wan_size();
    let payload = payload(track, root, size)?;
    let course = Course::open(track, root, &Setting::new(line()))?;
    let standings = track.race(&EVERYBODY, &course.errand(&payload))?;
    Ok(Row {
        title: format!("long-fat: {} MB over a long fast line", size / 1_000_000),
        table: standings.table(),
        checks: against_the_best(&standings, 0.95).into_iter().collect(),
        notes: vec![format!("Line: {}.", line())],
        wrong: standings.wrong,
    })
}
