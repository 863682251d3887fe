//! State of a fleet: jobs by state, and the workers that have said lately that they are there.

use super::heartbeat::Beat;
use super::queue::Queue;
use super::subject::Names;
use crate::error::{Error, Kind};
use async_nats::jetstream::kv::Store;
use async_nats::jetstream::stream::Stream;
use futures_core::Stream as _;
use std::collections::BTreeMap;
use std::pin::Pin;

/// See the module.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Status {
    /// Jobs that no worker has.
    pub(crate) waiting: u64,
    /// Jobs that workers have, or that wait for their next try.
    pub(crate) running: u64,
    /// Jobs that have ended well, as far as their results are still kept.
    pub(crate) done: u64,
    /// Jobs that have failed for good, likewise.
    pub(crate) failed: u64,
    /// Dead letters.
    pub(crate) dead: u64,
    pub(crate) workers: Vec<WorkerSeen>,
}

/// A worker that has said lately that it is there.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct WorkerSeen {
    pub(crate) name: String,
    pub(crate) running: u64,
    pub(crate) done: u64,
    pub(crate) failed: u64,
    /// Bytes a second.
    pub(crate) rate: f64,
}

impl Status {
    /// Bytes a second of all workers together.
    pub(crate) fn rate(&self) -> f64 {
        // The sum of no floats is minus zero.
        self.workers.iter().map(|worker| worker.rate).sum::<f64>() + 0.0
    }

    /// Asks the server.
    ///
    /// # Errors
    /// `NotFound` if nothing was submitted yet; `Unsafe` for a stream of another version; `Network`, `Auth`.
    pub(crate) async fn of(queue: &Queue) -> Result<Self, Error> {
        let Some(jobs) = queue.jobs().await? else {
            let (server, name) = (&queue.connection.server, queue.names.jobs());
            return Err(Error::new(Kind::NotFound, format!("{server} has no stream {name}")));
        };
        let all = jobs.cached_info().state.messages;
        // Without workers there is no consumer yet.
        let running = match jobs.consumer_info(Names::CONSUMER).await {
            Ok(info) => (info.num_ack_pending as u64).min(all),
            Err(_) => 0,
        };
        let results = match queue.end(&queue.names.results()).await? {
            Some(results) => by_subject(&results, &queue.names.all_results()).await,
            None => BTreeMap::new(),
        };
        let dead = queue.end(&queue.names.dead()).await?;
        let result = |event| results.get(&queue.names.result(event)).copied().unwrap_or(0);
        let workers = match queue.bucket_if_there(&queue.names.workers()).await? {
            Some(bucket) => seen(&bucket).await,
            None => Vec::new(),
        };
        Ok(Self {
            waiting: all - running,
            running,
            done: result("done"),
            failed: result("error"),
            dead: dead.map_or(0, |dead| dead.cached_info().state.messages),
            workers,
        })
    }
}

/// Messages of each subject. They are few.
async fn by_subject(stream: &Stream, filter: &str) -> BTreeMap<String, u64> {
    let mut counted = BTreeMap::new();
    let Ok(mut subjects) = stream.info_with_subjects(filter).await else {
        return counted;
    };
    while let Some(next) = std::future::poll_fn(|context| Pin::new(&mut subjects).poll_next(context)).await {
        let Ok((subject, count)) = next else { break };
        counted.insert(subject, count as u64);
    }
    counted
}

/// Workers whose heartbeats are still kept.
async fn seen(bucket: &Store) -> Vec<WorkerSeen> {
    let mut workers = Vec::new();
    let Ok(mut names) = bucket.keys().await else {
        return workers;
    };
    while let Some(name) = std::future::poll_fn(|context| Pin::new(&mut names).poll_next(context)).await {
        let Ok(name) = name else { break };
        let beat = bucket.get(&name).await.ok().flatten();
        if let Some(beat) = beat.and_then(|text| serde_json::from_slice::<Beat>(&text).ok()) {
            let Beat { running, done, failed, rate } = beat;
            workers.push(WorkerSeen { name, running, done, failed, rate });
        }
    }
    workers.sort_by(|one, other| one.name.cmp(&other.name));
    workers
}
