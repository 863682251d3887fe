//! A fleet: jobs of a list over several machines, by the streams of a NATS server.
//!
//! The queue gives each job to one worker for the time of a lease, which is renewed while bytes move. It may give a job out twice; the sink
//! decides: a file gets its name once, without replacing, and only then does the worker tell the queue. An acknowledgement fences nothing.

mod appetite;
mod deliveries;
mod desk;
mod excuses;
mod heartbeat;
mod lease;
mod outcome;
mod posting;
mod queue;
mod server;
mod slots;
mod status;
mod subject;
mod submit;
mod throttle;
mod worker;

pub(crate) use desk::{Told, Words};
pub(crate) use posting::{Place, Posting};
pub(crate) use queue::Queue;
pub(crate) use server::Server;
pub(crate) use status::{Status, WorkerSeen};
pub(crate) use subject::Names;
pub(crate) use submit::{Submission, Submitted};
pub(crate) use worker::{Ended, Worker, WorkerSettings};
