//! Signals that end a run, or let it go on after it was stopped.

use super::status::ignored_signals;
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Signals that a run listens for.
pub(crate) struct Signals {
    ends: Ends,
    continues: Signal,
}

/// Signals that end a run; `None` for those ignored when the program began: `nohup` ignores hang-ups, and a shell
/// without job control lets an interrupt reach only its foreground job.
struct Ends {
    interrupt: Option<Signal>,
    terminate: Option<Signal>,
    hangup: Option<Signal>,
}

/// Meaning of a signal.
pub(crate) enum Told {
    /// End the run, because of the signal with this number.
    End(i32),
    /// The run was stopped, and goes on.
    Continue,
}

impl Signals {
    /// Takes over the signals that end a run, and SIGXFSZ, so that a write beyond the file size limit fails with an
    /// error instead of killing the process.
    ///
    /// # Errors
    /// Those of sigaction(2).
    pub(crate) fn listen() -> io::Result<Self> {
        signal_hook::flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)))?;
        let ignored = ignored_signals();
        let heard = |number| {
            let is_ignored = ignored & bit(number) != 0;
            (!is_ignored).then(|| signal(SignalKind::from_raw(number))).transpose()
        };
        unheard()?.store(false, Ordering::SeqCst);
        let ends = Ends { interrupt: heard(SIGINT)?, terminate: heard(SIGTERM)?, hangup: heard(SIGHUP)? };
        Ok(Self { ends, continues: signal(SignalKind::from_raw(SIGCONT))? })
    }

    /// Waits for the next signal: to end the run, or to go on after it was stopped.
    pub(crate) async fn next(&mut self) -> Told {
        let Ends { interrupt, terminate, hangup } = &mut self.ends;
        tokio::select! {
            () = arrival(interrupt) => Told::End(SIGINT),
            () = arrival(terminate) => Told::End(SIGTERM),
            () = arrival(hangup) => Told::End(SIGHUP),
            _ = self.continues.recv() => Told::Continue,
        }
    }

    /// Waits for a signal that ends the run, and returns its number.
    pub(crate) async fn end(&mut self) -> i32 {
        loop {
            if let Told::End(number) = self.next().await {
                return number;
            }
        }
    }
}

impl Drop for Signals {
    /// Restores the default effect of signals until the next listener.
    fn drop(&mut self) {
        if let Ok(unheard) = unheard() {
            unheard.store(true, Ordering::SeqCst);
        }
    }
}

/// Flag that is set while there is no listener; the signals taken over then kill the process. Created once, since the
/// registration for a signal is never undone.
fn unheard() -> io::Result<&'static AtomicBool> {
    static UNHEARD: OnceLock<Arc<AtomicBool>> = OnceLock::new();
    if let Some(unheard) = UNHEARD.get() {
        return Ok(unheard);
    }
    let unheard = UNHEARD.get_or_init(Arc::default);
    let ignored = ignored_signals();
    for number in [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|number| ignored & bit(*number) == 0) {
        signal_hook::flag::register_conditional_default(number, unheard.clone())?;
    }
    Ok(unheard)
}

/// Waits for a signal; for ever if it is not listened for.
async fn arrival(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => _ = signal.recv().await,
        None => std::future::pending().await,
    }
}

const fn bit(signal: i32) -> u64 {
    1 << (signal - 1)
}

/// Dies of `number`, as if it had never been caught, so that the calling shell sees the cause.
pub(crate) fn die_of(number: i32) {
    // It fails only for signals that cannot be caught, and those are not listened for.
    let _ = signal_hook::low_level::emulate_default_handler(number);
}
