//! A large file from far away over a line without a limit: windows alone decide.

use std::path::Path;
use std::time::Duration;

use super::Row;
use super::course::race_over;
use crate::Outcome;
use crate::race::Track;
use crate::wan::Line;

pub(super) fn run(track: &Track<'_>, root: &Path) -> Outcome<Row> {
    let size = track.options.capped_flows_size();
    let line = Line { delay: Duration::from_millis(50), ..Line::default() };
    let title = format!("far: {} MB over a line without a limit", size / 1_000_000);
    race_over(track, root, (line, size, 0.90), title)
}
