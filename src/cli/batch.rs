//! Downloads of one run: starts them as there is room, shows and counts them.

use super::args::Options;
use super::base::Base;
use super::failures::Failures;
use super::hooks::Hooks;
use super::incoming::Incoming;
use super::into_s3::into_s3;
use super::list;
use super::render::{FileView, Reporter, Summary};
use super::resume_hint::ResumeHint;
use super::setup::Wanted;
use super::signals::Told;
use super::unsaved::Unsaved;
use super::{aria2c, canvas, exit, output, setup, signals};
use crate::error::{Error, Kind};
use crate::formats::escape;
use crate::formats::file_name::ForeignName;
use crate::{Client, Download, Event, Job, Phase, Report, Request};
use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Interval between two redraws of the screen.
const FRAME: Duration = Duration::from_millis(100);

/// Downloads handed to the client at once, queued ones included: enough that a free turn never waits for one, even if
/// hundreds end between two looks at them, and few enough that a long list takes no memory.
const AHEAD: usize = 256;

/// Number of downloads from which their events are handled in batches: waking the task for each costs more than a small
/// file does.
const MANY: usize = 16;
const GATHER: Duration = Duration::from_millis(2);

/// Event or end of one download.
enum Message {
    Event(usize, Event),
    Ended(usize, Box<Result<Report, Error>>),
}

/// Runs the downloads, as described in the module.
pub(super) struct Batch<'a, I> {
    client: Client,
    options: Options,
    /// Requests not started yet.
    requests: I,
    /// A list that comes while the run goes on, until it has ended.
    incoming: Option<Incoming<'a>>,
    /// True once there are no more requests.
    has_taken_all: bool,
    ahead: usize,
    next_id: usize,
    reporter: Reporter,
    messages: mpsc::Receiver<Message>,
    sender: mpsc::Sender<Message>,
    /// List of what was not saved, if one is wanted, and the lines of downloads that have not ended.
    unsaved: Option<Unsaved>,
    lines: BTreeMap<usize, String>,
    hooks: Hooks,
    hooks_failed: bool,
    /// Files that are marked as aria2's are, if haul stands for it.
    marks: Option<BTreeMap<usize, PathBuf>>,
    /// Code of aria2 for the last failure, if haul stands for it.
    last_code: Option<u8>,
    cancellers: BTreeMap<usize, Box<dyn Fn() + Send + Sync>>,
    watchers: JoinSet<()>,
    signals: signals::Signals,
    started: Instant,
    ok: usize,
    /// Those of `ok` whose file was complete before the run.
    already_there: usize,
    failures: Failures,
    /// Bytes received, including those of failed downloads.
    fetched: u64,
    signal: Option<i32>,
    /// Downloads that were still queued when the signal arrived; the summary counts them as not started.
    waiting: HashSet<usize>,
    not_started: usize,
    /// Number of requests, as far as they are known.
    count: usize,
}

impl<'a, I: Iterator<Item = Result<Wanted, Error>>> Batch<'a, I> {
    #[expect(clippy::disallowed_methods, reason = "the screen has its own clock")]
    pub(super) fn new(
        options: &Options,
        client: &Client,
        (requests, count): (I, usize),
        incoming: Option<Incoming<'a>>,
        earlier: Vec<Kind>,
    ) -> Result<Self, Error> {
        let signals = signals::listen()?;
        let (sender, messages) = mpsc::channel(256);
        let mut reporter = Reporter::new(setup::screen(options), count);
        match (options.insecure, options.pin.is_empty()) {
            (true, true) => reporter.say(
                "haul: warning: --insecure: certificates are not verified, the server is not authenticated",
            ),
            (true, false) => reporter
                .say("haul: warning: --insecure: certificates are not verified, nothing but the pinned keys"),
            (false, _) => {}
        }
        Ok(Self {
            client: client.clone(),
            options: options.clone(),
            requests,
            incoming,
            has_taken_all: false,
            ahead: AHEAD + options.jobs.map_or(0, usize::from),
            next_id: 0,
            reporter,
            messages,
            sender,
            unsaved: unsaved_of(options)?,
            lines: BTreeMap::new(),
            hooks: Hooks::new(options)?,
            hooks_failed: false,
            marks: options.as_aria2.then(BTreeMap::new),
            last_code: None,
            cancellers: BTreeMap::new(),
            watchers: JoinSet::new(),
            signals,
            started: Instant::now(),
            ok: 0,
            already_there: 0,
            failures: earlier.into_iter().collect(),
            fetched: 0,
            signal: None,
            waiting: HashSet::new(),
            not_started: 0,
            count,
        })
    }

