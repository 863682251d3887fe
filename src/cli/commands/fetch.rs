//! `haul URL...`

use super::super::args::Options;
use super::super::batch::Batch;
use super::super::beside::Beside;
use super::super::incoming::Incoming;
use super::super::into_s3::into_s3;
use super::super::list::{self, List, Remarks};
use super::super::names::{Entry, Names};
use super::super::resume_hint::ResumeHint;
use super::super::runtime::runtime;
use super::super::s3_flags::Uploads;
use super::super::setup::{Setup, Wanted};
use super::super::uploads;
use super::super::{adopt, config, output, render, signals};
use super::info;
use crate::error::{Error, Kind};
use crate::sys::process;
use crate::{Client, Request};
use std::process::ExitCode;

pub(in super::super) fn run(options: Options, urls: &[String], hint: &ResumeHint) -> Result<ExitCode, Error> {
    if urls.is_empty() && options.input_file.is_none() && options.metalink.is_none() {
        return Err(Error::usage("there is no URL").with_hint("haul --help shows what there is"));
    }
    refuse_two_from_stdin(&options)?;
    options.adopt.as_deref().map_or(Ok(()), adopt::check)?;
    let of_whole_files = options.digests.find_checksum
        || options.digests.checksum_file.is_some()
        || options.digests.minisign.is_some();
    if options.range.is_some() && of_whole_files {
        return Err(Error::usage("lists and signatures are of whole files, and --range fetches a part")
            .with_hint("give the digest of the part with --sha256 HEX"));
    }
    if urls.len() > 1 && !options.mirror.is_empty() {
        return Err(mirrors_of_several());
    }
    let mut options = config::fill(options)?;
    options.uploads = uploads::take(&mut options)?;
    let mut setup = Setup::open(options, urls)?;
    let mut given = setup.requests(urls)?;
    given.retain(|wanted| setup.is_ours(wanted));
    if setup.options.stream {
        return streamed(setup, given, hint);
    }
    let lists = lists(&setup)?;
    if given.is_empty() && setup.has_secrets_for_a_url() && lists.iter().all(List::is_of_no_server) {
        return Err(Error::usage("-H, -u and --bearer-file are for a URL that you name, and there is none")
            .with_hint(
                "sources that a file names hear of nothing; fetch from them, or the document, by a URL",
            ));
    }
    // Everything that can be wrong with a list is reported before anything of it is fetched.
    let Checked { count, repeated, names } = check_all(&given, &lists, &setup)?;
    if repeated > 0 && !setup.options.quiet {
        output::say(list::repeated(repeated));
    }
    if count == 0 {
        output::say(list::NOTHING);
        if setup.options.wants_json() && !setup.options.dry_run {
            render::tell_end(0, 0)?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    refuse_contradictions(&setup, count + repeated)?;
    setup.most_connections = bounded_by_files(&mut setup.options, count);
    let client = setup.client()?;
    let mut control = None;
    if let Some(path) = setup.options.adopt.clone() {
        let (Some(wanted), 1) = (given.pop(), count) else {
            return Err(Error::usage("--adopt is for one URL, and there are several, or a list"));
        };
        if setup.streams() || setup.options.dry_run {
            return Err(Error::usage("--adopt goes on with a file, and -o - and -n make none"));
        }
        let (wanted, needless) = adopt::taken_over(&path, proven(wanted, &setup)?, &setup, &client)?;
        (control, given) = (needless, vec![wanted]);
    }
    if setup.options.goes_on
        && setup.options.adopt.is_none()
        && count == 1
        && !setup.streams()
        && !setup.options.dry_run
        && let Some(wanted) = given.pop()
    {
        let foreign = wanted.request.planned_path().filter(|path| adopt::is_foreign(path));
        let (wanted, needless) = match foreign {
            Some(path) => adopt::taken_over(&path, proven(wanted, &setup)?, &setup, &client)?,
            None => (wanted, None),
        };
        given.push(wanted);
        control = control.or(needless);
    }
    // A file that is taken over was proven before.
    let looks_beside = setup.looks_beside() && setup.options.adopt.is_none();
    let listed = lists.iter().zip(1..).flat_map(|(list, number)| {
        let placed = move |(place, wanted): (list::Place, Wanted)| (in_list(number, place.position), wanted);
        list.requests(&setup).map(move |listed| listed.map(placed))
    });
    let requests = placed(given).chain(listed);
    let requests = without_duplicates(requests, (repeated > 0).then_some(names)).map(|wanted| {
        let Wanted { job, request, line } = wanted?;
        let request = if setup.streams() { with_output(request)? } else { request };
        Ok(Wanted { job, request, line })
    });
    if looks_beside {
        let found = all_proven(requests, &setup)?;
        if setup.options.dry_run {
            return planned(&client, found.into_iter().map(Ok), &setup.options);
        }
        return fetch(&setup.options, &client, found.into_iter().map(Ok), count, Vec::new(), hint);
    }
    if setup.options.dry_run {
        return planned(&client, requests, &setup.options);
    }
    let code = fetch(&setup.options, &client, requests, count, Vec::new(), hint)?;
    if code == ExitCode::SUCCESS {
        adopt::finish(control.as_deref());
    }
    Ok(code)
}

/// Downloads the lines of a list as they come, after what the command line names.
fn streamed(mut setup: Setup, given: Vec<Wanted>, hint: &ResumeHint) -> Result<ExitCode, Error> {
    let Some(path) = setup.options.input_file.clone() else {
        return Err(Error::usage("--stream is for a list, and there is none"));
    };
    if setup.looks_beside() {
        return Err(Error::usage(
            "proofs beside files are looked for before anything is fetched, and --stream waits for nothing",
        )
        .with_hint("give the digests in the lines, or a list of them with --checksum-file"));
    }
    let Checked { count, repeated, names } = check_all(&given, &[], &setup)?;
    // There may be any number of lines.
    refuse_contradictions(&setup, usize::MAX)?;
    setup.most_connections = bounded_by_files(&mut setup.options, usize::MAX);
    let client = setup.client()?;
    let shown = list::shown(&path);
    let incoming = Incoming::open(&path, &shown, &setup)?;
    let requests = without_duplicates(placed(given), (repeated > 0).then_some(names));
    fetch_all(&setup.options, &client, (requests, count), Some(incoming), Vec::new(), hint)
}

/// Downloads of the command line, each with its position.
fn placed(given: Vec<Wanted>) -> impl Iterator<Item = Result<(u64, Wanted), Error>> {
    given.into_iter().zip(0..).map(|(wanted, position)| Ok((position, wanted)))
}

/// Leaves out the duplicates that the check of all has found.
fn without_duplicates(
    requests: impl Iterator<Item = Result<(u64, Wanted), Error>>,
    names: Option<Names>,
) -> impl Iterator<Item = Result<Wanted, Error>> {
    let is_first = move |wanted: &Result<(u64, Wanted), Error>| match (wanted, &names) {
        (Ok((position, wanted)), Some(names)) => {
            Entry::of(wanted).is_none_or(|entry| names.has_first(&entry, *position))
        }
        _ => true,
    };
    requests.filter(is_first).map(|wanted| wanted.map(|(_, wanted)| wanted))
}

/// Shows what would be done.
fn planned(
    client: &Client,
    requests: impl Iterator<Item = Result<Wanted, Error>>,
    options: &Options,
) -> Result<ExitCode, Error> {
    let placed = requests.map(|wanted| Ok(into_s3(wanted?, options, client)?.request));
    info::plans(client, placed, options.json, true)
}

/// Adds to a download the digest or the signature beside its file, if one is wanted.
pub(super) fn proven(wanted: Wanted, setup: &Setup) -> Result<Wanted, Error> {
    match setup.looks_beside() {
        true => Ok(all_proven(std::iter::once(Ok(wanted)), setup)?.remove(0)),
        false => Ok(wanted),
    }
}

/// Adds to each download the digest that a list beside its file states, or the signature of the file.
fn all_proven(
    requests: impl Iterator<Item = Result<Wanted, Error>>,
    setup: &Setup,
) -> Result<Vec<Wanted>, Error> {
    let mut beside = Beside::new(setup)?;
    let proven = requests.map(|wanted| beside.proven(wanted?)).collect();
    beside.end();
    proven
}

fn refuse_two_from_stdin(options: &Options) -> Result<(), Error> {
    let lists = [options.input_file.as_ref().and_then(|path| path.to_str()), options.metalink.as_deref()];
    let all = lists.into_iter().chain([options.digests.checksum_file.as_deref()]);
    if all.filter(|named| *named == Some("-")).count() > 1 {
        return Err(Error::usage("two flags are given -, and the standard input can be read only once"));
    }
    Ok(())
}

fn lists(setup: &Setup) -> Result<Vec<List>, Error> {
    let mut lists = Vec::new();
    if let Some(path) = &setup.options.input_file {
        lists.push(List::read(path)?);
    }
    if let Some(named) = &setup.options.metalink {
        lists.push(List::metalink(named, setup)?);
    }
    Ok(lists)
}

/// Outcome of the check of all requests.
#[derive(Default)]
struct Checked {
    count: usize,
    /// Number of duplicates.
    repeated: usize,
    names: Names,
}

/// Bits of a position that are the place in its list; those above number the list, from 1.
const PLACE: u32 = 56;

fn in_list(number: u64, position: u64) -> u64 {
    number << PLACE | position
}

/// Counts the requests and the duplicates among them, and reports the first error in any of them.
fn check_all(given: &[Wanted], lists: &[List], setup: &Setup) -> Result<Checked, Error> {
    let Checked { mut count, mut repeated, mut names } = Checked::default();
    let again = |position| entry_at(position, given, lists, setup);
    let mut check = |wanted: &Wanted, position: u64| -> Result<(), Error> {
        // A pipe has no names; more than one file for it is refused later.
        let entry = if setup.streams() { None } else { Entry::of(wanted) };
        let fresh = entry.map_or(Ok(true), |entry| names.take(&entry, position, again))?;
        *if fresh { &mut count } else { &mut repeated } += 1;
        Ok(())
    };
    given.iter().zip(0..).try_for_each(|(wanted, position)| check(wanted, position))?;
    for (list, number) in lists.iter().zip(1..) {
        let mut remarks = Remarks::new(list.shown(), setup.options.quiet);
        for request in list.requests(setup) {
            let (place, wanted) = request?;
            let checked = check(&wanted, in_list(number, place.position));
            checked.map_err(|error| list.at(place.line, &error))?;
            remarks.of(&place, &wanted);
        }
        remarks.end();
    }
    Ok(Checked { count, repeated, names })
}

/// Checks lists, and returns the number of their downloads.
///
/// # Errors
/// The first one in any of them.
#[cfg(feature = "fleet")]
pub(super) fn check_lists(lists: &[List], setup: &Setup) -> Result<usize, Error> {
    check_all(&[], lists, setup).map(|checked| checked.count)
}

/// Reads again what is asked for at a position.
fn entry_at(position: u64, given: &[Wanted], lists: &[List], setup: &Setup) -> Result<Option<Entry>, Error> {
    let (number, place) = ((position >> PLACE) as usize, position & ((1 << PLACE) - 1));
    match number.checked_sub(1).and_then(|at| lists.get(at)) {
        Some(list) => Ok(Entry::of(&list.again(place, setup)?)),
        None => Ok(given.get(place as usize).and_then(Entry::of)),
    }
}

/// Files a run needs besides those of its downloads, and files of one download besides its connections.
const OWN_FILES: u64 = 32;
const FILES_EACH: u64 = 4;
/// Files at once if no number is given and they may be large: the default of the library.
const FEW_JOBS: u16 = 4;
/// Limit of open files from which there may be more at once while they are small.
const ROOM_FOR_MANY: u64 = 256;

/// Raises the limit of open files to its maximum; returns the number of connections a download may have if that is not
/// enough for all of them.
fn bounded_by_files(options: &mut Options, count: usize) -> Option<usize> {
    let may = process::raise_descriptor_limit()?;
    if may < ROOM_FOR_MANY {
        let fitting = (may.saturating_sub(OWN_FILES) / (FILES_EACH + 1)).max(1);
        let wanted = *options.jobs.get_or_insert(FEW_JOBS);
        if u64::from(wanted) > fitting && count as u64 > fitting {
            options.jobs = u16::try_from(fitting).ok();
            output::say(format_args!(
                "haul: warning: {may} files may be open at once, so {fitting} are downloaded at once at most"
            ));
        }
    }
    let jobs = options.jobs.map_or(u64::from(FEW_JOBS), u64::from).min(count as u64).max(1);
    let most = (may.saturating_sub(OWN_FILES) / jobs).saturating_sub(FILES_EACH).max(1);
    if most >= options.connections.unwrap_or_default().most() as u64 {
        return None;
    }
    let plural = if most == 1 { "" } else { "s" };
    output::say(format_args!(
        "haul: warning: {may} files may be open at once, so each download has {most} connection{plural} at most"
    ));
    usize::try_from(most).ok()
}

const DIGESTS_OF_SEVERAL: &str =
    "give each its own: in a list of digests (--checksum-file), or in a list of URLs (-i)";

fn mirrors_of_several() -> Error {
    Error::usage("a mirror belongs to one file, but there are several URLs")
        .with_hint("name the mirrors of each in a list (-i), as {\"url\": …, \"mirrors\": […]}")
}

fn refuse_contradictions(setup: &Setup, urls: usize) -> Result<(), Error> {
    let options = &setup.options;
    if urls > 1 && matches!(setup.options.uploads, Some(Uploads::Object(_))) {
        return Err(Error::usage("-o names one object, but there are several URLs")
            .with_hint("end it with a slash for a prefix"));
    }
    if urls > 1 && options.output.is_some() {
        return Err(
            Error::usage("-o names one file, but there are several URLs").with_hint("use -d for a directory")
        );
    }
    if urls > 1 && setup.has_digest_of_one() {
        return Err(Error::usage("a digest belongs to one file, but there are several URLs")
            .with_hint(DIGESTS_OF_SEVERAL));
    }
    if urls > 1 && !options.mirror.is_empty() {
        return Err(mirrors_of_several());
    }
    if setup.streams() {
        let wants_file =
            options.dir.is_some() || options.content_disposition || options.remote_time || options.restart;
        if options.wants_json() {
            return Err(Error::usage("--json and -o - both want the standard output"));
        }
        if wants_file || options.if_exists.is_some() {
            return Err(Error::usage(
                "-o - makes no file, so there is nothing that flags for files could apply to",
            ));
        }
    }
    Ok(())
}

/// Streams to the standard output, without the line buffer of the standard library.
fn with_output(request: Request) -> Result<Request, Error> {
    let handle = process::standard_output();
    let handle = handle.map_err(|error| output::unwritable(&error))?;
    Ok(request.stream(handle))
}

/// Downloads everything, shows it, and ends with the combined exit code, or of the signal that interrupted it;
/// `earlier` are failures from before that count as well.
pub(super) fn fetch(
    options: &Options,
    client: &Client,
    requests: impl Iterator<Item = Result<Wanted, Error>>,
    count: usize,
    earlier: Vec<Kind>,
    hint: &ResumeHint,
) -> Result<ExitCode, Error> {
    fetch_all(options, client, (requests, count), None, earlier, hint)
}

/// As [`fetch`], with the `incoming` lines of a list after the requests, whose number is beside them.
fn fetch_all(
    options: &Options,
    client: &Client,
    requests: (impl Iterator<Item = Result<Wanted, Error>>, usize),
    incoming: Option<Incoming<'_>>,
    earlier: Vec<Kind>,
    hint: &ResumeHint,
) -> Result<ExitCode, Error> {
    let runtime = runtime()?;
    let outcome =
        runtime.block_on(async { Batch::new(options, client, requests, incoming, earlier)?.run(hint).await });
    // A thread stuck writing to a pipe without a reader must not keep the process alive.
    runtime.shutdown_background();
    let (code, signal) = outcome?;
    if let Some(signal) = signal {
        signals::die_of(signal);
    }
    Ok(code.into())
}
