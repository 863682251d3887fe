//! A line whose queue holds a second of its rate: a sender that fills it waits for itself.

use std::path::Path;
use std::time::Duration;

use super::Row;
use super::course::race_over;
use crate::Outcome;
use crate::race::Track;
use crate::wan::Line;

const MEGABITS: f64 = 50.0;

pub(super) fn run(track: &Track<'_>, root: &Path) -> Outcome<Row> {
    let size = track.options.short_line_size();
    let line = Line { queue: MEGABITS * 1e6 / 8.0, ..Line::new(MEGABITS, Duration::from_millis(40)) };
    let title = format!("deep-queue: {} MB over a line with a queue of a second", size / 1_000_000);
    race_over(track, root, (line, size, 1.02), title)
}