    /// Returns true if one more download may be started; none is after a signal.
    fn has_room(&self) -> bool {
        self.signal.is_none() && self.cancellers.len() < self.ahead && !self.hooks.are_behind()
    }

    /// Starts downloads up to the limit.
    fn start_more(&mut self) {
        while !self.has_taken_all && self.has_room() {
            match self.requests.next() {
                None => self.has_taken_all = true,
                Some(wanted) => self.take(wanted),
            }
        }
    }

    fn take(&mut self, wanted: Result<Wanted, Error>) {
        match wanted {
            Ok(wanted) => self.start(wanted),
            Err(error) => {
                self.failures.add(error.kind());
                self.reporter.failed(&error);
            }
        }
    }

    /// Takes a download that has come, or the end of the list.
    fn take_incoming(&mut self, next: Option<Result<Wanted, Error>>) {
        let Some(wanted) = next else {
            return self.end_incoming();
        };
        if wanted.is_ok() {
            self.count += 1;
            self.reporter.expect(self.count);
        }
        self.take(wanted);
    }

    fn end_incoming(&mut self) {
        if let Some(incoming) = self.incoming.take() {
            incoming.end();
        }
        if self.count == 0 && self.failures.is_empty() {
            self.reporter.say(list::NOTHING);
        }
    }

    fn start(&mut self, wanted: Wanted) {
        let id = self.next_id;
        self.next_id += 1;
        if let Some(incoming) = &mut self.incoming {
            incoming.begun(id, &wanted);
        }
        let (shown, url) = (name(&wanted.job, &wanted.request), wanted.request.address().to_string());
        let Wanted { request, line, .. } = match into_s3(wanted, &self.options, &self.client) {
            Ok(wanted) => wanted,
            Err(error) => {
                self.failures.add(error.kind());
                return self.reporter.failed(&error);
            }
        };
        self.lines.extend(line.map(|line| (id, line)));
        let name = shown;
        let download = self.client.start(request);
        self.reporter.files.insert(id, FileView::new(name, url, download.progress()));
        self.cancellers.insert(id, Box::new(download.canceller()));
        // Boxed, because a task of this size and alignment costs more to allocate than one more box does.
        self.watchers.spawn(Box::pin(watch(id, download, self.sender.clone())));
    }

    /// Returns true until everything has ended, and nothing is to come.
    fn goes_on(&self) -> bool {
        let is_more = self.incoming.is_some() || !self.has_taken_all;
        !self.cancellers.is_empty() || (self.signal.is_none() && is_more)
    }

