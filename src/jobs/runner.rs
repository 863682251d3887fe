//! The task of a queue: owns the order, records changes, and starts downloads as there is room.

use super::job::{Defaults, Job, JobChange, JobEnd, JobId};
use super::ledger::{JobState, Ledger, Record};
use super::resolve::resolve;
use super::session::{Session, check_recordable};
use super::status::{JobStatus, QueueEvent, Totals};
use crate::engine::{
    Client, Connections, Control, Download, Event, JobSlot, Notice, Phase, Progress, Report, SlotWait,
    granted,
};
use crate::error::{Error, Kind};
use crate::threads;
use std::collections::HashMap;
use std::num::NonZeroU64;
use std::sync::Arc;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::task::JoinSet;

/// Changes recorded together, at most.
const BATCH: usize = 1024;

/// Change of the queue, recorded before it is confirmed.
pub(super) enum Change {
    Add { job: Box<Job>, index: Option<usize>, paused: bool },
    Pause(JobId),
    Resume(JobId),
    Move(JobId, usize),
    Job(JobId, Box<JobChange>),
    Again(JobId),
    Remove(JobId),
}

/// Receiver of the confirmation of a change.
pub(super) type Confirmation = oneshot::Sender<Result<Option<JobId>, Error>>;

/// Command to the task of a queue.
pub(super) enum Command {
    Change(Change, Confirmation),
    Look(Box<dyn FnOnce(&mut Runner) + Send>),
    Close,
}

/// Download of a job that was handed out.
pub(super) struct Running {
    pub(super) control: Control,
    cancel: Box<dyn Fn() + Send + Sync>,
    pub(super) progress: watch::Receiver<Progress>,
    /// Those who wait for its files to be closed, once it is removed.
    removed: Option<Vec<Confirmation>>,
}

/// Outcome of a job.
type Outcome = Result<Arc<Report>, Arc<Error>>;

/// The task of a queue.
pub(super) struct Runner {
    pub(super) client: Client,
    pub(super) ledger: Ledger,
    /// `None` while it is being written.
    session: Option<Session>,
    pub(super) defaults: Defaults,
    pub(super) running: HashMap<JobId, Running>,
    downloads: JoinSet<(JobId, Result<Report, Error>)>,
    /// Wait for room for one more job.
    room: Option<SlotWait>,
    /// Outcomes of listed jobs that ended since the queue was opened.
    ends: HashMap<JobId, (Option<Progress>, Outcome)>,
    /// Records to be written with the next batch.
    unrecorded: Vec<Record>,
    /// Replies to the removals of jobs whose files are closed now.
    removed: Vec<Confirmation>,
    /// Error of the session, which records nothing any more.
    failed: Option<Error>,
    /// Jobs whose download refused a command.
    refused: (mpsc::UnboundedSender<JobId>, mpsc::UnboundedReceiver<JobId>),
    events: broadcast::Sender<QueueEvent>,
}

impl Runner {
    pub(super) fn new(
        client: Client,
        ledger: Ledger,
        session: Session,
        defaults: Defaults,
        events: broadcast::Sender<QueueEvent>,
    ) -> Self {
        Self {
            client,
            ledger,
            session: Some(session),
            defaults,
            running: HashMap::new(),
            downloads: JoinSet::new(),
            room: None,
            ends: HashMap::new(),
            unrecorded: Vec::new(),
            removed: Vec::new(),
            failed: None,
            refused: mpsc::unbounded_channel(),
            events,
        }
    }

    pub(super) async fn run(mut self, mut commands: mpsc::UnboundedReceiver<Command>) -> Result<(), Error> {
        loop {
            if self.room.is_none() && self.ledger.has_ready() {
                self.room = Some(Box::pin(self.client.slot()));
            }
            let is_open = tokio::select! {
                command = commands.recv() => self.carry_out(command, &mut commands).await,
                Some(ended) = self.downloads.join_next() => {
                    self.ended(ended);
                    while let Some(ended) = self.downloads.try_join_next() {
                        self.ended(ended);
                    }
                    self.save(Vec::new()).await;
                    true
                }
                Some(id) = self.refused.1.recv() => {
                    self.goes_on(id);
                    self.save(Vec::new()).await;
                    true
                }
                slot = granted(&mut self.room) => {
                    self.room = None;
                    self.start_next(slot);
                    self.save(Vec::new()).await;
                    true
                }
            };
            if !is_open {
                break;
            }
        }
        self.stop().await;
        self.save(Vec::new()).await;
        self.failed.map_or(Ok(()), Err)
    }

