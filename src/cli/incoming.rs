//! `--stream`: downloads of a list that comes while the run goes on.

use super::list::{self, Place, Remarks};
use super::names::{Entry, InFlight};
use super::output;
use super::setup::{Setup, Wanted};
use crate::error::{Error, Kind};
use crate::{JobList, Listed, threads};
use std::io::BufReader;
use std::path::Path;
use tokio::sync::mpsc;

/// Lines that may come before there is room for them.
const AHEAD: usize = 64;

/// A list that is being written, line by line.
pub(super) struct Incoming<'a> {
    lines: mpsc::Receiver<Result<Listed, Error>>,
    setup: &'a Setup,
    shown: &'a str,
    remarks: Remarks<'a>,
    in_flight: InFlight,
    /// Lines left out, since the same was being fetched.
    repeated: usize,
}

impl<'a> Incoming<'a> {
    /// Begins to read the list at `path`, whose name is `shown` in messages; `-` is the standard input.
    ///
    /// # Errors
    /// `Usage`, if it cannot be opened; `Other`, if no thread can be had to wait for its lines.
    pub(super) fn open(path: &Path, shown: &'a str, setup: &'a Setup) -> Result<Self, Error> {
        let text = list::opened(path).map_err(|error| list::unreadable(path, &error))?;
        let no_thread = || {
            Error::new(Kind::Other, "--stream needs a thread that waits for lines, and none can be had")
                .with_hint("leave --stream out: the list is then read to its end first")
        };
        if threads::one_does() {
            return Err(no_thread());
        }
        let (sender, lines) = mpsc::channel(AHEAD);
        let list = JobList::read(BufReader::new(text)).one_a_line();
        let list = if setup.options.as_aria2 { list.naming_places() } else { list };
        // It may wait for a line when the run is over, and ends with the process then.
        let reading = move || {
            for listed in list {
                if sender.blocking_send(listed).is_err() {
                    return;
                }
            }
        };
        std::thread::Builder::new().spawn(reading).map_err(|_| no_thread())?;
        let remarks = Remarks::new(shown, setup.options.quiet);
        Ok(Self { lines, setup, shown, remarks, in_flight: InFlight::default(), repeated: 0 })
    }

    /// Waits for the next download; `None` at the end of the list. An error is that of one line. Cancel-safe.
    pub(super) async fn next(&mut self) -> Option<Result<Wanted, Error>> {
        loop {
            let listed = self.lines.recv().await?;
            if let Some(wanted) = self.judged(listed).transpose() {
                return Some(wanted);
            }
        }
    }

    /// The next download that has come already.
    pub(super) fn next_here(&mut self) -> Option<Result<Wanted, Error>> {
        loop {
            let listed = self.lines.try_recv().ok()?;
            if let Some(wanted) = self.judged(listed).transpose() {
                return Some(wanted);
            }
        }
    }

    /// `None` for a line that is another shard's, or a duplicate of one that is being fetched.
    fn judged(&mut self, listed: Result<Listed, Error>) -> Result<Option<Wanted>, Error> {
        let (place, wanted) = list::of_text(self.shown, listed, self.setup)?;
        if !self.setup.is_ours(&wanted) {
            return Ok(None);
        }
        if !self.allows(&place, &wanted)? {
            self.repeated += 1;
            return Ok(None);
        }
        self.remarks.of(&place, &wanted);
        Ok(Some(wanted))
    }

    fn allows(&self, place: &Place, wanted: &Wanted) -> Result<bool, Error> {
        let allowed = Entry::of(wanted).map_or(Ok(true), |entry| self.in_flight.allows(&entry));
        allowed.map_err(|error| list::at_line(self.shown, place.line, &error))
    }

    /// A download has begun.
    pub(super) fn begun(&mut self, id: usize, wanted: &Wanted) {
        if let Some(entry) = Entry::of(wanted) {
            self.in_flight.begun(id, entry);
        }
    }

    /// A download has ended.
    pub(super) fn ended(&mut self, id: usize) {
        self.in_flight.ended(id);
    }

    /// Reports what was not told of the list.
    pub(super) fn end(&self) {
        self.remarks.end();
        if self.repeated > 0 && !self.setup.options.quiet {
            output::say(list::repeated(self.repeated));
        }
    }
}
