//! Saves small files in batches: all are written, then all are synced, and only then are they named.

use super::partial_file::PartialFile;
use super::spec::FileSpec;
use super::spec::IfExists;
use crate::error::{Error, Kind, Remedy};
use crate::plan::representation::Representation;
use crate::storage::{
    self, Directory, Lacks, Opened, Publication, ReadOnly, Storage as _, Target, Unnamed, owner, publish,
};
use crate::verify::{Digest, hash_file};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;

/// A complete small file in memory.
pub(crate) struct SmallFile {
    pub(crate) target: Target,
    pub(crate) bytes: Vec<u8>,
    pub(crate) publication: Publication,
    pub(crate) representation: Representation,
    pub(crate) spec: FileSpec,
}

/// Digests of the file, once it is durable under its name, and the operations that the file system refused.
type Saved = Result<(Vec<Digest>, Lacks), Error>;

/// Maximum number of files in a batch.
const BATCH: usize = 16;

/// Group-commit delay: gathers files that finish together, because waking a thread for each costs more.
const GATHER: Duration = Duration::from_millis(1);

/// With this many files waiting, a download that adds another one keeps its turn: waiting files are held in memory.
const CROWD: usize = 64;

/// Group commit for the small files of all downloads. While some are synced, others gather and form the next batch: the
/// more there are, the less each of them costs.
#[derive(Clone, Default)]
pub(crate) struct SmallFiles {
    queue: Arc<Mutex<Queue>>,
    /// Lacks that were reported already.
    told: Arc<Mutex<Lacks>>,
}

#[derive(Default)]
struct Queue {
    waiting: Vec<(SmallFile, oneshot::Sender<Saved>)>,
    /// True while a thread is running that will look at the queue again before it ends.
    at_work: bool,
}

impl SmallFiles {
    /// Returns once the file is durable under its name.
    ///
    /// Dropping the future does not keep the file from being saved.
    ///
    /// # Errors
    /// `Disk`; `Exists` if the name is taken by now; `Checksum`. Nothing is left of the file then.
    pub(crate) async fn save(&self, file: SmallFile) -> Saved {
        let (told, hears) = oneshot::channel();
        let idle = {
            let mut queue = self.lock();
            queue.waiting.push((file, told));
            !std::mem::replace(&mut queue.at_work, true)
        };
        if idle {
            let small_files = self.clone();
            // Joined through the replies: there is one for each file, and the thread ends after the last.
            drop(crate::threads::offload(move || small_files.work()));
        }
        hears.await.unwrap_or_else(|_| Err(Error::new(Kind::Other, "the saving died")))
    }

    /// Lacks of a file, in words, unless they were reported for another one already.
    pub(crate) fn news(&self, lacks: Lacks) -> Option<String> {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let news = lacks.beyond(*told);
        *told = *told | lacks;
        news
    }

    /// Returns true if so many files wait that no more should be fetched meanwhile.
    pub(crate) fn is_crowded(&self) -> bool {
        self.lock().waiting.len() >= CROWD
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // Nothing in here panics between two changes that belong together.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Saves the waiting files, until there are none left.
    fn work(&self) {
        let _guard = AtWork(self);
        std::thread::sleep(GATHER);
        loop {
            let batch = {
                let mut queue = self.lock();
                queue.at_work = !queue.waiting.is_empty();
                // Each of them is an open file for a while.
                let count = queue.waiting.len().min(BATCH);
                queue.waiting.drain(..count).collect::<Vec<_>>()
            };
            if batch.is_empty() {
                return;
            }
            let (files, tell): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
            for (tell, saved) in tell.into_iter().zip(save_all(files)) {
                // The receiver may be gone.
                let _ = tell.send(saved);
            }
        }
    }
}

/// Guard of the saving thread.
struct AtWork<'a>(&'a SmallFiles);

impl Drop for AtWork<'_> {
    /// Resets the queue after a panic, so that later files do not wait for ever.
    fn drop(&mut self) {
        if std::thread::panicking() {
            *self.0.lock() = Queue::default();
        }
    }
}

/// Progress of a file through the batch.
enum Step {
    /// Written and verified; without a name.
    Written(Unnamed, Vec<Digest>, Lacks),
    /// Named; the name is durable once its directory is.
    Named(Vec<Digest>, Lacks),
    Ended(Saved),
}

