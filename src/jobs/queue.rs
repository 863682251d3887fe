//! A queue of jobs: one task that owns the order and starts downloads as there is room, and handles that speak to it.

use super::job::{Defaults, Job, JobId, JobOptions};
use super::ledger::{JobState, Ledger, Record};
use super::resolve::resolve;
use super::session::{Session, check_recordable};
use crate::engine::granted;
use crate::engine::{
    Client, Connections, Control, Download, Event, JobSlot, Jobs, Notice, Phase, Progress, Report, SlotWait,
};
use crate::error::{Error, Kind};
use crate::threads;
use std::collections::HashMap;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};

/// Unread events of one listener; the oldest are dropped beyond that.
const EVENTS: usize = 4096;
/// Changes recorded together, at most.
const BATCH: usize = 1024;

/// Settings of a [`Queue`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct QueueSettings {
    /// Values for jobs that do not give their own.
    pub defaults: Defaults,
    /// File that keeps the queue over restarts and crashes, created with mode 0600, with `.lock` and `.tmp` beside it. It holds secrets in
    /// the clear, those of removed jobs until it is rewritten. Default none.
    pub session: Option<PathBuf>,
    /// Number of ended jobs that stay listed. Default 1000.
    pub ended: usize,
}

impl Default for QueueSettings {
    fn default() -> Self {
        Self { defaults: Defaults::default(), session: None, ended: 1000 }
    }
}

/// Event of a job. Up to 4096 are kept for a listener; a slower one gets `RecvError::Lagged` with the number that it missed. Moves, new
/// options and `again` have none.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum QueueEvent {
    /// The job was added.
    Added(JobId),
    /// The job has started, or goes on after a pause.
    Started(JobId),
    /// A pause was ordered; the phase `Paused` in [`JobStatus::progress`] shows that it is done.
    Paused(JobId),
    /// Its download reports something.
    Download(JobId, Event),
    /// The job is complete.
    Done(JobId, Arc<Report>),
    /// The job has failed.
    Failed(JobId, Arc<Error>),
    /// The job was removed.
    Removed(JobId),
}

/// State of a job, as its queue knows it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct JobStatus {
    /// Its identifier.
    pub id: JobId,
    /// The job as it was added, with changed options.
    pub job: Job,
    /// Its state.
    pub state: JobState,
    /// Its index among the queued jobs, waiting and paused; `None` once it has started or ended.
    pub index: Option<usize>,
    /// The last snapshot of its progress, if it has started since the queue was opened.
    pub progress: Option<Progress>,
    /// The report of a job that is complete, if it ended since the queue was opened.
    pub report: Option<Arc<Report>>,
    /// The error of a job that failed, if it ended since the queue was opened.
    pub error: Option<Arc<Error>>,
    /// Error text of a failed job; empty for a complete one, `None` for one that has not ended. It survives a restart.
    pub ended: Option<String>,
}

/// Totals of a queue.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Totals {
    /// Jobs that wait.
    pub waiting: usize,
    /// Jobs that are paused.
    pub paused: usize,
    /// Jobs that run.
    pub running: usize,
    /// Ended jobs that are listed.
    pub ended: usize,
    /// Bytes per second of all running jobs together.
    pub rate: f64,
}

/// A queue of jobs; cheap to clone. It needs a tokio runtime. A job that has failed is not tried again by itself: see
/// [`Error::is_transient`] and [`Queue::again`]. Dropping the future of a change does not undo it: the command has been sent, and is
/// carried out and recorded. Reads are cancel-safe; once the queue is closed they give nothing. Jobs start in order as the client has room; jobs that are
/// paused give their room to the next. Once [`Queue::close`] is called, or the last handle is dropped, running jobs are
/// stopped with everything they have, and go on when the queue is opened again.
///
/// ```no_run
/// # async fn example() -> Result<(), haul::Error> {
/// let client = haul::Client::new(haul::ClientSettings::default())?;
/// let mut settings = haul::QueueSettings::default();
/// settings.session = Some("/var/lib/me/queue".into());
/// let queue = haul::Queue::open(client, settings).await?;
/// let mut events = queue.events();
/// let id = queue.add(haul::Job::new("https://example.org/disk.img")).await?;
/// queue.pause(id).await?;
/// queue.resume(id).await?;
/// while let Ok(event) = events.recv().await {
///     if let haul::QueueEvent::Done(done, report) = event {
///         println!("{done}: {} bytes", report.size);
///         break;
///     }
/// }
/// queue.close().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Queue {
    commands: mpsc::UnboundedSender<Command>,
    events: broadcast::Sender<QueueEvent>,
    /// Taken by the handle that closes the queue.
    task: Arc<tokio::sync::Mutex<Option<Task>>>,
}

