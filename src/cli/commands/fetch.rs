//! `haul URL...`

use super::super::args::{Options, Style};
use super::super::render::{FileView, Reporter, Summary};
use super::super::{config, exit, list, resume_hint, session, signals};
use super::{info, runtime};
use crate::error::{Error, Kind};
use crate::formats::escape;
use crate::{Client, Download, Event, Output, Report, Request};
use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::File;
use std::os::fd::AsFd as _;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// How often the screen is looked after.
const FRAME: Duration = Duration::from_millis(100);

pub(in super::super) fn run(options: Options, urls: &[String], args: &[OsString]) -> Result<ExitCode, Error> {
    let options = config::fill(options)?;
    let mut requests =
        urls.iter().map(|url| session::request(url, &options)).collect::<Result<Vec<_>, _>>()?;
    match &options.input_file {
        Some(path) => requests.extend(list::requests(path, &options)?),
        None if urls.is_empty() => {
            return Err(Error::usage("there is no URL").with_hint("haul --help shows what there is"));
        }
        None => {}
    }
    if requests.is_empty() {
        eprintln!("haul: note: the list names nothing to download");
        return Ok(ExitCode::SUCCESS);
    }
    refuse_contradictions(&options, requests.len())?;
    refuse_one_name_for_two(&requests)?;
    let requests = bounded_by_files(options.jobs, requests);
    let client = session::client(&options)?;
    if options.dry_run {
        return info::plans(&client, &requests, options.json);
    }
    let requests = if streams(&options) { with_output(requests)? } else { requests };
    fetch(&options, &client, requests, Vec::new(), args)
}

/// Two downloads of one run to one file would only find each other in the way.
fn refuse_one_name_for_two(requests: &[Request]) -> Result<(), Error> {
    let mut seen = HashSet::new();
    match requests.iter().filter_map(Request::planned_path).find(|path| !seen.insert(path.clone())) {
        Some(path) => Err(Error::usage(format!(
            "two of the URLs would be saved as {}",
            escape::for_terminal(&path.to_string_lossy())
        ))
        .with_hint("give them names or directories of their own, in a list (-i) or in runs of their own")),
        None => Ok(()),
    }
}

/// Files that a run needs beside those of its downloads, and those of one download beside its connections.
const OWN_FILES: u64 = 32;
const FILES_EACH: u64 = 4;

/// Raises the limit of open files as far as it goes, and lowers the number of connections where that is not enough.
fn bounded_by_files(jobs: Option<u16>, requests: Vec<Request>) -> Vec<Request> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let may = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    let Some(may) = may else {
        return requests;
    };
    let jobs = jobs.map_or(4, u64::from).min(requests.len() as u64).max(1);
    let most = (may.saturating_sub(OWN_FILES) / jobs).saturating_sub(FILES_EACH).max(1);
    if requests.iter().all(|request| request.allowance().most() as u64 <= most) {
        return requests;
    }
    eprintln!(
        "haul: warning: {may} files may be open at once, so each download has {most} connections at most"
    );
    let lowered = |mut request: Request| {
        request.most_connections = usize::try_from(most).unwrap_or(usize::MAX);
        request
    };
    requests.into_iter().map(lowered).collect()
}

fn streams(options: &Options) -> bool {
    options.output.as_ref().is_some_and(|path| path.as_os_str() == "-")
}

fn refuse_contradictions(options: &Options, urls: usize) -> Result<(), Error> {
    let digests = session::digests(&options.digests)?;
    if urls > 1 && options.output.is_some() {
        return Err(
            Error::usage("-o names one file, but there are several URLs").with_hint("use -d for a directory")
        );
    }
    if urls > 1 && !digests.is_empty() {
        return Err(Error::usage("a digest belongs to one file, but there are several URLs"));
    }
    if urls > 1 && !options.mirror.is_empty() {
        return Err(Error::usage("a mirror belongs to one file, but there are several URLs"));
    }
    if streams(options) {
        let wants_file =
            options.dir.is_some() || options.content_disposition || options.remote_time || options.restart;
        let json = options.json || options.progress == Some(Style::Json);
        if json {
            return Err(Error::usage("--json and -o - both want the standard output"));
        }
        if wants_file || options.if_exists.is_some() {
            return Err(Error::usage(
                "-o - makes no file, so there is nothing that flags for files could apply to",
            ));
        }
    }
    Ok(())
}

/// The standard output, without the line buffer that the library puts before it.
fn with_output(requests: Vec<Request>) -> Result<Vec<Request>, Error> {
    let failed =
        |error: std::io::Error| Error::new(Kind::Disk, format!("cannot write to the output: {error}"));
    requests
        .into_iter()
        .map(|mut request| {
            let handle = std::io::stdout().as_fd().try_clone_to_owned().map_err(failed)?;
            request.output = Output::Stream(Box::new(File::from(handle)));
            Ok(request)
        })
        .collect()
}