    /// Carries out a command and those that have come with it; returns false once the queue is to be closed.
    async fn carry_out(
        &mut self,
        first: Option<Command>,
        commands: &mut mpsc::UnboundedReceiver<Command>,
    ) -> bool {
        let mut confirmed = Vec::new();
        let mut next = first;
        let (mut is_open, mut taken) = (false, 0);
        while let Some(command) = next.take() {
            (is_open, taken) = (true, taken + 1);
            match command {
                Command::Change(change, reply) => self.apply(change, reply, &mut confirmed),
                Command::Look(look) => look(self),
                Command::Close => {
                    is_open = false;
                    break;
                }
            }
            if taken < BATCH {
                next = commands.try_recv().ok();
            }
        }
        self.save(confirmed).await;
        is_open
    }

    /// Applies a change; its reply is sent at once if it fails, and otherwise once it is recorded.
    fn apply(
        &mut self,
        change: Change,
        reply: Confirmation,
        confirmed: &mut Vec<(Option<JobId>, Confirmation)>,
    ) {
        let changed = match &self.failed {
            // Nothing is changed that could not be recorded.
            Some(error) => Err(error.retold(error.to_string())),
            None => self.changed(change),
        };
        match changed {
            Err(error) => drop(reply.send(Err(error))),
            Ok((id, record, removed)) => {
                self.unrecorded.push(record);
                match self.running.get_mut(&id).filter(|_| removed) {
                    // It is told once the files are closed.
                    Some(running) => running.removed.get_or_insert_default().push(reply),
                    None => confirmed.push((Some(id), reply)),
                }
            }
        }
    }

    /// Changes the ledger and the running downloads. Returns the job, the record, and whether it was removed.
    fn changed(&mut self, change: Change) -> Result<(JobId, Record, bool), Error> {
        let or_unknown = |id: JobId, record: Option<Record>| record.ok_or_else(|| unknown(id));
        Ok(match change {
            Change::Add { job, index, paused } => {
                check_recordable(&job)?;
                resolve(&job, &self.defaults)?;
                let (id, record) = self.ledger.add(*job, index, paused);
                self.tell(QueueEvent::Added(id));
                (id, record, false)
            }
            Change::Pause(id) => {
                let record = or_unknown(id, self.ledger.pause(id))?;
                if let Some(running) = self.running.get(&id) {
                    running.control.pause();
                }
                self.tell(QueueEvent::Paused(id));
                (id, record, false)
            }
            Change::Resume(id) => {
                let record = or_unknown(id, self.ledger.resume(id))?;
                if let Some(running) = self.running.get(&id) {
                    running.control.resume();
                    self.tell(QueueEvent::Started(id));
                }
                (id, record, false)
            }
            Change::Move(id, index) => {
                let record = or_unknown(id, self.ledger.move_to(id, index))?;
                if let Some(running) = self.running.get(&id) {
                    // A paused one comes back to its new place, with everything it has.
                    (running.cancel)();
                }
                (id, record, false)
            }
            Change::Job(id, change) => (id, self.change_job(id, &change)?, false),
            Change::Again(id) => {
                let record = or_unknown(id, self.ledger.again(id))?;
                self.ends.remove(&id);
                (id, record, false)
            }
            Change::Remove(id) => {
                let record = or_unknown(id, self.ledger.remove(id))?;
                self.ends.remove(&id);
                if let Some(running) = self.running.get(&id) {
                    (running.cancel)();
                }
                self.tell(QueueEvent::Removed(id));
                (id, record, true)
            }
        })
    }

