//! End of a download, good or bad: verify and publish, or keep the received bytes.

use super::mirrors::{PATIENCE_IF_RIGHT, PATIENCE_IF_WRONG};
use super::pieces::whole_claims;
use super::{Driver, cancellation, until_cancelled};
use crate::clock::Clock;
use crate::destination::{
    Destination, FileWork, IfExists, OwnDestination, PipeWork, SmallFile, SmallWork, blocking, given_up,
    publish_own,
};
use crate::engine::event::Notice;
use crate::engine::progress::Phase;
use crate::engine::publisher::{FRAME, Publisher};
use crate::engine::report::{Proof, ProvedBy, Report, Transport};
use crate::error::{Error, Kind, Remedy};
use crate::manifest::{Hold, Record};
use crate::plan::ByteRange;
use crate::plan::slowness::{Facts, Reasons};
use crate::storage::{Lacks, Publication, Target, publish};
use crate::verify::{Digest, Hashed, Published, RECORDED};
use std::future::Future;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::watch;

/// Result of the comparison of a complete file with what proves it.
enum Finding {
    Right,
    /// It is another file; with the ranges of the wrong pieces, if they are known already.
    Wrong(Error, Option<Vec<ByteRange>>),
}

impl Driver {
    /// Everything is written. `None` if damage was found that is being fetched again.
    pub(super) async fn finish(&mut self, publisher: &mut Publisher) -> Result<Option<Report>, Error> {
        self.settle(publisher).await;
        self.look_around(publisher);
        // Reasons that held the transfer back do not hold back its end.
        publisher.reasons = Reasons::default();
        if !self.destination.is_small() {
            self.show(publisher, Phase::Verifying, true);
        }
        let known = self.transfer.representation().and_then(|known| known.complete_length);
        let length = known.unwrap_or_else(|| self.transfer.written().len());
        let digests;
        let mut path = None;
        match self.destination.take() {
            Destination::Unmade(_)
            | Destination::Locked(_)
            | Destination::Creating(_)
            | Destination::Gone => {
                return Err(Error::defect("a file that is complete was never opened"));
            }
            Destination::Own(mut work) => {
                let unhashed = behind(work.hash(), length);
                let hashing = unless_cancelled(self.cancelled.clone(), work.digests(length));
                let hashed = shown(publisher, unhashed, hashing).await;
                let own = work.destination();
                self.destination = Destination::Own(work);
                digests = hashed?;
                self.wants.spec.check(&digests).map_err(|error| error.with_remedy(Remedy::CompareDigest))?;
                publish_own(own, length, digests.clone()).await?;
            }
            Destination::Pipe(mut work) => {
                let reading = || (Facts { reader: true, ..Facts::default() }, None);
                let draining = unless_cancelled(self.cancelled.clone(), work.finish());
                let drained = shown(publisher, reading, draining).await;
                let (own, left) = (work.destination(), work.drained());
                self.destination = Destination::Pipe(work);
                digests = drained?;
                if left != length {
                    return Err(Error::defect("the output was closed before everything was written"));
                }
                self.wants.spec.check(&digests).map_err(|error| error.with_remedy(Remedy::OutputIsWrong))?;
                if let Some(own) = own {
                    publish_own(own, length, digests.clone()).await?;
                }
            }
            Destination::Small(work) => {
                if self.transfer.answers_agree() {
                    self.wants.host.agreed(self.transfer.came_as_a_whole());
                }
                // The first response on a new connection comes after its handshakes.
                let is_new = self.reached.borrow().is_some();
                if let Some(latency) = self.transfer.first_latency().filter(|_| !is_new) {
                    self.wants.host.answered_after(latency);
                }
                let slot = if self.wants.small_files.is_crowded() { None } else { self.slot.take() };
                let saving = self.wants.small_files.save(self.small_file(&work)?);
                // Only disk work is left: the next file may begin.
                drop(slot);
                let (found, lacks) = saving.await?;
                digests = found;
                path = Some(work.target.path());
                self.tell_lacks(lacks, publisher);
            }
            Destination::File(mut work) => {
                let finished = Box::pin(self.finish_file(&mut work, length, publisher)).await;
                let (place, hold) = (work.place.clone(), work.checkpoint.hold());
                self.destination = Destination::File(work);
                match finished? {
                    Some(found) => digests = found,
                    None => return Ok(None),
                }
                let publication = self.publication(&place.target)?;
                let publishing = place.clone();
                let lacks = blocking(move || {
                    let held = || hold.as_ref().map_or(Ok(()), Hold::check);
                    publish(&publishing.part, &publishing.target, &publication, &held)
                });
                let lacks = lacks.await?;
                path = Some(place.target.path());
                self.tell_lacks(lacks, publisher);
            }
        }
        self.show(publisher, Phase::Ended, true);
        let fetched = self.shared.received.load(Ordering::Relaxed);
        Ok(Some(Report {
            url: self.wants.spec.address.to_string(),
            path,
            already_there: false,
            size: length,
            sources: self.contributors(),
            fetched,
            // Everything that is not in the file, including bytes discarded by a restart.
            wasted: fetched.saturating_sub(length.saturating_sub(publisher.resumed)),
            resumed: publisher.resumed,
            elapsed: publisher.clock.now(),
            verifying: self.verifying,
            proofs: self.proofs(&digests),
            pieces: self.wants.piece_proof(),
            digests,
            connections: publisher.connections(),
            retries: publisher.retries,
        }))
    }

