//! Jobs: downloads as plain data, and a queue that runs them. Front ends stand on this floor.

mod job;
mod ledger;
mod queue;
mod resolve;
mod session;

pub use job::{Defaults, Job, JobId, JobOptions};
pub use ledger::JobState;
pub use queue::{JobStatus, Queue, QueueEvent, QueueSettings, Totals};
pub use resolve::{Invalid, resolve};
