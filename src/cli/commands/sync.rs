//! `haul sync`: brings a directory to what its lock says.

use super::super::args::{Options, SyncOptions};
use super::super::digests::are_given;
use super::super::lock_file::{Entry, Lock, changed};
use super::super::resume_hint::ResumeHint;
use super::super::setup::{By, Setup, Wanted};
use super::super::stamps::Stamps;
use super::super::{config, exit, output, render};
use super::fetch;
use crate::error::{Error, Kind};
use crate::formats::escape;
use crate::{Algorithm, Digest, verify_file};
use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// State of a locked file on disk.
enum Found {
    Right,
    Missing,
}

pub(in super::super) fn run(
    given: &SyncOptions,
    options: Options,
    hint: &ResumeHint,
) -> Result<ExitCode, Error> {
    if options.output.is_some() || options.dir.is_some() {
        return Err(Error::usage(
            "haul sync saves each file where the lock says; -o and -d make no sense with it",
        ));
    }
    refuse_others(&options, "haul sync")?;
    let digests = &options.digests;
    let states_any = are_given(digests) || digests.checksum_file.is_some();
    if states_any || digests.find_checksum || digests.minisign.is_some() {
        return Err(Error::usage(
            "haul sync takes the digests of the lock; other proofs make no sense with it",
        ));
    }
    if let Some(store) = given.offline.as_deref().filter(|store| !store.is_dir()) {
        let shown = escape::for_terminal(&store.to_string_lossy()).into_owned();
        return Err(Error::usage(format!("--offline: there is no directory {shown}")));
    }
    let setup = Setup::open(config::fill(options)?, &[])?;
    setup.refuse_lists("haul sync")?;
    let path = &given.lock.lock;
    let shown = escape::for_terminal(&path.to_string_lossy()).into_owned();
    let Some(lock) = Lock::read(path)? else {
        return Err(Error::usage(format!("there is no {shown}")).with_hint("haul add URL makes one"));
    };
    let directory = path.parent().unwrap_or_else(|| Path::new("")).to_owned();
    let json = setup.options.wants_json();
    let stamps = Stamps::read(path);
    let mut sync = Sync { lock, is_changed: false, stamps, directory, failures: Vec::new(), json };
    if given.frozen {
        sync.refuse_open(&shown)?;
    }
    let missing = sync.missing(given.offline.as_deref());
    let _ = sync.stamps.write();
    let present = sync.lock.0.len() - missing.len() - sync.failures.len();
    if !setup.options.quiet && !sync.json {
        let absent = sync.failures.iter().filter(|kind| **kind == Kind::NotFound).count();
        let wrong = sync.failures.len() - absent;
        let wrong = if wrong > 0 { format!(", {wrong} not right") } else { String::new() };
        output::say(format_args!(
            "haul: note: {shown}: {present} present, {} missing{wrong}",
            missing.len() + absent
        ));
    }
    sync.write(path)?;
    if missing.is_empty() {
        let code = exit::combined(&sync.failures);
        if sync.json {
            render::tell_end(sync.failures.len(), code)?;
        }
        return Ok(code.into());
    }
    let count = missing.len();
    let failures = sync.failures.clone();
    for entry in &missing {
        make_directory_of(&sync.directory.join(&entry.path))?;
    }
    let wanted = missing.iter().map(|entry| {
        let mut job = entry.job(&sync.directory);
        // Messages name it as the lock does.
        job.name = Some(entry.path.clone());
        setup.resolved(job, By::User)
    });
    let wanted: Vec<Wanted> = wanted.collect::<Result<_, _>>()?;
    let fetched =
        fetch::fetch(&setup.options, &setup.client()?, wanted.into_iter().map(Ok), count, failures, hint)?;
    // The remains of a run that failed may be of other files.
    if fetched == ExitCode::SUCCESS {
        sync.took(&missing)?;
        sync.write(path)?;
    }
    Ok(fetched)
}

