//! Destination of a download's bytes, with the checkpoint, the hash or the pipe behind it.

use super::checkpoint::Checkpoint;
use super::partial_file::PartialFile;
use super::sink::Sink;
use crate::error::{Error, Kind};
use crate::manifest::{self, Hold, Journal, Run};
use crate::plan::{ByteRange, Moment, RangeSet};
use crate::storage::{Memory, Pipe, Target};
use crate::threads;
use crate::verify::{Digest, Follower, Frontier, Hasher};
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use tokio::task::JoinHandle;

/// Destination of the bytes.
pub(crate) enum Work {
    /// Not known yet, or never needed.
    Nothing,
    File(Box<FileWork>),
    /// A small file, held as a whole.
    Small(SmallWork),
    Pipe(PipeWork),
}

/// Hash that follows the front; ends without digests if the frontier is dropped.
type Following = (Frontier, JoinHandle<io::Result<Option<Vec<Digest>>>>);

/// Background read-back of claims that returns the damaged ranges.
type Auditing = JoinHandle<io::Result<Vec<ByteRange>>>;

/// A part file being filled.
pub(crate) struct FileWork {
    pub(crate) place: PartialFile,
    pub(crate) checkpoint: Checkpoint,
    sink: Sink,
    digests: Vec<Digest>,
    following: Option<Following>,
    auditing: Option<Auditing>,
    stop: Arc<AtomicBool>,
}

/// A small file being gathered in memory: nothing of it is on disk before it is complete.
pub(crate) struct SmallWork {
    pub(crate) target: Target,
    memory: Arc<Memory>,
}

/// A pipe being fed.
pub(crate) struct PipeWork {
    pipe: Arc<Pipe>,
    draining: Option<JoinHandle<io::Result<Vec<Digest>>>>,
    /// Reason that it cannot be fed any more.
    broken: Arc<OnceLock<String>>,
}

impl FileWork {
    /// Starts the hash; with `audit`, the claims of the journal are read back in the background.
    pub(crate) fn new(
        place: PartialFile,
        journal: Journal,
        digests: &[Digest],
        inline: bool,
        audit: bool,
        now: Moment,
    ) -> Self {
        let claims = journal.runs().to_vec();
        let mut work = Self {
            sink: Sink::file(place.part.clone(), inline),
            // With digests, the follower reads everything back and releases it from memory afterwards.
            checkpoint: Checkpoint::new(
                place.part.clone(),
                place.part.path().to_owned(),
                journal,
                place.is_larger_than_memory() && digests.is_empty(),
                now,
            ),
            place,
            digests: digests.to_vec(),
            following: None,
            auditing: None,
            stop: Arc::new(AtomicBool::new(false)),
        };
        work.follow();
        if audit && !claims.is_empty() {
            work.auditing = Some(work.audit(claims));
        }
        work
    }

    pub(crate) fn sink(&self) -> Sink {
        self.sink.clone()
    }

    /// Starts hashing from the beginning, behind the front.
    pub(crate) fn follow(&mut self) {
        if !self.digests.is_empty() {
            let lets_go = self.place.is_larger_than_memory();
            let (frontier, follower) = Frontier::new(self.place.part.clone(), &self.digests, lets_go);
            let following = threads::beside(follower, Follower::run, Follower::run_in_turns);
            self.following = Some((frontier, following));
        }
    }

    pub(crate) fn advance(&self, front: u64) {
        if let Some((frontier, _)) = &self.following {
            frontier.advance(front, false);
        }
    }

    pub(crate) fn hashed(&self) -> Option<u64> {
        self.following.as_ref().map(|(frontier, _)| frontier.hashed())
    }

    /// Digests of the complete file.
    pub(crate) async fn digests(&mut self, length: u64) -> Result<Vec<Digest>, Error> {
        let Some((frontier, following)) = self.following.take() else {
            return Ok(Vec::new());
        };
        frontier.advance(length, true);
        let path = self.place.part.path();
        let hashed = following.await.map_err(|error| died(error, "the hash"))?;
        Ok(hashed.map_err(|error| Error::disk("cannot read back", path, &error))?.unwrap_or_default())
    }

    fn audit(&self, claims: Vec<Run>) -> Auditing {
        let part = self.place.part.clone();
        let stop = self.stop.clone();
        threads::offload(move || manifest::audit(part.as_ref(), &claims, &stop))
    }

    /// Waits for the damaged ranges among the claims of an earlier run.
    pub(crate) async fn audited(&mut self) -> Result<Vec<ByteRange>, Error> {
        match self.auditing.take() {
            Some(auditing) => self.damaged(auditing).await,
            None => Ok(Vec::new()),
        }
    }

    /// Reads back all claims and returns the damaged ranges.
    pub(crate) async fn audit_all(&mut self) -> Result<Vec<ByteRange>, Error> {
        let auditing = self.audit(self.checkpoint.claims());
        self.damaged(auditing).await
    }

    async fn damaged(&self, auditing: Auditing) -> Result<Vec<ByteRange>, Error> {
        let audited = auditing.await.map_err(|error| died(error, "the audit"))?;
        audited.map_err(|error| Error::disk("cannot read back", self.place.part.path(), &error))
    }

