//! `haul fleet`

use super::super::fleet_options::{FleetCommand, ReachOptions};
use super::super::fleet_server::server;
use super::super::output;
use super::super::runtime::small_runtime;
use super::submit::out_of_reach;
use crate::error::{Error, Kind};
use crate::fleet::{Queue, Status, WorkerSeen};
use crate::formats::escape;
use crate::formats::size::format_bytes;
use serde_json::{Value, json};
use std::process::ExitCode;

pub(in super::super) fn run(command: &FleetCommand) -> Result<ExitCode, Error> {
    match command {
        FleetCommand::Status { reach } => status(reach),
    }
}

fn status(reach: &ReachOptions) -> Result<ExitCode, Error> {
    let (server, names) = server(&reach.server, reach.cacert.clone(), reach.retry_max_time)?;
    let status = small_runtime()?.block_on(async {
        let connection = server.connect().await.map_err(|error| out_of_reach(error, reach.retry_max_time))?;
        Status::of(&Queue::new(connection, names)).await.map_err(|error| match error.kind() {
            Kind::NotFound => error.with_hint("haul submit makes it"),
            _ => error,
        })
    })?;
    match reach.json {
        true => output::print_json(&object(&status, &reach.server.stream))?,
        false => output::print(described(&status).as_bytes())?,
    }
    Ok(ExitCode::SUCCESS)
}

fn described(status: &Status) -> String {
    let Status { waiting, running, done, failed, dead, workers } = status;
    let mut text = format!(
        "waiting {waiting}, in progress {running}, done {done}, failed {failed}, dead letters {dead}\n\
         {} workers, {}/s\n",
        workers.len(),
        format_bytes(status.rate() as u64)
    );
    for WorkerSeen { name, running, done, failed, rate } in workers {
        text.push_str(&format!(
            "  {}: {running} in progress, {done} done, {failed} failed, {}/s\n",
            escape::for_terminal(name),
            format_bytes(*rate as u64)
        ));
    }
    text
}

fn object(status: &Status, stream: &str) -> Value {
    let worker = |worker: &WorkerSeen| {
        json!({
            "name": worker.name, "running": worker.running, "done": worker.done, "failed": worker.failed,
            "rate": worker.rate,
        })
    };
    json!({
        "v": 1, "event": "fleet", "stream": stream, "waiting": status.waiting, "running": status.running,
        "done": status.done, "failed": status.failed, "dead": status.dead, "rate": status.rate(),
        "workers": status.workers.iter().map(worker).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fleet_is_described_in_few_lines_and_in_one_object() {
        let worker = WorkerSeen { name: "a-1".into(), running: 2, done: 5, failed: 1, rate: 2048.0 };
        let status = Status { waiting: 3, running: 2, done: 5, failed: 1, dead: 1, workers: vec![worker] };
        assert_eq!(
            described(&status),
            "waiting 3, in progress 2, done 5, failed 1, dead letters 1\n1 workers, 2.0 KiB/s\n  \
             a-1: 2 in progress, 5 done, 1 failed, 2.0 KiB/s\n"
        );
        let object = object(&status, "haul");
        assert_eq!(
            (object["waiting"].as_u64(), object["workers"][0]["rate"].as_f64()),
            (Some(3), Some(2048.0))
        );
    }
}
