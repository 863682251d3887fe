//! Jobs: downloads as plain data, and a queue that runs them. Front ends stand on this floor.

mod job;
mod ledger;
#[cfg(feature = "cli")]
mod listed;
mod queue;
mod resolve;
mod runner;
mod session;
mod status;

pub use job::{Defaults, Job, JobChange, JobEnd, JobId, JobOptions, Login, NamedBy, PieceDigests};
pub use ledger::JobState;
#[cfg(feature = "cli")]
pub use listed::{JobList, Listed, metalink, metalink_of_files};
pub use queue::{Queue, QueueSettings};
pub use resolve::{Invalid, resolve, resolve_unnamed};
pub use status::{JobStatus, QueueEvent, Totals};
