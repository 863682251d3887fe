//! The runtime of tests that use the library.

use std::future::Future;
use std::time::Duration;

/// Runs a test of the library, which needs a runtime; none of them takes a minute.
pub(crate) fn on_a_runtime(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        tokio::time::timeout(Duration::from_secs(60), test).await.expect("it ends within a minute");
    });
}
