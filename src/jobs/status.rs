//! State of a queue and its jobs, as its handles show it.

use super::job::{Job, JobEnd, JobId};
use super::ledger::JobState;
use crate::engine::{Event, Progress, Report};
use crate::error::Error;
use std::sync::Arc;

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
    /// End of the job; `None` if it has not ended. It survives a restart.
    pub ended: Option<JobEnd>,
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
