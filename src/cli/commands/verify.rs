//! `haul verify FILE`

use super::super::args::Options;
use super::super::list::List;
use super::super::resume_hint::ResumeHint;
use super::super::runtime::runtime;
use super::super::setup::{Setup, Wanted};
use super::super::{config, digests, exit, output, signatures};
use super::{fetch, resume};
use crate::error::{Error, Kind};
use crate::formats::{escape, redaction};
use crate::{ByteRange, IfExists, MinisignKey, inspect};
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
    // The key is that of the list, if there is one.
    let key = signatures::key(&options.digests)?.filter(|_| setup.is_none());
    let check = |file: &Path| verified(file, setup.as_ref(), key.as_ref(), &options);
    let all = match (&setup, files) {
        (Some(setup), []) => setup.listed_names(),
        _ => files.to_vec(),
    };
    if all.is_empty() {
        return Err(Error::usage("the list names no file")
            .with_hint("say which one has its digest: haul verify FILE --checksum-file LIST"));
    }
    if let [file] = &all[..] {
        return check(file).map(|()| ExitCode::SUCCESS);
    }
    let mut failures = Vec::new();
    for file in &all {
        if let Err(error) = check(file) {
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
fn verified(
    file: &Path,
    setup: Option<&Setup>,
    key: Option<&MinisignKey>,
    options: &Options,
) -> Result<(), Error> {
    let shown = shown(file);
    let digests = match setup {
        Some(setup) => setup.digests(file)?,
        None => digests::given(&options.digests)?,
    };
    if digests.is_empty() && key.is_none() {
        let damaged = unfinished(file, &shown)?;
        return intact(&damaged, &shown);
    }
    if let Err(error) = file.metadata() {
        return Err(of_unfinished(Error::disk("cannot read", file, &error), file, &shown));
    }
    if !digests.is_empty() {
        let verified = crate::verify_file(file, &digests)?;
        verified.iter().try_for_each(|digest| output::print_line(format_args!("{shown}: {digest}")))?;
    }
    let Some(key) = key else {
        return Ok(());
    };
    let signer = crate::verify_signature(file, &signatures::read(key, file)?)?;
    output::print_line(format_args!("{shown}: signed by {}", signatures::described(&signer)))
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
            "give the published digest with --sha256 HEX, --checksum SPEC or --checksum-file FILE, or the key of the signature \
             beside it with --minisign KEY",
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
    if let Some(named) = setup.options.metalink.as_deref() {
        return mend_complete(file, shown, &List::metalink(named, setup)?, setup, hint);
    }
    let damaged = match unfinished(file, shown) {
        Err(error) if error.kind() == Kind::Usage => {
            return Err(Error::usage(format!("of {shown} no pieces are known, so none can be repaired"))
                .with_hint(
                    "name a Metalink document that states them (--metalink FILE), or fetch it again: haul URL --if-exists overwrite",
                ));
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

/// Fetches the wrong pieces of a complete file. The file is replaced once the whole has the digest of the document.
fn mend_complete(
    file: &Path,
    shown: &str,
    list: &List,
    setup: &Setup,
    hint: &ResumeHint,
) -> Result<ExitCode, Error> {
    if setup.key.is_some() && setup.looks_beside() {
        let cause = "the digests of the document decide on a repair; --minisign makes no sense with it";
        return Err(
            Error::usage(cause).with_hint("haul verify FILE --minisign KEY looks at the repaired file")
        );
    }
    let Wanted { job, request, line } = of_document(file, shown, list, setup)?;
    let path = std::path::absolute(file).map_err(|error| Error::disk("cannot find", file, &error))?;
    let request = request.output(path).if_exists(IfExists::Overwrite);
    let client = setup.client()?;
    // The rest of an earlier repair goes on.
    if inspect(file).is_err() {
        let no_pieces = || {
            Error::usage(format!(
                "{} states no digests of the pieces of {shown}, so none can be repaired",
                list.shown()
            ))
            .with_hint("fetch it again: haul --metalink FILE --if-exists overwrite")
        };
        if !request.is_proven() {
            return Err(Error::usage(format!("{} states no digest of {shown} that proves it", list.shown())));
        }
        let wrong = crate::wrong_pieces(file, &request)?.ok_or_else(no_pieces)?;
        if wrong.is_empty() {
            crate::verify_file(file, request.digests())?;
            output::print_line(format_args!("{shown}: every piece is intact"))?;
            return Ok(ExitCode::SUCCESS);
        }
        output::say(format_args!("haul: note: {shown}: damaged at bytes {}", escape::shown(&listed(&wrong))));
        let runtime = runtime()?;
        let adopted = runtime.block_on(client.adopt(&request, file, &between(&wrong, file)?, None));
        runtime.shutdown_background();
        adopted?;
    }
    let wanted = std::iter::once(Ok(Wanted { job, request, line }));
    fetch::fetch(&setup.options, &client, wanted, 1, Vec::new(), hint)
}

/// The entry of the document with the name of the file, or its only one.
fn of_document(file: &Path, shown: &str, list: &List, setup: &Setup) -> Result<Wanted, Error> {
    let all: Result<Vec<_>, _> =
        list.requests(setup).map(|listed| listed.map(|(_, wanted)| wanted)).collect();
    let mut all = all?;
    let is_it = |wanted: &Wanted| {
        wanted.request.planned_path().is_some_and(|planned| planned.file_name() == file.file_name())
    };
    match (all.iter().position(is_it), all.len()) {
        (Some(at), _) => Ok(all.swap_remove(at)),
        (None, 1) => Ok(all.swap_remove(0)),
        (None, _) => Err(Error::usage(format!("{} has no file of the name of {shown}", list.shown()))),
    }
}

/// Ranges of a file beside these, which are in order.
fn between(ranges: &[ByteRange], file: &Path) -> Result<Vec<ByteRange>, Error> {
    let length = std::fs::metadata(file).map_err(|error| Error::disk("cannot read", file, &error))?.len();
    let starts = std::iter::once(0).chain(ranges.iter().map(|range| range.end()));
    let ends = ranges.iter().map(|range| range.start()).chain(std::iter::once(length));
    // A file that was cut ends before its last wrong pieces do.
    let all =
        starts.zip(ends).map(|(start, end)| (start, end.min(length))).filter(|(start, end)| start < end);
    Ok(all.map(|(start, end)| ByteRange::new(start, end)).collect())
}
