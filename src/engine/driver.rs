//! Driver task, the only owner of a transfer: carries out the plan's commands and reports events back to it.
use super::attempts::Attempts;
use super::control::Orders;
use super::disk_use::DiskUse;
use super::event::{Event, Notice};
use super::hosts::{Host, Others};
use super::lane::Lane;
use super::limit::Limits;
use super::progress::Phase;
use super::publisher::{Counters, Publisher};
use super::report::{PieceProof, Proof, ProvedBy, Report};
use super::settings::Connections;
use super::slots::{JobSlot, SlotWait, Slots, granted};
use super::worker;
use super::worker::{PendingResponse, Shared, WriteTarget};
use crate::clock::Clock;
use crate::destination::{Destination, FileSpec, Look, Made, SmallFiles};
use crate::error::{Error, Kind, Remedy};
use crate::plan::pace::Pace;
use crate::plan::slowness::Facts;
use crate::plan::transfer::{Announcement, AttemptId, Command, End, SegmentRequest, Transfer};
use crate::plan::{Address, Moment};
use crate::transport::{Pause, Yielder};
use crate::verify::{Digest, Pieces};
use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinError, JoinSet};

mod ending;
mod inquiring;
mod making;
mod mirrors;
mod ordering;
mod pieces;
mod starting;
#[cfg(test)]
mod tests;
mod trying;

use inquiring::Said;

pub(super) use starting::run;

/// Interval at which the driver samples its lanes. Short enough for the hash to stay close behind the front.
const TICK: Duration = Duration::from_millis(20);
/// Bytes that the connections may run ahead of a pipe, and thus the memory it takes.
const PIPE_WINDOW: u64 = 32 << 20;

enum Prepared {
    /// There is nothing to do.
    Satisfied(Box<Report>),
    Ready(Box<Driver>),
}

/// Request data that the driver needs once the disk has been inspected.
struct Wants {
    spec: FileSpec,
    inline: bool,
    remote_time: bool,
    /// Mode of our own file that will be replaced, if there is one.
    mode: Option<u32>,
    connections: usize,
    host: Host,
    /// The URL and the mirrors, redacted.
    sources: Vec<String>,
    small_files: SmallFiles,
    limits: Limits,
    /// Number of connections that the caller wants, and the number that can be opened.
    connections_wanted: Connections,
    most_connections: usize,
    /// The URL and the mirrors.
    addresses: Vec<Address>,
    yielder: Option<Arc<Yielder>>,
    slots: Slots,
    /// Sources of digests other than the caller itself.
    proved_by: Vec<(Digest, ProvedBy)>,
    /// Digests of the pieces of the file.
    pieces: Option<Arc<Pieces>>,
    /// Source of the digests of pieces.
    pieces_by: ProvedBy,
    /// True for a part of a file, of which the server states no digest.
    is_part: bool,
    /// Ask the sources that the server names.
    find_mirrors: bool,
    /// In bytes.
    max_size: Option<u64>,
}

impl Wants {
    /// Number of connections that can be opened and are of use at `rate` bytes per second.
    fn possible_connections(&self, rate: Option<NonZeroU64>) -> usize {
        self.most_connections.min(rate.map_or(usize::MAX, Pace::most_connections))
    }

    /// # Errors
    /// `Unsafe` for a file of more bytes than the caller allows.
    fn refuse_too_large(&self, length: Option<u64>) -> Result<(), Error> {
        match (length, self.max_size) {
            (Some(length), Some(most)) if length > most => {
                let cause = format!("the file has {length} bytes or more, and at most {most} are allowed");
                Err(Error::new(Kind::Unsafe, cause).with_remedy(Remedy::AllowMore))
            }
            _ => Ok(()),
        }
    }

    /// # Errors
    /// `Checksum` for a file of another length than that of the pieces that are to prove it, if it has no other source.
    fn refuse_other_pieces(&self, length: Option<u64>) -> Result<(), Error> {
        match (&self.spec.pieces, length) {
            (Some(pieces), Some(length)) if self.sources.len() == 1 && !pieces.fit(length) => {
                Err(self.of_other_pieces(pieces, length))
            }
            _ => Ok(()),
        }
    }

    /// Error for a file of `length` bytes that these pieces are not those of.
    fn of_other_pieces(&self, pieces: &Pieces, length: u64) -> Error {
        let (count, each, by) = (pieces.count(), pieces.length(), self.source_of_pieces());
        let cause = format!(
            "checksum mismatch: {by} states the digests of {count} pieces of {each} bytes, and the file has {length} bytes"
        );
        Error::new(Kind::Checksum, cause).with_remedy(Remedy::OtherFile)
    }

