//! `haul info URL...`, and `haul --dry-run`.

use super::super::args::Options;
use super::super::failures::Failures;
use super::super::runtime::runtime;
use super::super::setup::Setup;
use super::super::{config, exit, output, render};
use crate::error::Error;
use crate::formats::escape;
use crate::formats::size::format_bytes;
use crate::{Client, Forecast, Preview, Request};
use serde_json::json;
use std::process::ExitCode;

pub(in super::super) fn run(options: Options, urls: &[String]) -> Result<ExitCode, Error> {
    let setup = Setup::open(config::fill(options)?, urls)?;
    setup.refuse_lists("haul info")?;
    let requests = setup.described(urls)?.into_iter().map(|wanted| Ok(wanted.request));
    plans(&setup.client()?, requests, setup.options.json, setup.options.dry_run)
}

/// Shows the file behind each URL and, for a `dry_run`, the planned actions; nothing is written.
pub(super) fn plans(
    client: &Client,
    requests: impl Iterator<Item = Result<Request, Error>>,
    json: bool,
    dry_run: bool,
) -> Result<ExitCode, Error> {
    let runtime = runtime()?;
    let mut failures = Failures::default();
    for request in requests {
        let preview = request.and_then(|request| runtime.block_on(client.preview(&request)));
        match preview {
            Ok(preview) if json => output::print_json(&object(&preview))?,
            Ok(preview) => output::print(described(&preview, dry_run).as_bytes())?,
            Err(error) => {
                failures.add(error.kind());
                output::say_failure(&error);
                if json {
                    render::tell_error(&error, exit::code(error.kind()))?;
                }
            }
        }
    }
    Ok(failures.code().into())
}

fn object(preview: &Preview) -> serde_json::Value {
    json!({
        "v": 1, "event": "plan", "url": preview.url, "final_url": preview.final_url, "size": preview.size,
        "ranges": preview.ranges, "etag": preview.etag, "last_modified": preview.last_modified,
        "strong_validator": preview.strong_validator,
        "published": preview.published.iter().map(|(digest, field)| json!({ "digest": digest.to_string(), "field": field })).collect::<Vec<_>>(), "media_type": preview.media_type,
        "suggested_name": preview.suggested_name, "path": preview.path.as_ref().map(|path| path.to_string_lossy()),
        "kept": preview.kept, "head_size": preview.head_size, "head": preview.head,
        "connections": preview.forecast.connections, "shortest_range": preview.forecast.shortest_range,
        "exists": preview.forecast.exists, "then": preview.forecast.then,
    })
}

fn described(preview: &Preview, dry_run: bool) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        text.push_str(&format!("{name:<12} {}\n", escape::shown(value)));
    };
    line("url", &preview.url);
    if preview.final_url != preview.url {
        line("leads to", &preview.final_url);
    }
    line(
        "size",
        &preview.size.map_or("unknown".to_owned(), |size| format!("{} ({size} bytes)", format_bytes(size))),
    );
    line(
        "ranges",
        match (preview.ranges, &preview.strong_validator) {
            (Some(true), Some(_)) => "yes: several connections, and resuming",
            (Some(true), None) => {
                "yes, but nothing shows which version a range is of: without a digest one connection, and no resuming"
            }
            (Some(false), _) => "no: one connection",
            (None, _) => "unknown",
        },
    );
    match (&preview.strong_validator, &preview.etag) {
        (Some(validator), _) => line("version", validator),
        (None, Some(etag)) => line("version", &format!("{etag} (weak)")),
        (None, None) => line("version", "unknown"),
    }
    for (digest, field) in &preview.published {
        line("proof", &format!("{digest} ({field})"));
    }
    if preview.published.is_empty() {
        line(
            "proof",
            "no digest is published in the answer; --find-checksum looks for a list beside the file",
        );
    }
    if let Some(head) = &preview.head {
        line("beside it", head);
    }
    for (name, value) in [
        ("modified", &preview.last_modified),
        ("type", &preview.media_type),
        ("their name", &preview.suggested_name),
    ] {
        if let Some(value) = value {
            line(name, value);
        }
    }
    if let Some(path) = &preview.path {
        line("saved as", &path.to_string_lossy());
    }
    if preview.kept > 0 {
        line("kept", &format!("{} from an earlier run", format_bytes(preview.kept)));
    }
    if dry_run {
        line("connections", &planned(&preview.forecast));
        if let Some(exists) = preview.forecast.exists {
            line("target", if exists { "exists" } else { "does not exist" });
        }
        line("then", &preview.forecast.then);
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
