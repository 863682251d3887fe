//! Signals: save, then die of them.

use super::bounded;
use crate::error::{Error, Kind};
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Signals that a run listens for.
pub(super) struct Signals {
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

impl Signals {
    /// Takes over the signals that end a run, and SIGXFSZ, so that a write beyond the file size limit fails with an
    /// error instead of killing the process.
    pub(super) fn listen() -> Result<Self, Error> {
        let failed =
            |error: std::io::Error| Error::new(Kind::Other, format!("signals cannot be watched: {error}"));
        let exceeded = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        signal_hook::flag::register(SIGXFSZ, exceeded).map_err(failed)?;
        let ignored = ignored();
        let heard = |number| {
            let is_ignored = ignored & bit(number) != 0;
            (!is_ignored).then(|| signal(SignalKind::from_raw(number))).transpose().map_err(failed)
        };
        unheard().map_err(failed)?.store(false, Ordering::SeqCst);
        let ends = Ends { interrupt: heard(SIGINT)?, terminate: heard(SIGTERM)?, hangup: heard(SIGHUP)? };
        Ok(Self { ends, continues: signal(SignalKind::from_raw(SIGCONT)).map_err(failed)? })
    }

    /// Waits for the next signal: to end the run, or to go on after it was stopped.
    pub(super) async fn next(&mut self) -> Told {
        let Ends { interrupt, terminate, hangup } = &mut self.ends;
        tokio::select! {
            () = arrival(interrupt) => Told::End(SIGINT),
            () = arrival(terminate) => Told::End(SIGTERM),
            () = arrival(hangup) => Told::End(SIGHUP),
            _ = self.continues.recv() => Told::Continue,
        }
    }

    /// Waits for a signal that ends the run, and returns its number.
    pub(super) async fn end(&mut self) -> i32 {
        loop {
            if let Told::End(number) = self.next().await {
                return number;
            }
        }
    }
}

/// Meaning of a signal.
pub(super) enum Told {
    /// End the run, because of the signal with this number.
    End(i32),
    /// The run was stopped, and goes on.
    Continue,
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
fn unheard() -> std::io::Result<&'static AtomicBool> {
    static UNHEARD: OnceLock<Arc<AtomicBool>> = OnceLock::new();
    if let Some(unheard) = UNHEARD.get() {
        return Ok(unheard);
    }
    let unheard = UNHEARD.get_or_init(Arc::default);
    let ignored = ignored();
    for number in [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|number| ignored & bit(*number) == 0) {
        signal_hook::flag::register_conditional_default(number, unheard.clone())?;
    }
    Ok(unheard)
}

/// Signal that interrupted a part of the run that has no files yet.
#[derive(Debug)]
struct Interruption(i32);

impl fmt::Display for Interruption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "signal {}", self.0)
    }
}

impl std::error::Error for Interruption {}

/// Error for work that a signal interrupted.
pub(super) fn interrupted(number: i32, doing: &str) -> Error {
    Error::new(Kind::Cancelled, format!("interrupted while {doing}")).with_source(Interruption(number))
}

/// Signal that caused such an error.
pub(super) fn interruption(error: &Error) -> Option<i32> {
    let source = std::error::Error::source(error)?;
    source.downcast_ref::<Interruption>().map(|interruption| interruption.0)
}

/// Waits for a signal; for ever if it is not listened for.
async fn arrival(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => _ = signal.recv().await,
        None => std::future::pending().await,
    }
}

/// Size limit for /proc/self/status, in bytes; it has some two KiB.
const LONGEST_STATUS: u64 = 64 << 10;

fn ignored() -> u64 {
    bounded::read(Path::new("/proc/self/status"), LONGEST_STATUS).map_or(0, |status| ignored_in(&status))
}

/// Set of signals that the process ignores, a bit for each, from proc_pid_status(5); empty if unknown.
fn ignored_in(status: &str) -> u64 {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

const fn bit(signal: i32) -> u64 {
    1 << (signal - 1)
}

/// Dies of `number`, as if it had never been caught, so that the calling shell sees the cause.
pub(super) fn die_of(number: i32) {
    super::refresh::end_all();
    // It fails only for signals that cannot be caught, and those are not listened for.
    let _ = signal_hook::low_level::emulate_default_handler(number);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_tells_which_signals_are_ignored() {
        let of =
            |mask: &str| ignored_in(&format!("Name:\thaul\nSigBlk:\tffff\nSigIgn:\t{mask}\nSigCgt:\t1\n"));
        assert_eq!(of("0000000000001003"), bit(SIGHUP) | bit(SIGINT) | bit(13));
        assert_eq!(of("0000000000001003") & bit(SIGTERM), 0);
        assert_eq!(of("nonsense"), 0);
        assert_eq!(ignored_in("Name:\thaul\n"), 0);
    }
}
