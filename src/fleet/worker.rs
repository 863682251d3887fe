//! A worker: takes jobs from the queue as it has room for them, and carries them out.

use super::appetite::Appetite;
use super::deliveries::{End, carry_out};
use super::desk::{Desk, Told, Words};
use super::excuses::Excuses;
use super::heartbeat::{self, Counters, beat};
use super::queue::Queue;
use super::throttle::Throttle;
use crate::clock::Clock;
use crate::engine::Client;
use crate::error::{Error, Kind};
use crate::plan::Moment;
use crate::sys::process;
use async_nats::jetstream::Message;
use async_nats::jetstream::consumer::Consumer;
use async_nats::jetstream::consumer::pull::{self, Batch};
use async_nats::jetstream::kv::Store;
use async_nats::jetstream::stream::Stream;
use futures_core::Stream as _;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

/// Longest wait of a request for jobs. A worker that is told to stop waits for it, so that no job is given to it unseen.
const LONGEST_WAIT: Duration = Duration::from_millis(500);
/// Time beyond that after which a request is given up.
const LATE: Duration = Duration::from_secs(2);
/// Pause after a request that failed, and between two looks whether the queue is empty.
const PAUSE: Duration = Duration::from_millis(100);
/// Time for which no jobs are taken after the disk was at fault.
const REST: Duration = Duration::from_secs(5);
/// Characters of the name of a machine that are in the name of a worker.
const LONGEST_HOST: usize = 40;
/// Longest time for the last word of a worker.
const GOOD_BYE: Duration = Duration::from_secs(1);
/// Time for which excuses are kept.
const EXCUSED: Duration = Duration::from_secs(14 * 24 * 3600);

/// Settings of a worker.
#[derive(Clone, Debug)]
pub(crate) struct WorkerSettings {
    /// Lease of a job; `None` for that of the other workers, or the default.
    pub(crate) lease: Option<Duration>,
    /// Deliveries that count after which a job is laid aside.
    pub(crate) max_deliver: u64,
    /// Jobs at once.
    pub(crate) width: usize,
    /// Jobs at once of one origin, over the whole fleet.
    pub(crate) per_host: Option<u32>,
    /// Ends once the queue is empty.
    pub(crate) until_empty: bool,
}

/// Jobs that a worker has carried out.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ended {
    pub(crate) done: u64,
    /// Jobs that were laid aside, and the kinds of their failures.
    pub(crate) dead: u64,
    pub(crate) kinds: Vec<Kind>,
    /// Deliveries that ended with another one to follow.
    pub(crate) later: u64,
    /// Signal that ended the worker.
    pub(crate) signal: Option<i32>,
}

/// A worker that is connected.
pub(crate) struct Worker {
    queue: Queue,
    settings: WorkerSettings,
    /// Name in heartbeats and results.
    name: String,
    lease: Duration,
    jobs: Stream,
    consumer: Consumer<pull::Config>,
    workers: Store,
    excused: Store,
    slots: Option<Store>,
}

impl Worker {
    /// Makes the streams, the consumer and the buckets as far as they are not there.
    ///
    /// # Errors
    /// `Unsafe` for a stream of another version; `Usage` for a lease that the other workers do not have; `Network`, `Auth`.
    pub(crate) async fn open(queue: Queue, settings: WorkerSettings) -> Result<Self, Error> {
        let jobs = queue.jobs_or_new(None).await?;
        let (consumer, lease) = queue.consumer(&jobs, settings.lease).await?;
        queue.make_ends().await?;
        let workers = queue.bucket(queue.names.workers(), heartbeat::KEPT).await?;
        let excused = queue.bucket(queue.names.excused(), EXCUSED).await?;
        let slots = match settings.per_host {
            Some(_) => Some(queue.bucket(queue.names.slots(), lease).await?),
            None => None,
        };
        Ok(Self { queue, settings, name: name(), lease, jobs, consumer, workers, excused, slots })
    }

    /// Its name: letters, digits and `-`.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Lease of its jobs.
    pub(crate) fn lease(&self) -> Duration {
        self.lease
    }

    /// Works until `stop` ends, with the number of a signal, or until the queue is empty if that is wanted. What runs then is stopped and
    /// handed back.
    ///
    /// # Errors
    /// `Network` if the server is gone for longer than the connection has patience.
    pub(crate) async fn run(
        self,
        client: Client,
        words: Words,
        stop: impl Future<Output = i32> + Send,
    ) -> Result<Ended, Error> {
        let (stopper, stopping) = watch::channel(None);
        let throttle = match (self.slots, self.settings.per_host) {
            (Some(slots), Some(count)) => {
                // The bucket may be older than this lease.
                let age = slots.status().await.map_or(self.lease, |status| status.max_age());
                Some(Throttle::new(slots, count, age, &self.name))
            }
            _ => None,
        };
        let desk = Arc::new(Desk {
            client,
            queue: self.queue,
            words,
            lease: self.lease,
            excuses: Excuses::new(self.excused, self.settings.max_deliver),
            throttle,
            counters: Counters::default(),
            room: Semaphore::new(self.settings.width),
            stop: stopping,
            closed: watch::Sender::new(false),
            clock: Clock::start(),
            worker: self.name.clone(),
        });
        let taking = Taking {
            desk: desk.clone(),
            jobs: self.jobs,
            consumer: self.consumer,
            appetite: Appetite::new(self.settings.width),
            until_empty: self.settings.until_empty,
            running: JoinSet::new(),
            ended: Ended::default(),
            is_flowing: true,
            rests_until: Duration::ZERO,
            gone_since: None,
        };
        let name = &self.name;
        let hearing = async {
            stopper.send_replace(Some(stop.await));
            // Running jobs are handed back; `taking` ends once it is.
            std::future::pending::<Infallible>().await
        };
        let outcome = tokio::select! {
            outcome = Box::pin(taking.run()) => outcome,
            never = hearing => match never {},
            never = beat(&self.workers, name, &desk.counters) => match never {},
        };
        // It is forgotten after a while even if it cannot say good-bye.
        let _ = tokio::time::timeout(GOOD_BYE, self.workers.purge(name)).await;
        outcome
    }
}

