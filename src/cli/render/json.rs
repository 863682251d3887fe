//! Events as JSON, one object a line, on the standard output.

use super::{FileView, Render, Summary};
use crate::cli::{exit, output, remedy};
use crate::error::{Error, Kind};
use crate::formats::escape;
use crate::{Event, Notice, Phase, PieceProof, Progress, Proof, ProvedBy, Remedy, Report, Slowness};
use serde_json::{Value, json};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

/// Version of the event format. Fields may be added, never changed.
const VERSION: u32 = 1;
/// Shortest interval between two progress events of a file.
const PERIOD: Duration = Duration::from_secs(1);

#[derive(Default)]
pub(super) struct Json {
    /// Files that have started and not ended, with the time of the last progress event of each.
    told: BTreeMap<usize, Option<Duration>>,
    /// Signal that ended the run.
    signal: Option<i32>,
    /// First error of writing an event. It does no harm to a file, but a consumer of the events must know.
    untold: Option<Error>,
}

impl Json {
    fn emit(&mut self, mut object: Value, name: &str, id: Option<usize>) {
        if let Some(id) = id {
            object["id"] = id.into();
        }
        if let Err(error) = print(object, name) {
            self.untold.get_or_insert(error);
        }
    }

    /// Exit code of an error; a file cancelled by a signal has the code of that signal.
    fn code(&self, error: &Error) -> u8 {
        match self.signal {
            Some(number) if error.kind() == Kind::Cancelled => exit::code_of_signal(number),
            _ => exit::code(error.kind()),
        }
    }
}

fn print(mut object: Value, name: &str) -> Result<(), Error> {
    object["v"] = VERSION.into();
    object["event"] = name.into();
    output::print_json(&object)
}

/// Emits an error that belongs to no file: its `id` is null.
///
/// # Errors
/// See [`output::print`].
pub(in crate::cli) fn tell_error(error: &Error, code: u8) -> Result<(), Error> {
    let mut object = error_object(error, code, error.url());
    object["id"] = Value::Null;
    print(object, "error")
}

/// Emits the events of a run that failed before it came to its files.
pub(in crate::cli) fn tell_failed_run(error: &Error, code: u8) {
    // The run has failed already, so an output error changes nothing.
    let _ = tell_error(error, code).and_then(|()| tell_end(1, code));
}

/// Emits the summary of a run that came to no file.
///
/// # Errors
/// See [`output::print`].
pub(in crate::cli) fn tell_end(failed: usize, code: u8) -> Result<(), Error> {
    let summary = Summary {
        ok: 0,
        already_there: 0,
        failed,
        causes: Vec::new(),
        not_started: 0,
        fetched: 0,
        elapsed: Duration::ZERO,
        code,
    };
    print(summary_object(&summary), "summary")
}

/// Facts of a failure, as the event `error` states them.
#[cfg(feature = "fleet")]
pub(in crate::cli) fn facts_of_failure(error: &Error) -> Value {
    error_object(error, exit::code(error.kind()), error.url())
}

/// Facts of a download that succeeded, as the event `done` states them.
#[cfg(feature = "fleet")]
pub(in crate::cli) fn facts_of_report(report: &Report) -> Value {
    done_object(report)
}

fn done_object(report: &Report) -> Value {
    let digests: Vec<_> = report.digests.iter().map(ToString::to_string).collect();
    json!({
        "url": report.url,
        "path": report.path.as_ref().map(|path| path.to_string_lossy()),
        "already_there": report.already_there,
        "size": report.size,
        "fetched": report.fetched,
        "wasted": report.wasted,
        "resumed": report.resumed,
        "elapsed": report.elapsed.as_secs_f64(),
        "verifying": report.verifying.as_secs_f64(),
        "digests": digests,
        "proofs": report.proofs.iter().map(proof_object).collect::<Vec<_>>(),
        "pieces": report.pieces.as_ref().map(pieces_object),
        "sources": report.sources,
        "connections": report.connections,
        "retries": report.retries,
    })
}

fn error_object(error: &Error, code: u8, url: Option<&str>) -> Value {
    json!({
        "code": code,
        "kind": error.kind().name(),
        "message": error.to_string(),
        "url": url,
        "resumable": error.is_resumable(),
        "kept": error.kept(),
        "hint": remedy::advice(error).as_deref().map(clipped),
        "remedy": error.remedy().map(Remedy::name),
        "status": error.status(),
        "errno": error.errno(),
        "address": error.address().map(|address| address.to_string()),
        "phase": error.phase().map(Phase::name),
        "attempts": error.attempts(),
        "transient": error.is_transient(),
        "retry_after": error.retry_after().map(|wait| wait.as_secs_f64()),
    })
}

/// Clips a sentence. Values, such as URLs and paths, stay whole.
fn clipped(text: &str) -> Cow<'_, str> {
    escape::clip(text, escape::MOST_SHOWN)
}

fn summary_object(summary: &Summary) -> Value {
    json!({
        "ok": summary.ok,
        "already_there": summary.already_there,
        "failed": summary.failed,
        "causes": summary.causes.iter().copied().collect::<BTreeMap<_, _>>(),
        "not_started": summary.not_started,
        "fetched": summary.fetched,
        "elapsed": summary.elapsed.as_secs_f64(),
        "code": summary.code,
    })
}

