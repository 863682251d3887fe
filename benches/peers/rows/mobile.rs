//! A mobile line: far, and one packet in a hundred is lost.

use std::path::Path;
use std::time::Duration;

use super::Row;
use super::course::race_over;
use crate::Outcome;
use crate::race::Track;
use crate::wan::Line;

pub(super) fn run(track: &Track<'_>, root: &Path) -> Outcome<Row> {
    let size = track.options.short_line_size();
    let line = Line { loss: 0.01, ..Line::new(30.0, Duration::from_millis(120)) };
    let title = format!("mobile: {} MB over a far line that loses packets", size / 1_000_000);
    race_over(track, root, (line, size, 0.90), title)
}