    /// Publishers of the digests that were checked, and the signer.
    fn proofs(&self, digests: &[Digest]) -> Vec<Proof> {
        let spec = &self.wants.spec;
        if spec.is_proven() {
            return self.wants.given_proofs(digests);
        }
        let checked = spec.published.iter().filter(|published| digests.contains(&published.digest));
        let proof = |published: &Published| {
            let Published { digest, field } = published.clone();
            // Over http both came the same unprotected way.
            let is_weak = !spec.address.is_https() || !digest.algorithm().is_collision_resistant();
            let by = match field {
                RECORDED => ProvedBy::document("the manifest", Transport::Local),
                field => ProvedBy::Server(field),
            };
            Proof { digest, by, is_weak }
        };
        checked.map(proof).collect()
    }

    /// Reports operations the file system refused, once for all files of a run.
    fn tell_lacks(&self, lacks: Lacks, publisher: &mut Publisher) {
        if let Some(text) = self.wants.small_files.news(lacks) {
            publisher.notice(Notice::NotSupported, text);
        }
    }

    /// Makes the file durable and verifies it. `None` if damaged ranges are to be fetched again.
    async fn finish_file(
        &mut self,
        work: &mut FileWork,
        length: u64,
        publisher: &mut Publisher,
    ) -> Result<Option<Vec<Digest>>, Error> {
        let cancelled = self.cancelled.clone();
        let damaged = unless_cancelled(cancelled.clone(), work.audited()).await?;
        if !damaged.is_empty() && !self.mended {
            return self.mend(work, damaged, publisher).await;
        }
        let (now, syncing) = (publisher.clock.now(), || (Facts { disk: true, ..Facts::default() }, None));
        shown(publisher, syncing, work.checkpoint.flush(now)).await?;
        // Written bytes are only presumed to be there; durable ones are proven. Nothing is published on a presumption.
        if !work.checkpoint.durable().covers(ByteRange::new(0, length)) {
            return Err(Error::defect("not everything that counts as written is durable"));
        }
        let on_disk = {
            let place = work.place.clone();
            blocking(move || place.length()).await?
        };
        if on_disk != length {
            return Err(changed_beneath(work));
        }
        let since = publisher.clock.now();
        let unhashed = behind(work.hash(), length);
        let hashing = unless_cancelled(cancelled.clone(), work.digests(length));
        let actual = shown(publisher, unhashed, hashing).await?;
        if actual.is_empty() && has_holes(work, length).await? {
            // Every byte was written, so another process has cut the file, or the file system compresses: the checksums
            // decide.
            let damaged = unless_cancelled(cancelled, work.audit_all()).await?;
            if damaged.is_empty() {
                return Ok(Some(actual));
            }
            if self.mended {
                return Err(changed_beneath(work));
            }
            return self.mend(work, damaged, publisher).await;
        }
        let finding = self.examined(work, length, &actual).await;
        self.verifying += publisher.clock.now().saturating_sub(since);
        let finding = finding?;
        match finding {
            Finding::Wrong(..) => self.await_description(PATIENCE_IF_WRONG, publisher).await?,
            Finding::Right if self.named.must_agree() => {
                self.await_description(PATIENCE_IF_RIGHT, publisher).await?;
            }
            Finding::Right => {}
        }
        let (mismatch, wrong) = match finding {
            Finding::Right => {
                self.name_refuted(work, publisher).await?;
                return Ok(Some(actual));
            }
            Finding::Wrong(mismatch, wrong) => (mismatch, wrong),
        };
        if !self.mended {
            let damaged = unless_cancelled(cancelled, work.audit_all()).await?;
            if !damaged.is_empty() {
                return self.mend(work, damaged, publisher).await;
            }
        }
        let wrong = match wrong {
            Some(wrong) => wrong,
            None if self.may_replace_pieces() => self.wrong_pieces(work, length).await?,
            None => Vec::new(),
        };
        if self.replace_pieces(work, &wrong, publisher).await?
            || self.try_others(work, length, publisher).await?
        {
            return Ok(None);
        }
        if self.transfer.handle_mixture() {
            return Ok(None);
        }
        self.reject(work, &actual, &wrong).await?;
        Err(mismatch)
    }