    fn change_job(&mut self, id: JobId, change: &JobChange) -> Result<Record, Error> {
        let before = self.ledger.job(id).ok_or_else(|| unknown(id))?;
        let (job, anew) = change.applied_to(&before);
        check_recordable(&job)?;
        resolve(&job, &self.defaults)?;
        let record = self.ledger.change(id, job).ok_or_else(|| unknown(id))?;
        if let Some(running) = self.running.get(&id) {
            if let Some(rate) = change.options.limit_rate {
                running.control.limit_rate(NonZeroU64::new(rate));
            }
            if let Some(connections) = change.options.connections {
                running.control.connections(Connections::AtMost(connections));
            }
            if anew {
                // It comes back to its place in the queue, paused if it was.
                (running.cancel)();
            }
        }
        Ok(record)
    }

    /// Records what has changed, and confirms it. After an error nothing more is recorded or changed.
    async fn save(&mut self, confirmed: Vec<(Option<JobId>, Confirmation)>) {
        let records = std::mem::take(&mut self.unrecorded);
        if let Err(error) = self.write(records).await {
            self.failed.get_or_insert(error);
        }
        let removed = std::mem::take(&mut self.removed).into_iter().map(|reply| (None, reply));
        for (id, reply) in confirmed.into_iter().chain(removed) {
            let _ =
                reply.send(self.failed.as_ref().map_or(Ok(id), |error| Err(error.retold(error.to_string()))));
        }
    }

    async fn write(&mut self, records: Vec<Record>) -> Result<(), Error> {
        if records.is_empty() {
            return Ok(());
        }
        let Some(mut session) = self.session.take() else {
            return Err(Error::defect("the session of a queue is gone"));
        };
        let saving = threads::offload(move || {
            let saved = session.write(&records);
            (session, saved)
        });
        let (mut session, saved) = saving.await.map_err(died)?;
        // The log is rewritten rarely, and a failure leaves it as it is.
        let _ = session.shrink(&self.ledger);
        self.session = Some(session);
        saved
    }

    /// Starts the next job in the slot; without one the slot goes back.
    fn start_next(&mut self, slot: JobSlot) {
        let Some((id, job)) = self.ledger.start_next() else {
            return;
        };
        let request = match resolve(&job, &self.defaults) {
            Ok(request) => request,
            Err(invalid) => return self.close_job(id, None, Err(invalid.into())),
        };
        self.restart_once(id, job);
        let mut download = self.client.start_in(request, slot);
        let events = download.events();
        self.running.insert(
            id,
            Running {
                control: download.control(),
                cancel: Box::new(download.canceller()),
                progress: download.progress(),
                removed: None,
            },
        );
        let (listeners, refused) = (self.events.clone(), self.refused.0.clone());
        let watching = async move { (id, watched(id, download, events, &listeners, &refused).await) };
        self.downloads.spawn(Box::pin(watching));
        self.tell(QueueEvent::Started(id));
    }

    /// Remains of earlier runs are discarded once: what the job itself receives is kept for its next start.
    fn restart_once(&mut self, id: JobId, mut job: Job) {
        if job.options.or(&self.defaults.options).restart == Some(true) {
            job.options.restart = Some(false);
            self.unrecorded.extend(self.ledger.change(id, job));
        }
    }

    /// A download has refused a command: if it was to be paused, it goes on.
    fn goes_on(&mut self, id: JobId) {
        let rests = self.running.get(&id).is_none_or(|one| one.progress.borrow().phase == Phase::Paused);
        if !rests && let Some(record) = self.ledger.resume(id) {
            self.unrecorded.push(record);
            self.tell(QueueEvent::Started(id));
        }
    }

    /// A download has ended.
    fn ended(&mut self, ended: Result<(JobId, Result<Report, Error>), tokio::task::JoinError>) {
        // A panic of a download is its error; what watches it does not panic.
        let Ok((id, outcome)) = ended else {
            return;
        };
        let running = self.running.remove(&id);
        let progress = running.as_ref().map(|running| running.progress.borrow().clone());
        if let Some(replies) = running.and_then(|running| running.removed) {
            // They are told once the removal is recorded.
            self.removed.extend(replies);
            return;
        }
        match outcome {
            // It was stopped by the queue itself.
            Err(error) if error.kind() == Kind::Cancelled => self.ledger.give_back(id),
            outcome => self.close_job(id, progress, outcome),
        }
    }