/// Name that no other worker has: of the machine, the process and the time.
fn name() -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let host: String = process::host_name().chars().map(plain).take(LONGEST_HOST).collect();
    format!("{host}-{}-{:x}", std::process::id(), Clock::since_1970().as_millis())
}

/// The loop that takes jobs.
struct Taking {
    desk: Arc<Desk>,
    jobs: Stream,
    consumer: Consumer<pull::Config>,
    appetite: Appetite,
    until_empty: bool,
    running: JoinSet<End>,
    ended: Ended,
    /// Jobs came without a wait lately.
    is_flowing: bool,
    rests_until: Moment,
    /// Time at which the connection was found broken.
    gone_since: Option<Moment>,
}

impl Taking {
    async fn run(mut self) -> Result<Ended, Error> {
        while !self.desk.is_stopping() {
            self.check_connection()?;
            let now = self.desk.clock.now();
            let wants = if now < self.rests_until { 0 } else { self.appetite.wants(self.running.len(), now) };
            if wants == 0 {
                self.wait().await;
                continue;
            }
            let taken = self.take(wants).await;
            while let Some(ended) = self.running.try_join_next() {
                self.count(ended);
            }
            self.desk.counters.running.store(self.running.len() as u64, Ordering::Relaxed);
            if taken == 0 && self.until_empty && self.running.is_empty() && self.is_empty().await {
                break;
            }
        }
        self.desk.closed.send_replace(true);
        while let Some(ended) = self.running.join_next().await {
            self.count(ended);
        }
        self.ended.signal = *self.desk.stop.borrow();
        Ok(self.ended)
    }

    /// Asks for jobs, and starts those that come. Returns their number.
    async fn take(&mut self, wants: usize) -> usize {
        let from = self.desk.now();
        let wait = if self.until_empty { PAUSE } else { LONGEST_WAIT.min(self.desk.lease / 8) };
        let asked = match self.is_flowing {
            true => self.consumer.fetch().max_messages(wants).messages().await,
            false => self.consumer.batch().max_messages(1).expires(wait).messages().await,
        };
        let Ok(mut batch) = asked else {
            tokio::time::sleep(PAUSE).await;
            return 0;
        };
        let mut taken = 0;
        while let Ok(Some(next)) = tokio::time::timeout(wait + LATE, next_of(&mut batch)).await {
            let Ok(message) = next else {
                // The connection broke, or the consumer is gone.
                tokio::time::sleep(PAUSE).await;
                break;
            };
            taken += 1;
            self.running.spawn(carry_out(self.desk.clone(), message, from));
        }
        self.is_flowing = taken > 0;
        taken
    }

    /// Waits until a job has ended, the worker is told to stop, or the rest is over.
    async fn wait(&mut self) {
        let rest = self.rests_until.saturating_sub(self.desk.clock.now());
        let rest = if rest.is_zero() { LONGEST_WAIT } else { rest };
        tokio::select! {
            Some(ended) = self.running.join_next() => self.count(ended),
            () = self.desk.stopped() => {}
            () = tokio::time::sleep(rest) => {}
        }
    }

    fn count(&mut self, ended: Result<End, tokio::task::JoinError>) {
        // A job that panicked is given out again once its lease has run out.
        let ended = ended.unwrap_or(End::Later { pauses: false });
        let now = self.desk.clock.now();
        self.appetite.ended(now);
        match ended {
            End::Done => {
                self.ended.done += 1;
                self.desk.counters.done.fetch_add(1, Ordering::Relaxed);
            }
            End::Dead(kind) => {
                self.ended.dead += 1;
                self.desk.counters.failed.fetch_add(1, Ordering::Relaxed);
                if !self.ended.kinds.contains(&kind) {
                    self.ended.kinds.push(kind);
                }
            }
            End::Later { pauses: false } => self.ended.later += 1,
            End::Later { pauses: true } => {
                self.ended.later += 1;
                self.rests_until = now + REST;
                self.desk.tell(&Told::Paused(REST));
            }
        }
    }

    async fn is_empty(&self) -> bool {
        self.jobs.get_info().await.is_ok_and(|info| info.state.messages == 0)
    }

    fn check_connection(&mut self) -> Result<(), Error> {
        let connection = &self.desk.queue.connection;
        if connection.is_connected() {
            self.gone_since = None;
            return Ok(());
        }
        let now = self.desk.clock.now();
        let gone = now.saturating_sub(*self.gone_since.get_or_insert(now));
        if connection.patience.is_zero() || gone < connection.patience {
            return Ok(());
        }
        let cause = format!("{} has been gone for {} s", connection.server, gone.as_secs());
        Err(Error::new(Kind::Network, cause))
    }
}

/// The next message of a batch; `None` once it has ended.
async fn next_of(batch: &mut Batch) -> Option<Result<Message, async_nats::Error>> {
    std::future::poll_fn(|context| Pin::new(&mut *batch).poll_next(context)).await
}