    fn source_of_pieces(&self) -> &str {
        match &self.pieces_by {
            ProvedBy::Document { name, .. } => name,
            _ => "the request",
        }
    }

    /// Proof by pieces, if it is they that prove the file.
    fn piece_proof(&self) -> Option<PieceProof> {
        let pieces = self.spec.pieces.as_ref()?;
        Some(PieceProof {
            count: pieces.count(),
            algorithm: pieces.strong()?,
            by: self.pieces_by.clone(),
            is_weak: self.pieces_by.is_unprotected(),
        })
    }

    /// True if nothing is given that proves the file, and a digest that the server states is of use.
    fn is_unproven(&self) -> bool {
        !self.spec.is_proven() && !self.is_part
    }

    /// Publishers of the given digests, and the signer of the file.
    fn given_proofs(&self, digests: &[Digest]) -> Vec<Proof> {
        let stated = digests.iter().filter(|digest| self.spec.digests.contains(digest));
        stated.map(|digest| self.stated_proof(digest)).chain(self.signed_proof(digests)).collect()
    }

    /// Publisher of a given digest.
    fn stated_proof(&self, digest: &Digest) -> Proof {
        let by = self.proved_by.iter().find(|(stated, _)| stated == digest);
        let by = by.map_or(ProvedBy::Request, |(_, by)| by.clone());
        let is_weak = by.is_unprotected() || !digest.algorithm().is_collision_resistant();
        Proof { digest: digest.clone(), by, is_weak }
    }

    /// Signer of the file, which has these digests.
    fn signed_proof(&self, digests: &[Digest]) -> Option<Proof> {
        let signature = self.spec.signature.as_deref()?;
        let verified = |digest: &Digest| Some((digest.clone(), signature.verify_digest(digest).ok()?));
        let (digest, signer) = digests.iter().find_map(verified)?;
        let by = ProvedBy::Signature { document: signature.document().to_owned(), signer };
        Some(Proof { digest, by, is_weak: false })
    }

    /// Limits the end of a response, which would be `until`, to one byte beyond the size limit: that byte shows that
    /// the limit is exceeded.
    fn end_of_answer(&self, until: u64) -> u64 {
        self.max_size.map_or(until, |most| until.min(most.saturating_add(1)))
    }
}

struct Driver {
    wants: Wants,
    transfer: Transfer,
    shared: Arc<Shared>,
    questions: mpsc::Receiver<Box<PendingResponse>>,
    attempts: Attempts,
    lanes: BTreeMap<AttemptId, Arc<Lane>>,
    /// Connections being opened before they are needed.
    spares: JoinSet<()>,
    /// HEAD request in flight.
    inquiry: JoinSet<Option<Said>>,
    /// Sources and documents that the server names.
    named: mirrors::Named,
    /// When HEAD was last asked.
    inquired_at: Option<Clock>,
    /// When the first connection was established; taken by the first response on it.
    connected_at: Option<Moment>,
    reached: watch::Receiver<Option<Address>>,
    /// Pauses that redirects ask for.
    paused: watch::Receiver<Option<Pause>>,
    destination: Destination,
    /// Accepted responses that wait until the destination is open.
    permitted: Vec<Permitted>,
    clock: Clock,
    disk: DiskUse,
    cancelled: watch::Receiver<bool>,
    /// Job slot, released before the driver ends once only the saving of a small file is left.
    slot: Option<JobSlot>,
    /// Wait for a slot after a pause.
    regaining: Option<SlotWait>,
    /// True once it rests: it is paused, nothing is in flight, and everything received is durable.
    at_rest: bool,
    /// Set when a worker died; its attempt will never end.
    crashed: Option<Error>,
    /// True once damage was found and repaired; that is done only once.
    mended: bool,
    /// Search for a source that gave wrong bytes.
    search: trying::Search,
    /// Time spent waiting for the digest.
    verifying: Duration,
    /// Retry round that was last charged to the host's retry budget.
    paid_for: u32,
}

/// Worker whose response was accepted, until its body may flow.
struct Permitted {
    id: AttemptId,
    offset: u64,
    until: u64,
    reply: oneshot::Sender<Option<WriteTarget>>,
}

