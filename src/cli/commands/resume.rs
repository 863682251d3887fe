//! `haul resume [DIR]`

use super::super::args::Options;
use super::super::resume_hint::{ResumeHint, quoted};
use super::super::setup::{By, Setup};
use super::super::{config, exit, output};
use super::{fetch, status};
use crate::error::{Error, Kind};
use crate::{Inspection, Request, inspect};
use std::path::Path;
use std::process::ExitCode;

pub(in super::super) fn run(
    options: Options,
    directory: &Path,
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
    let mut requests = Vec::new();
    let mut failures = Vec::new();
    for manifest in status::manifests(directory)? {
        match inspect(&manifest).and_then(|left| request(&left, &setup)) {
            Ok(request) => requests.push(request),
            Err(error) => {
                failures.push(error.kind());
                output::say_failure(&error);
            }
        }
    }
    if requests.is_empty() && failures.is_empty() {
        output::say(format_args!("haul: note: there is nothing to resume in {}", directory.display()));
        return Ok(ExitCode::SUCCESS);
    }
    if options.dry_run {
        return super::info::plans(&setup.client()?, &requests, options.json);
    }
    if requests.is_empty() {
        return Ok(exit::combined(&failures).into());
    }
    let count = requests.len();
    fetch::fetch(options, &setup.client()?, requests.into_iter().map(Ok), count, failures, hint)
}

/// The request that goes on with what was left.
pub(super) fn request(left: &Inspection, setup: &Setup) -> Result<Request, Error> {
    if !left.url_is_whole {
        let cause =
            format!("{} was begun from a signed URL, which is not kept: {}", left.path.display(), left.url);
        return Err(Error::new(Kind::Usage, cause).with_hint(match left.path.to_str().and_then(quoted) {
            Some(path) => format!("give the URL again: haul URL -o {path}"),
            None => "give the URL again, with -o and this name".to_owned(),
        }));
    }
    let path = std::path::absolute(&left.path)
        .map_err(|error| Error::new(Kind::Disk, format!("cannot find {}: {error}", left.path.display())))?;
    // What a document named is not the user's, in whatever run.
    let home = left.document.as_deref().and_then(|home| Request::new(home).ok());
    let by = match left.document {
        None => By::User,
        Some(_) => By::Document(home.as_ref().map(Request::address)),
    };
    let mut request = setup.request(&left.url, by)?.output(path);
    if request.digests.is_empty() {
        for digest in &left.digests {
            request = request.digest(digest.parse()?);
        }
    }
    setup.with_listed_digests(request)
}
