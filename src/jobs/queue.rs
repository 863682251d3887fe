//! Handles of a queue, which speak to its task.

use super::job::{Defaults, Job, JobChange, JobId, JobOptions};
use super::ledger::Ledger;
use super::runner::{Change, Command, Runner, died};
use super::session::Session;
use super::status::{JobStatus, QueueEvent, Totals};
use crate::engine::{Client, Control, Jobs, Progress};
use crate::error::{Error, Kind};
use crate::threads;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::task::JoinHandle;

/// Unread events of one listener; the oldest are dropped beyond that.
const EVENTS: usize = 4096;

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
        let runner = Runner::new(client, ledger, session, defaults, events.clone());
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

    /// Moves a queued job, waiting or paused, to `index`; one that was paused while it ran comes back to the queue, with everything it has; an index beyond the end means the end. It starts with the priority of its
    /// new neighbours; [`Job::priority`] itself stays.
    ///
    /// # Errors
    /// `NotFound` for a job that runs or has ended; those of [`Queue::add`].
    pub async fn move_to(&self, id: JobId, index: usize) -> Result<(), Error> {
        self.change(Change::Move(id, index)).await.map(drop)
    }

    /// Changes options of a job; those that are not given stay. The rate limit and the number of
    /// connections of a running job change at once, with another proxy, timeout or number of tries it begins anew with everything it has, and the others count when it
    /// starts the next time.
    ///
    /// # Errors
    /// `NotFound` for a job that is unknown, `Usage`, and those of [`Queue::add`].
    pub async fn set_options(&self, id: JobId, options: JobOptions) -> Result<(), Error> {
        self.change_job(id, JobChange { options, ..JobChange::default() }).await
    }

    /// Changes a job: its options as [`Queue::set_options`] does, its headers and tags. With other headers, or another proxy, a download that
    /// has begun begins anew, with everything it has; a paused one when it is resumed.
    ///
    /// # Errors
    /// `NotFound` for a job that is unknown, `Usage`, and those of [`Queue::add`].
    pub async fn change_job(&self, id: JobId, change: JobChange) -> Result<(), Error> {
        self.change(Change::Job(id, Box::new(change))).await.map(drop)
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
            let indexed = (index..).zip(ids);
            indexed.filter_map(|(index, id)| runner.status_at(id, Some(index))).collect()
        };
        self.look(of).await.unwrap_or_default()
    }

    /// Jobs with this tag, in any state and order, and its values.
    pub async fn tagged(&self, tag: impl Into<String>) -> Vec<(JobId, String)> {
        let tag = tag.into();
        self.look(move |runner| runner.ledger.tagged(&tag)).await.unwrap_or_default()
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