    /// Stops the readers of the file, so that none of them holds its lock any more.
    pub(crate) async fn stop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some((frontier, following)) = self.following.take() {
            drop(frontier);
            // Their results are not needed any more.
            let _ = following.await;
        }
        if let Some(auditing) = self.auditing.take() {
            let _ = auditing.await;
        }
    }

    /// Discards everything and returns a new part file, locked and empty.
    pub(crate) async fn clear(mut self) -> Result<PartialFile, Error> {
        self.stop().await;
        let Self { place, checkpoint, .. } = self;
        let hold = checkpoint.hold();
        // A batch that is still being saved would otherwise append to a manifest that is gone.
        checkpoint.settled().await?;
        blocking(move || {
            hold.as_ref().map_or(Ok(()), Hold::check)?;
            place.clear()
        })
        .await
    }
}

impl SmallWork {
    /// Gathers a file of `length` bytes.
    pub(crate) fn new(target: Target, length: usize) -> Self {
        Self { target, memory: Arc::new(Memory::new(length)) }
    }

    /// Takes the bytes out.
    pub(crate) fn take(&self) -> Vec<u8> {
        self.memory.take()
    }
}

impl PipeWork {
    pub(crate) fn new(out: Box<dyn Write + Send>, window: u64, digests: &[Digest]) -> Self {
        let pipe = Arc::new(Pipe::new(window as usize));
        let hashers = digests.iter().map(|digest| Hasher::new(digest.algorithm())).collect();
        let broken = Arc::new(OnceLock::new());
        let drain = Drain { pipe: pipe.clone(), out, hashers, broken: broken.clone() };
        let draining = threads::beside(drain, Drain::run, Drain::run_in_turns);
        Self { pipe, draining: Some(draining), broken }
    }

    pub(crate) fn sink(&self) -> Sink {
        Sink::pipe(self.pipe.clone())
    }

    pub(crate) fn is_untouched(&self) -> bool {
        self.pipe.is_untouched()
    }

    pub(crate) fn drained(&self) -> u64 {
        self.pipe.drained()
    }

    /// Reason that nothing can be written to the output any more, if so.
    pub(crate) fn broken(&self) -> Option<String> {
        let ended = self.draining.as_ref().is_some_and(JoinHandle::is_finished);
        ended.then(|| self.broken.get().cloned().unwrap_or_else(|| "the output died".to_owned()))
    }

    /// Drains the pipe completely and returns the digests of the output.
    pub(crate) async fn finish(&mut self) -> Result<Vec<Digest>, Error> {
        self.pipe.close();
        let Some(draining) = self.draining.take() else {
            return Ok(Vec::new());
        };
        let drained = draining.await.map_err(|error| died(error, "the output"))?;
        drained.map_err(|error| Error::new(Kind::Disk, unwritable(&error)))
    }

    /// Closes the pipe.
    pub(crate) fn close(&self) {
        self.pipe.close();
    }
}

/// Reading end of a pipe.
struct Drain {
    pipe: Arc<Pipe>,
    out: Box<dyn Write + Send>,
    hashers: Vec<Hasher>,
    broken: Arc<OnceLock<String>>,
}

impl Drain {
    fn run(mut self) -> io::Result<Vec<Digest>> {
        let hashers = &mut self.hashers;
        let outcome = self.pipe.drain_to(&mut *self.out, |bytes| hash(hashers, bytes));
        self.ended(outcome)
    }

    async fn run_in_turns(mut self) -> io::Result<Vec<Digest>> {
        let hashers = &mut self.hashers;
        let outcome = self.pipe.drain_in_turns(&mut *self.out, |bytes| hash(hashers, bytes)).await;
        self.ended(outcome)
    }

    fn ended(mut self, outcome: io::Result<u64>) -> io::Result<Vec<Digest>> {
        let outcome = outcome.and_then(|_| self.out.flush());
        if let Err(error) = &outcome {
            // This is the only place that sets it.
            let _ = self.broken.set(unwritable(error));
        }
        // Whatever ended it: no writer may wait for room any more.
        self.pipe.close();
        outcome?;
        Ok(self.hashers.into_iter().map(Hasher::finish).collect())
    }
}

fn hash(hashers: &mut [Hasher], bytes: &[u8]) {
    hashers.iter_mut().for_each(|hasher| hasher.update(bytes));
}

impl Work {
    pub(crate) fn sink(&self) -> Option<Sink> {
        match self {
            Self::Nothing => None,
            Self::File(work) => Some(work.sink()),
            Self::Small(work) => Some(Sink::file(work.memory.clone(), true)),
            Self::Pipe(work) => Some(work.sink()),
        }
    }

    pub(crate) fn durable(&self) -> RangeSet {
        match self {
            Self::File(work) => work.checkpoint.durable().clone(),
            _ => RangeSet::new(),
        }
    }

    /// Waits for the checkpoint being saved; for ever if there is none.
    pub(crate) async fn saved(&mut self) -> Result<(), Error> {
        match self {
            Self::File(work) => work.checkpoint.saved().await,
            _ => std::future::pending().await,
        }
    }
}

impl Drop for PipeWork {
    /// The draining thread must not outlive the feeder.
    fn drop(&mut self) {
        self.pipe.close();
    }
}

/// Runs blocking work on a thread that may block.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    threads::offload(work).await.map_err(|error| died(error, "the work on the disk"))?
}

fn unwritable(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::BrokenPipe => "broken pipe: the output is not read any more".to_owned(),
        _ => format!("cannot write to the output: {error}"),
    }
}

fn died(error: tokio::task::JoinError, what: &str) -> Error {
    Error::new(Kind::Other, format!("{what} died")).with_source(error)
}
