//! The desk of a worker: everything that its jobs share.

use super::excuses::Excuses;
use super::heartbeat::Counters;
use super::lease::Instant;
use super::outcome::Verdict;
use super::posting::Place;
use super::queue::Queue;
use super::throttle::Throttle;
use crate::clock::Clock;
use crate::engine::{Client, Report, Request};
use crate::error::Error;
use crate::jobs::Job;
use async_nats::HeaderMap;
use async_nats::header::NATS_MESSAGE_ID;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, watch};

/// Version of the events.
const VERSION: u32 = 1;

/// Checks and words of the front end.
#[derive(Clone)]
pub(crate) struct Words {
    /// Turns a job into a request.
    pub(crate) resolve: Arc<dyn Fn(Job) -> Result<Request, Error> + Send + Sync>,
    /// Facts of a download that succeeded, as its event states them.
    pub(crate) done: fn(&Report) -> Value,
    /// Facts of a failure, likewise.
    pub(crate) failed: fn(&Error) -> Value,
    /// Hears of each job that has ended.
    pub(crate) tell: Arc<dyn Fn(&Told<'_>) + Send + Sync>,
}

/// Something that a worker tells its front end.
pub(crate) enum Told<'a> {
    /// The event, which is in the stream of results as well.
    Event(&'a Value),
    /// The worker takes no jobs for a while, since its disk is at fault.
    Paused(Duration),
    /// A lease has run out; another worker may have the job.
    LeaseLost(&'a str),
}

/// See the module.
pub(super) struct Desk {
    pub(super) client: Client,
    pub(super) queue: Queue,
    pub(super) words: Words,
    pub(super) lease: Duration,
    pub(super) excuses: Excuses,
    pub(super) throttle: Option<Throttle>,
    pub(super) counters: Counters,
    /// Permits to download.
    pub(super) room: Semaphore,
    /// Signal that told the worker to stop.
    pub(super) stop: watch::Receiver<Option<i32>>,
    /// True once no more jobs come: what is handed back before would come again.
    pub(super) closed: watch::Sender<bool>,
    pub(super) clock: Clock,
    /// Name of the worker.
    pub(super) worker: String,
}

/// A job, as events and dead letters name it.
pub(super) struct Named<'a> {
    pub(super) id: &'a str,
    pub(super) place: &'a Place,
    /// Its present delivery.
    pub(super) delivery: u64,
}

impl Desk {
    pub(super) fn now(&self) -> Instant {
        Instant { running: self.clock.now(), date: Clock::since_1970() }
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stop.borrow().is_some()
    }

    /// Waits until the worker is told to stop.
    pub(super) async fn stopped(&self) {
        let mut stop = self.stop.clone();
        // Without a sender nothing stops it any more; the worker is gone itself then.
        if stop.wait_for(Option::is_some).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Waits until no more jobs come.
    pub(super) async fn closed(&self) {
        // The sender is in this desk.
        let _ = self.closed.subscribe().wait_for(|closed| *closed).await;
    }

    /// The event of a job, with the facts that the front end adds.
    pub(super) fn event(&self, name: &str, job: &Named<'_>, mut facts: Value) -> Value {
        facts["v"] = VERSION.into();
        facts["event"] = name.into();
        facts["id"] = job.id.into();
        facts["worker"] = self.worker.as_str().into();
        facts["delivery"] = job.delivery.into();
        facts["list"] = json!(job.place.list);
        facts["line"] = json!(job.place.line);
        facts
    }

    /// Facts of a failure, and what becomes of the job.
    pub(super) fn failure(&self, error: &Error, verdict: Verdict) -> Value {
        let mut facts = (self.words.failed)(error);
        if let Verdict::Again { after, excuse } = verdict {
            facts["wait"] = after.as_secs_f64().into();
            facts["counts"] = excuse.is_none().into();
        }
        facts
    }

    /// Publishes a result, or a dead letter, and waits until it is stored; the server drops one that it has already.
    ///
    /// # Errors
    /// `Network`, `Auth`.
    pub(super) async fn publish(&self, subject: String, id: String, event: &Value) -> Result<(), Error> {
        let mut headers = HeaderMap::new();
        headers.insert(NATS_MESSAGE_ID, id);
        let failed =
            |error: &dyn std::fmt::Display| self.queue.connection.failed("a result is not stored", error);
        let sent = self.queue.context.publish_with_headers(subject, headers, event.to_string().into()).await;
        let stored = sent.map_err(|error| failed(&error))?.await;
        stored.map(|_| ()).map_err(|error| failed(&error))
    }

    pub(super) fn tell(&self, told: &Told<'_>) {
        (self.words.tell)(told);
    }
}