/// The running task, and how it ends.
type Task = JoinHandle<Result<(), Error>>;

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queue").finish_non_exhaustive()
    }
}

/// Change of the queue, recorded before it is confirmed.
enum Change {
    Add { job: Box<Job>, index: Option<usize>, paused: bool },
    Pause(JobId),
    Resume(JobId),
    Move(JobId, usize),
    Options(JobId, Box<JobOptions>),
    Again(JobId),
    Remove(JobId),
}

type Reply = oneshot::Sender<Result<Option<JobId>, Error>>;

enum Command {
    Change(Change, Reply),
    Look(Box<dyn FnOnce(&mut Runner) + Send>),
    Close,
}

impl Queue {
    /// Opens a queue: reads the session, if there is one, and starts what waits.
    ///
    /// # Errors
    /// `Locked` if another process has the session, `Unsafe` if others could have written it or it is damaged, `Disk`.
    pub async fn open(client: Client, settings: QueueSettings) -> Result<Self, Error> {
        let QueueSettings { defaults, session, ended } = settings;
        let opening = threads::offload(move || {
            // A job that ended may have been queued again later, so none is dropped before everything is read.
            let mut ledger = Ledger::new(usize::MAX);
            let session = Session::open(session.as_deref(), &mut ledger)?;
            ledger.keep(ended);
            Ok::<_, Error>((ledger, session))
        });
        let (ledger, session) = opening.await.map_err(died)??;
        let (commands, receiver) = mpsc::unbounded_channel();
        let (events, _) = broadcast::channel(EVENTS);
        let runner = Runner {
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
            events: events.clone(),
        };
        #[expect(
            clippy::disallowed_methods,
            reason = "`close` joins it; without that it ends with the handles"
        )]
        let task = tokio::spawn(Box::pin(runner.run(receiver)));
        Ok(Self { commands, events, task: Arc::new(tokio::sync::Mutex::new(Some(task))) })
    }

    /// Events from now on.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<QueueEvent> {
        self.events.subscribe()
    }

    /// Adds a job at the end of those of its priority. Once this returns, the job is in the session.
    ///
    /// # Errors
    /// `Usage` for a job that is invalid or takes more than 4 MiB as JSON; `Disk` if the session cannot be written: then the change
    /// holds in this process only, is lost with it, and every later change returns `Disk` too; `Cancelled` once the queue is closed.
    pub async fn add(&self, job: Job) -> Result<JobId, Error> {
        self.add_at(job, None, false).await
    }

    /// Adds a job at `index` among the queued jobs, waiting and paused, or at the end of those of its priority; it may be `paused` from the start.
    ///
    /// # Errors
    /// Those of [`Queue::add`].
    pub async fn add_at(&self, job: Job, index: Option<usize>, paused: bool) -> Result<JobId, Error> {
        let job = Box::new(job);
        let id = self.change(Change::Add { job, index, paused }).await?;
        id.ok_or_else(|| Error::defect("a job without an identifier"))
    }

    /// Pauses a job. A running one closes its connections and keeps what has come; this returns before that is done.
    ///
    /// # Errors
    /// `NotFound` for a job that is unknown, is paused already or has ended; those of [`Queue::add`].
    pub async fn pause(&self, id: JobId) -> Result<(), Error> {
        self.change(Change::Pause(id)).await.map(drop)
    }

    /// Lets a paused job go on, in its place.
    ///
    /// # Errors
    /// `NotFound` for a job that is unknown or is not paused; those of [`Queue::add`].
    pub async fn resume(&self, id: JobId) -> Result<(), Error> {
        self.change(Change::Resume(id)).await.map(drop)
    }

    /// Moves a queued job, waiting or paused, to `index`; an index beyond the end means the end. It starts with the priority of its
    /// new neighbours; [`Job::priority`] itself stays.
    ///
    /// # Errors
    /// `NotFound` for a job that has started or ended; those of [`Queue::add`].
    pub async fn move_to(&self, id: JobId, index: usize) -> Result<(), Error> {
        self.change(Change::Move(id, index)).await.map(drop)
    }

    /// Changes options of a job; those that are not given stay. The rate limit and the number of
    /// connections of a running job change at once, the others when it starts the next time.
    ///
    /// # Errors
    /// `NotFound` for a job that is unknown, `Usage`, and those of [`Queue::add`].
    pub async fn set_options(&self, id: JobId, options: JobOptions) -> Result<(), Error> {
        self.change(Change::Options(id, Box::new(options))).await.map(drop)
    }

    /// Queues an ended job once more.
    ///
    /// # Errors
    /// `NotFound` for a job that has not ended; those of [`Queue::add`].
    pub async fn again(&self, id: JobId) -> Result<(), Error> {
        self.change(Change::Again(id)).await.map(drop)
    }

    /// Removes a job, whatever its state. A running one is stopped; once this returns its files are closed. What it has
    /// received stays on disk.
    ///
    /// # Errors
    /// `NotFound` for a job that is unknown; those of [`Queue::add`].
    pub async fn remove(&self, id: JobId) -> Result<(), Error> {
        self.change(Change::Remove(id)).await.map(drop)
    }

    /// Handle of a running job's download, to change its sources. It is paused and limited by the queue.
    pub async fn control(&self, id: JobId) -> Option<Control> {
        self.look(move |runner| runner.running.get(&id).map(|running| running.control.clone()))
            .await
            .flatten()
    }

    /// Snapshots of the progress of a job that has started and not ended, for a display; `None` for any other.
    pub async fn progress(&self, id: JobId) -> Option<watch::Receiver<Progress>> {
        self.look(move |runner| runner.running.get(&id).map(|running| running.progress.clone()))
            .await
            .flatten()
    }

    /// State of one job; `None` if it is unknown.
    pub async fn status(&self, id: JobId) -> Option<JobStatus> {
        self.look(move |runner| runner.status(id)).await.flatten()
    }

    /// Jobs that have started and not ended, those paused meanwhile included, in the order of their identifiers.
    pub async fn running(&self) -> Vec<JobStatus> {
        let of = |runner: &mut Runner| {
            let mut ids: Vec<_> = runner.running.keys().copied().collect();
            ids.sort_unstable();
            ids.into_iter().filter_map(|id| runner.status(id)).collect()
        };
        self.look(of).await.unwrap_or_default()
    }

    /// Up to `count` queued jobs, waiting or paused before they started, in order, from `index` on.
    pub async fn waiting(&self, index: usize, count: usize) -> Vec<JobStatus> {
        let of = move |runner: &mut Runner| {
            let ids: Vec<_> = runner.ledger.queued().skip(index).take(count).collect();
            ids.into_iter().filter_map(|id| runner.status(id)).collect()
        };
        self.look(of).await.unwrap_or_default()
    }

    /// Ended jobs, the oldest first.
    pub async fn ended(&self) -> Vec<JobStatus> {
        let of = |runner: &mut Runner| {
            let ids: Vec<_> = runner.ledger.ended().collect();
            ids.into_iter().filter_map(|id| runner.status(id)).collect()
        };
        self.look(of).await.unwrap_or_default()
    }

    /// Totals of the queue.
    pub async fn totals(&self) -> Totals {
        self.look(|runner| runner.totals()).await.unwrap_or_default()
    }

    /// Changes the number of jobs that run at once. Those that run are not stopped.
    pub async fn set_jobs(&self, jobs: Jobs) {
        self.look(move |runner| runner.client.set_jobs(jobs)).await;
    }

    /// Changes the rate limit of all jobs together, in bytes per second; `None` for no limit.
    pub async fn limit_rate(&self, rate: Option<NonZeroU64>) {
        self.look(move |runner| runner.client.limit_rate(rate)).await;
    }

    /// Changes the values for jobs that do not give their own and start from now on.
    pub async fn set_defaults(&self, defaults: Defaults) {
        self.look(move |runner| runner.defaults = defaults).await;
    }

    /// Waits until no job waits or runs; paused ones do not count. Cancel-safe. Returns at once if the queue is closed.
    pub async fn idle(&self) {
        let mut events = self.events();
        loop {
            let totals = self.totals().await;
            if totals.waiting == 0 && totals.running == 0 {
                return;
            }
            if matches!(events.recv().await, Err(broadcast::error::RecvError::Closed)) {
                return;
            }
        }
    }

    /// Stops running jobs with everything they have, and ends the queue. Jobs that have not ended stay in the session. Once polled, it
    /// closes the queue even if its future is dropped; each call returns once files are closed, and the first has the error.
    ///
    /// # Errors
    /// The error that ended the queue before, if one did.
    pub async fn close(&self) -> Result<(), Error> {
        // A queue that has ended hears nothing any more.
        let _ = self.commands.send(Command::Close);
        let mut task = self.task.lock().await;
        let Some(running) = &mut *task else {
            return Ok(());
        };
        let ended = running.await;
        *task = None;
        ended.map_err(died)?
    }

    async fn change(&self, change: Change) -> Result<Option<JobId>, Error> {
        let (reply, answer) = oneshot::channel();
        let _ = self.commands.send(Command::Change(change, reply));
        answer.await.unwrap_or_else(|_| Err(closed()))
    }

    /// Runs a look at the queue in its task; `None` once it is closed.
    async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&mut Runner) -> T + Send + 'static,
    ) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        let look = move |runner: &mut Runner| {
            let _ = reply.send(look(runner));
        };
        let _ = self.commands.send(Command::Look(Box::new(look)));
        answer.await.ok()
    }
}

