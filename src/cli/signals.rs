//! Signals: save, then die of them.

use crate::error::{Error, Kind};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that end a run.
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    /// Takes over the signals that end a run; and the one for exceeding a file size limit, so that the write
    /// fails with an error that can be told instead of killing the process.
    pub(super) fn listen() -> Result<Self, Error> {
        let failed =
            |error: std::io::Error| Error::new(Kind::Other, format!("signals cannot be watched: {error}"));
        let ignored = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        signal_hook::flag::register(signal_hook::consts::SIGXFSZ, ignored).map_err(failed)?;
        Ok(Self {
            interrupt: signal(SignalKind::interrupt()).map_err(failed)?,
            terminate: signal(SignalKind::terminate()).map_err(failed)?,
            hangup: signal(SignalKind::hangup()).map_err(failed)?,
        })
    }

    /// The number of the next one that arrives.
    pub(super) async fn next(&mut self) -> i32 {
        tokio::select! {
            _ = self.interrupt.recv() => signal_hook::consts::SIGINT,
            _ = self.terminate.recv() => signal_hook::consts::SIGTERM,
            _ = self.hangup.recv() => signal_hook::consts::SIGHUP,
        }
    }
}

/// Dies of `number`, as if it had never been caught: the caller's shell sees what happened.
pub(super) fn die_of(number: i32) {
    // It fails only for signals that cannot be caught, and those are not listened for.
    let _ = signal_hook::low_level::emulate_default_handler(number);
}