impl Driver {
    /// Main loop. Ends with the file published, or with everything received made durable.
    async fn drive(
        mut self: Box<Self>,
        publisher: &mut Publisher,
        cancelled: &mut watch::Receiver<bool>,
        orders: &mut Orders,
    ) -> Result<Report, Error> {
        self.cancelled = cancelled.clone();
        while let Some(order) = orders.try_next() {
            self.follow_order(order, publisher);
        }
        if let (1, Some(level)) = (self.wants.sources.len(), self.wants.host.level()) {
            self.transfer.begin_with(level);
        }
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut is_cancelled = false;
        loop {
            match self.obey(publisher).await {
                Ok(None) => {}
                Ok(Some(report)) => return Ok(report),
                Err(error) => return Err(Box::pin(self.give_up(error, publisher)).await),
            }
            if let Some(error) = self.crashed.take() {
                return Err(Box::pin(self.give_up(error, publisher)).await);
            }
            Box::pin(self.rest(publisher)).await;
            tokio::select! {
                Some(question) = self.questions.recv() => self.rule(*question, publisher),
                Some(ended) = self.attempts.join_next() => self.ended(ended, publisher),
                Some(_) = self.spares.join_next() => {}
                Some(said) = self.inquiry.join_next() => self.advised(said, publisher),
                Some(fetched) = self.named.fetched() => self.describe(fetched, publisher),
                Ok(()) = self.reached.changed() => self.prepare_more(self.clock.now()),
                Ok(()) = self.paused.changed() => self.tell_pause(publisher),
                turned = next_turn(&mut self.destination) => self.turned(turned, publisher),
                () = until_cancelled(cancelled), if !is_cancelled => {
                    is_cancelled = true;
                    self.transfer.fail(cancellation());
                }
                order = orders.next() => self.follow_order(order, publisher),
                slot = granted(&mut self.regaining) => self.regain(slot, publisher),
                _ = ticks.tick(), if !self.at_rest => self.look_around(publisher),
            }
        }
    }

    // ---- commands ------------------------------------------------------------------------------------

    /// Carries out the plan's commands until there are none left for now.
    async fn obey(&mut self, publisher: &mut Publisher) -> Result<Option<Report>, Error> {
        loop {
            self.share_host();
            if self.destination.may_not_fit() {
                break;
            }
            let Some(command) = self.transfer.poll_command(publisher.clock.now()) else {
                break;
            };
            match command {
                Command::Start { id, ask } => {
                    let lane = Lane::new(ask.wanted);
                    self.send(id, ask, lane, publisher);
                }
                Command::Hedge { id, beside, ask } => {
                    // The plan names an attempt in flight, and each of those has its lane.
                    let lane =
                        self.lanes.get(&beside).map_or_else(|| Lane::new(ask.wanted), |lane| lane.beside());
                    self.send(id, ask, lane, publisher);
                }
                Command::Shorten { id, end, leftover } => {
                    if let Some(lane) = self.lanes.get(&id) {
                        let end = lane.shorten(end, leftover);
                        self.transfer.handle_shortened(id, end, publisher.clock.now());
                    }
                }
                Command::Abandon { id } => {
                    if self.transfer.is_over() {
                        self.destination.release();
                    }
                    if let Some(lane) = self.lanes.get(&id) {
                        lane.abandon();
                    }
                }
                Command::Discard { why, lost } => Box::pin(self.discard(why, lost, publisher)).await?,
                Command::Inquire { proven } => self.inquire(proven),
                Command::Announce(announcement) => {
                    self.pay(&announcement);
                    announce(publisher, announcement, &self.wants.sources);
                }
                Command::Fail(error) => return Err(self.hinted(error)),
                Command::Finish => {
                    if let Some(report) = self.finish(publisher).await? {
                        self.wants.host.served_all();
                        self.remember().await;
                        return Ok(Some(report));
                    }
                }
            }
        }
        Ok(None)
    }

    fn tell_pause(&mut self, publisher: &mut Publisher) {
        if let Some(Pause { status, wait }) = *self.paused.borrow_and_update() {
            let cause = format!("a redirect asks to wait first ({status})");
            publisher.tell(Event::Retry { cause, status: Some(status), wait, attempt: 1 });
        }
    }

    /// Adds to a network error the remedy for a server that cannot be reached, if there is one.
    fn hinted(&self, error: Error) -> Error {
        let lead = self.shared.requesters.of(self.transfer.lead());
        match lead.remedy().filter(|_| error.kind() == Kind::Network) {
            Some(remedy) => error.with_remedy(remedy),
            None => error,
        }
    }

    /// Starts a worker on its lane.
    fn send(&mut self, id: AttemptId, ask: SegmentRequest, lane: Lane, publisher: &mut Publisher) {
        let lane = Arc::new(lane);
        self.lanes.insert(id, lane.clone());
        if self.lanes.len() >= self.wants.connections && !self.inquiry.is_empty() {
            // The connection that the HEAD holds is needed.
            self.inquiry.abort_all();
        }
        publisher.most_connections = publisher.most_connections.max(self.lanes.len());
        let attempt = worker::attempt(self.shared.clone(), id, ask, lane);
        if self.destination.is_unmade() {
            self.attempts.run_inline(attempt);
        } else {
            self.attempts.spawn(attempt);
        }
    }