    pub(super) async fn run(mut self, hint: &ResumeHint) -> Result<(u8, Option<i32>), Error> {
        let mut frames = tokio::time::interval(FRAME);
        self.start_more();
        while self.goes_on() {
            let has_room = self.has_taken_all && self.has_room();
            tokio::select! {
                Some(message) = self.messages.recv() => {
                    self.hear(message);
                    if self.cancellers.len() >= MANY {
                        tokio::time::sleep(GATHER).await;
                    }
                    while let Ok(message) = self.messages.try_recv() {
                        self.hear(message);
                    }
                    // Of many that end together one a turn would leave ever more behind.
                    while self.watchers.try_join_next().is_some() {}
                    self.start_more();
                }
                next = next_of(&mut self.incoming), if has_room => self.take_incoming(next),
                Some(_) = self.watchers.join_next() => {}
                Some(wrong) = self.hooks.next() => {
                    self.hook_ended(wrong);
                    self.start_more();
                }
                _ = frames.tick() => self.reporter.tick(self.started.elapsed()),
                told = self.signals.next() => match told {
                    Told::End(number) => self.interrupted(number),
                    Told::Continue => canvas::forget(),
                },
            }
        }
        while self.watchers.join_next().await.is_some() {}
        while let Some(wrong) = self.hooks.next().await {
            self.hook_ended(wrong);
        }
        self.list_unsaved();
        let untold = self.reporter.take_untold();
        let mut code = match (&self.signal, &untold) {
            (Some(number), _) => exit::code_of_signal(*number),
            (None, Some(error)) if self.failures.is_empty() => exit::code(error.kind()),
            (None, _) => self.failures.code(),
        };
        if code == 0 && self.hooks_failed {
            code = exit::code(Kind::Other);
        }
        self.reporter.summary(&self.summary(code));
        if self.signal.is_some() {
            self.reporter.say(&format!("  next: {hint}"));
        }
        if let Some(error) = untold.or_else(|| self.reporter.take_untold()) {
            output::say_failure(&error);
            if code == 0 {
                // The summary itself could not be written.
                code = exit::code(error.kind());
            }
        }
        if self.marks.is_some() {
            let of_failures = self.last_code.filter(|_| self.signal.is_none() && !self.failures.is_empty());
            return Ok((of_failures.unwrap_or(aria2c::exit_code(code)), None));
        }
        Ok((code, self.signal))
    }

    fn summary(&self, code: u8) -> Summary {
        Summary {
            ok: self.ok,
            already_there: self.already_there,
            failed: self.failures.count(),
            causes: self.failures.by_cause(),
            not_started: self.not_started + self.count.saturating_sub(self.next_id),
            fetched: self.fetched,
            elapsed: self.started.elapsed(),
            code,
        }
    }

    fn hear(&mut self, message: Message) {
        match message {
            Message::Event(id, event) => {
                self.mark(id, &event);
                self.reporter.event(id, &event);
            }
            Message::Ended(id, outcome) => {
                self.cancellers.remove(&id);
                self.unmark(id);
                if let Some(incoming) = &mut self.incoming {
                    incoming.ended(id);
                }
                let line = self.lines.remove(&id);
                if let (Err(_), Some(line)) = (&*outcome, line) {
                    self.not_saved(&line);
                }
                match *outcome {
                    Ok(report) => {
                        self.hooks.done(&report);
                        self.ok += 1;
                        self.already_there += usize::from(report.already_there);
                        self.fetched += report.fetched;
                        self.reporter.done(id, &report);
                    }
                    Err(error) if error.kind() == Kind::Cancelled && self.waiting.contains(&id) => {
                        self.not_started += 1;
                        self.reporter.files.remove(&id);
                    }
                    Err(error) => {
                        self.failures.add(error.kind());
                        self.last_code = Some(aria2c::code_of(&error));
                        self.fetched += self.reporter.received(id);
                        let url = self.reporter.files.get(&id).map_or("", |file| &file.url);
                        self.hooks.failed(url, &error, exit::code(error.kind()));
                        self.reporter.error(id, &error);
                    }
                }
            }
        }
    }

    /// Adds a line to the list of what was not saved. If that fails, the list is given up, with an error.
    fn not_saved(&mut self, line: &str) {
        let added = self.unsaved.as_mut().map_or(Ok(()), |unsaved| unsaved.add(line));
        if let Err(error) = added {
            self.unsaved = None;
            self.list_failed(&Error::new(Kind::Disk, format!("cannot write the list of failures: {error}")));
        }
    }

    /// Completes the list, with what was never started.
    fn list_unsaved(&mut self) {
        if self.unsaved.is_none() {
            return;
        }
        while let Some(wanted) = self.next_left() {
            if let Ok(Wanted { line: Some(line), .. }) = wanted {
                self.not_saved(&line);
            }
        }
        if let Some(Err(error)) = self.unsaved.take().map(Unsaved::finish) {
            self.list_failed(&error);
        }
    }