    /// Holds a complete file against what proves it.
    async fn examined(&mut self, work: &FileWork, length: u64, actual: &[Digest]) -> Result<Finding, Error> {
        if let Err(mismatch) = self.wants.spec.check(actual) {
            return Ok(Finding::Wrong(mismatch.with_remedy(Remedy::CompareDigest), None));
        }
        let Some(pieces) = self.wants.spec.pieces.clone() else {
            return Ok(Finding::Right);
        };
        if !pieces.fit(length) {
            return Ok(Finding::Wrong(self.wants.of_other_pieces(&pieces, length), Some(Vec::new())));
        }
        let wrong = self.wrong_pieces(work, length).await?;
        Ok(match wrong.is_empty() {
            true => Finding::Right,
            false => Finding::Wrong(self.of_wrong_pieces(&wrong), Some(wrong)),
        })
    }

    /// Records that the complete file is another one. Where only some pieces are wrong, the others stay claimed.
    async fn reject(
        &mut self,
        work: &mut FileWork,
        actual: &[Digest],
        wrong: &[ByteRange],
    ) -> Result<(), Error> {
        if self.wants.spec.pieces.is_some() {
            return work.checkpoint.withdraw(whole_claims(work, wrong)).await;
        }
        let actual = actual.iter().map(ToString::to_string).collect();
        work.checkpoint.record(Record::Rejected(actual)).await
    }

    /// Queues damaged ranges to be fetched again, once.
    async fn mend(
        &mut self,
        work: &mut FileWork,
        damaged: Vec<ByteRange>,
        publisher: &mut Publisher,
    ) -> Result<Option<Vec<Digest>>, Error> {
        self.mended = true;
        let bytes: u64 = damaged.iter().map(|range| range.len()).sum();
        let text = format!("{bytes} bytes on disk were damaged and are fetched again");
        publisher.notice(Notice::Repairing, text);
        publisher.resumed = publisher.resumed.saturating_sub(bytes);
        self.transfer.handle_lost(&damaged);
        work.checkpoint.withdraw(damaged).await?;
        work.follow();
        Ok(None)
    }

