//! Jobs: downloads as plain data, and a queue that runs them. Front ends stand on this floor.

mod job;
mod ledger;
mod queue;
mod resolve;
mod runner;
mod session;
mod status;

pub use job::{Defaults, Job, JobId, JobOptions};
pub use ledger::JobState;
pub use queue::{Queue, QueueSettings};
pub use resolve::{Invalid, resolve};
pub use status::{JobStatus, QueueEvent, Totals};
