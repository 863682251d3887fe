//! `haul add URL...`: fetches files, and locks what they are.

use super::super::args::{Exists, LockOptions, Options};
use super::super::lock_file::{Entry, Lock, refuse_secret};
use super::super::resume_hint::ResumeHint;
use super::super::runtime::runtime;
use super::super::setup::{By, Setup};
use super::super::stamps::Stamps;
use super::super::{config, output};
use super::sync::refuse_others;
use super::{fetch, sync};
use crate::error::Error;
use crate::formats::escape;
use crate::{Algorithm, Client, ClientSettings, Job, Request, Step, Trace};
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

pub(in super::super) fn run(
    given: &LockOptions,
    urls: &[String],
    options: Options,
    hint: &ResumeHint,
) -> Result<ExitCode, Error> {
    if urls.len() > 1 && options.output.is_some() {
        return Err(Error::usage("-o names one file, but there are several URLs"));
    }
    if options.dir.is_some() {
        return Err(Error::usage("haul add saves beside the lock; name a file in a directory with -o"));
    }
    let lock_path = given.lock.clone();
    refuse_others(&options, "haul add")?;
    if options.if_exists.is_some_and(|policy| matches!(policy, Exists::Rename | Exists::Skip)) {
        return Err(Error::usage(
            "haul add locks the file that it fetched under its own name: rename and skip make no sense with it",
        ));
    }
    // A lock that makes no sense is refused before anything is fetched.
    Lock::read(&lock_path)?;
    let setup = Setup::open(config::fill(options)?, urls)?;
    setup.refuse_lists("haul add")?;
    let directory = lock_path.parent().unwrap_or_else(|| Path::new("")).to_owned();
    let mut stamps = Stamps::read(&lock_path);
    for url in urls {
        let wanted = setup.resolved(Job::new(url.as_str()), By::User)?;
        let planned = wanted.request.planned_path().unwrap_or_default();
        let name = planned.strip_prefix(".").unwrap_or(&planned).to_string_lossy().into_owned();
        // A wrong name is refused before anything is fetched.
        let mut entry = Entry { path: name.clone(), url: url.clone(), ..Entry::default() };
        Lock::default().add(entry.clone())?;
        let (lasting, etag) = resolved(&setup, &wanted.request)?;
        let target = directory.join(&name);
        if target == lock_path || target == directory.join(&lock_path) {
            return Err(Error::usage("a file of the name of the lock cannot be locked")
                .with_hint("name it with -o FILE"));
        }
        let mut job = wanted.job;
        job.output = Some(target.clone());
        sync::make_directory_of(&target)?;
        let wanted = fetch::proven(setup.resolved(job, By::User)?, &setup)?;
        let client = setup.client()?;
        let code = fetch::fetch(&setup.options, &client, std::iter::once(Ok(wanted)), 1, Vec::new(), hint)?;
        if code != ExitCode::SUCCESS {
            return Ok(code);
        }
        let digests = crate::digests_of(&target, &[Algorithm::Sha256])?;
        let found = target.metadata().map_err(|error| Error::disk("cannot read", &target, &error))?;
        let sha256 = digests.first().map(crate::Digest::to_hex).unwrap_or_default();
        stamps.saw(&name, &found, &sha256);
        (entry.url, entry.etag) = (lasting, etag);
        (entry.size, entry.sha256) = (Some(found.len()), Some(sha256.clone()));
        // A fetched file is locked, whatever becomes of the next one.
        Lock::add_to(&lock_path, entry)?;
        if !setup.options.quiet {
            let name = escape::shown(&name).into_owned();
            output::say(format_args!("haul: note: {name} is locked: sha256:{sha256}"));
        }
    }
    // They only save time.
    let _ = stamps.write();
    Ok(ExitCode::SUCCESS)
}

/// URL to be locked, after redirects that are permanent and carry no secret, and the validator of the server.
fn resolved(setup: &Setup, request: &Request) -> Result<(String, Option<String>), Error> {
    refuse_secret(request)?;
    let steps = Arc::new(Mutex::new(Vec::new()));
    let heard = steps.clone();
    let trace = Trace::new(move |step| {
        if let Step::Redirected { status, to, .. } = step {
            // No code panics while the lock is held.
            heard.lock().unwrap_or_else(PoisonError::into_inner).push((status, to));
        }
    });
    let client = Client::new(ClientSettings { trace: Some(trace), ..setup.settings()? })?;
    let runtime = runtime()?;
    let preview = runtime.block_on(client.preview(request));
    runtime.shutdown_background();
    let preview = preview?;
    let original = request.address().to_string();
    let steps = steps.lock().unwrap_or_else(PoisonError::into_inner);
    let permanent = steps.iter().take_while(|(status, to)| {
        matches!(status, 301 | 308) && Request::new(to).is_ok_and(|request| !request.has_secret_url())
    });
    let lasting = permanent.last().map_or(original, |(_, to)| to.clone());
    Ok((lasting, preview.etag.or(preview.last_modified)))
}
