//! `kill -9` in the middle, and the bytes that have to be fetched again.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::{Row, size, told};
use crate::Outcome;
use crate::arm::haul;
use crate::check::Check;
use crate::nginx::Nginx;
use crate::payload::{Payload, Random};
use crate::race::Track;

const CONNECTIONS: u64 = 8;
/// Eight connections of 12.5 MB/s.
const BYTES_A_SECOND: f64 = 100e6;
/// Bytes of one and a half seconds.
const BOUND: f64 = 1.5 * BYTES_A_SECOND;

/// One interrupted download.
struct Trial {
    moment: Duration,
    /// Body bytes that nginx sent in both runs together.
    sent: u64,
    /// Bytes that the second run reports as fetched.
    fetched: Option<u64>,
    wrong: Option<String>,
}

impl Trial {
    /// Bytes that came over the network more than once. Bytes that the killed process never took from its sockets count
    /// too.
    fn again(&self, payload: &Payload) -> f64 {
        self.sent as f64 - payload.size as f64
    }

    fn line(&self, payload: &Payload) -> String {
        let again = self.again(payload) / 1e6;
        let fetched = self.fetched.map_or("?".to_owned(), |bytes| format!("{:.1}", bytes as f64 / 1e6));
        let (moment, sent) = (self.moment.as_secs_f64(), self.sent as f64 / 1e6);
        let file = self.wrong.as_deref().unwrap_or("right");
        format!("| {moment:.2} | {sent:.1} | {fetched} | {again:.1} | {file} |")
    }
}

pub(crate) fn run(track: &Track<'_>, root: &Path, payload: &Payload) -> Outcome<Row> {
    let mut random = Random::new(track.options.seed);
    let whole = payload.size as f64 / BYTES_A_SECOND;
    let mut trials = Vec::new();
    for nth in 1..=track.options.kills() {
        // Not in the first or last hundredths, in which there may be nothing to kill.
        let moment = Duration::from_secs_f64(whole * (0.02 + 0.94 * random.fraction()));
        eprintln!("kill {nth} of {}: after {moment:.2?}", track.options.kills());
        trials.push(trial(track, root, payload, moment)?);
    }
    let wrong = |trial: &Trial| {
        let why = trial.wrong.as_ref()?;
        Some(format!("killed after {:.2?}: {why}", trial.moment))
    };
    Ok(Row {
        title: format!(
            "kill: kill -9 at {} moments of {} at 100 MB/s (8 × 12.5), then the same command again",
            trials.len(),
            size(payload.size)
        ),
        table: table(&trials, payload),
        checks: checks(&trials, payload),
        notes: vec!["Sent is counted from nginx's access log, not by haul.".to_owned()],
        wrong: trials.iter().filter_map(wrong).collect(),
    })
}

fn table(trials: &[Trial], payload: &Payload) -> Vec<String> {
    let mut lines = vec![
        "| killed after s | sent in both runs MB | second run says it fetched MB | fetched again MB | file |"
            .to_owned(),
        "|---:|---:|---:|---:|---|".to_owned(),
    ];
    lines.extend(trials.iter().map(|trial| trial.line(payload)));
    lines
}

fn checks(trials: &[Trial], payload: &Payload) -> Vec<Check> {
    let worst = trials.iter().map(|trial| trial.again(payload)).fold(f64::NEG_INFINITY, f64::max);
    let right = trials.iter().filter(|trial| trial.wrong.is_none()).count();
    vec![
        Check::at_most("fetched again, worst kill", worst / 1e6, BOUND / 1e6, " MB"),
        Check::at_least("files right", right as f64, trials.len() as f64, ""),
    ]
}

/// Runs a trial with a server of its own, so that its log is that trial's alone.
fn trial(track: &Track<'_>, root: &Path, payload: &Payload, moment: Duration) -> Outcome<Trial> {
    let nginx = Nginx::start(&track.tools.nginx, track.workshop, root)?;
    let directory = track.workshop.fresh("output")?;
    let output = directory.join("file.bin");
    let url = format!("http://{}/12.5-megabytes/{}", nginx.address(), payload.name);
    let command = || {
        let mut command = haul(&url, &output, Some(CONNECTIONS));
        command.args(["--json", "--sha256", &payload.sha256]);
        command
    };
    kill_after(command(), moment)?;
    let (fetched, failed) = finish(command())?;
    let wrong = failed.or_else(|| payload.difference(&output));
    fs::remove_dir_all(&directory)?;
    Ok(Trial { moment, sent: sent(&nginx.stop()?), fetched, wrong })
}

fn kill_after(mut command: Command, moment: Duration) -> Outcome<()> {
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let mut child = command.stderr(Stdio::null()).spawn()?;
    std::thread::sleep(moment);
    child.kill()?;
    child.wait()?;
    Ok(())
}

/// Runs the command to its end; returns the bytes it reports as fetched, and the error if it failed.
fn finish(mut command: Command) -> Outcome<(Option<u64>, Option<String>)> {
    let output = command.stdin(Stdio::null()).output()?;
    let events = String::from_utf8_lossy(&output.stdout);
    let complaints = String::from_utf8_lossy(&output.stderr);
    let line = complaints.lines().last().unwrap_or("no message");
    let failed = (!output.status.success()).then(|| format!("{}: {line}", output.status));
    Ok((told(&events, "fetched").and_then(|bytes| bytes.as_u64()), failed))
}

/// Body bytes of the responses that carried payload; the page of a 404 or 503 is none.
fn sent(requests: &[Value]) -> u64 {
    requests
        .iter()
        .filter(|request| matches!(request["status"].as_u64(), Some(200 | 206)))
        .filter_map(|request| request["body_bytes"].as_u64())
        .sum()
}
