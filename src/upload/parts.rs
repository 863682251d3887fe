//! Parts on their way: several at once, and as many fewer as the store asks for.

use super::api::Store;
use super::hashes::State;
use super::manifest::{Part, Shared, locked};
use crate::error::{Error, Kind};
use crate::threads;
use bytes::Bytes;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};

/// Time that parts on their way have when the download is given up.
const LAST: Duration = Duration::from_secs(3);

/// Parts on their way.
#[derive(Default)]
pub(super) struct Parts {
    sending: JoinSet<Result<Part, Error>>,
    /// Most at once, after the store has asked for fewer.
    bound: Option<usize>,
}

impl Parts {
    /// Sends a part, and records it once the store has it, with the states of the hashes at its end.
    pub(super) fn send(
        &mut self,
        handle: &Handle,
        (store, upload): (&Store, &str),
        (number, bytes): (u32, Bytes),
        (manifest, states): (Option<&Shared>, Vec<State>),
    ) {
        let (store, upload, manifest) = (store.clone(), upload.to_owned(), manifest.cloned());
        let sending = async move {
            let size = bytes.len() as u64;
            let (etag, checksum) = store.part(&upload, number, bytes).await?;
            let part = Part { number, etag, size, checksum, states };
            let Some(manifest) = manifest else { return Ok(part) };
            let recording = threads::offload(move || {
                locked(&manifest).part(part.clone())?;
                Ok(part)
            });
            let recorded = recording.await;
            recorded
                .map_err(|error| Error::new(Kind::Other, "the record of a part died").with_source(error))?
        };
        self.sending.spawn_on(sending, handle);
    }

    /// Waits until another part may be sent, at most `most` at once; returns those that have arrived.
    pub(super) async fn room(
        &mut self,
        most: usize,
        store: &Store,
        released: &mut watch::Receiver<bool>,
    ) -> Result<Vec<Part>, Error> {
        let mut arrived = Vec::new();
        loop {
            if store.overloaded.swap(false, Ordering::Relaxed) {
                self.bound = Some((self.bound.unwrap_or(most) / 2).max(1));
            }
            arrived.append(&mut self.arrived()?);
            if self.sending.len() < self.bound.unwrap_or(most).min(most) {
                return Ok(arrived);
            }
            tokio::select! {
                biased;
                _ = released.wait_for(|released| *released) => return Err(Error::new(Kind::Cancelled, "the upload is given up")),
                Some(ended) = self.sending.join_next() => arrived.push(part(ended)?),
            }
        }
    }

    /// Parts that have arrived since the last look.
    pub(super) fn arrived(&mut self) -> Result<Vec<Part>, Error> {
        let mut arrived = Vec::new();
        while let Some(ended) = self.sending.try_join_next() {
            arrived.push(part(ended)?);
        }
        Ok(arrived)
    }

    /// Waits for all parts.
    pub(super) async fn all(&mut self) -> Result<Vec<Part>, Error> {
        let mut arrived = Vec::new();
        while let Some(ended) = self.sending.join_next().await {
            arrived.push(part(ended)?);
        }
        Ok(arrived)
    }

    /// Ends the sending; returns the parts that arrive at the last moment.
    pub(super) async fn end(&mut self, keep: bool) -> Vec<Part> {
        let mut arrived = Vec::new();
        if keep {
            let last = async {
                while let Some(ended) = self.sending.join_next().await {
                    arrived.extend(part(ended).ok());
                }
            };
            // The others are sent again by the next run.
            let _ = tokio::time::timeout(LAST, last).await;
        }
        self.sending.shutdown().await;
        arrived
    }
}

fn part(ended: Result<Result<Part, Error>, JoinError>) -> Result<Part, Error> {
    ended.map_err(|error| Error::new(Kind::Other, "the sending of a part died").with_source(error))?
}