    /// URLs of the sources that gave bytes.
    fn contributors(&self) -> Vec<String> {
        let url = |source: usize| self.wants.sources.get(source).cloned();
        self.transfer.contributors().into_iter().filter_map(url).collect()
    }

    fn small_file(&self, work: &SmallWork) -> Result<SmallFile, Error> {
        Ok(SmallFile {
            target: work.target.clone(),
            bytes: work.take(),
            publication: self.publication(&work.target)?,
            representation: self.transfer.representation().cloned().unwrap_or_default(),
            spec: self.wants.spec.clone(),
        })
    }

    fn publication(&self, target: &Target) -> Result<Publication, Error> {
        let known = self.transfer.representation().cloned().unwrap_or_default();
        let modified = known.validators.last_modified.as_deref().filter(|_| self.wants.remote_time);
        // A directory or a link that appeared meanwhile is never replaced.
        let replace = self.wants.spec.if_exists == IfExists::Overwrite;
        if replace && target.present()?.is_some_and(|present| !present.is_regular()) {
            return Err(Error::new(
                Kind::Unsafe,
                format!("{} is no regular file any more", target.path().display()),
            ));
        }
        Ok(Publication {
            mode: self.wants.mode,
            replace,
            modified: modified.and_then(|text| httpdate::parse_http_date(text).ok()),
            url: self.wants.spec.address.to_seal(Clock::seed()),
            validators: known.validators,
        })
    }

    /// Keeps the received bytes and records in the error how many they are.
    pub(super) async fn give_up(mut self: Box<Self>, mut error: Error, publisher: &mut Publisher) -> Error {
        // A worker that waits for room would wait for ever.
        self.destination.release();
        self.remember().await;
        error = self.told_of_expiry(error);
        if let Some(url) = self.wants.sources.get(self.transfer.lead()) {
            // Not always the user's own URL: a mirror may have taken the lead.
            error = error.with_url(url);
        }
        self.stop_attempts().await;
        self.settle(publisher).await;
        // The last snapshot: all received bytes count.
        error = error.with_phase(publisher.last_phase());
        self.show(publisher, publisher.last_phase(), true);
        match self.destination.take() {
            Destination::File(mut work) => {
                // After a failed sync there is no journal to write to, and this does nothing.
                if let Err(worse) = work.checkpoint.flush(publisher.clock.now()).await
                    && error.kind() == Kind::Cancelled
                {
                    error = worse;
                }
                work.stop().await;
                let (kept, place, hold) =
                    (work.checkpoint.durable(), work.place.clone(), work.checkpoint.hold());
                let (kept, end) = (kept.len(), kept.iter().last().map_or(0, ByteRange::end));
                let written = work.checkpoint.has_written();
                let leaving = blocking(move || {
                    hold.as_ref().map_or(Ok(()), Hold::check)?;
                    place.leave(written, kept, end)
                });
                match leaving.await {
                    Ok(true) => self.told_what_stays(error, kept),
                    // Another process has taken over or removed the files: nothing of theirs is touched.
                    _ => error,
                }
            }
            Destination::Pipe(work) => {
                let kept = match closed(work).await {
                    Some(own) => given_up(own, &error).await,
                    None => 0,
                };
                if kept == 0 { error } else { self.told_what_stays(error, kept) }
            }
            Destination::Own(work) => {
                let kept = work.give_up(&error).await;
                if kept == 0 { error } else { self.told_what_stays(error, kept) }
            }
            Destination::Locked(place) if place.created => {
                let _ = place.leave(true, 0, 0);
                error
            }
            _ => error,
        }
    }

    /// Returns true if the refused URL may have been valid for a limited time only, and there is no way to renew it.
    fn is_expired(&self, error: &Error) -> bool {
        let refused = matches!(error.kind(), Kind::Auth | Kind::NotFound) && self.transfer.was_denied();
        let signed = self.wants.spec.address.has_secret() && self.transfer.lead() == 0;
        refused && signed && !self.shared.requesters.first().route.can_be_renewed()
    }