/// # Errors
/// `Unsafe` if a link on the way to a locked file leads out of the directory of the lock: both may come from one repository.
fn stays_inside(directory: &Path, entry: &Entry) -> Result<(), Error> {
    let home = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    let within = Path::new(&entry.path).ancestors().skip(1).filter(|part| !part.as_os_str().is_empty());
    let deepest = within.map(|part| directory.join(part)).find(|place| place.symlink_metadata().is_ok());
    let Some(deepest) = deepest else {
        return Ok(());
    };
    let failed = |error: std::io::Error| Error::disk("cannot look at", &deepest, &error);
    let (home, place) = (home.canonicalize().map_err(failed)?, deepest.canonicalize().map_err(failed)?);
    if place.starts_with(&home) {
        return Ok(());
    }
    let cause = format!(
        "a link on the way to {} leads out of the directory of the lock",
        escape::for_terminal(&entry.path)
    );
    Err(Error::new(Kind::Unsafe, cause))
}

/// Creates the directory of a locked file.
pub(super) fn make_directory_of(target: &Path) -> Result<(), Error> {
    let directory = target.parent().filter(|directory| !directory.as_os_str().is_empty());
    let made = directory.map_or(Ok(()), fs::create_dir_all);
    made.map_err(|error| Error::disk("cannot create the directory of", target, &error))
}

/// Refuses flags that have no meaning for a lock.
pub(super) fn refuse_others(options: &Options, command: &str) -> Result<(), Error> {
    let flags = [
        ("--range", options.range.is_some()),
        ("--adopt", options.adopt.is_some()),
        ("--shard", options.shard.is_some()),
        ("--dry-run", options.dry_run),
        ("-o -", options.output.as_deref() == Some(Path::new("-"))),
    ];
    match flags.iter().find(|(_, is_given)| *is_given) {
        Some((flag, _)) => Err(Error::usage(format!(
            "{command} is about whole files in a directory; {flag} makes no sense with it"
        ))),
        None => Ok(()),
    }
}

struct Sync {
    lock: Lock,
    /// True if the lock says more than its file.
    is_changed: bool,
    stamps: Stamps,
    /// Directory of the lock.
    directory: PathBuf,
    failures: Vec<Kind>,
    json: bool,
}

impl Sync {
    /// # Errors
    /// `Usage` if an entry does not say which bytes it means: the lock would have to change.
    fn refuse_open(&self, shown: &str) -> Result<(), Error> {
        let open = self.lock.0.values().find(|entry| entry.sha256.is_none() || entry.size.is_none());
        open.map_or(Ok(()), |entry| {
            Err(Error::usage(format!(
                "{shown}: the file {} has no size or no digest, and --frozen changes no lock",
                entry.path
            ))
            .with_hint("haul sync, without --frozen, fetches it and locks what it is"))
        })
    }

    /// Files that are not there. Those that are other ones are reported, and left as they are.
    fn missing(&mut self, offline: Option<&Path>) -> Vec<Entry> {
        let mut missing = Vec::new();
        for entry in self.lock.0.values().cloned().collect::<Vec<_>>() {
            let found = self.found(&entry).and_then(|found| match (found, offline) {
                (Found::Missing, Some(store)) => self.take_from(store, &entry),
                (found, _) => Ok(found),
            });
            match found {
                Ok(Found::Right) => {}
                Ok(Found::Missing) => missing.push(entry),
                Err(error) => {
                    self.failures.push(error.kind());
                    output::say_failure(&error);
                    if self.json {
                        // The run fails anyway.
                        let _ = render::tell_error(&error, exit::code(error.kind()));
                    }
                }
            }
        }
        missing
    }

