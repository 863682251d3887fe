//! `haul info URL...`, and `haul --dry-run`.

use super::super::args::Options;
use super::super::setup::Setup;
use super::super::{config, exit, output, render};
use super::runtime;
use crate::error::Error;
use crate::formats::escape;
use crate::formats::size::format_bytes;
use crate::{Client, Forecast, Plan, Request};
use serde_json::json;
use std::process::ExitCode;

pub(in super::super) fn run(options: Options, urls: &[String]) -> Result<ExitCode, Error> {
    let setup = Setup::open(config::fill(options)?, urls)?;
    setup.refuse_lists("haul info")?;
    plans(&setup.client()?, &setup.requests(urls)?, setup.options.json, setup.options.dry_run)
}

/// Shows the file behind each URL and, for a `dry_run`, the planned actions; nothing is written.
pub(super) fn plans(
    client: &Client,
    requests: &[Request],
    json: bool,
    dry_run: bool,
) -> Result<ExitCode, Error> {
    let runtime = runtime()?;
    let mut failures = Vec::new();
    for request in requests {
        match runtime.block_on(client.plan(request)) {
            Ok(plan) if json => output::print_json(&object(&plan))?,
            Ok(plan) => output::print(described(&plan, dry_run).as_bytes())?,
            Err(error) => {
                failures.push(error.kind());
                output::say_failure(&error);
                if json {
                    render::tell_error(&error, exit::code(error.kind()))?;
                }
            }
        }
    }
    Ok(exit::combined(&failures).into())
}

fn object(plan: &Plan) -> serde_json::Value {
    json!({
        "v": 1, "event": "plan", "url": plan.url, "final_url": plan.final_url, "size": plan.size,
        "ranges": plan.ranges, "etag": plan.etag, "last_modified": plan.last_modified,
        "strong_validator": plan.strong_validator, "media_type": plan.media_type,
        "suggested_name": plan.suggested_name, "path": plan.path.as_ref().map(|path| path.to_string_lossy()),
        "kept": plan.kept, "head_size": plan.head_size, "head": plan.head,
        "connections": plan.forecast.connections, "shortest_range": plan.forecast.shortest_range,
        "exists": plan.forecast.exists, "then": plan.forecast.then,
    })
}

fn described(plan: &Plan, dry_run: bool) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        text.push_str(&format!("{name:<12} {}\n", escape::shown(value)));
    };
    line("url", &plan.url);
    if plan.final_url != plan.url {
        line("leads to", &plan.final_url);
    }
    line(
        "size",
        &plan.size.map_or("unknown".to_owned(), |size| format!("{} ({size} bytes)", format_bytes(size))),
    );
    line(
        "ranges",
        match (plan.ranges, &plan.strong_validator) {
            (Some(true), Some(_)) => "yes: several connections, and resuming",
            (Some(true), None) => {
                "yes, but nothing shows which version a range is of: without a digest one connection, and no resuming"
            }
            (Some(false), _) => "no: one connection",
            (None, _) => "unknown",
        },
    );
    match (&plan.strong_validator, &plan.etag) {
        (Some(validator), _) => line("version", validator),
        (None, Some(etag)) => line("version", &format!("{etag} (weak)")),
        (None, None) => line("version", "unknown"),
    }
    if let Some(head) = &plan.head {
        line("beside it", head);
    }
    for (name, value) in
        [("modified", &plan.last_modified), ("type", &plan.media_type), ("their name", &plan.suggested_name)]
    {
        if let Some(value) = value {
            line(name, value);
        }
    }
    if let Some(path) = &plan.path {
        line("saved as", &path.to_string_lossy());
    }
    if plan.kept > 0 {
        line("kept", &format!("{} from an earlier run", format_bytes(plan.kept)));
    }
    if dry_run {
        line("connections", &planned(&plan.forecast));
        if let Some(exists) = plan.forecast.exists {
            line("target", if exists { "exists" } else { "does not exist" });
        }
        line("then", &plan.forecast.then);
    }
    text
}

/// Connections and ranges, in words.
fn planned(forecast: &Forecast) -> String {
    match (forecast.connections, forecast.shortest_range) {
        (0, _) => "none".to_owned(),
        (count, Some(shortest)) if count > 1 => {
            format!("up to {count}, with ranges of {} and more", format_bytes(shortest))
        }
        _ => "1, with everything in one answer".to_owned(),
    }
}
