//! Progress display: bars, plain lines, JSON, or none.

mod bars;
mod json;
mod line;
mod plain;
mod slowness;
#[cfg(test)]
mod tests;
mod view;
mod waiting;

use super::args::Style;
use super::failure;
use crate::error::Error;
use crate::formats::escape;
use crate::{Event, Notice, Phase, Progress, Report};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::watch;

/// Capabilities of the screen and the style that the user asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Screen {
    pub(super) style: Style,
    pub(super) quiet: bool,
    pub(super) verbose: u8,
    pub(super) ascii: bool,
}

impl Screen {
    /// Returns true if a retry is printed as a line of its own: bars and events show it anyway.
    fn tells_retries(&self) -> bool {
        matches!(self.style, Style::Auto | Style::Plain) && !self.quiet
    }
}

/// One file of a run.
pub(super) struct FileView {
    /// Its name, or its URL, escaped.
    pub(super) name: String,
    /// Redacted.
    pub(super) url: String,
    pub(super) progress: watch::Receiver<Progress>,
    /// Host that it is requested from, escaped.
    host: String,
    seen: waiting::Seen,
}

impl FileView {
    /// Takes an escaped name and a redacted URL.
    pub(super) fn new(name: String, url: String, progress: watch::Receiver<Progress>) -> Self {
        let host = url.split_once("://").map_or("", |(_, rest)| rest);
        let host = escape::for_terminal(host.split(['/', '?', '#']).next().unwrap_or(host)).into_owned();
        Self { name, url, progress, host, seen: waiting::Seen::default() }
    }
}

/// Totals over all files of a run so far.
#[derive(Clone, Debug, Default)]
struct Totals {
    count: usize,
    ok: usize,
    failed: usize,
    under_way: usize,
    /// Bytes received in this run by all files.
    received: u64,
    rate: Option<f64>,
}

/// Outcome of a run.
#[derive(Clone, Debug)]
pub(super) struct Summary {
    pub(super) ok: usize,
    /// Those of `ok` whose file was complete before the run.
    pub(super) already_there: usize,
    pub(super) failed: usize,
    /// Kinds of the failures, with the number of each.
    pub(super) causes: Vec<(&'static str, usize)>,
    /// Files not started because of a signal.
    pub(super) not_started: usize,
    pub(super) fetched: u64,
    pub(super) elapsed: Duration,
    pub(super) code: u8,
}

/// A style of progress display. It gets texts that are not escaped yet.
trait Render {
    fn started(&mut self, id: usize, file: &FileView, event: &Event);
    fn retry(&mut self, _id: usize, _event: &Event) {}
    fn notice(&mut self, _id: usize, _notice: Notice, _text: &str) {}
    fn source(&mut self, _id: usize, _event: &Event) {}
    /// Sets the totals over all files; called before each tick.
    fn totals(&mut self, _totals: &Totals) {}
    fn tick(&mut self, files: &BTreeMap<usize, FileView>, elapsed: Duration);
    fn done(&mut self, id: usize, file: &FileView, report: &Report);
    fn error(&mut self, id: usize, file: &FileView, error: &Error);
    /// Reports an error that belongs to no file of the run.
    fn failed(&mut self, _error: &Error) {}
    /// Notes the signal; errors of the kind cancelled are caused by it from now on.
    fn interrupted(&mut self, _number: i32) {}
    fn summary(&mut self, summary: &Summary);
    /// Prints a message above or between the rest of the output.
    fn say(&mut self, line: &str);
    /// Takes the first error of writing an event, which a consumer of the events must learn of.
    fn take_untold(&mut self) -> Option<Error> {
        None
    }
}

#[cfg(feature = "fleet")]
pub(super) use json::{facts_of_failure, facts_of_report};
pub(super) use json::{tell_end, tell_error, tell_failed_run};

/// Shows a run.
pub(super) struct Reporter {
    /// Files that have not ended.
    pub(super) files: BTreeMap<usize, FileView>,
    screen: Screen,
    render: Box<dyn Render>,
    /// Totals of the files that have ended, and the number of all files.
    totals: Totals,
    /// Time since the start of the run, as of the last tick.
    now: Duration,
}

/// Retries with a shorter wait need no message while bytes arrive.
const LONG_WAIT: Duration = Duration::from_secs(3);

impl Reporter {
    /// Creates a reporter for a run of `count` files.
    pub(super) fn new(screen: Screen, count: usize) -> Self {
        let render: Box<dyn Render> = match screen.style {
            Style::Json => Box::new(json::Json::default()),
            Style::Bar => Box::new(bars::Bars::new(screen.ascii)),
            Style::Auto | Style::Plain => Box::new(plain::Plain::new(false)),
            Style::None => Box::new(plain::Plain::new(true)),
        };
        let totals = Totals { count, ..Totals::default() };
        Self { files: BTreeMap::new(), screen, render, totals, now: Duration::ZERO }
    }

