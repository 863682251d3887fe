//! `haul verify FILE`

use super::super::args::Options;
use super::super::resume_hint::ResumeHint;
use super::super::setup::Setup;
use super::super::{config, digests, exit, output};
use super::{fetch, resume};
use crate::error::{Error, Kind};
use crate::formats::{escape, redaction};
use crate::{ByteRange, inspect};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

pub(in super::super) fn run(
    files: &[PathBuf],
    repair: bool,
    options: Options,
    hint: &ResumeHint,
) -> Result<ExitCode, Error> {
    if repair {
        let [file] = files else {
            return Err(Error::usage("--repair is for one file"));
        };
        return mend(file, &shown(file), &Setup::open(config::fill(options)?, &[])?, hint);
    }
    // Only a list, which may be fetched, needs the whole setup.
    let setup = match &options.digests.checksum_file {
        Some(_) => Some(Setup::open(config::fill(options.clone())?, &[])?),
        None => None,
    };
    let all = match (&setup, files) {
        (Some(setup), []) => setup.listed_names(),
        _ => files.to_vec(),
    };
    if all.is_empty() {
        return Err(Error::usage("the list names no file")
            .with_hint("say which one has its digest: haul verify FILE --checksum-file LIST"));
    }
    if let [file] = &all[..] {
        return verified(file, setup.as_ref(), &options).map(|()| ExitCode::SUCCESS);
    }
    let mut failures = Vec::new();
    for file in &all {
        if let Err(error) = verified(file, setup.as_ref(), &options) {
            failures.push(error.kind());
            output::say_failure(&error);
        }
    }
    if !failures.is_empty() {
        output::say(format_args!("haul: note: {} of {} files are not right", failures.len(), all.len()));
    }
    Ok(exit::combined(&failures).into())
}

fn shown(file: &Path) -> String {
    escape::for_terminal(&redaction::named(&file.to_string_lossy())).into_owned()
}

/// Checks one file, and prints what it was found to be.
fn verified(file: &Path, setup: Option<&Setup>, options: &Options) -> Result<(), Error> {
    let shown = shown(file);
    let digests = match setup {
        Some(setup) => setup.digests(file)?,
        None => digests::given(&options.digests)?,
    };
    if digests.is_empty() {
        let damaged = unfinished(file, &shown)?;
        return intact(&damaged, &shown);
    }
    let verified = crate::verify_file(file, &digests).map_err(|error| of_unfinished(error, file, &shown))?;
    verified.iter().try_for_each(|digest| output::print_line(format_args!("{shown}: {digest}")))
}

/// Explains a missing file that is still being downloaded.
fn of_unfinished(error: Error, file: &Path, shown: &str) -> Error {
    if file.exists() || inspect(file).is_err() {
        return error;
    }
    Error::new(error.kind(), format!("{shown} is not complete yet, so it has no digest"))
        .with_hint("haul verify FILE, without a digest, looks at the bytes that are there")
}

/// Audits an unfinished file; without a digest a complete one has nothing to be compared with.
fn unfinished(file: &Path, shown: &str) -> Result<Vec<ByteRange>, Error> {
    crate::audit(file).map_err(|error| match error.kind() {
        Kind::NotFound if !file.exists() => {
            Error::new(Kind::Disk, format!("there is no {shown}, and no unfinished download to it"))
        }
        Kind::NotFound => Error::usage(format!("there is nothing to hold {shown} against")).with_hint(
            "give the published digest with --sha256 HEX, --checksum SPEC or --checksum-file FILE",
        ),
        _ => error,
    })
}

fn intact(damaged: &[ByteRange], shown: &str) -> Result<(), Error> {
    if damaged.is_empty() {
        return output::print_line(format_args!("{shown}: every recorded piece is intact"));
    }
    Err(Error::new(Kind::Checksum, format!("{shown}: damaged at bytes {}", listed(damaged)))
        .with_hint("haul verify --repair fetches what is damaged or missing, and nothing else"))
}

fn listed(ranges: &[ByteRange]) -> String {
    let ranges: Vec<_> =
        ranges.iter().map(|range| format!("{}-{}", range.start(), range.end() - 1)).collect();
    ranges.join(", ")
}

/// Resumes the download, which finds the damage itself and fetches only those pieces and the missing ones.
fn mend(file: &Path, shown: &str, setup: &Setup, hint: &ResumeHint) -> Result<ExitCode, Error> {
    let damaged = match unfinished(file, shown) {
        Err(error) if error.kind() == Kind::Usage => {
            return Err(Error::usage(format!("of {shown} no pieces are known, so none can be repaired"))
                .with_hint("fetch it again: haul URL --if-exists overwrite"));
        }
        looked => looked?,
    };
    if damaged.is_empty() {
        output::say(format_args!("haul: note: {shown}: every recorded piece is intact"));
    } else {
        let ranges = listed(&damaged);
        output::say(format_args!("haul: note: {shown}: damaged at bytes {}", escape::shown(&ranges)));
    }
    let request = resume::request(&inspect(file)?, setup, &[])?;
    fetch::fetch(&setup.options, &setup.client()?, std::iter::once(Ok(request)), 1, Vec::new(), hint)
}