    /// The next download that will not be started.
    fn next_left(&mut self) -> Option<Result<Wanted, Error>> {
        self.requests.next().or_else(|| self.incoming.as_mut()?.next_here())
    }

    fn list_failed(&mut self, error: &Error) {
        self.failures.add(error.kind());
        self.reporter.failed(error);
    }

    /// Marks an unfinished file for scripts that look for aria2's own file beside it.
    fn mark(&mut self, id: usize, event: &Event) {
        if let (Some(marks), Event::Started { path: Some(path), .. }) = (&mut self.marks, event) {
            let marker = aria2c::marker(path);
            // A file that cannot be marked is downloaded all the same.
            let _ = aria2c::write_marker(&marker);
            marks.insert(id, path.clone());
        }
    }

    /// Removes the mark of a file that is complete, or of which nothing is left.
    fn unmark(&mut self, id: usize) {
        if let Some(path) = self.marks.as_mut().and_then(|marks| marks.remove(&id))
            && crate::inspect(&path).is_err()
        {
            let _ = aria2c::remove_marker(&aria2c::marker(&path));
        }
    }

    fn hook_ended(&mut self, wrong: Option<String>) {
        if let Some(wrong) = wrong {
            self.hooks_failed = true;
            self.reporter.failed(&Error::new(Kind::Other, wrong));
        }
    }

    /// Handles a signal: the first one saves and ends, a second one does not wait for that.
    fn interrupted(&mut self, number: i32) {
        if self.signal.replace(number).is_some() {
            canvas::clear();
            signals::die_of(number);
        }
        self.reporter.interrupted(number);
        let waits = |id: &usize| {
            let file = self.reporter.files.get(id);
            file.is_some_and(|file| file.progress.borrow().phase == Phase::Queued)
        };
        self.waiting = self.cancellers.keys().copied().filter(waits).collect();
        for cancel in self.cancellers.values() {
            cancel();
        }
    }
}

/// Waits for the next download of a list that comes; for ever without one.
async fn next_of(incoming: &mut Option<Incoming<'_>>) -> Option<Result<Wanted, Error>> {
    match incoming {
        Some(incoming) => incoming.next().await,
        None => std::future::pending().await,
    }
}

/// Name of the file as the user knows it.
/// The list of what was not saved, if one is wanted.
fn unsaved_of(options: &Options) -> Result<Option<Unsaved>, Error> {
    // An entry of aria2's list says its directory itself.
    let base = if options.as_aria2 { Base::Here } else { options.base() };
    options.failed.as_deref().map(|path| Unsaved::create(path, &base)).transpose()
}

fn name(job: &Job, request: &Request) -> String {
    // A name within a directory of several files is shown as a whole.
    let proposed =
        job.name.as_ref().filter(|name| job.output.as_ref().is_some_and(|path| path.ends_with(name)));
    let name = match (proposed, request.planned_path()) {
        (Some(name), _) => Some(name.clone()),
        (None, Some(path)) => path.file_name().map(|name| name.to_string_lossy().into_owned()),
        (None, None) => ForeignName::from_url_path(request.address().path()).map(|name| name.to_string()),
    };
    escape::shown(&name.unwrap_or_else(|| request.address().to_string())).into_owned()
}

/// Forwards the events of one download, its end last.
async fn watch(id: usize, mut download: Download, messages: mpsc::Sender<Message>) {
    let events = download.events();
    let mut join = Box::pin(download.join());
    if let Some(mut events) = events {
        loop {
            tokio::select! {
                biased;
                Some(event) = events.recv() => {
                    let _ = messages.send(Message::Event(id, event)).await;
                }
                outcome = &mut join => {
                    while let Ok(event) = events.try_recv() {
                        let _ = messages.send(Message::Event(id, event)).await;
                    }
                    let _ = messages.send(Message::Ended(id, Box::new(outcome))).await;
                    return;
                }
            }
        }
    }
}
