//! Bars on a terminal: two rows for each running file, and one for the totals.

use super::view::Paper;
use super::{FileView, Render, Summary, Totals, line, waiting};
use crate::cli::colour::{Tone, paint};
use crate::cli::{canvas, output};
use crate::error::Error;
use crate::{Event, Phase, Report};
use std::collections::BTreeMap;
use std::time::Duration;

/// Files shown at once if the window has room; the others are only counted.
const FILES: usize = 8;

/// Most rows that a file takes.
const ROWS: usize = 3;

pub(super) struct Bars {
    ascii: bool,
    totals: Totals,
}

impl Bars {
    pub(super) fn new(ascii: bool) -> Self {
        Self { ascii, totals: Totals::default() }
    }

    fn rows(&self, files: &BTreeMap<usize, FileView>, elapsed: Duration) -> Vec<canvas::Row> {
        let (columns, lines) = canvas::window();
        let paper = Paper { width: width_in(columns), ascii: self.ascii };
        let (mut rows, several) = (Vec::new(), self.totals.count > 1);
        let most = FILES.min(lines.saturating_sub(1 + usize::from(several)) / ROWS).max(1);
        let is_busy =
            |file: &&FileView| !matches!(file.progress.borrow().phase, Phase::Queued | Phase::Ended);
        for file in files.values().filter(is_busy).take(most) {
            let progress = file.progress.borrow().clone();
            rows.push(paper.headline(&file.name, &progress));
            match waiting::words(file, &progress, elapsed) {
                Some(words) => rows.extend(paper.waiting(&words)),
                None => rows.extend(paper.map(&progress)),
            }
        }
        if several {
            rows.push(paper.overall(&self.totals));
        }
        rows
    }
}

/// Usable width of a row. From the last column a terminal would wrap, and so would the `^C` that it echoes behind the
/// last row on Ctrl-C: a row would then be left behind.
fn width_in(columns: usize) -> usize {
    const ECHO: usize = "^C".len();
    columns.saturating_sub(ECHO + 1).max(1)
}

impl Render for Bars {
    fn started(&mut self, _: usize, file: &FileView, event: &Event) {
        if let Event::Started { resumed: 1.., .. } = event
            && let Some(text) = line::started(&file.name, event)
        {
            self.say(&text);
        }
    }

    fn totals(&mut self, totals: &Totals) {
        self.totals = totals.clone();
    }

    fn tick(&mut self, files: &BTreeMap<usize, FileView>, elapsed: Duration) {
        canvas::draw(self.rows(files, elapsed));
    }

    fn done(&mut self, _: usize, file: &FileView, report: &Report) {
        self.say(&paint(Tone::Good, &line::done(&file.name, report)));
    }

    fn error(&mut self, _: usize, _: &FileView, _: &Error) {}

    fn summary(&mut self, summary: &Summary) {
        canvas::clear();
        if let Some(text) = line::summary(summary) {
            self.say(&text);
        }
    }

    fn say(&mut self, line: &str) {
        output::say(line);
    }
}

impl Drop for Bars {
    /// Clears the rows however the run ends: the next line belongs to another program.
    fn drop(&mut self) {
        canvas::clear();
    }
}