/// Downloads everything, shows it, and ends; `earlier` are failures from before that count as well. Ends with the right code, or of the signal that interrupted it.
pub(super) fn fetch(
    options: &Options,
    client: &Client,
    requests: Vec<Request>,
    earlier: Vec<Kind>,
    args: &[OsString],
) -> Result<ExitCode, Error> {
    let runtime = runtime()?;
    let outcome =
        runtime.block_on(async { Batch::start(options, client, requests, earlier)?.run(args).await });
    // A thread that is stuck writing to a pipe nobody reads must not keep the process.
    runtime.shutdown_background();
    let (code, signal) = outcome?;
    if let Some(signal) = signal {
        signals::die_of(signal);
    }
    Ok(code.into())
}

/// What happens to one of the files.
enum Message {
    Event(usize, Event),
    Ended(usize, Result<Report, Error>),
}

struct Batch {
    reporter: Reporter,
    messages: mpsc::Receiver<Message>,
    cancellers: Vec<Box<dyn Fn() + Send + Sync>>,
    watchers: JoinSet<()>,
    signals: signals::Signals,
    started: Instant,
    running: usize,
    ok: usize,
    failures: Vec<Kind>,
    fetched: u64,
    signal: Option<i32>,
}

impl Batch {
    #[expect(clippy::disallowed_methods, reason = "the screen has its own clock")]
    fn start(
        options: &Options,
        client: &Client,
        requests: Vec<Request>,
        failures: Vec<Kind>,
    ) -> Result<Self, Error> {
        let signals = signals::Signals::listen()?;
        let (sender, messages) = mpsc::channel(256);
        let mut watchers = JoinSet::new();
        let (mut files, mut cancellers) = (Vec::new(), Vec::<Box<dyn Fn() + Send + Sync>>::new());
        for (id, request) in requests.into_iter().enumerate() {
            let (name, url) = (name(&request), request.address().to_string());
            let download = client.start(request);
            files.push(FileView { name, url, progress: download.progress(), ended: false });
            cancellers.push(Box::new(download.canceller()));
            watchers.spawn(watch(id, download, sender.clone()));
        }
        let mut reporter = Reporter::new(session::screen(options), files);
        if options.insecure {
            reporter.say("haul: warning: --insecure: certificates are not checked, nobody knows who answers");
        }
        Ok(Self {
            running: reporter.files.len(),
            reporter,
            messages,
            cancellers,
            watchers,
            signals,
            started: Instant::now(),
            ok: 0,
            failures,
            fetched: 0,
            signal: None,
        })
    }

    async fn run(mut self, args: &[OsString]) -> Result<(u8, Option<i32>), Error> {
        let mut frames = tokio::time::interval(FRAME);
        while self.running > 0 {
            tokio::select! {
                Some(message) = self.messages.recv() => self.hear(message),
                _ = frames.tick() => self.reporter.tick(self.started.elapsed()),
                number = self.signals.next() => self.interrupted(number),
            }
        }
        while self.watchers.join_next().await.is_some() {}
        let code = if self.signal.is_some() { 130 } else { exit::combined(&self.failures) };
        self.reporter.summary(&Summary {
            ok: self.ok,
            failed: self.failures.len(),
            fetched: self.fetched,
            elapsed: self.started.elapsed(),
            code,
        });
        if self.signal.is_some() {
            self.tell_how_to_resume(args);
        }
        Ok((code, self.signal))
    }

    fn hear(&mut self, message: Message) {
        match message {
            Message::Event(id, event) => self.reporter.event(id, &event),
            Message::Ended(id, outcome) => {
                self.running -= 1;
                match outcome {
                    Ok(report) => {
                        self.ok += 1;
                        self.fetched += report.fetched;
                        self.reporter.done(id, &report);
                    }
                    Err(error) => {
                        self.failures.push(error.kind());
                        self.reporter.error(id, &error);
                    }
                }
            }
        }
    }

    /// The first signal saves and ends; a second one does not wait for that.
    fn interrupted(&mut self, number: i32) {
        if self.signal.replace(number).is_some() {
            signals::die_of(number);
        }
        for cancel in &self.cancellers {
            cancel();
        }
    }

    fn tell_how_to_resume(&mut self, args: &[OsString]) {
        match resume_hint::command(args) {
            Some(command) => self.reporter.say(&format!("  next: {command}")),
            None => self.reporter.say("  next: run the same command again to resume"),
        }
    }
}

/// The name a person knows the file by.
fn name(request: &Request) -> String {
    let name = match &request.output {
        Output::File(path) => path.file_name().map(|name| name.to_string_lossy().into_owned()),
        Output::Named | Output::Stream(_) => {
            crate::formats::file_name::from_url_path(request.address().path())
        }
    };
    escape::for_terminal(&name.unwrap_or_else(|| request.address().to_string())).into_owned()
}

/// Passes on what happens to one download, its end last.
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
                    let _ = messages.send(Message::Ended(id, outcome)).await;
                    return;
                }
            }
        }
    }
}