    /// Charges each retry round to the retry budget that all files of the host share.
    fn pay(&mut self, announcement: &Announcement) {
        let Announcement::Retry { cause, status, attempt, .. } = announcement else {
            return;
        };
        let round = std::mem::replace(&mut self.paid_for, *attempt);
        if *attempt == 0 || *attempt == round || self.wants.host.may_retry() {
            return;
        }
        let kind = if status.is_some() { Kind::Http } else { Kind::Network };
        let cause = format!("{cause}, and this host has failed too often lately to be asked again");
        self.transfer.fail(Error::new(kind, cause).with_remedy(Remedy::AgainLater).passing());
    }

    /// Discards the data so far, and reports it if any is lost.
    async fn discard(&mut self, why: String, lost: u64, publisher: &mut Publisher) -> Result<(), Error> {
        self.settle(publisher).await;
        let text = format!("starting over: {why}");
        if !std::mem::take(&mut self.search.of_same_version) {
            self.forget_statement();
        }
        self.destination.clear(why).await?;
        publisher.resumed = 0;
        if lost > 0 {
            publisher.notice(Notice::Restarting, text);
        }
        Ok(())
    }

    /// Shares the state of the host: passes on this file's refusals and connections, and takes over those of the other
    /// files.
    fn share_host(&mut self) {
        if let Some(serving) = self.transfer.take_learned_limit() {
            self.wants.host.refused(serving);
        }
        let Others { connections, served, serves } = self.wants.host.uses(self.lanes.len());
        self.transfer.handle_others(connections, served, serves);
    }

    /// The first connection is established: opens those that will be needed once the first response arrives, so that
    /// they are ready by then.
    fn prepare_more(&mut self, now: Moment) {
        self.connected_at.get_or_insert(now);
        if !self.wants.slots.expects_small() {
            let spares = self.transfer.spares(now);
            self.warm(spares);
            self.inquire_beside(now);
        }
    }

    /// Opens `spares` connections in advance. The address reached is known for the URL only, so none are opened while a
    /// mirror is in the lead.
    fn warm(&mut self, spares: usize) {
        let address = self.reached.borrow_and_update().clone();
        if let Some(address) = address.filter(|_| spares > 0 && self.transfer.lead() == 0) {
            for one in self.shared.requesters.first().warm(&address, spares) {
                self.spares.spawn(one);
            }
        }
    }

    // ---- events --------------------------------------------------------------------------------------

    fn tell_started(&self, publisher: &mut Publisher) {
        let connections = match self.destination.is_small() || self.transfer.is_streaming() {
            true => 1,
            false => self.wants.connections.min(self.transfer.worthwhile()),
        };
        publisher.allowed_connections = connections;
        let event = Event::Started {
            url: self.wants.spec.address.to_string(),
            path: self.destination.path(),
            size: self.transfer.representation().and_then(|known| known.complete_length),
            resumed: publisher.resumed,
            connections,
        };
        publisher.tell(event);
    }

    fn ended(&mut self, ended: Result<(AttemptId, End), tokio::task::JoinError>, publisher: &mut Publisher) {
        let now = publisher.clock.now();
        match ended {
            Ok((id, end)) => {
                let Some(lane) = self.lanes.remove(&id) else {
                    return;
                };
                self.collect(&lane);
                if self.reached.borrow().is_some() {
                    self.transfer.handle_reached();
                }
                if matches!(end, End::Failed(_)) {
                    self.take_named_of_redirect(publisher);
                }
                self.transfer.handle_end(id, lane.position(), end, now);
                self.look_around(publisher);
            }
            Err(error) => {
                self.crashed = Some(Error::new(Kind::Other, "a worker died").with_source(error));
            }
        }
    }

    fn collect(&mut self, lane: &Lane) {
        self.destination.record(lane.take_runs());
    }

    fn turned(&mut self, turned: Turn, publisher: &mut Publisher) {
        match turned {
            Turn::Created(made) => self.made(made, publisher),
            Turn::Saved(Err(error)) => self.transfer.fail(error),
            Turn::Saved(Ok(())) => {}
        }
    }

