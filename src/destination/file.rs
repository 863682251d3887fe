//! A part file being filled, with its checkpoint, and the hash that follows it.

use super::checkpoint::Checkpoint;
use super::partial_file::PartialFile;
use super::sink::Sink;
use super::{blocking, died};
use crate::error::Error;
use crate::manifest::{self, Hold, Journal, Run};
use crate::plan::{ByteRange, Moment};
use crate::threads;
use crate::verify::{Algorithm, Digest, Follower, Frontier, Hashed};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::task::JoinHandle;

/// Hash that follows the front; ends without digests if the frontier is dropped.
type Following = (Frontier, JoinHandle<io::Result<Option<Vec<Digest>>>>);

/// Background read-back of claims that returns the damaged ranges.
type Auditing = JoinHandle<io::Result<Vec<ByteRange>>>;

/// A part file being filled.
pub(crate) struct FileWork {
    pub(crate) place: PartialFile,
    pub(crate) checkpoint: Checkpoint,
    sink: Sink,
    algorithms: Vec<Algorithm>,
    following: Option<Following>,
    auditing: Option<Auditing>,
    stop: Arc<AtomicBool>,
}

impl FileWork {
    /// Starts the hash; with `audit`, the claims of the journal are read back in the background.
    pub(crate) fn new(
        place: PartialFile,
        journal: Journal,
        algorithms: &[Algorithm],
        inline: bool,
        audit: bool,
        now: Moment,
    ) -> Self {
        let claims = journal.runs().to_vec();
        let mut work = Self {
            sink: Sink::file(place.part.clone(), inline),
            // With a hash, the follower reads everything back and releases it from memory afterwards.
            checkpoint: Checkpoint::new(
                place.part.clone(),
                place.part.path().to_owned(),
                journal,
                place.is_larger_than_memory() && algorithms.is_empty(),
                now,
            ),
            place,
            algorithms: algorithms.to_vec(),
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

    /// Computes digests by these algorithms, of which it learned only now.
    pub(crate) fn expect(&mut self, algorithms: Vec<Algorithm>) {
        if self.algorithms.is_empty() {
            self.algorithms = algorithms;
            self.follow();
        }
    }

    pub(crate) fn sink(&self) -> Sink {
        self.sink.clone()
    }

    /// Starts hashing from the beginning, behind the front.
    pub(crate) fn follow(&mut self) {
        if !self.algorithms.is_empty() {
            let lets_go = self.place.is_larger_than_memory();
            let (frontier, follower) = Frontier::new(self.place.part.clone(), &self.algorithms, lets_go);
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

    /// Counter of the bytes hashed, if there is a hash.
    pub(crate) fn hash(&self) -> Option<Hashed> {
        self.following.as_ref().map(|(frontier, _)| frontier.counter())
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
