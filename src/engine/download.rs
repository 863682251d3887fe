//! A running download, as its caller holds it.

use super::event::Event;
use super::progress::Progress;
use super::report::Report;
use crate::error::{Error, Kind};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

/// A download that runs by itself. Dropping it cancels: what has come is checkpointed in the background.
#[derive(Debug)]
pub struct Download {
    pub(super) progress: watch::Receiver<Progress>,
    pub(super) events: Option<mpsc::Receiver<Event>>,
    pub(super) cancel: watch::Sender<bool>,
    pub(super) task: JoinHandle<Result<Report, Error>>,
}

impl Download {
    /// Snapshots of how far it is. Looking at them, or not looking, never slows the transfer.
    #[must_use]
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }

    /// What happens to it, from now on; `None` after the first call. Events that nobody takes are dropped
    /// once 256 wait.
    pub fn events(&mut self) -> Option<mpsc::Receiver<Event>> {
        self.events.take()
    }

    /// Stops it: connections are closed, what has come is made durable. [`Self::join`] then returns an error
    /// of kind `Cancelled`.
    pub fn cancel(&self) {
        // Nobody listens any more once it has ended.
        let _ = self.cancel.send(true);
    }

    /// Something that can cancel it from elsewhere.
    pub fn canceller(&self) -> impl Fn() + Send + Sync + 'static {
        let cancel = self.cancel.clone();
        move || {
            let _ = cancel.send(true);
        }
    }

    /// Waits for its end. Dropping the future cancels the download.
    ///
    /// # Errors
    /// Why it failed, and what was kept; see [`Kind`].
    pub async fn join(mut self) -> Result<Report, Error> {
        let joined = (&mut self.task).await;
        joined.unwrap_or_else(|error| Err(Error::new(Kind::Other, "the download died").with_source(error)))
    }
}

impl Drop for Download {
    fn drop(&mut self) {
        self.cancel();
    }
}
