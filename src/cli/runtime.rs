//! The runtime of the program.

use crate::error::{Error, Kind};
use crate::sys::process;
use crate::threads;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

/// Threads a run needs besides its workers to be sure to make progress.
const SPARE: usize = 2;
/// Keep-alive of an idle thread.
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// Most polls for ended threads to disappear.
const LOOKS: usize = 10_000;

/// Files that a runtime and one download on one connection have open.
const OPEN_FILES: usize = 11;

/// Creates the runtime: a few threads, however many files there are; only the current one if there are none to be had.
pub(super) fn runtime() -> Result<Runtime, Error> {
    let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    let workers = cores.clamp(2, 4);
    let failed = |error: std::io::Error| Error::new(Kind::Other, format!("cannot start: {error}"));
    // A runtime that cannot open its files panics.
    if !process::can_open(OPEN_FILES) {
        return Err(Error::new(Kind::Other, "this process may open too few files")
            .with_hint("allow more: ulimit -n 1024"));
    }
    if threads::one_does() || !can_be_had(workers + SPARE) {
        threads::let_one_do();
        return Builder::new_current_thread().enable_all().build().map_err(failed);
    }
    let runtime = Builder::new_multi_thread()
        .worker_threads(workers)
        // Another process may take the thread slot of one that has ended; a task that waits for it would then wait for
        // ever.
        .thread_keep_alive(KEPT)
        .enable_all()
        .build()
        .map_err(failed)?;
    // One blocking thread exists from the beginning, for the same reason.
    {
        let _inside = runtime.enter();
        drop(threads::offload(|| ()));
    }
    Ok(runtime)
}

/// Creates a runtime for a few small requests before a run: it needs no threads of its own.
pub(super) fn small_runtime() -> Result<Runtime, Error> {
    let failed = |error: std::io::Error| Error::new(Kind::Other, format!("cannot start: {error}"));
    Builder::new_current_thread().enable_all().build().map_err(failed)
}

/// Returns true if `count` more threads can be started.
fn can_be_had(count: usize) -> bool {
    let before = process::threads();
    let gate = std::sync::Mutex::new(());
    let all = std::thread::scope(|scope| {
        let shut = gate.lock();
        let waits = || drop(gate.lock());
        let all = (0..count).all(|_| std::thread::Builder::new().spawn_scoped(scope, waits).is_ok());
        drop(shut);
        all
    });
    // A thread that was joined still counts against the limit until the kernel has released it.
    let buried = || before.is_none_or(|before| process::threads().is_none_or(|now| now <= before));
    for _ in 0..LOOKS {
        if buried() {
            break;
        }
        std::thread::yield_now();
    }
    all
}