fn closed() -> Error {
    Error::new(Kind::Cancelled, "the queue is closed")
}

fn died(error: tokio::task::JoinError) -> Error {
    Error::new(Kind::Other, "the task of the queue panicked").with_source(error)
}

fn unknown(id: JobId) -> Error {
    Error::new(Kind::NotFound, format!("no such job, or not in a state that allows this: {id}"))
}

/// Download of a job that was handed out.
struct Running {
    control: Control,
    cancel: Box<dyn Fn() + Send + Sync>,
    progress: watch::Receiver<Progress>,
    /// Those who wait for its files to be closed, once it is removed.
    removed: Option<Vec<Reply>>,
}

/// Outcome of a job.
type Outcome = Result<Arc<Report>, Arc<Error>>;

/// The task of a queue.
struct Runner {
    client: Client,
    ledger: Ledger,
    /// `None` while it is being written.
    session: Option<Session>,
    defaults: Defaults,
    running: HashMap<JobId, Running>,
    downloads: JoinSet<(JobId, Result<Report, Error>)>,
    /// Wait for room for one more job.
    room: Option<SlotWait>,
    /// Outcomes of listed jobs that ended since the queue was opened.
    ends: HashMap<JobId, (Option<Progress>, Outcome)>,
    /// Records to be written with the next batch.
    unrecorded: Vec<Record>,
    /// Replies to the removals of jobs whose files are closed now.
    removed: Vec<Reply>,
    /// Error of the session, which records nothing any more.
    failed: Option<Error>,
    /// Jobs whose download refused a command.
    refused: (mpsc::UnboundedSender<JobId>, mpsc::UnboundedReceiver<JobId>),
    events: broadcast::Sender<QueueEvent>,
}

