//! Attempts of a file that are in flight.

use crate::plan::transfer::{AttemptId, End};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use tokio::task::{JoinError, JoinSet};

/// End of an attempt.
type Ended = (AttemptId, End);

/// Attempts run as tasks of their own, so that they use all processors. But as long as a file may turn out to be small,
/// its first attempt is polled by [`Self::join_next`] itself: passing a few kilobytes from task to task costs more than
/// fetching them.
#[derive(Default)]
pub(crate) struct Workers {
    at_hand: Option<Pin<Box<dyn Future<Output = Ended> + Send>>>,
    away: JoinSet<Ended>,
}

impl Workers {
    /// Starts an attempt as a task.
    pub(crate) fn send(&mut self, attempt: impl Future<Output = Ended> + Send + 'static) {
        self.away.spawn(attempt);
    }

    /// Starts an attempt that is polled by [`Self::join_next`]; only one at a time is.
    pub(crate) fn keep(&mut self, attempt: impl Future<Output = Ended> + Send + 'static) {
        self.let_go();
        self.at_hand = Some(Box::pin(attempt));
    }

    /// Slots the kept attempt into a task.
    pub(crate) fn let_go(&mut self) {
        if let Some(attempt) = self.at_hand.take() {
            self.away.spawn(attempt);
        }
    }

    /// Waits for the next attempt to end; `None` if there is none. Dropping the future loses nothing.
    ///
    /// # Errors
    /// An attempt run as a task has panicked. A panic of a kept one propagates.
    pub(crate) async fn join_next(&mut self) -> Option<Result<Ended, JoinError>> {
        poll_fn(|cx| {
            if let Some(attempt) = &mut self.at_hand
                && let Poll::Ready(ended) = attempt.as_mut().poll(cx)
            {
                self.at_hand = None;
                return Poll::Ready(Some(Ok(ended)));
            }
            match self.away.poll_join_next(cx) {
                Poll::Ready(None) if self.at_hand.is_some() => Poll::Pending,
                joined => joined,
            }
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Failure;
    use tokio::sync::oneshot;

    /// An attempt that ends when it is told to, with the given words.
    async fn attempt(told: oneshot::Receiver<&'static str>) -> Ended {
        (AttemptId::default(), End::Failed(Failure::Broken(told.await.unwrap_or_default().into())))
    }

    #[tokio::test]
    async fn what_was_kept_goes_on_wherever_it_is_and_each_end_is_heard_of_once() {
        let mut workers = Workers::default();
        assert!(workers.join_next().await.is_none());
        let (one, first) = oneshot::channel();
        let (two, second) = oneshot::channel();
        let (three, third) = oneshot::channel();
        workers.keep(attempt(first));
        // The previous one becomes a task.
        workers.keep(attempt(second));
        workers.send(attempt(third));
        for (tell, words) in [(two, "kept"), (one, "let go"), (three, "sent")] {
            tell.send(words).unwrap();
            let (_, end) = workers.join_next().await.unwrap().unwrap();
            assert!(matches!(end, End::Failed(Failure::Broken(heard)) if heard.text() == words));
        }
        assert!(workers.join_next().await.is_none());
    }
}