    fn found(&mut self, entry: &Entry) -> Result<Found, Error> {
        let path = self.directory.join(&entry.path);
        stays_inside(&self.directory, entry)?;
        let present = match fs::symlink_metadata(&path) {
            Ok(present) => present,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Found::Missing),
            Err(error) => return Err(Error::disk("cannot read", &path, &error)),
        };
        if !present.is_file() {
            return Err(changed(entry, "it is no regular file"));
        }
        if let Some(size) = entry.size.filter(|size| *size != present.len()) {
            return Err(changed(entry, &format!("it has {} bytes, and {size} are locked", present.len())));
        }
        // Nothing shows that it is the file of the URL, however it came there.
        let digest = entry
            .digest()?
            .ok_or_else(|| changed(entry, "no digest is locked that it could be compared with"))?;
        let sha256 = digest.to_hex();
        if self.stamps.vouches_for(&entry.path, &present, &sha256) {
            return Ok(Found::Right);
        }
        verify_file(&path, &[digest]).map_err(|error| match error.kind() {
            Kind::Checksum => changed(entry, "it has another digest"),
            _ => error,
        })?;
        self.stamps.saw(&entry.path, &present, &sha256);
        Ok(Found::Right)
    }

    /// Locks what a file is of which that was not known.
    fn locked(&mut self, entry: &Entry, path: &Path, present: &Metadata) -> Result<(), Error> {
        let digests = crate::digests_of(path, &[Algorithm::Sha256])?;
        let sha256 = digests.first().map(Digest::to_hex).unwrap_or_default();
        self.stamps.saw(&entry.path, present, &sha256);
        let entry = Entry { size: Some(present.len()), sha256: Some(sha256), ..entry.clone() };
        self.is_changed = true;
        self.lock.add(entry)
    }

    /// Writes the lock, if it says more now.
    fn write(&mut self, path: &Path) -> Result<(), Error> {
        if std::mem::take(&mut self.is_changed) { self.lock.write(path) } else { Ok(()) }
    }

    /// Copies a file from a directory that has it, under its path or its digest.
    #[expect(clippy::disallowed_methods, reason = "a copy of a local file is no download")]
    fn take_from(&mut self, store: &Path, entry: &Entry) -> Result<Found, Error> {
        let digest = entry
            .digest()?
            .ok_or_else(|| changed(entry, "no digest is locked, so no copy can be trusted"))?;
        let by_digest = store.join(digest.to_hex());
        let source = [store.join(&entry.path), by_digest].into_iter().find(|path| path.is_file());
        let Some(source) = source else {
            let shown = escape::for_terminal(&store.to_string_lossy()).into_owned();
            return Err(Error::new(
                Kind::NotFound,
                format!("{} is missing, and is not in {shown} either", entry.path),
            ));
        };
        verify_file(&source, std::slice::from_ref(&digest))?;
        let target = self.directory.join(&entry.path);
        let failed = |error: std::io::Error| Error::disk("cannot write", &target, &error);
        make_directory_of(&target)?;
        let name = target.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let beside = target.with_file_name(format!(".{name}.{}.tmp", std::process::id()));
        let copied = (|| {
            let mut copy = fs::OpenOptions::new().write(true).create_new(true).open(&beside)?;
            std::io::copy(&mut fs::File::open(&source)?, &mut copy)?;
            copy.sync_all()
        })();
        // The copy is what was proven only if it was proven itself; a file that appeared meanwhile is not replaced.
        let copied =
            copied.map_err(failed).and_then(|()| verify_file(&beside, std::slice::from_ref(&digest)));
        let placed = copied.and_then(|_| fs::hard_link(&beside, &target).map_err(failed));
        let _ = fs::remove_file(&beside);
        placed?;
        let present = target.metadata().map_err(failed)?;
        self.stamps.saw(&entry.path, &present, &digest.to_hex());
        Ok(Found::Right)
    }

    /// Records what was fetched: the stamps, and what was not locked yet.
    fn took(&mut self, fetched: &[Entry]) -> Result<(), Error> {
        for entry in fetched {
            let target = self.directory.join(&entry.path);
            let Ok(present) = fs::symlink_metadata(&target) else {
                continue;
            };
            match &entry.sha256 {
                Some(sha256) => self.stamps.saw(&entry.path, &present, sha256),
                None => self.locked(entry, &target, &present)?,
            }
        }
        let _ = self.stamps.write();
        Ok(())
    }
}