    /// Samples the lanes and acts on it: size limit, hash, checkpoint, plan, progress snapshot.
    fn look_around(&mut self, publisher: &mut Publisher) {
        let now = publisher.clock.now();
        for (id, lane) in &self.lanes {
            self.transfer.handle_progress(*id, lane.position(), now);
        }
        let lanes: Vec<_> = self.lanes.values().cloned().collect();
        for lane in lanes {
            self.collect(&lane);
        }
        // A length that the server states has been checked already.
        if let Err(error) = self.wants.refuse_too_large(Some(self.transfer.written().len())) {
            self.transfer.fail(error);
        }
        let Look { drained, broken } = self.destination.look(self.transfer.written().front(), now);
        if let Some(drained) = drained {
            self.transfer.handle_drained(drained);
        }
        if let Some(error) = broken {
            self.transfer.fail(error);
        }
        self.wants.host.served(self.shared.received.load(Ordering::Relaxed));
        let writing = Duration::from_nanos(self.shared.writing.load(Ordering::Relaxed));
        let limited = self.is_limited();
        self.transfer.handle_limited(limited);
        let full = self.wants.yielder.as_ref().is_some_and(|yielder| yielder.is_full());
        let writes = self.disk.is_busy(writing, self.shared.writers.load(Ordering::Relaxed) > 0, now);
        self.transfer.handle_look(writes || limited || full, now);
        // The writes of a pipe wait for its reader.
        publisher.reasons.look(&self.facts(writes && drained.is_none(), now), now);
        let phase = if self.transfer.has_begun() { Phase::Transferring } else { Phase::Starting };
        self.show(publisher, phase, false);
    }

    /// Facts that may hold the rate down.
    fn facts(&self, disk: bool, now: Moment) -> Facts {
        let limits = &self.shared.limits;
        Facts {
            limit: limits.rate().filter(|_| limits.is_binding()),
            yields: self.wants.yielder.as_ref().is_some_and(|yielder| yielder.is_aside()),
            reader: self.transfer.waits_for_reader(),
            disk,
            unhashed: None,
            refused: self.transfer.refused_lately(now),
            silent: self.transfer.silent_one(now),
        }
    }

    /// True while something other than the server holds the rate down: a limit of the caller's, or others on the line.
    fn is_limited(&self) -> bool {
        let limited = self.shared.limits.is_binding();
        limited || self.wants.yielder.as_ref().is_some_and(|yielder| yielder.is_aside())
    }

    fn show(&self, publisher: &mut Publisher, phase: Phase, force: bool) {
        let durable = self.destination.durable();
        let verified = self.destination.hashed();
        let received = self.shared.received.load(Ordering::Relaxed);
        let reached = self.reached.borrow().is_some();
        let host_of = |source| self.shared.requesters.of(source).route.target().authority();
        let counters = Counters { received, durable: &durable, verified, host_of: &host_of, reached, phase };
        publisher.show(publisher.clock.now(), &self.transfer, &counters, force);
    }
}

fn announce(publisher: &mut Publisher, announcement: Announcement, sources: &[String]) {
    match announcement {
        Announcement::Retry { cause, status, wait, attempt } => {
            // A refusal that is not a failure of the file, such as that of a surplus connection, counts as a first try.
            publisher.tell(Event::Retry { cause, status, wait, attempt: attempt.max(1) });
        }
        Announcement::SingleStream { why } => {
            publisher.notice(Notice::SingleConnection, format!("one connection: {why}"));
        }
        Announcement::Stalled => {
            publisher.notice(Notice::Stalled, "a connection fell silent and is replaced");
        }
        Announcement::SourceRests { source, why, status, wait, attempt } => {
            let url = sources.get(source).cloned().unwrap_or_default();
            let cause = format!("{url}: {why}");
            publisher.tell(Event::Retry { cause, status, wait, attempt });
        }
        Announcement::SourceDropped { source, why } => {
            let url = sources.get(source).cloned().unwrap_or_default();
            publisher.tell(Event::Source { url, cause: why });
        }
    }
}

/// Event of the destination.
enum Turn {
    Created(Result<Made, JoinError>),
    Saved(Result<(), Error>),
}

/// Waits for the creation or the checkpoint that goes on; for ever if there is none. Cancel-safe.
async fn next_turn(destination: &mut Destination) -> Turn {
    match destination.is_being_created() {
        true => Turn::Created(destination.created().await),
        false => Turn::Saved(destination.saved().await),
    }
}

async fn until_cancelled(cancelled: &mut watch::Receiver<bool>) {
    // The sender lives in the handle, which sends `true` before it is gone.
    let _ = cancelled.wait_for(|cancelled| *cancelled).await;
}

fn cancellation() -> Error {
    Error::new(Kind::Cancelled, "cancelled")
}
