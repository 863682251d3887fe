//! Plain lines, for logs: one at the start, one every half minute, one at the end.

use super::{FileView, Render, Summary, line};
use crate::cli::output;
use crate::error::Error;
use crate::formats::size::{format_bytes, format_duration};
use crate::{Event, Report};
use std::collections::BTreeMap;
use std::time::Duration;

const PERIOD: Duration = Duration::from_secs(30);

pub(super) struct Plain {
    /// Only what must be said.
    silent: bool,
    next: Duration,
}

impl Plain {
    pub(super) fn new(silent: bool) -> Self {
        Self { silent, next: PERIOD }
    }

    fn tell(&mut self, line: &str) {
        if !self.silent {
            self.say(line);
        }
    }
}

impl Render for Plain {
    fn started(&mut self, _: usize, file: &FileView, event: &Event) {
        if !self.silent
            && let Some(text) = line::started(&file.name, event)
        {
            self.say(&text);
        }
    }

    fn tick(&mut self, files: &BTreeMap<usize, FileView>, elapsed: Duration) {
        if elapsed < self.next {
            return;
        }
        self.next = elapsed + PERIOD;
        for file in files.values() {
            let progress = file.progress.borrow().clone();
            let of = progress.size.map_or(String::new(), |size| format!(" of {}", format_bytes(size)));
            let rate =
                progress.rate.map_or(String::new(), |rate| format!(", {}/s", format_bytes(rate as u64)));
            let eta = progress.eta.map_or(String::new(), |eta| format!(", {} left", format_duration(eta)));
            self.tell(&format!("{}: {}{of}{rate}{eta}", file.name, format_bytes(progress.written)));
        }
    }

    fn done(&mut self, _: usize, file: &FileView, report: &Report) {
        if !self.silent {
            self.say(&line::done(&file.name, report));
        }
    }

    fn error(&mut self, _: usize, _: &FileView, _: &Error) {}

    fn summary(&mut self, summary: &Summary) {
        if summary.ok + summary.failed + summary.not_started > 1 {
            let Summary { ok, failed, not_started, fetched, elapsed, .. } = summary;
            let (fetched, elapsed) = (format_bytes(*fetched), format_duration(*elapsed));
            let not_started = match not_started {
                0 => String::new(),
                number => format!(", {number} not started"),
            };
            let files = if *ok == 1 { "file" } else { "files" };
            self.tell(&format!("{ok} {files} saved, {failed} failed{not_started}: {fetched} in {elapsed}"));
        }
    }

    fn say(&mut self, line: &str) {
        output::say(line);
    }
}
