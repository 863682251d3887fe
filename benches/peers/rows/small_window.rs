//! The same line for a client whose kernel keeps at most 1 MiB for one connection.

use std::path::Path;

use super::Row;
use super::course::{Course, EVERYBODY, against_curl, against_the_best, payload};
use super::long_fat::line;
use crate::Outcome;
use crate::race::Track;
use crate::wan::Setting;

pub(super) fn run(track: &Track<'_>, root: &Path) -> Outcome<Row> {
    let size = track.options.wan_size();
    let payload = payload(track, root, size)?;
    let setting = Setting { window: 1 << 20, ..Setting::new(line()) };
    let course = Course::open(track, root, &setting)?;
    let standings = track.race(&EVERYBODY, &course.errand(&payload))?;
    let checks = [against_the_best(&standings, 0.85), against_curl(&standings, "wall ÷ curl", 0.30)];
    Ok(Row {
        title: format!("small-window: {} MB over a long fast line, 1 MiB a connection", size / 1_000_000),
        table: standings.table(),
        checks: checks.into_iter().flatten().collect(),
        notes: vec![format!("Line: {}; tcp_rmem of the client at most 1 MiB.", line())],
        wrong: standings.wrong,
    })
}
