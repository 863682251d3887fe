//! A line with random packet loss, which TCP takes for congestion.

use std::path::Path;
use std::time::Duration;

use super::Row;
use super::course::{Course, against_the_best, payload};
use crate::Outcome;
use crate::arm::Arm;
use crate::race::Track;
use crate::wan::{Line, Setting};

/// Without curl and wget2, see the note of the row.
const ARMS: [Arm; 4] = [Arm::Haul, Arm::Aria2Best, Arm::Axel, Arm::FastDown];

pub(super) fn run(track: &Track<'_>, root: &Path) -> Outcome<Row> {
    let size = track.options.wan_size();
    let payload = payload(track, root, size)?;
    let line = Line { loss: 0.005, ..Line::new(200.0, Duration::from_millis(80)) };
    let course = Course::open(track, root, &Setting::new(line.clone()))?;
    let standings = track.race(&ARMS, &course.errand(&payload))?;
    Ok(Row {
        title: format!("lossy: {} MB over a line that loses packets", size / 1_000_000),
        table: standings.table(),
        checks: against_the_best(&standings, 0.58).into_iter().collect(),
        notes: vec![
            format!("Line: {line}; the server's congestion control is CUBIC."),
            "curl and wget2 are left out: they need minutes here.".to_owned(),
        ],
        wrong: standings.wrong,
    })
}
