//! `haul worker`

use super::super::args::{Exists, Options};
use super::super::failures::Failures;
use super::super::fleet_options::WorkerOptions;
use super::super::fleet_server::server;
use super::super::runtime::runtime;
use super::super::setup::{By, Setup};
use super::super::signals;
use super::super::{config, exit, of_one_run, output, render};
use super::submit::out_of_reach;
use crate::Job;
use crate::error::Error;
use crate::fleet::{Ended, Queue, Told, Words, Worker, WorkerSettings};
use crate::formats::escape;
use crate::formats::size::format_bytes;
use crate::sys::process;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

/// Jobs at once unless the user says otherwise.
const WIDTH: u16 = 8;
/// Shortest lease: below it the messages take a good part of it.
const SHORTEST_LEASE: Duration = Duration::from_secs(1);

pub(in super::super) fn run(given: &WorkerOptions, options: Options) -> Result<ExitCode, Error> {
    refuse_of_one_run(&options)?;
    if options.if_exists.is_some_and(|policy| !matches!(policy, Exists::Auto | Exists::Skip)) {
        return Err(Error::usage(
            "a job may be given out twice: --if-exists is auto or skip, so that its file is saved once",
        ));
    }
    if given.lease.is_some_and(|lease| lease < SHORTEST_LEASE) {
        return Err(Error::usage("--lease: at least 1s"));
    }
    let mut options = config::fill(options)?;
    // A policy of the configuration is for other runs.
    options.if_exists = options.if_exists.filter(|policy| matches!(policy, Exists::Auto | Exists::Skip));
    let mut setup = Setup::open(options, &[])?;
    let directory = directory(setup.options.dir.as_deref())?;
    setup.root = Some(directory.clone());
    let patience = setup.options.retry_max_time;
    let (server, names) = server(&given.server, setup.options.cacert.clone(), patience)?;
    let stream = names.jobs().to_owned();
    let width = *setup.options.jobs.get_or_insert(WIDTH);
    // Without a limit there is room for all.
    let _ = process::raise_descriptor_limit();
    let settings = WorkerSettings {
        lease: given.lease,
        max_deliver: given.max_deliver,
        width: usize::from(width),
        per_host: given.per_host,
        until_empty: given.until_empty,
    };
    let (json, quiet) = (setup.options.wants_json(), setup.options.quiet);
    let runtime = runtime()?;
    let ended = runtime.block_on(async {
        let mut signals = signals::listen()?;
        let connected = tokio::select! {
            connected = server.connect() => connected.map_err(|error| out_of_reach(error, patience)),
            number = signals.end() => Err(signals::interrupted(number, "connecting")),
        };
        let worker = Worker::open(Queue::new(connected?, names), settings).await?;
        bound_by_lease(&mut setup.options, worker.lease());
        let client = setup.client()?;
        if !quiet {
            output::say(format_args!(
                "haul: worker {} takes jobs of {stream} at {server}, with a lease of {} s",
                worker.name(),
                worker.lease().as_secs_f64()
            ));
        }
        Box::pin(worker.run(client, words(setup, directory, json, quiet), async move { signals.end().await }))
            .await
    });
    runtime.shutdown_background();
    let ended = ended?;
    let failures: Failures = ended.kinds.iter().copied().collect();
    let code = ended.signal.map_or(failures.code(), exit::code_of_signal);
    summarise(&ended, code, json, quiet)?;
    if let Some(signal) = ended.signal {
        signals::die_of(signal);
    }
    Ok(code.into())
}

/// Refuses flags that have no meaning for a worker: submitters say what a job is.
///
/// # Errors
/// `Usage`.
fn refuse_of_one_run(options: &Options) -> Result<(), Error> {
    let lists = options.input_file.is_some() || options.metalink.is_some();
    let more = [("-i and --metalink", lists), ("--restart", options.restart)];
    of_one_run::refuse(options, &more, |flag| {
        format!("haul worker has no use for {flag}: lists say that of each job")
    })
}

/// Lets no download wait for longer without a byte than its lease lasts: then another worker has a try.
fn bound_by_lease(options: &mut Options, lease: Duration) {
    let bounded = |time: &mut Option<Duration>, usual: Duration| {
        *time = Some(time.unwrap_or(usual).min(lease / 2));
    };
    bounded(&mut options.retry_max_time, lease / 2);
    bounded(&mut options.connect_timeout, Duration::from_secs(10));
    bounded(&mut options.first_byte_timeout, Duration::from_secs(30));
    bounded(&mut options.stall_timeout, Duration::from_secs(30));
}

/// Directory that no job leaves, created if it is missing.
fn directory(given: Option<&Path>) -> Result<PathBuf, Error> {
    let given = given.unwrap_or(Path::new("."));
    let made = fs::create_dir_all(given).and_then(|()| given.canonicalize());
    made.map_err(|error| Error::disk("cannot open the directory", given, &error))
}

