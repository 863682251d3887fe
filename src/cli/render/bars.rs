//! Bars on a terminal: two lines for each file that is being worked on.

use super::{FileView, Render, Summary, line, view};
use crate::cli::output;
use crate::error::Error;
use crate::{Event, Phase, Report};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::collections::BTreeMap;
use std::time::Duration;

/// Frames a second at most.
const FRAMES: u8 = 10;
/// Files shown at once; the others are counted.
const ROWS: usize = 8;

pub(super) struct Bars {
    ascii: bool,
    screen: MultiProgress,
    rows: BTreeMap<usize, [ProgressBar; 2]>,
}

impl Bars {
    pub(super) fn new(ascii: bool) -> Self {
        let screen = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(FRAMES));
        Self { ascii, screen, rows: BTreeMap::new() }
    }

    fn row(&mut self, id: usize) -> &[ProgressBar; 2] {
        let screen = &self.screen;
        self.rows.entry(id).or_insert_with(|| {
            let bar = || {
                let bar = screen.add(ProgressBar::new_spinner());
                // The template has no placeholder that could be wrong.
                bar.set_style(
                    ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_bar()),
                );
                bar
            };
            [bar(), bar()]
        })
    }

    fn remove(&mut self, id: usize) {
        for bar in self.rows.remove(&id).into_iter().flatten() {
            bar.finish_and_clear();
            self.screen.remove(&bar);
        }
    }
}

fn width() -> usize {
    let size = rustix::termios::tcgetwinsize(std::io::stderr());
    size.ok().map(|size| usize::from(size.ws_col)).filter(|columns| *columns > 0).unwrap_or(80).max(20)
}

impl Render for Bars {
    fn started(&mut self, _: usize, file: &FileView, event: &Event) {
        if let Event::Started { resumed: 1.., .. } = event
            && let Some(text) = line::started(&file.name, event)
        {
            self.say(&text);
        }
    }

    fn tick(&mut self, files: &BTreeMap<usize, FileView>, _: Duration) {
        let (width, ascii) = (width() - 1, self.ascii);
        let shown = files.iter().filter(|(_, file)| file.progress.borrow().phase != Phase::Queued).take(ROWS);
        for (id, file) in shown {
            let progress = file.progress.borrow().clone();
            let [head, map] = self.row(*id);
            head.set_message(view::headline(&file.name, &progress, width, ascii));
            map.set_message(view::map(&progress, width, ascii).unwrap_or_default());
        }
    }

    fn done(&mut self, id: usize, file: &FileView, report: &Report) {
        self.remove(id);
        self.say(&line::done(&file.name, report));
    }

    fn error(&mut self, id: usize, _: &FileView, _: &Error) {
        self.remove(id);
    }

    fn summary(&mut self, _: &Summary) {
        let _ = self.screen.clear();
    }

    fn say(&mut self, line: &str) {
        // Without a terminal indicatif swallows lines; then they are written plainly.
        if self.screen.is_hidden() || self.screen.println(line).is_err() {
            output::say(line);
        }
    }
}