    fn close_job(&mut self, id: JobId, progress: Option<Progress>, outcome: Result<Report, Error>) {
        let mut end = JobEnd::default();
        match &outcome {
            Ok(report) => (end.path, end.size) = (report.path.clone(), Some(report.size)),
            Err(error) => (end.text, end.kind) = (error.to_string(), Some(error.kind().name().to_owned())),
        }
        self.unrecorded.extend(self.ledger.end(id, outcome.is_ok(), end));
        let outcome = outcome.map(Arc::new).map_err(Arc::new);
        self.tell(match &outcome {
            Ok(report) => QueueEvent::Done(id, report.clone()),
            Err(error) => QueueEvent::Failed(id, error.clone()),
        });
        self.ends.insert(id, (progress, outcome));
        if self.ends.len() > self.ledger.counts().2 {
            let ledger = &self.ledger;
            self.ends.retain(|id, _| ledger.state(*id).is_some());
        }
    }

    /// Stops everything that runs, and waits until its files are closed.
    async fn stop(&mut self) {
        self.room = None;
        for running in self.running.values() {
            (running.cancel)();
        }
        while let Some(ended) = self.downloads.join_next().await {
            self.ended(ended);
        }
    }

    fn tell(&self, event: QueueEvent) {
        // Without listeners, sending fails.
        let _ = self.events.send(event);
    }

    pub(super) fn status(&self, id: JobId) -> Option<JobStatus> {
        self.status_at(id, self.ledger.index(id))
    }

    /// Status of a job whose index is known.
    pub(super) fn status_at(&self, id: JobId, index: Option<usize>) -> Option<JobStatus> {
        let running = self.running.get(&id);
        let end = self.ends.get(&id);
        let progress = running.map(|running| running.progress.borrow().clone());
        Some(JobStatus {
            id,
            job: self.ledger.job(id)?,
            state: self.ledger.state(id)?,
            index,
            progress: progress.or_else(|| end.and_then(|(progress, _)| progress.clone())),
            report: end.and_then(|(_, outcome)| outcome.as_ref().ok().cloned()),
            error: end.and_then(|(_, outcome)| outcome.as_ref().err().cloned()),
            ended: self.ledger.end_of(id).cloned(),
        })
    }

    pub(super) fn totals(&self) -> Totals {
        let (waiting, paused, ended) = self.ledger.counts();
        let in_state = |wanted| {
            let of = move |id: &JobId| self.ledger.state(*id) == Some(wanted);
            self.running.iter().filter(move |(id, _)| of(id)).map(|(_, running)| running)
        };
        let rates = in_state(JobState::Running).filter_map(|running| {
            let progress = running.progress.borrow();
            // One without a slot has the rate that it had last.
            progress.rate.filter(|_| !matches!(progress.phase, Phase::Queued | Phase::Paused))
        });
        // The sum of no floats is minus zero.
        let rate = rates.sum::<f64>() + 0.0;
        let resting = in_state(JobState::Paused).count();
        Totals {
            waiting,
            paused: paused + resting,
            running: in_state(JobState::Running).count(),
            ended,
            rate,
        }
    }
}

/// Passes on the events of a download, and waits for its end.
async fn watched(
    id: JobId,
    download: Download,
    events: Option<mpsc::Receiver<Event>>,
    listeners: &broadcast::Sender<QueueEvent>,
    refused: &mpsc::UnboundedSender<JobId>,
) -> Result<Report, Error> {
    let mut join = Box::pin(download.join());
    let tell = |event| {
        if matches!(event, Event::Notice(Notice::Refused, _)) {
            let _ = refused.send(id);
        }
        let _ = listeners.send(QueueEvent::Download(id, event));
    };
    let Some(mut events) = events else {
        return join.await;
    };
    loop {
        tokio::select! {
            biased;
            Some(event) = events.recv() => tell(event),
            outcome = &mut join => {
                while let Ok(event) = events.try_recv() {
                    tell(event);
                }
                return outcome;
            }
        }
    }
}

pub(super) fn died(error: tokio::task::JoinError) -> Error {
    Error::new(Kind::Other, "the task of the queue panicked").with_source(error)
}

fn unknown(id: JobId) -> Error {
    Error::new(Kind::NotFound, format!("no such job, or not in a state that allows this: {id}"))
}