    /// Adds to the error that a refused URL may have expired.
    fn told_of_expiry(&self, error: Error) -> Error {
        if !self.is_expired(&error) {
            return error;
        }
        let expired = match self.transfer.has_begun() {
            true => "; the URL holds a key or a signature, which has expired, as it seems",
            false => "; the URL holds a key or a signature, which may have expired",
        };
        error.explained(expired, Remedy::FreshUrl)
    }

    /// Adds the number of bytes kept, and whether the next run may build upon them: the same command may only if it
    /// does not meet the same refusal.
    fn told_what_stays(&self, error: Error, kept: u64) -> Error {
        let refused = match error.kind() {
            // The wrong pieces are fetched again.
            Kind::Checksum => self.wants.spec.pieces.is_none(),
            Kind::Exists | Kind::Changed | Kind::Unsafe => true,
            _ => self.is_expired(&error),
        };
        let joinable = self.transfer.joinable();
        let error = error.with_kept(kept, joinable && !refused);
        if kept == 0 || joinable || refused {
            return error;
        }
        error.with_remedy(Remedy::DigestContinues)
    }

    /// Joins every spawned worker: none of them writes after this.
    async fn stop_attempts(&mut self) {
        for lane in self.lanes.values() {
            lane.abandon();
        }
        // Attempts that wait for a ruling get none.
        self.questions.close();
        while let Ok(question) = self.questions.try_recv() {
            drop(question);
        }
        while self.attempts.join_next().await.is_some() {}
        let lanes = std::mem::take(&mut self.lanes);
        for lane in lanes.values() {
            self.collect(lane);
        }
    }
}

/// Closes a pipe. One into a destination of the caller's own is drained first, so that nothing is written to it afterwards.
async fn closed(mut work: PipeWork) -> Option<Arc<dyn OwnDestination>> {
    work.close();
    let own = work.destination()?;
    // The error of the download counts.
    let _ = work.finish().await;
    Some(own)
}

/// Waits for a step of the end, and shows meanwhile what it waits for.
async fn shown<T>(
    publisher: &mut Publisher,
    facts: impl Fn() -> (Facts, Option<u64>),
    step: impl Future<Output = T>,
) -> T {
    let mut step = std::pin::pin!(step);
    let mut frames = tokio::time::interval(FRAME);
    loop {
        tokio::select! {
            biased;
            ended = &mut step => return ended,
            _ = frames.tick() => {
                let (facts, verified) = facts();
                publisher.show_end(&facts, verified);
            }
        }
    }
}

/// Facts while only the hash is missing, of a file of `length` bytes, and the bytes that it has seen.
fn behind(hash: Option<Hashed>, length: u64) -> impl Fn() -> (Facts, Option<u64>) {
    move || {
        let hashed = hash.as_ref().map(Hashed::bytes);
        let unhashed = hashed.and_then(|hashed| NonZeroU64::new(length.saturating_sub(hashed)));
        (Facts { unhashed, ..Facts::default() }, hashed)
    }
}

/// Waits for an operation that may take long, but only until the caller cancels.
pub(super) async fn unless_cancelled<T>(
    mut cancelled: watch::Receiver<bool>,
    waited_for: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    tokio::select! {
        biased;
        () = until_cancelled(&mut cancelled) => Err(cancellation()),
        outcome = waited_for => outcome,
    }
}

/// Returns true if fewer bytes are allocated than a file without holes has: a cheap check that proves nothing.
/// Compressing file systems look the same.
async fn has_holes(work: &FileWork, length: u64) -> Result<bool, Error> {
    let place = work.place.clone();
    Ok(blocking(move || place.part.allocated()).await? < length)
}

/// The part file does not hold the bytes that were written.
fn changed_beneath(work: &FileWork) -> Error {
    let cause = format!("something else has changed {}", work.place.part.path().display());
    Error::new(Kind::Disk, cause).with_remedy(Remedy::RunAgainOrDiscard)
}
