//! Threads, where there are any to be had: a limit on processes, of a user or a container, may leave none but the
//! first, and then that one does everything.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Set by the program that owns the process, never by a library that is a guest in it.
static ONE_DOES: AtomicBool = AtomicBool::new(false);

/// From now on everything is done by the thread that runs the tasks.
#[cfg(feature = "cli")]
pub(crate) fn let_one_do() {
    ONE_DOES.store(true, Ordering::Relaxed);
}

/// Whether the thread that runs the tasks does everything.
pub(crate) fn one_does() -> bool {
    ONE_DOES.load(Ordering::Relaxed)
}

/// Does work that blocks for a while and then ends, on a thread that may block.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the home of threads; the caller has the handle and joins"
)]
pub(crate) fn offload<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    if one_does() { tokio::spawn(async move { work() }) } else { tokio::task::spawn_blocking(work) }
}

/// Does work that goes on beside the tasks and waits for them: `alone` on a thread of its own, or `in_turns` with the
/// tasks where there is none to be had. It does not take a thread from those that [`offload`] needs, so that it cannot
/// wait for what waits for its thread.
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
    // The thread takes the work out; where it could not be started, it is still there.
    let slot = Arc::new(Mutex::new(Some(work)));
    let theirs = slot.clone();
    let on_thread = move || {
        if let Some(work) = take(&theirs) {
            // The caller may have lost interest.
            let _ = told.send(alone(work));
        }
    };
    let started = !one_does() && std::thread::Builder::new().spawn(on_thread).is_ok();
    tokio::spawn(async move {
        match if started { None } else { take(&slot) } {
            Some(work) => in_turns(work).await,
            None => match hears.await {
                Ok(outcome) => outcome,
                // The thread has panicked, and told so already.
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