impl Runner {
    async fn run(mut self, mut commands: mpsc::UnboundedReceiver<Command>) -> Result<(), Error> {
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
    fn apply(&mut self, change: Change, reply: Reply, confirmed: &mut Vec<(Option<JobId>, Reply)>) {
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
            Change::Move(id, index) => (id, or_unknown(id, self.ledger.move_to(id, index))?, false),
            Change::Options(id, options) => (id, self.set_options(id, &options)?, false),
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

    fn set_options(&mut self, id: JobId, options: &JobOptions) -> Result<Record, Error> {
        let mut job = self.ledger.job(id).ok_or_else(|| unknown(id))?;
        job.options = options.or(&job.options);
        check_recordable(&job)?;
        resolve(&job, &self.defaults)?;
        let record = self.ledger.change(id, job).ok_or_else(|| unknown(id))?;
        if let Some(running) = self.running.get(&id) {
            if let Some(rate) = options.limit_rate {
                running.control.limit_rate(NonZeroU64::new(rate));
            }
            if let Some(connections) = options.connections {
                running.control.connections(Connections::AtMost(connections));
            }
        }
        Ok(record)
    }

    /// Records what has changed, and confirms it. After an error nothing more is recorded or changed.
    async fn save(&mut self, confirmed: Vec<(Option<JobId>, Reply)>) {
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
        let text = outcome.as_ref().map_or_else(ToString::to_string, |_| String::new());
        self.unrecorded.extend(self.ledger.end(id, outcome.is_ok(), &text));
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

    fn status(&self, id: JobId) -> Option<JobStatus> {
        let running = self.running.get(&id);
        let end = self.ends.get(&id);
        let progress = running.map(|running| running.progress.borrow().clone());
        Some(JobStatus {
            id,
            job: self.ledger.job(id)?,
            state: self.ledger.state(id)?,
            index: self.ledger.index(id),
            progress: progress.or_else(|| end.and_then(|(progress, _)| progress.clone())),
            report: end.and_then(|(_, outcome)| outcome.as_ref().ok().cloned()),
            error: end.and_then(|(_, outcome)| outcome.as_ref().err().cloned()),
            ended: self.ledger.end_of(id).map(str::to_owned),
        })
    }

    fn totals(&self) -> Totals {
        let (waiting, paused, ended) = self.ledger.counts();
        let in_state = |wanted| {
            let of = move |id: &JobId| self.ledger.state(*id) == Some(wanted);
            self.running.iter().filter(move |(id, _)| of(id)).map(|(_, running)| running)
        };
        let rate = in_state(JobState::Running).filter_map(|running| running.progress.borrow().rate).sum();
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
