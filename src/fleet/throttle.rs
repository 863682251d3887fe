//! Slots of origins: waits for one, holds it, and gives it back.

use super::slots::{Held, keys};
use crate::clock::Clock;
use crate::plan::{Moment, Origin};
use async_nats::jetstream::kv::{CreateErrorKind, Store};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Mutex as Turn;

/// Pause between two looks for a free slot.
const PAUSE: Duration = Duration::from_millis(100);

/// See the module.
pub(super) struct Throttle {
    bucket: Store,
    /// Slots of each origin.
    count: u32,
    /// Time for which a key lives.
    age: Duration,
    seed: u64,
    clock: Clock,
    worker: String,
    /// One job of each origin looks for a slot at a time; the others wait in line here.
    turns: Mutex<HashMap<Origin, Arc<Turn<()>>>>,
}

impl Throttle {
    pub(super) fn new(bucket: Store, count: u32, age: Duration, worker: &str) -> Self {
        let (clock, seed) = (Clock::start(), Clock::seed());
        Self { bucket, count, age, seed, clock, worker: worker.to_owned(), turns: Mutex::default() }
    }

    /// Waits for a slot for at most `time`. Cancel-safe, but for a key that is just being written: it is dropped with its age.
    pub(super) async fn slot(&self, origin: &Origin, time: Duration) -> Option<Held> {
        tokio::time::timeout(time, self.wait(origin)).await.ok()
    }

    async fn wait(&self, origin: &Origin) -> Held {
        let turn = self
            .turns
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(origin.clone())
            .or_default()
            .clone();
        let _mine = turn.lock().await;
        loop {
            for key in keys(origin, self.count, self.seed) {
                let sent = self.now();
                match self.bucket.create(&key, self.worker.clone().into()).await {
                    Ok(revision) => return Held::new(key, revision, sent),
                    Err(error) if error.kind() == CreateErrorKind::AlreadyExists => {}
                    // The server is not there, or slow.
                    Err(_) => break,
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn now(&self) -> Moment {
        self.clock.now()
    }

    /// Renews a slot if it is time; returns false if it is lost.
    pub(super) async fn keep(&self, held: &mut Held) -> bool {
        let sent = self.now();
        if !held.is_due(sent, self.age) {
            return true;
        }
        match self.bucket.update(&held.key, self.worker.clone().into(), held.revision).await {
            Ok(revision) => {
                held.renewed(revision, sent);
                true
            }
            Err(error) => error.kind() != async_nats::jetstream::kv::UpdateErrorKind::WrongLastRevision,
        }
    }

    /// Gives a slot back, unless another worker has it by now.
    pub(super) async fn give_back(&self, held: Held) {
        // A key that stays is dropped with its age.
        let _ = self.bucket.delete_expect_revision(&held.key, Some(held.revision)).await;
    }
}
