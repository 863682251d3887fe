//! Parts on their way: several at once, and as many fewer as the store asks for.

use super::api::Store;
use super::hashes::State;
use super::manifest::Part;
use crate::error::{Error, Kind};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Time that parts on their way have when the download is given up.
const LAST: Duration = Duration::from_secs(3);

/// A part that was sent: its number, its size, and its entity tag and checksum.
type Sent = (u32, u64, Result<(String, String), Error>);

/// Parts on their way.
#[derive(Default)]
pub(super) struct Parts {
    sending: JoinSet<Sent>,
    /// States of the hashes at the ends of the parts on their way.
    states: BTreeMap<u32, Vec<State>>,
    /// Most at once, after the store has asked for fewer.
    bound: Option<usize>,
}

impl Parts {
    /// Sends a part.
    pub(super) fn send(
        &mut self,
        handle: &Handle,
        store: &Store,
        upload: &str,
        (number, bytes): (u32, Bytes),
        states: Vec<State>,
    ) {
        self.states.insert(number, states);
        let (store, upload, size) = (store.clone(), upload.to_owned(), bytes.len() as u64);
        let sending = async move { (number, size, store.part(&upload, number, bytes).await) };
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
                Some(ended) = self.sending.join_next() => arrived.push(self.part(ended)?),
            }
        }
    }

    /// Parts that have arrived since the last look.
    pub(super) fn arrived(&mut self) -> Result<Vec<Part>, Error> {
        let mut arrived = Vec::new();
        while let Some(ended) = self.sending.try_join_next() {
            arrived.push(self.part(ended)?);
        }
        Ok(arrived)
    }

    /// Waits for all parts.
    pub(super) async fn all(&mut self) -> Result<Vec<Part>, Error> {
        let mut arrived = Vec::new();
        while let Some(ended) = self.sending.join_next().await {
            arrived.push(self.part(ended)?);
        }
        Ok(arrived)
    }

    /// Ends the sending; returns the parts that arrive at the last moment.
    pub(super) async fn end(&mut self, keep: bool) -> Vec<Part> {
        let mut arrived = Vec::new();
        if keep {
            let last = async {
                while let Some(ended) = self.sending.join_next().await {
                    arrived.extend(self.part(ended).ok());
                }
            };
            // The others are sent again by the next run.
            let _ = tokio::time::timeout(LAST, last).await;
        }
        self.sending.shutdown().await;
        arrived
    }

    fn part(&mut self, ended: Result<Sent, tokio::task::JoinError>) -> Result<Part, Error> {
        let ended =
            ended.map_err(|error| Error::new(Kind::Other, "the sending of a part died").with_source(error));
        let (number, size, sent) = ended?;
        let states = self.states.remove(&number).unwrap_or_default();
        let (etag, checksum) = sent?;
        Ok(Part { number, etag, size, checksum, states })
    }
}
