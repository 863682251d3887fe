//! Handle of a running download.

use super::control::Control;
use super::event::Event;
use super::progress::Progress;
use super::report::Report;
use crate::error::{Error, Kind};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

/// A download running in the background. Dropping it cancels: received bytes are checkpointed in the background.
#[derive(Debug)]
pub struct Download {
    pub(super) progress: watch::Receiver<Progress>,
    pub(super) events: Option<mpsc::Receiver<Event>>,
    pub(super) cancel: watch::Sender<bool>,
    pub(super) control: Control,
    pub(super) task: JoinHandle<Result<Report, Error>>,
}

impl Download {
    /// Progress snapshots. Reading them, or not reading them, never slows the transfer.
    #[must_use]
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }

    /// Events from now on; `None` after the first call. Events are dropped while 256 are unread.
    pub fn events(&mut self) -> Option<mpsc::Receiver<Event>> {
        self.events.take()
    }

    /// Handle that pauses it, resumes it, and changes its limits and sources, from anywhere.
    #[must_use]
    pub fn control(&self) -> Control {
        self.control.clone()
    }

    /// Cancels it: connections are closed, received bytes are made durable. [`Self::join`] then returns an error of
    /// kind `Cancelled`.
    pub fn cancel(&self) {
        // There is no receiver any more once it has ended.
        let _ = self.cancel.send(true);
    }

    /// Closure that can cancel it from elsewhere.
    pub fn canceller(&self) -> impl Fn() + Send + Sync + 'static {
        let cancel = self.cancel.clone();
        move || {
            let _ = cancel.send(true);
        }
    }

    /// Waits for the end. Dropping the future cancels the download.
    ///
    /// # Errors
    /// Reason of the failure, and the bytes kept; see [`Kind`].
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