fn proof_object(proof: &Proof) -> Value {
    let (by, name, signer) = match &proof.by {
        ProvedBy::Server(field) => ("server", Some(*field), None),
        ProvedBy::Document { name, .. } => ("document", Some(&name[..]), None),
        ProvedBy::SignedDocument { document, signer } => ("document", Some(&document[..]), Some(signer)),
        ProvedBy::Signature { document, signer } => ("signature", Some(&document[..]), Some(signer)),
        _ => ("request", None, None),
    };
    json!({
        "digest": proof.digest.to_string(), "by": by, "name": name, "weak": proof.is_weak,
        "key": signer.map(|signer| &signer.key_id),
        "trusted_comment": signer.map(|signer| clipped(&signer.trusted_comment)),
    })
}

fn pieces_object(proof: &PieceProof) -> Value {
    let (by, name) = match &proof.by {
        ProvedBy::Document { name, .. } => ("document", Some(name)),
        _ => ("request", None),
    };
    let algorithm = proof.algorithm.to_string();
    json!({ "count": proof.count, "algorithm": algorithm, "by": by, "name": name, "weak": proof.is_weak })
}

fn progress_object(progress: &Progress) -> Value {
    json!({
        "received": progress.received,
        "durable": progress.durable,
        "verified": progress.verified,
        "size": progress.size,
        "rate": progress.rate,
        "eta": progress.eta.map(|eta| eta.as_secs_f64()),
        "connections": progress.connections.len(),
        "stalled": progress.connections.iter().filter(|connection| connection.stalled).count(),
        "slowed_by": progress.slowed_by.as_ref().map(slowness_object),
    })
}

/// Reason for a limited rate. Facts that it does not have are null.
fn slowness_object(slowness: &Slowness) -> Value {
    let seconds = |time: Option<Duration>| time.map(|time| time.as_secs_f64());
    let (mut rate, mut behind, mut host, mut status, mut wait, mut quiet) =
        (None, None, None, None, None, None);
    match slowness {
        Slowness::Limit { rate: bytes } => rate = Some(*bytes),
        Slowness::Hash { behind: bytes } => behind = Some(*bytes),
        Slowness::Server { host: name, status: number, wait: pause } => {
            (host, status, wait) = (Some(name), *number, *pause);
        }
        Slowness::Silent { host: name, quiet: time } => (host, quiet) = (Some(name), Some(*time)),
        Slowness::Yielding | Slowness::Reader | Slowness::Disk => {}
    }
    json!({
        "reason": slowness.name(), "rate": rate, "behind": behind, "host": host, "status": status,
        "wait": seconds(wait), "quiet": seconds(quiet),
    })
}

impl Render for Json {
    fn started(&mut self, id: usize, _: &FileView, event: &Event) {
        // There is one start event per file; later ones are restarts.
        let name = if self.told.insert(id, None).is_some() { "restart" } else { "start" };
        if let Event::Started { url, path, size, resumed, connections } = event {
            let path = path.as_ref().map(|path| path.to_string_lossy());
            let object = json!({
                "url": url, "path": path, "size": size, "resumed": resumed, "connections": connections,
            });
            self.emit(object, name, Some(id));
        }
    }

    fn retry(&mut self, id: usize, event: &Event) {
        if let Event::Retry { cause, status, wait, attempt } = event {
            let object = json!({
                "cause": clipped(cause), "status": status, "wait": wait.as_secs_f64(), "attempt": attempt,
            });
            self.emit(object, "retry", Some(id));
        }
    }

    fn notice(&mut self, id: usize, notice: Notice, text: &str) {
        self.emit(json!({ "kind": notice.name(), "message": clipped(text) }), "notice", Some(id));
    }

    fn source(&mut self, id: usize, event: &Event) {
        let (url, state, cause) = match event {
            Event::Source { url, cause } => (url, "dropped", cause),
            Event::SourceAdded { url, cause } => (url, "added", cause),
            Event::SourceRefused { url, cause } => (url, "refused", cause),
            _ => return,
        };
        self.emit(json!({ "url": url, "state": state, "cause": clipped(cause) }), "source", Some(id));
    }

    fn tick(&mut self, files: &BTreeMap<usize, FileView>, elapsed: Duration) {
        for (id, file) in files {
            let last = self.told.get(id).copied().flatten();
            let fresh = last.is_some_and(|last| elapsed.saturating_sub(last) < PERIOD);
            let progress = file.progress.borrow().clone();
            if fresh
                || !self.told.contains_key(id)
                || !matches!(progress.phase, crate::Phase::Transferring | crate::Phase::Verifying)
            {
                continue;
            }
            self.told.insert(*id, Some(elapsed));
            self.emit(progress_object(&progress), "progress", Some(*id));
        }
    }

    fn done(&mut self, id: usize, _: &FileView, report: &Report) {
        self.told.remove(&id);
        self.emit(done_object(report), "done", Some(id));
    }

    fn error(&mut self, id: usize, file: &FileView, error: &Error) {
        self.told.remove(&id);
        let object = error_object(error, self.code(error), Some(&file.url));
        self.emit(object, "error", Some(id));
    }

    fn summary(&mut self, summary: &Summary) {
        self.emit(summary_object(summary), "summary", None);
    }

    fn failed(&mut self, error: &Error) {
        if let Err(error) = tell_error(error, self.code(error)) {
            self.untold.get_or_insert(error);
        }
    }

    fn interrupted(&mut self, number: i32) {
        self.signal = Some(number);
    }

    fn say(&mut self, line: &str) {
        output::say(line);
    }

    fn take_untold(&mut self) -> Option<Error> {
        self.untold.take()
    }
}
