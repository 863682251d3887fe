//! `haul info URL...`, and `haul --dry-run`.

use super::super::args::Options;
use super::super::failures::Failures;
use super::super::list::List;
use super::super::runtime::runtime;
use super::super::setup::Setup;
use super::super::{columns, config, exit, output, render};
use super::status::{age, rough};
use crate::error::Error;
use crate::formats::escape;
use crate::formats::size::{format_bytes, format_duration};
use crate::{Client, Forecast, Inspection, MirrorPreview, NameSource, Preview, Remembered, Request};
use serde_json::{Value, json};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

pub(in super::super) fn run(options: Options, urls: &[String]) -> Result<ExitCode, Error> {
    let setup = Setup::open(config::fill(options)?, urls)?;
    if setup.options.input_file.is_some() {
        return Err(Error::usage("haul info takes no list: -i makes no sense with it")
            .with_hint("haul -n -i FILE shows what would be done with each"));
    }
    let mut requests: Vec<_> = setup.described(urls)?.into_iter().map(|wanted| Ok(wanted.request)).collect();
    if let Some(named) = &setup.options.metalink {
        let list = List::metalink(named, &setup)?;
        requests.extend(list.requests(&setup).map(|listed| listed.map(|(_, wanted)| wanted.request)));
    }
    plans(&setup.client()?, requests.into_iter(), setup.options.json, setup.options.dry_run)
}

