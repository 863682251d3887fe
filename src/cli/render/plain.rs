//! Plain lines, for logs: one at the start, one every half minute, one at the end.

use super::{FileView, Render, Summary, line, slowness, waiting};
use crate::cli::colour::{Tone, paint};
use crate::cli::output;
use crate::error::Error;
use crate::formats::size::{format_bytes, format_duration};
use crate::{Event, Phase, Progress, Report, Slowness};
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

/// Progress of a file, and the reason that it waits or is slow.
pub(super) fn progress_line(name: &str, progress: &Progress, waits: Option<&str>) -> String {
    let written = format_bytes(progress.written);
    if let Some(words) = waits {
        return format!("{name}: {written}, {words}");
    }
    let of = progress.size.map_or(String::new(), |size| format!(" of {}", format_bytes(size)));
    let rate = progress.rate.map_or(String::new(), |rate| format!(", {}/s", format_bytes(rate as u64)));
    let eta = progress.eta.map_or(String::new(), |eta| format!(", {} left", format_duration(eta)));
    let slow = progress.slowed_by.as_ref().and_then(slow).map_or(String::new(), |slow| format!(", {slow}"));
    format!("{name}: {written}{of}{rate}{eta}{slow}")
}

/// Reason for a limited rate, in words for a line of its own.
fn slow(slowness: &Slowness) -> Option<String> {
    let words = slowness::words(slowness).into_iter().next()?;
    Some(match slowness {
        Slowness::Silent { .. } => format!("a connection is {words}"),
        _ => words,
    })
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
            let waits = waiting::words(file, &progress, elapsed);
            self.tell(&progress_line(&file.name, &progress, waits.as_deref()));
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
