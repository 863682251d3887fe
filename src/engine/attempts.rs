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
pub(crate) struct Attempts {
    inline: Option<Pin<Box<dyn Future<Output = Ended> + Send>>>,
    tasks: JoinSet<Ended>,
}

impl Attempts {
    /// Starts an attempt as a task.
    pub(crate) fn spawn(&mut self, attempt: impl Future<Output = Ended> + Send + 'static) {
        self.tasks.spawn(attempt);
    }

    /// Starts an attempt that is polled by [`Self::join_next`]; only one at a time is.
    pub(crate) fn run_inline(&mut self, attempt: impl Future<Output = Ended> + Send + 'static) {
        self.detach();
        self.inline = Some(Box::pin(attempt));
    }

    /// Slots the kept attempt into a task.
    pub(crate) fn detach(&mut self) {
        if let Some(attempt) = self.inline.take() {
            self.tasks.spawn(attempt);
        }
    }

    /// Waits for the next attempt to end; `None` if there is none. Dropping the future loses nothing.
    ///
    /// # Errors
    /// An attempt run as a task has panicked. A panic of a kept one propagates.
    pub(crate) async fn join_next(&mut self) -> Option<Result<Ended, JoinError>> {
        poll_fn(|cx| {
            if let Some(attempt) = &mut self.inline
                && let Poll::Ready(ended) = attempt.as_mut().poll(cx)
            {
                self.inline = None;
                return Poll::Ready(Some(Ok(ended)));
            }
            match self.tasks.poll_join_next(cx) {
                Poll::Ready(None) if self.inline.is_some() => Poll::Pending,
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
        let mut attempts = Attempts::default();
        assert!(attempts.join_next().await.is_none());
        let (one, first) = oneshot::channel();
        let (two, second) = oneshot::channel();
        let (three, third) = oneshot::channel();
        attempts.run_inline(attempt(first));
        // The previous one becomes a task.
        attempts.run_inline(attempt(second));
        attempts.spawn(attempt(third));
        for (tell, words) in [(two, "kept"), (one, "let go"), (three, "sent")] {
            tell.send(words).unwrap();
            let (_, end) = attempts.join_next().await.unwrap().unwrap();
            assert!(matches!(end, End::Failed(Failure::Broken(heard)) if heard.text() == words));
        }
        assert!(attempts.join_next().await.is_none());
    }
}
