//! Bars on a terminal: two rows for each running file, and one for the totals.

use super::view::{self, File, Paper, Scene};
use super::{FileView, Render, Summary, Totals, line, waiting};
use crate::cli::colour::{Tone, paint};
use crate::cli::{canvas, output};
use crate::error::Error;
use crate::{Event, Phase, Report};
use std::collections::BTreeMap;
use std::time::Duration;

pub(super) struct Bars {
    ascii: bool,
    totals: Totals,
}

impl Bars {
    pub(super) fn new(ascii: bool) -> Self {
        Self { ascii, totals: Totals::default() }
    }
}

/// The files that are under way, as they are now.
fn scene<'a>(files: &'a BTreeMap<usize, FileView>, totals: &'a Totals, elapsed: Duration) -> Scene<'a> {
    let is_busy = |file: &&FileView| !matches!(file.progress.borrow().phase, Phase::Queued | Phase::Ended);
    let file = |file: &'a FileView| {
        let progress = file.progress.borrow().clone();
        File { name: &file.name, waits: waiting::words(file, &progress, elapsed), progress }
    };
    // A screen shows no more of them.
    let files = files.values().filter(is_busy).take(view::FILES).map(file).collect();
    Scene { files, totals }
}

/// Usable width of a row. From the last column a terminal would wrap, and so would the `^C` that it echoes behind the
/// last row on Ctrl-C: a row would then be left behind.
pub(super) fn width_in(columns: usize) -> usize {
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
        let (columns, lines) = canvas::window();
        let paper = Paper { width: width_in(columns), ascii: self.ascii };
        canvas::draw(paper.scene(&scene(files, &self.totals, elapsed), lines));
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
