//! `haul submit LIST...`

use super::super::args::Options;
use super::super::fleet_options::SubmitOptions;
use super::super::fleet_server::server;
use super::super::list::List;
use super::super::output;
use super::super::runtime::small_runtime;
use super::super::setup::Setup;
use super::fetch;
use crate::error::{Error, Kind};
use crate::fleet::{Place, Posting, Queue, Submission, Submitted};
use serde_json::json;
use std::process::ExitCode;
use std::time::Duration;

pub(in super::super) fn run(given: &SubmitOptions) -> Result<ExitCode, Error> {
    let reach = &given.reach;
    let (server, names) = server(&reach.server, reach.cacert.clone(), reach.retry_max_time)?;
    // Only the lists count: what the configuration has for some hosts is of this machine, and stays here.
    let setup = Setup::open(Options { quiet: given.quiet, ..Options::default() }, &[])?;
    let lists = given.lists.iter().map(|path| List::read(path)).collect::<Result<Vec<_>, _>>()?;
    // Everything that can be wrong with a list is reported before anything of it is submitted.
    let count = fetch::check_lists(&lists, &setup)?;
    let submitted = small_runtime()?.block_on(async {
        let connection = server.connect().await.map_err(|error| out_of_reach(error, reach.retry_max_time))?;
        let submission = Submission::open(Queue::new(connection, names), given.duplicate_window).await?;
        let window = submission.window();
        submit(submission, &lists, &setup, count).await.map(|submitted| (submitted, window))
    });
    let (Submitted { added, known }, window) = submitted?;
    if reach.json {
        output::print_json(&json!({
            "v": 1, "event": "submitted", "added": added, "known": known, "window": window.as_secs_f64(),
            "stream": reach.server.stream,
        }))?;
    } else if !given.quiet {
        let known = match known {
            0 => String::new(),
            known => format!("; {known} not again: submitted within the last {} s", window.as_secs()),
        };
        output::say(format_args!("haul: {added} jobs submitted{known}"));
    }
    Ok(ExitCode::SUCCESS)
}

async fn submit(
    mut submission: Submission,
    lists: &[List],
    setup: &Setup,
    count: usize,
) -> Result<Submitted, Error> {
    let torn = |Submitted { added, known }: Submitted, error: Error| {
        let cause = format!("{error}; {} of {count} jobs are submitted", added + known);
        error.retold(cause).with_hint("run the same command again: what is submitted is not added again")
    };
    for list in lists {
        for listed in list.requests(setup) {
            let (place, wanted) = listed?;
            let place = Place { list: Some(list.shown().to_owned()), line: Some(place.line as u64) };
            let posting = Posting { job: wanted.job, place };
            if let Err(error) = submission.submit(&posting, &wanted.request).await {
                return Err(torn(submission.confirmed(), error));
            }
        }
    }
    submission.end().await.map_err(|(submitted, error)| torn(submitted, error))
}

/// Adds the next step to the error of a server that is not there, or wants other credentials.
pub(super) fn out_of_reach(error: Error, patience: Option<Duration>) -> Error {
    match error.kind() {
        Kind::Network if patience.is_none() => {
            error.with_hint("is it running? --retry-max-time TIME waits for it")
        }
        Kind::Auth => error.with_hint("give the credentials with --creds FILE, or in NATS_URL"),
        _ => error,
    }
}