/// Saves a batch in an order that gives names only to durable files. Blocking.
fn save_all(files: Vec<SmallFile>) -> Vec<Saved> {
    let written = files.into_iter().map(|file| {
        let step = write(&file).unwrap_or_else(|error| Step::Ended(Err(error)));
        (file, step)
    });
    // All are written before the first is synced: one sync includes much of the work of the next.
    let mut files: Vec<_> = written.collect();
    for (file, step) in &mut files {
        if let Step::Written(unnamed, _, lacks) = step {
            match unnamed.prepare(&file.target, &file.publication) {
                Ok(found) => *lacks = found,
                Err(error) => *step = Step::Ended(Err(error)),
            }
        }
    }
    let wanted: BTreeSet<PathBuf> = files
        .iter()
        .filter(|(_, step)| matches!(step, Step::Written(..)))
        .map(|(file, _)| file.target.directory().to_owned())
        .collect();
    let named = wanted.into_iter().map(|directory| {
        let named = name_in(&directory, &mut files);
        (directory, named)
    });
    let named: BTreeMap<_, _> = named.collect();
    files.into_iter().map(|(file, step)| ended(&file.target, step, &named)).collect()
}

/// Names the files of one directory and syncs it once for all of them, which costs as much as for one. The directory is
/// opened first, so that no file is named if that fails.
fn name_in(directory: &Path, files: &mut [(SmallFile, Step)]) -> io::Result<bool> {
    let opened = Directory::open(directory);
    for (file, step) in files.iter_mut().filter(|(file, _)| file.target.directory() == directory) {
        // Placeholder that is never looked at.
        let written = std::mem::replace(step, Step::Ended(Ok(Default::default())));
        *step = match (&opened, written) {
            (Err(error), Step::Written(..)) => Step::Ended(Err(unsaved(&file.target, error))),
            (_, written) => name(file, written),
        };
    }
    opened?.sync()
}

fn unsaved(target: &Target, error: &io::Error) -> Error {
    Error::disk("cannot save the name", &target.path(), error)
}

fn write(file: &SmallFile) -> Result<Step, Error> {
    let Some(unnamed) = Unnamed::write(&file.target, &file.bytes)? else {
        return by_part(file).map(|saved| Step::Ended(Ok(saved)));
    };
    let digests = digests(file, &unnamed)?;
    file.spec.check(&digests)?;
    Ok(Step::Written(unnamed, digests, Lacks::default()))
}

/// Hashes the bytes read back from disk, not those sent there.
fn digests(file: &SmallFile, unnamed: &Unnamed) -> Result<Vec<Digest>, Error> {
    let algorithms = file.spec.algorithms();
    if algorithms.is_empty() {
        return Ok(Vec::new());
    }
    let failed = |error: io::Error| Error::disk("cannot read back", &file.target.path(), &error);
    let handle = unnamed.file().try_clone().map_err(failed)?;
    hash_file(Arc::new(handle), &algorithms).map_err(failed)
}

fn name(file: &SmallFile, step: Step) -> Step {
    let Step::Written(unnamed, digests, lacks) = step else {
        return step;
    };
    match unnamed.publish(&file.target, &file.publication) {
        Ok(true) => Step::Named(digests, lacks),
        Ok(false) => Step::Ended(by_part(file)),
        Err(error) if error.kind() == Kind::Exists && is_there_already(file) => Step::Named(digests, lacks),
        Err(error) => Step::Ended(Err(error)),
    }
}

/// Returns true if the file that has appeared at the final name is this very file: another process has fetched it, too.
fn is_there_already(file: &SmallFile) -> bool {
    let path = file.target.path();
    let mut bytes = vec![0; file.bytes.len() + 1];
    let read = ReadOnly::open_itself(&path).and_then(|there| {
        let ours = owner::is_ours(&there.file().metadata()?, file.target.directory());
        if ours { there.read_at(0, &mut bytes) } else { Err(io::ErrorKind::PermissionDenied.into()) }
    });
    file.spec.if_exists == IfExists::Auto
        && read.is_ok_and(|length| bytes.get(..length).is_some_and(|there| there == file.bytes))
}

fn ended(target: &Target, step: Step, directories: &BTreeMap<PathBuf, io::Result<bool>>) -> Saved {
    match step {
        Step::Ended(saved) => saved,
        Step::Named(digests, lacks) => match directories.get(target.directory()) {
            Some(Err(error)) => Err(unsaved(target, error)),
            Some(Ok(synced)) => Ok((digests, lacks | Lacks::of_names(*synced))),
            None => Ok((digests, lacks)),
        },
        // There is none left: each was named or has ended.
        Step::Written(..) => Err(Error::new(Kind::Other, "a file was left without its name")),
    }
}

