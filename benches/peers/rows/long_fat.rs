//! A fast line to a distant server: one connection takes seconds to fill it.

use std::path::Path;
use std::time::Duration;

use super::Row;
use super::course::race_over;
use crate::Outcome;
use crate::race::Track;
use crate::wan::Line;

/// Line of this row and of the next.
pub(super) fn line() -> Line {
    Line::new(400.0, Duration::from_millis(100))
}

pub(super) fn run(track: &Track<'_>, root: &Path) -> Outcome<Row> {
    let size = track.options.wan_size();
    let title = format!("long-fat: {} MB over a long fast line", size / 1_000_000);
    race_over(track, root, (line(), size, 0.95), title)
}
