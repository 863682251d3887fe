//! Threads, as far as they are available: a limit on processes, of a user or a container, may leave only the main
//! thread, which then does everything.

use std::future::Future;
use std::num::NonZero;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Set by the program that owns the process, never by a library that is a guest in it.
static ONE_DOES: AtomicBool = AtomicBool::new(false);

/// From now on the thread that runs the tasks does everything.
#[cfg(feature = "cli")]
pub(crate) fn let_one_do() {
    ONE_DOES.store(true, Ordering::Relaxed);
}

/// Returns true if the thread that runs the tasks does everything.
pub(crate) fn one_does() -> bool {
    ONE_DOES.load(Ordering::Relaxed)
}

/// Number of threads that compute at once without taking turns.
pub(crate) fn processors() -> usize {
    if one_does() { 1 } else { std::thread::available_parallelism().map_or(1, NonZero::get) }
}

/// Runs work that blocks for a while and then ends, on a thread that may block.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the home of threads; the caller has the handle and joins"
)]
pub(crate) fn offload<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    if one_does() { tokio::spawn(async move { work() }) } else { tokio::task::spawn_blocking(work) }
}

/// Runs work that goes on beside the tasks and waits for them: `alone` on a thread of its own, or `in_turns` with the
/// tasks if none is available. It takes no thread from the pool that [`offload`] uses, so it cannot deadlock with work
/// that waits for a thread of the pool.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the home of threads; the caller has the handle and joins"
)]
pub(crate) fn beside<W, T, F>(work: W, alone: fn(W) -> T, in_turns: fn(W) -> F) -> JoinHandle<T>
where
    W: Send + 'static,
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let (told, hears) = oneshot::channel();
    // The thread takes the work out; if it could not be started, the work is still there.
    let slot = Arc::new(Mutex::new(Some(work)));
    let theirs = slot.clone();
    let on_thread = move || {
        if let Some(work) = take(&theirs) {
            // The receiver may be gone.
            let _ = told.send(alone(work));
        }
    };
    let started = !one_does() && std::thread::Builder::new().spawn(on_thread).is_ok();
    tokio::spawn(async move {
        match if started { None } else { take(&slot) } {
            Some(work) => in_turns(work).await,
            None => match hears.await {
                Ok(outcome) => outcome,
                // The thread has panicked, and has reported it already.
                Err(_) => std::panic::resume_unwind(Box::new("the thread died")),
            },
        }
    })
}

fn take<W>(slot: &Mutex<Option<W>>) -> Option<W> {
    slot.lock().unwrap_or_else(PoisonError::into_inner).take()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_that_dies_on_its_own_thread_is_heard_of() {
        let dies = beside((), |()| panic!("as if a bug had struck"), |()| async {});
        assert!(dies.await.unwrap_err().is_panic());
        assert_eq!(beside(2, |two| two + 1, |two| async move { two }).await.unwrap(), 3);
    }
}