/// Saves a file by a part file and a manifest as usual, where unnamed files are not supported.
fn by_part(file: &SmallFile) -> Saved {
    let part = match storage::open(&file.target)? {
        Opened::Created(part) => part,
        Opened::Existing(part) => {
            let cause = format!("{} appeared meanwhile", part.path().display());
            return Err(Error::new(Kind::Locked, cause).with_remedy(Remedy::Again));
        }
    };
    let place = PartialFile::new(file.target.clone(), part, true);
    let saved = save_in(&place, file);
    if saved.is_err() {
        let _ = place.leave(true, 0, 0);
    }
    saved
}

fn save_in(place: &PartialFile, file: &SmallFile) -> Saved {
    let (journal, _) = place.begin(&file.representation, &file.spec)?;
    let failed = |error: io::Error| Error::disk("cannot write to", place.part.path(), &error);
    place.part.write_at(0, &file.bytes).map_err(failed)?;
    let digests = hash_file(place.part.clone(), &file.spec.algorithms()).map_err(failed)?;
    file.spec.check(&digests)?;
    place.part.sync().map_err(failed)?;
    let lacks = publish(&place.part, &place.target, &file.publication, &|| journal.check())?;
    Ok((digests, lacks))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Address;
    use crate::plan::representation::Validators;
    use std::path::Path;

    fn small(directory: &Path, name: &str, bytes: &[u8], digests: Vec<Digest>) -> SmallFile {
        let representation =
            Representation { complete_length: Some(bytes.len() as u64), ..Representation::default() };
        SmallFile {
            target: Target::new(directory.to_owned(), name.into()).unwrap(),
            bytes: bytes.to_vec(),
            publication: Publication {
                mode: Some(0o640),
                replace: false,
                modified: None,
                url: "http://h/f".to_owned(),
                validators: Validators::default(),
            },
            representation,
            spec: FileSpec {
                address: Address::parse("http://h/f").unwrap().0,
                named_by: crate::destination::NamedBy::User,
                mirrors: Vec::new(),
                digests,
                stated_by: Vec::new(),
                signature: None,
                published: Vec::new(),
                mirrored: false,
                pieces: None,
                size: None,
                if_exists: IfExists::Auto,
                restart: false,
                may_restart: true,
            },
        }
    }

    fn names(directory: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(directory).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[expect(clippy::disallowed_methods, reason = "a file that stands there already")]
    #[test]
    fn each_file_of_a_batch_ends_as_it_would_alone() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("taken"), "the user's").unwrap();
        let wrong: Digest =
            "sha256:1111111111111111111111111111111111111111111111111111111111111111".parse().unwrap();
        let saved = save_all(vec![
            small(directory.path(), "one", b"first", vec![]),
            small(directory.path(), "taken", b"second", vec![]),
            small(directory.path(), "wrong", b"third", vec![wrong]),
            small(directory.path(), "two", b"", vec![]),
        ]);
        let kinds: Vec<_> = saved.iter().map(|saved| saved.as_ref().err().map(Error::kind)).collect();
        assert_eq!(kinds, [None, Some(Kind::Exists), Some(Kind::Checksum), None]);
        assert_eq!(names(directory.path()), ["one", "taken", "two"]);
        assert_eq!(std::fs::read(directory.path().join("one")).unwrap(), b"first");
        assert_eq!(std::fs::read(directory.path().join("taken")).unwrap(), b"the user's");
    }

    #[test]
    fn a_saver_that_panics_lets_those_go_who_wait_and_works_on_for_others() {
        let small_files = SmallFiles::default();
        let directory = tempfile::tempdir().unwrap();
        let (told, mut hears) = oneshot::channel();
        {
            let mut queue = small_files.lock();
            queue.waiting.push((small(directory.path(), "one", b"first", vec![]), told));
            queue.at_work = true;
        }
        let dying = small_files.clone();
        let died = std::thread::spawn(move || {
            let _guard = AtWork(&dying);
            panic!("as if a bug had struck");
        });
        assert!(died.join().is_err());
        assert!(hears.try_recv().is_err());
        assert!(!small_files.lock().at_work);
    }

    #[test]
    fn where_files_must_have_a_name_the_result_is_the_same() {
        let directory = tempfile::tempdir().unwrap();
        let file = small(directory.path(), "one", b"first", vec![]);
        by_part(&file).unwrap();
        assert_eq!(by_part(&file).unwrap_err().kind(), Kind::Exists);
        assert_eq!(names(directory.path()), ["one"]);
        assert_eq!(std::fs::read(directory.path().join("one")).unwrap(), b"first");
    }
}
