//! Plain lines, for logs: one at the start, one every half minute, one at the end.

use super::{FileView, Render, Summary, line, waiting};
use crate::cli::colour::{Tone, paint};
use crate::cli::output;
use crate::error::Error;
use crate::formats::size::{format_bytes, format_duration};
use crate::{Event, Phase, Report};
use std::collections::BTreeMap;
use std::time::Duration;

const PERIOD: Duration = Duration::from_secs(30);
/// Time that a file may take to start before a note says what it is waiting for.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) struct Plain {
    /// Print only the lines that must be printed.
    silent: bool,
    next: Duration,
    /// First file that may still need a note about a long wait.
    asked_about: usize,
}

impl Plain {
    pub(super) fn new(silent: bool) -> Self {
        Self { silent, next: PERIOD, asked_about: 0 }
    }

    /// Notes once per file that it has been waiting for long; failures have messages of their own.
    fn tell_long_waits(&mut self, files: &BTreeMap<usize, FileView>, elapsed: Duration) {
        for (id, file) in files.range(self.asked_about..) {
            let Some(began) = file.seen.began else {
                return;
            };
            if elapsed < began + PATIENCE {
                return;
            }
            self.asked_about = id + 1;
            let progress = file.progress.borrow().clone();
            if progress.phase == Phase::Starting
                && file.seen.retrying.is_none()
                && let Some(words) = waiting::words(file, &progress, elapsed)
            {
                self.tell(&format!("haul: note: {}: {words}", file.name));
            }
        }
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
        self.tell_long_waits(files, elapsed);
        if elapsed < self.next {
            return;
        }
        self.next = elapsed + PERIOD;
        for file in files.values() {
            let progress = file.progress.borrow().clone();
            if progress.phase == Phase::Queued {
                continue;
            }
            if let Some(words) = waiting::words(file, &progress, elapsed) {
                self.tell(&format!("{}: {}, {words}", file.name, format_bytes(progress.written)));
                continue;
            }
            let of = progress.size.map_or(String::new(), |size| format!(" of {}", format_bytes(size)));
            let rate =
                progress.rate.map_or(String::new(), |rate| format!(", {}/s", format_bytes(rate as u64)));
            let eta = progress.eta.map_or(String::new(), |eta| format!(", {} left", format_duration(eta)));
            self.tell(&format!("{}: {}{of}{rate}{eta}", file.name, format_bytes(progress.written)));
        }
    }

    fn done(&mut self, _: usize, file: &FileView, report: &Report) {
        if !self.silent {
            self.say(&paint(Tone::Good, &line::done(&file.name, report)));
        }
    }

    fn error(&mut self, _: usize, _: &FileView, _: &Error) {}

    fn summary(&mut self, summary: &Summary) {
        if let Some(text) = line::summary(summary) {
            self.tell(&text);
        }
    }

    fn say(&mut self, line: &str) {
        output::say(line);
    }
}
