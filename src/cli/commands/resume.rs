//! `haul resume [DIR]`

use super::super::args::Options;
use super::super::resume_hint::{ResumeHint, quoted};
use super::super::setup::{By, Setup, Wanted};
use super::super::{config, exit, output, render};
use super::{fetch, status};
use crate::error::{Error, Kind};
use crate::formats::escape;
use crate::{Inspection, Job, Request, inspect};
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

pub(in super::super) fn run(
    options: Options,
    places: &[OsString],
    hint: &ResumeHint,
) -> Result<ExitCode, Error> {
    if options.output.is_some() || options.dir.is_some() {
        return Err(Error::usage(
            "haul resume saves each file where it was begun; -o and -d make no sense with it",
        ));
    }
    let setup = Setup::open(config::fill(options)?, &[])?;
    let options = &setup.options;
    setup.refuse_lists("haul resume")?;
    let (confirmed, directories) = told_apart(places)?;
    let mut requests = Vec::new();
    let mut failures = Vec::new();
    let manifests = directories.iter().map(|directory| status::manifests(directory));
    for manifest in manifests.collect::<Result<Vec<_>, _>>()?.into_iter().flatten() {
        match inspect(&manifest).and_then(|left| request(&left, &setup, &confirmed)) {
            Ok(request) => requests.push(request),
            Err(error) => {
                failures.push(error.kind());
                output::say_failure(&error);
                if options.wants_json() {
                    render::tell_error(&error, exit::code(error.kind()))?;
                }
            }
        }
    }
    if requests.is_empty() && failures.is_empty() {
        let shown: Vec<_> = directories.iter().map(|directory| directory.to_string_lossy()).collect();
        let shown = shown.join(", ");
        let shown = escape::for_terminal(&shown);
        output::say(format_args!("haul: note: there is nothing to resume in {shown}"));
    }
    if options.dry_run && !requests.is_empty() {
        let requests = requests.into_iter().map(|wanted| Ok(wanted.request));
        return super::info::plans(&setup.client()?, requests, options.json, true);
    }
    if requests.is_empty() {
        let code = if failures.is_empty() { 0 } else { exit::combined(&failures) };
        if options.wants_json() && !options.dry_run {
            render::tell_end(failures.len(), code)?;
        }
        return Ok(code.into());
    }
    let count = requests.len();
    fetch::fetch(options, &setup.client()?, requests.into_iter().map(Ok), count, failures, hint)
}

/// Splits the arguments into URLs and directories.
fn told_apart(places: &[OsString]) -> Result<(Vec<Request>, Vec<PathBuf>), Error> {
    let url = |place: &OsString| place.to_str().filter(|text| text.contains("://")).map(Request::new);
    let confirmed = places.iter().filter_map(url).collect::<Result<_, _>>()?;
    let mut directories: Vec<_> =
        places.iter().filter(|place| url(place).is_none()).map(PathBuf::from).collect();
    if directories.is_empty() {
        directories.push(PathBuf::from("."));
    }
    Ok((confirmed, directories))
}

/// Decides on whose behalf an unfinished download is resumed. A manifest may be forged, as in an unpacked directory: it
/// is trusted if its part file is the recorded one, or if the user `confirmed` the server.
fn named_by<'a>(
    left: &Inspection,
    home: Option<&'a Request>,
    url: &Request,
    confirmed: &[Request],
) -> By<'a> {
    match &left.document {
        _ if confirmed.iter().any(|named| named.address().origin() == url.address().origin()) => By::User,
        _ if !left.part_is_recorded => By::Manifest,
        None => By::User,
        // A URL from a document is never treated as the user's own.
        Some(_) => By::Document(home.map(Request::address)),
    }
}

/// Notes that secrets are not sent to the server that a manifest names.
fn say_withheld(left: &Inspection, url: &Request) {
    let path = left.path.to_string_lossy();
    let path = escape::for_terminal(&path);
    let origin = url.address().origin();
    let why = match left.part_is_recorded {
        true => "a document named it",
        false => "its manifest was not written for the part file beside it",
    };
    output::say(format_args!("haul: note: {path}: no secrets are sent to {origin}: {why}"));
    output::say(format_args!("  next: haul resume DIR {origin} sends them, if you know that server"));
}

/// Request that resumes an unfinished download; `confirmed` are URLs whose servers the user trusts.
pub(super) fn request(left: &Inspection, setup: &Setup, confirmed: &[Request]) -> Result<Wanted, Error> {
    if !left.url_is_whole {
        let cause =
            format!("{} was begun from a signed URL, which is not kept: {}", left.path.display(), left.url);
        let range =
            left.url.split_once("#bytes=").map_or(String::new(), |(_, range)| format!(" --range {range}"));
        return Err(Error::new(Kind::Usage, cause).with_hint(
            match left.path.to_str().and_then(quoted).filter(|path| path.len() < 200) {
                Some(path) => format!("give the URL again: haul URL -o {path}{range}"),
                None => "give the URL again, with -o and this name".to_owned(),
            },
        ));
    }
    let path = std::path::absolute(&left.path)
        .map_err(|error| Error::new(Kind::Disk, format!("cannot find {}: {error}", left.path.display())))?;
    let home = left.document.as_deref().and_then(|home| Request::new(home).ok());
    let url = setup.plain(left.url.split_once("#bytes=").map_or(&left.url[..], |(url, _)| url))?;
    let by = named_by(left, home.as_ref(), &url, confirmed);
    if !by.vouches_for(url.address()) && setup.has_secrets() && !setup.options.quiet {
        say_withheld(left, &url);
    }
    let (url, range) = left.url.split_once("#bytes=").unwrap_or((&left.url, ""));
    let mut job = Job::new(url);
    job.output = Some(path);
    job.range = Some(range.to_owned()).filter(|range| !range.is_empty());
    if !setup.has_digests() {
        job.digests.clone_from(&left.digests);
    }
    // A manifest may be forged, so its mirrors get no secrets, and the digest checks their bytes.
    job.recorded_mirrors.clone_from(&left.mirrors);
    let wanted = setup.resolved(job, by)?;
    match (&setup.key, &left.signature) {
        (None, Some(signature)) => {
            Ok(Wanted { request: wanted.request.signature(signature.clone())?, ..wanted })
        }
        _ => fetch::proven(wanted, setup),
    }
}