    /// Changes the number of files.
    pub(super) fn expect(&mut self, count: usize) {
        self.totals.count = count;
    }

    pub(super) fn event(&mut self, id: usize, event: &Event) {
        let Some(file) = self.files.get_mut(&id) else {
            return;
        };
        match event {
            Event::Started { path, .. } => {
                // The name on disk may differ from the requested one.
                if let Some(name) = path.as_ref().and_then(|path| path.file_name()) {
                    file.name = escape::for_terminal(&name.to_string_lossy()).into_owned();
                }
                self.render.started(id, file, event);
            }
            Event::Retry { cause, wait, attempt, .. } => {
                self.render.retry(id, event);
                let received = file.progress.borrow().received;
                let flows = file.seen.retrying.is_none() && received > 0 && *attempt < 2;
                if self.screen.verbose > 0 || (self.screen.tells_retries() && !(flows && *wait < LONG_WAIT)) {
                    let cause = escape::shown(cause);
                    let next = waiting::next_in(*wait);
                    self.render
                        .say(&format!("haul: note: {}: try {attempt} failed, {next}: {cause}", file.name));
                }
                file.seen.retrying = Some(waiting::Retrying {
                    cause: cause.clone(),
                    attempt: *attempt,
                    until: self.now + *wait,
                    received,
                });
            }
            Event::Source { url, cause } => {
                self.render.source(id, event);
                let (url, cause) = (escape::shown(url), escape::shown(cause));
                self.render
                    .say(&format!("haul: warning: {}: {url} is not used any more: {cause}", file.name));
            }
            Event::SourceAdded { url, cause } => {
                self.render.source(id, event);
                if self.screen.verbose > 0 {
                    let (url, cause) = (escape::shown(url), escape::shown(cause));
                    self.render.say(&format!("haul: note: {}: {url} is asked as well: {cause}", file.name));
                }
            }
            Event::SourceRefused { url, cause } => {
                self.render.source(id, event);
                if self.screen.verbose > 0 {
                    let (url, cause) = (escape::shown(url), escape::shown(cause));
                    self.render.say(&format!("haul: note: {}: {url} is not asked: {cause}", file.name));
                }
            }
            // Shown only with -v.
            Event::Notice(Notice::Head, _) if self.screen.verbose == 0 => {}
            Event::Notice(notice, text) => {
                self.render.notice(id, *notice, text);
                let details = matches!(notice, Notice::Stalled | Notice::Mirrors | Notice::Document);
                let quietly = self.screen.quiet || (details && self.screen.verbose == 0);
                if !quietly {
                    let text = escape::shown(text);
                    self.render.say(&format!("haul: note: {}: {text}", file.name));
                }
            }
        }
    }

    pub(super) fn tick(&mut self, elapsed: Duration) {
        self.now = elapsed;
        let mut totals = self.totals.clone();
        for file in self.files.values_mut() {
            let progress = file.progress.borrow();
            file.seen.look(&progress, elapsed);
            if progress.phase != Phase::Queued {
                totals.under_way += 1;
                totals.received += progress.received;
                totals.rate = progress.rate.map(|rate| rate + totals.rate.unwrap_or(0.0)).or(totals.rate);
            }
        }
        self.render.totals(&totals);
        self.render.tick(&self.files, elapsed);
    }

    pub(super) fn done(&mut self, id: usize, report: &Report) {
        if let Some(file) = self.files.remove(&id) {
            self.totals.ok += 1;
            self.totals.received += report.fetched;
            self.render.done(id, &file, report);
        }
    }

    /// Bytes received for a file that has not ended, as of its last progress.
    pub(super) fn received(&self, id: usize) -> u64 {
        self.files.get(&id).map_or(0, |file| file.progress.borrow().received)
    }

    pub(super) fn error(&mut self, id: usize, error: &Error) {
        if let Some(file) = self.files.remove(&id) {
            self.totals.failed += 1;
            self.totals.received += file.progress.borrow().received;
            self.render.error(id, &file, error);
        }
        for line in failure::lines(error) {
            self.render.say(&line);
        }
    }

    /// Reports an error that belongs to no file of the run.
    pub(super) fn failed(&mut self, error: &Error) {
        self.render.failed(error);
        for line in failure::lines(error) {
            self.render.say(&line);
        }
    }

    pub(super) fn interrupted(&mut self, number: i32) {
        self.render.interrupted(number);
    }

    pub(super) fn summary(&mut self, summary: &Summary) {
        self.render.summary(summary);
    }

    /// Takes the first error of writing an event, which a consumer of the events must learn of.
    pub(super) fn take_untold(&mut self) -> Option<Error> {
        self.render.take_untold()
    }

    pub(super) fn say(&mut self, line: &str) {
        self.render.say(line);
    }
}