/// Shows the file behind each URL and, for a `dry_run`, the planned actions; nothing is written.
pub(super) fn plans(
    client: &Client,
    requests: impl Iterator<Item = Result<Request, Error>>,
    json: bool,
    dry_run: bool,
) -> Result<ExitCode, Error> {
    let runtime = runtime()?;
    let (mut failures, mut is_first) = (Failures::default(), true);
    for request in requests {
        let preview = request.and_then(|request| runtime.block_on(client.preview_in_depth(&request)));
        match preview {
            Ok(preview) if json => output::print_json(&object(&preview))?,
            Ok(preview) => {
                let age = preview.left.as_ref().and_then(age);
                let facts = described(&preview, age, dry_run);
                let gap = if std::mem::take(&mut is_first) { "" } else { "\n" };
                let text = format!("{gap}{}", columns::aligned(&facts, output::columns()));
                output::print(text.as_bytes())?;
            }
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

fn object(preview: &Preview) -> Value {
    let proof = |(digest, field): &(crate::Digest, &str)| json!({ "digest": digest.to_string(), "field": field, "weak": is_weak(preview, digest) });
    let redirect = |one: &crate::Redirected| json!({ "status": one.status, "to": one.to });
    let mirror = |mirror: &MirrorPreview| {
        let MirrorPreview { url, is_asked, size, ranges, problem } = mirror;
        json!({ "url": url, "asked": is_asked, "size": size, "ranges": ranges, "problem": problem })
    };
    json!({
        "v": 1, "event": "plan", "url": preview.url, "final_url": preview.final_url, "size": preview.size,
        "redirects": preview.redirects.iter().map(redirect).collect::<Vec<_>>(),
        "protocol": preview.http, "tls": preview.tls, "http2": preview.http2,
        "ranges": preview.ranges, "ranges_promised": preview.ranges_promised,
        "etag": preview.etag, "last_modified": preview.last_modified, "strong_validator": preview.strong_validator,
        "published": preview.published.iter().map(proof).collect::<Vec<_>>(), "media_type": preview.media_type,
        "mirrors": preview.mirrors.iter().map(mirror).collect::<Vec<_>>(),
        "suggested_name": preview.suggested_name, "path": preview.path.as_ref().map(|path| path.to_string_lossy()),
        "named_mirrors": preview.named_mirrors, "name_from": preview.name_source.map(NameSource::name), "kept": preview.kept,
        "left": preview.left.as_ref().map(left_object), "remembered": preview.remembered.map(remembered_object),
        "head_size": preview.head_size, "head": preview.head,
        "connections": preview.forecast.connections, "shortest_range": preview.forecast.shortest_range,
        "exists": preview.forecast.exists, "then": preview.forecast.then,
    })
}

fn left_object(left: &Inspection) -> Value {
    let modified = left.modified.and_then(|modified| modified.duration_since(SystemTime::UNIX_EPOCH).ok());
    json!({
        "part": format!("{}.part", left.path.to_string_lossy()), "durable": left.durable, "size": left.size,
        "version": left.version, "running": left.running, "modified": modified.map(|time| time.as_secs()),
    })
}

fn remembered_object(remembered: Remembered) -> Value {
    let Remembered { connections, rate, serves, .. } = remembered;
    json!({ "connections": connections, "rate": rate, "serves": serves })
}

/// Facts with their labels; `age` is that of what an earlier run left.
fn described(preview: &Preview, age: Option<Duration>, dry_run: bool) -> Vec<(&'static str, String)> {
    let mut facts = vec![("url", preview.url.clone())];
    facts.extend(preview.redirects.iter().map(|one| ("redirect", format!("{} to {}", one.status, one.to))));
    facts.push(("length", length(preview.size)));
    facts.push(("ranges", ranges(preview)));
    facts.push(("validator", validator(preview)));
    facts.extend(proofs(preview));
    let given =
        [("advice", &preview.head), ("modified", &preview.last_modified), ("type", &preview.media_type)];
    facts.extend(given.into_iter().filter_map(|(label, value)| Some((label, value.clone()?))));
    facts.push(("protocol", protocol(preview)));
    facts.extend(preview.mirrors.iter().map(|mirror| ("mirror", mirrored(mirror, preview.size))));
    facts.extend(preview.named_mirrors.iter().map(|url| ("mirror", named(preview, url))));
    facts.extend(names(preview));
    if let Some(left) = &preview.left {
        facts.push(("left", left_by_a_run(left, age)));
    }
    if let Some(remembered) = &preview.remembered {
        facts.push(("likely speed", likely(remembered, preview.size)));
    }
    if dry_run {
        facts.extend(planned(&preview.forecast));
    }
    for (_, value) in &mut facts {
        *value = escape::shown(value).into_owned();
    }
    facts
}

fn length(size: Option<u64>) -> String {
    size.map_or("unknown".to_owned(), |size| format!("{} ({size} bytes)", format_bytes(size)))
}

/// Use of ranges as it was tried, whatever the server promises.
fn ranges(preview: &Preview) -> String {
    let broken = if preview.ranges_promised == Some(true) { ", although they are promised" } else { "" };
    match (preview.ranges, &preview.strong_validator) {
        (Some(true), Some(_)) => "yes, as tried: several connections, and resuming".to_owned(),
        (Some(true), None) => {
            "yes, but nothing shows which version a range is of: without a digest one connection, \
                               and no resuming"
                .to_owned()
        }
        (Some(false), _) => format!("no{broken}: one connection"),
        (None, _) => "unknown".to_owned(),
    }
}

/// Validator and its strength (RFC 9110 §8.8.1).
fn validator(preview: &Preview) -> String {
    match (&preview.strong_validator, &preview.etag, &preview.last_modified) {
        (Some(tag), Some(_), _) => format!("{tag} (ETag, strong)"),
        (Some(date), None, _) => format!("{date} (Last-Modified, strong)"),
        (None, Some(tag), _) => format!("{tag} (ETag, weak)"),
        (None, None, Some(date)) => format!("{date} (Last-Modified, weak)"),
        (None, None, None) => "none".to_owned(),
    }
}

fn proofs(preview: &Preview) -> Vec<(&'static str, String)> {
    if preview.published.is_empty() {
        let none = "no digest is published in the answer; --find-checksum looks for a list beside the file";
        return vec![("proof", none.to_owned())];
    }
    let proof = |(digest, field): &(crate::Digest, &str)| {
        let weak = if is_weak(preview, digest) { ", weak" } else { "" };
        ("proof", format!("{digest} ({field}{weak})"))
    };
    preview.published.iter().map(proof).collect()
}

/// Returns true for a digest that does not show a forgery: over http it came as unprotected as the file.
fn is_weak(preview: &Preview, digest: &crate::Digest) -> bool {
    !preview.url.starts_with("https:") || !digest.algorithm().is_collision_resistant()
}

/// Mirror that the server names, and the condition on which it is asked.
fn named(preview: &Preview, url: &str) -> String {
    match preview.published.iter().any(|(digest, _)| !is_weak(preview, digest)) {
        true => format!("{url}: named by the server"),
        false => format!("{url}: named by the server, and asked only with a digest"),
    }
}

fn protocol(preview: &Preview) -> String {
    let tls = preview.tls.map_or(String::new(), |tls| format!(" over {tls}"));
    let http2 = match preview.http2 {
        Some(true) => "; HTTP/2 is offered for many small files",
        Some(false) => "; no HTTP/2",
        None => "",
    };
    format!("{}{tls}{http2}", preview.http)
}

/// Answer of a mirror, compared with the length of the file.
fn mirrored(mirror: &MirrorPreview, size: Option<u64>) -> String {
    let said = match (&mirror.problem, mirror.size) {
        (Some(problem), _) => problem.clone(),
        (None, _) if !mirror.is_asked => "not asked".to_owned(),
        (None, None) => "answers, without a length".to_owned(),
        (None, Some(length)) if size.is_some_and(|size| size != length) => {
            format!("another file: {length} bytes")
        }
        (None, Some(_)) => "the same length".to_owned(),
    };
    let ranges = if mirror.ranges == Some(false) { ", no ranges" } else { "" };
    format!("{}: {said}{ranges}", mirror.url)
}

/// Name that it is saved under and where that comes from, and the server's proposal if it is another one.
fn names(preview: &Preview) -> Vec<(&'static str, String)> {
    let mut names = Vec::new();
    if let Some(path) = &preview.path {
        let from = match preview.name_source {
            Some(NameSource::Server) => " (name from the server)",
            Some(NameSource::Url) => " (name from the URL)",
            Some(NameSource::List) => " (name from the list)",
            _ => "",
        };
        names.push(("saved as", format!("{}{from}", path.to_string_lossy())));
    }
    if let Some(name) = &preview.suggested_name
        && preview.name_source != Some(NameSource::Server)
    {
        names.push(("their name", format!("{name} (taken with --content-disposition)")));
    }
    names
}

/// Remains of an earlier run.
fn left_by_a_run(left: &Inspection, age: Option<Duration>) -> String {
    let part = left.path.file_name().unwrap_or_default().to_string_lossy();
    let of = match left.size {
        Some(0) | None => String::new(),
        Some(size) => format!("{}%, ", u128::from(left.durable) * 100 / u128::from(size)),
    };
    let running = if left.running == Some(true) { ", running" } else { "" };
    let age = age.map_or(String::new(), |age| format!(" {} ago", rough(age)));
    let date = left
        .modified
        .map_or(String::new(), |date| format!(", saved{age} ({})", httpdate::fmt_http_date(date)));
    format!("{part}.part: {of}{} kept{date}{running}", format_bytes(left.durable))
}

/// Expectation from earlier downloads of the host.
fn likely(remembered: &Remembered, size: Option<u64>) -> String {
    let plural = |count: usize| if count == 1 { "" } else { "s" };
    let mut said = match (remembered.rate, remembered.connections) {
        (Some(rate), Some(count)) => {
            let all = size.map(|size| Duration::from_secs(size / rate.max(1)));
            let all = all.map_or(String::new(), |all| format!(", {} for all of it", format_duration(all)));
            format!("{}/s on {count} connection{}{all}", format_bytes(rate), plural(count))
        }
        (_, Some(count)) => format!("best on {count} connection{}", plural(count)),
        _ => String::new(),
    };
    if let Some(serves) = remembered.serves {
        let and = if said.is_empty() { "" } else { "; " };
        said += &format!("{and}no more than {serves} connection{} at once", plural(serves));
    }
    format!("{said} (remembered of this host)")
}

/// Connections, ranges and the outcome, in words.
fn planned(forecast: &Forecast) -> Vec<(&'static str, String)> {
    let connections = match (forecast.connections, forecast.shortest_range) {
        (0, _) => "none".to_owned(),
        (count, Some(shortest)) if count > 1 => {
            format!("up to {count}, with ranges of {} and more", format_bytes(shortest))
        }
        _ => "1, with everything in one answer".to_owned(),
    };
    let exists = forecast.exists.map(|exists| if exists { "exists" } else { "does not exist" });
    let target = exists.map(|exists| ("target", exists.to_owned()));
    [("connections", connections)]
        .into_iter()
        .chain(target)
        .chain([("then", forecast.then.clone())])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::snapshot::{self, WIDTHS};
    use crate::{Algorithm, Digest, Redirected};

    fn moment() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000)
    }

    fn digest(algorithm: Algorithm) -> Digest {
        Digest::from_hex(algorithm, &"5e".repeat(algorithm.output_len())).unwrap()
    }

    fn mirror(url: &str) -> MirrorPreview {
        MirrorPreview {
            url: url.into(),
            is_asked: true,
            size: Some(8 << 30),
            ranges: Some(true),
            problem: None,
        }
    }

    fn left() -> Inspection {
        Inspection {
            path: "/home/me/disk.img".into(),
            url: "https://example.org/disk.img".into(),
            url_is_whole: true,
            size: Some(8 << 30),
            durable: 3 << 30,
            digests: Vec::new(),
            mirrors: Vec::new(),
            document: None,
            part_is_recorded: true,
            rejected: false,
            running: Some(false),
            modified: Some(moment()),
            version: Some("\"v1\"".into()),
            signature: None,
        }
    }

    fn preview() -> Preview {
        let redirect = |status, to: &str| Redirected { status, to: to.into() };
        Preview {
            url: "https://example.org/disk.img".into(),
            final_url: "https://cdn.example.net/0f/disk.img?X-Amz-Signature=***".into(),
            redirects: vec![
                redirect(301, "https://www.example.org/disk.img"),
                redirect(302, "https://cdn.example.net/0f/disk.img?X-Amz-Signature=***"),
            ],
            http: "HTTP/1.1".into(),
            tls: Some("TLS 1.3"),
            http2: Some(true),
            size: Some(8 << 30),
            head_size: Some(8 << 30),
            head: Some("HEAD says 8589934592 bytes, ETag \"v1\", application/octet-stream".into()),
            ranges: Some(true),
            ranges_promised: Some(true),
            strong_validator: Some("\"v1\"".into()),
            etag: Some("\"v1\"".into()),
            last_modified: Some("Tue, 14 Nov 2023 22:13:20 GMT".into()),
            published: vec![
                (digest(Algorithm::Sha256), "Repr-Digest"),
                (digest(Algorithm::Md5), "Content-MD5"),
            ],
            media_type: Some("application/octet-stream".into()),
            suggested_name: Some("disk-2023.img".into()),
            path: Some("/home/me/disk.img".into()),
            name_source: Some(NameSource::Url),
            kept: 3 << 30,
            left: Some(left()),
            mirrors: vec![
                mirror("https://mirror.example.com/disk.img"),
                MirrorPreview { size: Some(17), ..mirror("https://old.example.com/disk.img") },
                MirrorPreview {
                    problem: Some("the server answered 503".into()),
                    ..mirror("https://m.example/disk.img")
                },
                MirrorPreview {
                    is_asked: false,
                    size: None,
                    ranges: None,
                    ..mirror("https://ninth.example/disk.img")
                },
            ],
            named_mirrors: vec!["https://named.example/disk.img".into()],
            remembered: Some(Remembered { connections: Some(8), rate: Some(36 << 20), serves: Some(12) }),
            forecast: Forecast {
                connections: 8,
                shortest_range: Some(64 << 10),
                exists: Some(false),
                then: "goes on with 3.0 GiB that an earlier run left, if they are of this version".into(),
            },
        }
    }

    /// A file of which little is known.
    fn bare() -> Preview {
        Preview {
            redirects: Vec::new(),
            http: "HTTP/1.0".into(),
            tls: None,
            http2: None,
            size: None,
            head_size: None,
            head: None,
            ranges: Some(false),
            strong_validator: None,
            etag: None,
            last_modified: None,
            published: Vec::new(),
            media_type: None,
            suggested_name: None,
            name_source: Some(NameSource::Request),
            kept: 0,
            left: None,
            mirrors: Vec::new(),
            named_mirrors: Vec::new(),
            remembered: None,
            ..preview()
        }
    }

    #[test]
    fn what_is_told_of_a_file_is_aligned_at_each_width() {
        let mut shown = String::new();
        for columns in WIDTHS {
            for (preview, age) in [(preview(), Some(Duration::from_secs(260_000))), (bare(), None)] {
                let facts = described(&preview, age, true);
                shown += &format!("{columns} columns\n{}\n", columns::aligned(&facts, Some(columns)));
            }
        }
        snapshot::compare("info", &shown);
    }

    #[test]
    fn a_validator_is_told_with_its_strength_and_a_promise_of_ranges_counts_for_nothing() {
        let dated =
            Preview { strong_validator: Some("Tue".into()), last_modified: Some("Tue".into()), ..bare() };
        let weak = Preview { etag: Some("W/\"1\"".into()), last_modified: Some("Tue".into()), ..bare() };
        let weak_date = Preview { last_modified: Some("Tue".into()), ..bare() };
        let said = [preview(), dated, weak, weak_date, bare()].map(|preview| validator(&preview));
        let wanted = [
            "\"v1\" (ETag, strong)",
            "Tue (Last-Modified, strong)",
            "W/\"1\" (ETag, weak)",
            "Tue (Last-Modified, weak)",
            "none",
        ];
        assert_eq!(said, wanted);
        assert_eq!(ranges(&bare()), "no, although they are promised: one connection");
        assert_eq!(ranges(&Preview { ranges_promised: None, ..bare() }), "no: one connection");
    }

    #[test]
    fn the_facts_are_fields_for_a_program() {
        let object = object(&preview());
        assert_eq!(object["redirects"][1]["status"], 302);
        assert_eq!(object["published"][1]["weak"], true);
        assert_eq!((&object["protocol"], &object["tls"]), (&"HTTP/1.1".into(), &"TLS 1.3".into()));
        assert_eq!(object["left"]["modified"], 1_700_000_000);
        assert_eq!(object["remembered"]["rate"], 36 << 20);
        assert_eq!(object["mirrors"][1]["size"], 17);
        assert_eq!(object["named_mirrors"][0], "https://named.example/disk.img");
        assert!(self::object(&bare())["left"].is_null());
    }
}
