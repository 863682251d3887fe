//! How progress is shown: as bars, as plain lines, as JSON, or not at all.

mod bars;
mod json;
mod line;
mod plain;
mod view;

use super::args::Style;
use super::failure;
use crate::error::Error;
use crate::formats::escape;
use crate::{Event, Notice, Progress, Report};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::watch;

/// What the screen is like and what the user wants on it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Screen {
    pub(super) style: Style,
    pub(super) quiet: bool,
    pub(super) verbose: u8,
    pub(super) ascii: bool,
}

/// One file of a run.
pub(super) struct FileView {
    /// Its name, or its URL, escaped.
    pub(super) name: String,
    /// Redacted.
    pub(super) url: String,
    pub(super) progress: watch::Receiver<Progress>,
}

/// How a run ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Summary {
    pub(super) ok: usize,
    pub(super) failed: usize,
    /// Those that a signal came before.
    pub(super) not_started: usize,
    pub(super) fetched: u64,
    pub(super) elapsed: Duration,
    pub(super) code: u8,
}

/// A way to show progress. Texts it is given are not escaped yet.
trait Render {
    fn started(&mut self, id: usize, file: &FileView, event: &Event);
    fn retry(&mut self, _id: usize, _event: &Event) {}
    fn notice(&mut self, _id: usize, _notice: Notice, _text: &str) {}
    fn source(&mut self, _id: usize, _event: &Event) {}
    fn tick(&mut self, files: &BTreeMap<usize, FileView>, elapsed: Duration);
    fn done(&mut self, id: usize, file: &FileView, report: &Report);
    fn error(&mut self, id: usize, file: &FileView, error: &Error);
    fn summary(&mut self, summary: &Summary);
    /// A line for the person, above or between whatever else there is.
    fn say(&mut self, line: &str);
    /// Why something could not be told that somebody relies upon.
    fn take_untold(&mut self) -> Option<Error> {
        None
    }
}

/// Shows a run.
pub(super) struct Reporter {
    /// Those that have not ended.
    pub(super) files: BTreeMap<usize, FileView>,
    screen: Screen,
    render: Box<dyn Render>,
}

impl Reporter {
    pub(super) fn new(screen: Screen) -> Self {
        let render: Box<dyn Render> = match screen.style {
            Style::Json => Box::new(json::Json::default()),
            Style::Bar => Box::new(bars::Bars::new(screen.ascii)),
            Style::Auto | Style::Plain => Box::new(plain::Plain::new(false)),
            Style::None => Box::new(plain::Plain::new(true)),
        };
        Self { files: BTreeMap::new(), screen, render }
    }

    pub(super) fn event(&mut self, id: usize, event: &Event) {
        let Some(file) = self.files.get(&id) else {
            return;
        };
        match event {
            Event::Started { .. } => self.render.started(id, file, event),
            Event::Retry { cause, wait, attempt, .. } => {
                self.render.retry(id, event);
                if self.screen.verbose > 0 {
                    let cause = escape::for_terminal(cause);
                    let wait = wait.as_secs_f32();
                    self.render.say(&format!(
                        "haul: note: {}: {cause}; attempt {attempt}, in {wait:.1} s",
                        file.name
                    ));
                }
            }
            Event::Source { url, cause } => {
                self.render.source(id, event);
                let (url, cause) = (escape::for_terminal(url), escape::for_terminal(cause));
                self.render
                    .say(&format!("haul: warning: {}: {url} is not used any more: {cause}", file.name));
            }
            Event::Notice(notice, text) => {
                self.render.notice(id, *notice, text);
                let quietly = self.screen.quiet || (*notice == Notice::Stalled && self.screen.verbose == 0);
                if !quietly {
                    let text = escape::for_terminal(text);
                    self.render.say(&format!("haul: note: {}: {text}", file.name));
                }
            }
        }
    }

    pub(super) fn tick(&mut self, elapsed: Duration) {
        self.render.tick(&self.files, elapsed);
    }

    pub(super) fn done(&mut self, id: usize, report: &Report) {
        if let Some(file) = self.files.remove(&id) {
            self.render.done(id, &file, report);
        }
    }

    /// What came for a file that has not ended, as far as is known here.
    pub(super) fn received(&self, id: usize) -> u64 {
        self.files.get(&id).map_or(0, |file| file.progress.borrow().received)
    }

    pub(super) fn error(&mut self, id: usize, error: &Error) {
        if let Some(file) = self.files.remove(&id) {
            self.render.error(id, &file, error);
        }
        for line in failure::lines(error) {
            self.render.say(&line);
        }
    }

    pub(super) fn summary(&mut self, summary: &Summary) {
        self.render.summary(summary);
    }

    /// Why something could not be told that somebody relies upon.
    pub(super) fn take_untold(&mut self) -> Option<Error> {
        self.render.take_untold()
    }

    pub(super) fn say(&mut self, line: &str) {
        self.render.say(line);
    }
}