/// The job as a worker carries it out: below its directory, by its proxy, and without waits of the submitter's that a lease may not outlast.
fn bound(mut job: Job, directory: &Path) -> Job {
    // A job may be given out twice: it neither replaces a file nor begins anew nor takes another name.
    (job.options.if_exists, job.options.restart) = (None, None);
    // The secrets of this worker would go by way of it.
    job.options.proxy = None;
    (job.options.retries, job.options.retry_wait) = (None, None);
    (job.options.connect_timeout, job.options.timeout) = (None, None);
    job.dir = job.dir.map(|below| directory.join(below));
    job
}

fn words(setup: Setup, directory: PathBuf, json: bool, quiet: bool) -> Words {
    let verbose = setup.options.verbose > 0;
    let resolve =
        move |job: Job| setup.resolved(bound(job, &directory), By::User).map(|wanted| wanted.request);
    let tell = move |told: &Told<'_>| match told {
        Told::Event(event) if json => {
            // The results are in their stream as well.
            let _ = output::print_json(event);
        }
        Told::Event(event) => {
            if let Some(line) = line(event, verbose).filter(|_| !quiet) {
                output::say(escape::for_terminal(&line));
            }
        }
        Told::Paused(time) if !quiet => output::say(format_args!(
            "haul: warning: the disk is at fault; no jobs are taken for {} s",
            time.as_secs()
        )),
        Told::LeaseLost(id) if verbose => {
            output::say(format_args!(
                "haul: note: the lease of job {id} has run out; another worker may have it"
            ));
        }
        Told::Paused(_) | Told::LeaseLost(_) => {}
    };
    Words {
        resolve: Arc::new(resolve),
        done: render::facts_of_report,
        failed: render::facts_of_failure,
        tell: Arc::new(tell),
    }
}

/// Line about an event for a person.
fn line(event: &Value, verbose: bool) -> Option<String> {
    let text = |key: &str| event[key].as_str().unwrap_or_default();
    let place = match (event["list"].as_str(), event["line"].as_u64()) {
        (Some(list), Some(line)) => format!("{list}: line {line}: "),
        _ => String::new(),
    };
    match text("event") {
        "done" if verbose => Some(format!(
            "haul: {}: {}",
            text("path"),
            format_bytes(event["size"].as_u64().unwrap_or_default())
        )),
        "error" => Some(format!("haul: {place}{}: laid aside: {}", text("url"), text("message"))),
        "retry" if verbose => {
            let wait = event["wait"].as_f64().unwrap_or_default();
            Some(format!("haul: {place}{}: {}; again in {wait} s", text("url"), text("message")))
        }
        _ => None,
    }
}

fn summarise(ended: &Ended, code: u8, json: bool, quiet: bool) -> Result<(), Error> {
    let Ended { done, dead, later, .. } = ended;
    if json {
        return output::print_json(&json!({
            "v": 1, "event": "summary", "ok": done, "failed": dead, "handed_back": later, "code": code,
        }));
    }
    if !quiet {
        output::say(format_args!("haul: {done} jobs done, {dead} laid aside, {later} handed back"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_waits_for_longer_than_half_a_lease() {
        let mut options = Options { stall_timeout: Some(Duration::from_secs(2)), ..Options::default() };
        bound_by_lease(&mut options, Duration::from_secs(10));
        assert_eq!(options.stall_timeout, Some(Duration::from_secs(2)));
        for bounded in [options.retry_max_time, options.connect_timeout, options.first_byte_timeout] {
            assert_eq!(bounded, Some(Duration::from_secs(5)));
        }
    }

    #[test]
    fn a_job_stays_below_the_directory_and_names_neither_proxy_nor_waits() {
        let mut job = Job::new("http://h/f");
        job.dir = Some("below".into());
        job.options.proxy = Some("http://evil:80".into());
        (job.options.timeout, job.options.retry_wait) = (Some(3600), Some(3600));
        let job = bound(job, Path::new("/data"));
        assert_eq!(job.dir.as_deref(), Some(Path::new("/data/below")));
        assert_eq!(job.options, crate::JobOptions::default());
        assert_eq!(bound(Job::new("http://h/f"), Path::new("/data")).dir, None);
    }

    #[test]
    fn a_person_reads_of_failures_and_of_the_rest_if_wanted() {
        let event = json!({
            "event": "error", "list": "l.txt", "line": 3, "url": "http://h/f", "message": "404 Not Found",
        });
        let said = "haul: l.txt: line 3: http://h/f: laid aside: 404 Not Found";
        assert_eq!(line(&event, false).as_deref(), Some(said));
        let done = json!({ "event": "done", "path": "f", "size": 5 });
        assert_eq!(line(&done, false), None);
        assert_eq!(line(&done, true).as_deref(), Some("haul: f: 5 B"));
    }
}
