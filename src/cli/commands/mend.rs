//! `haul verify --repair FILE`

use super::super::list::List;
use super::super::output;
use super::super::resume_hint::ResumeHint;
use super::super::runtime::runtime;
use super::super::setup::{By, Setup, Wanted};
use super::{fetch, resume};
use crate::error::{Error, Kind};
use crate::formats::{escape, redaction};
use crate::{ByteRange, IfExists, Job, inspect};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Next step for a file that is not what a document says.
pub(super) const BY_DOCUMENT: &str =
    "haul verify --repair FILE --metalink DOCUMENT fetches what is wrong, if the document names a source";

pub(super) fn run(
    named: &[PathBuf],
    url: Option<String>,
    setup: &Setup,
    hint: &ResumeHint,
) -> Result<ExitCode, Error> {
    let (urls, files): (Vec<_>, Vec<_>) =
        named.iter().partition(|path| path.to_string_lossy().contains("://"));
    let [file] = &files[..] else {
        return Err(Error::usage("--repair is for one file"));
    };
    let url = match (url, &urls[..]) {
        (url, []) => url,
        (None, [url]) => Some(url.to_string_lossy().into_owned()),
        _ => return Err(Error::usage("--repair is for one file from one URL")),
    };
    let shown = shown(file);
    if let Some(document) = setup.options.metalink.as_deref() {
        if url.is_some() {
            return Err(Error::usage(
                "the document of --metalink names the sources; a URL makes no sense with it",
            ));
        }
        return mend_complete(file, &shown, &List::metalink(document, setup)?, setup, hint);
    }
    match url {
        Some(url) => fetch_anew(file, &shown, &url, setup, hint),
        None => mend(file, &shown, setup, hint),
    }
}

pub(super) fn shown(file: &Path) -> String {
    escape::for_terminal(&redaction::named(&file.to_string_lossy())).into_owned()
}

pub(super) fn listed(ranges: &[ByteRange]) -> String {
    let ranges: Vec<_> =
        ranges.iter().map(|range| format!("{}-{}", range.start(), range.end() - 1)).collect();
    ranges.join(", ")
}

/// Audits an unfinished file; without a digest a complete one has nothing to be compared with.
pub(super) fn unfinished(file: &Path, shown: &str) -> Result<Vec<ByteRange>, Error> {
    crate::audit(file).map_err(|error| match error.kind() {
        Kind::NotFound if !file.exists() => {
            Error::new(Kind::Disk, format!("there is no {shown}, and no unfinished download to it"))
        }
        Kind::NotFound => Error::usage(format!("there is nothing to hold {shown} against")).with_hint(
            "give the published digest with --sha256 HEX, --checksum SPEC or --checksum-file FILE, a Metalink document with \
             --metalink FILE, or the key of the signature beside it with --minisign KEY",
        ),
        _ => error,
    })
}

fn tell_damage(ranges: &[ByteRange], shown: &str) {
    output::say(format_args!("haul: note: {shown}: damaged at bytes {}", escape::shown(&listed(ranges))));
}

/// Resumes the download, which finds the damage itself and fetches only those pieces and the missing ones.
fn mend(file: &Path, shown: &str, setup: &Setup, hint: &ResumeHint) -> Result<ExitCode, Error> {
    let damaged = match unfinished(file, shown) {
        Err(error) if error.kind() == Kind::Usage => {
            let digests = setup.digests(file)?;
            if !digests.is_empty() && crate::verify_file(file, &digests).is_ok() {
                return intact(shown);
            }
            return Err(Error::usage(format!("of {shown} no pieces are known, so none can be repaired"))
                .with_hint(
                    "name its source and its digest (haul verify --repair FILE --url URL --sha256 HEX), or a Metalink document that \
                     states its pieces (--metalink FILE), or fetch it again: haul URL --if-exists overwrite",
                ));
        }
        looked => looked?,
    };
    if damaged.is_empty() {
        output::say(format_args!("haul: note: {shown}: every recorded piece is intact"));
    } else {
        tell_damage(&damaged, shown);
    }
    let request = resume::request(&inspect(file)?, setup, &[])?;
    fetch::fetch(&setup.options, &setup.client()?, std::iter::once(Ok(request)), 1, Vec::new(), hint)
}

fn intact(shown: &str) -> Result<ExitCode, Error> {
    output::print_line(format_args!("{shown}: it has the digest, nothing is fetched"))?;
    Ok(ExitCode::SUCCESS)
}

/// Fetches a complete file again that has not its digest: without digests of pieces nothing shows which bytes are right. The file is replaced
/// once the new one is proven.
fn fetch_anew(
    file: &Path,
    shown: &str,
    url: &str,
    setup: &Setup,
    hint: &ResumeHint,
) -> Result<ExitCode, Error> {
    let path = std::path::absolute(file).map_err(|error| Error::disk("cannot find", file, &error))?;
    let mut job = Job::new(url);
    job.output = Some(path);
    let Wanted { job, request, line } = fetch::proven(setup.resolved(job, By::User)?, setup)?;
    if !request.is_proven() {
        return Err(Error::usage(format!("nothing says what {shown} has to be, so it is not replaced"))
            .with_hint("give the published digest with --sha256 HEX, --checksum SPEC, --checksum-file FILE or --find-checksum"));
    }
    if !request.digests().is_empty() {
        match crate::verify_file(file, request.digests()) {
            Ok(_) => return intact(shown),
            Err(error) if error.kind() == Kind::Checksum => {
                output::say(format_args!("haul: note: {shown} has another digest, and is fetched again"));
            }
            // A file that is gone is fetched; one that cannot be read could not be replaced either.
            Err(error) if file.exists() => return Err(error),
            Err(_) => {}
        }
    }
    let request = request.if_exists(IfExists::Overwrite);
    let wanted = std::iter::once(Ok(Wanted { job, request, line }));
    fetch::fetch(&setup.options, &setup.client()?, wanted, 1, Vec::new(), hint)
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
        let length = std::fs::metadata(file).map_err(|error| Error::disk("cannot read", file, &error))?.len();
        let end = job.size.map_or(length, |size| size.min(length));
        if wrong.is_empty() && end == length {
            crate::verify_file(file, request.digests())?;
            output::print_line(format_args!("{shown}: every piece is intact"))?;
            return Ok(ExitCode::SUCCESS);
        }
        if !wrong.is_empty() {
            tell_damage(&wrong, shown);
        }
        if end < length {
            output::say(format_args!("haul: note: {shown}: {} bytes too long", length - end));
        }
        let runtime = runtime()?;
        let adopted = runtime.block_on(client.adopt(&request, file, &between(&wrong, end), None));
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

/// Ranges of a file of `length` bytes beside these, which are in order.
fn between(ranges: &[ByteRange], length: u64) -> Vec<ByteRange> {
    let starts = std::iter::once(0).chain(ranges.iter().map(|range| range.end()));
    let ends = ranges.iter().map(|range| range.start()).chain(std::iter::once(length));
    // A file that was cut ends before its last wrong pieces do.
    let all =
        starts.zip(ends).map(|(start, end)| (start, end.min(length))).filter(|(start, end)| start < end);
    all.map(|(start, end)| ByteRange::new(start, end)).collect()
}
