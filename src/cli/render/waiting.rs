//! Describes the reason for a pause in words. Pure.

use super::FileView;
use crate::formats::escape;
use crate::formats::size::format_duration;
use crate::{Phase, Progress, Slowness};
use std::time::Duration;

/// Pauses of this length are reported; shorter ones are common.
const SILENCE: Duration = Duration::from_secs(3);

/// Last failure, which is being retried.
#[derive(Clone, Debug)]
pub(super) struct Retrying {
    /// Not escaped.
    pub(super) cause: String,
    pub(super) attempt: u32,
    /// Time of the next attempt.
    pub(super) until: Duration,
    /// Bytes received before the failure.
    pub(super) received: u64,
}

/// Observed state of a file, with times.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// Time when its turn came.
    pub(super) began: Option<Duration>,
    received: u64,
    /// Time of the last progress in bytes.
    moved: Duration,
    pub(super) retrying: Option<Retrying>,
}

impl Seen {
    /// Updates the state from the file's progress.
    pub(super) fn look(&mut self, progress: &Progress, now: Duration) {
        if self.began.is_none() && progress.phase != Phase::Queued {
            (self.began, self.moved) = (Some(now), now);
        }
        if progress.received > self.received {
            (self.received, self.moved) = (progress.received, now);
        }
        if self.retrying.as_ref().is_some_and(|retrying| progress.received > retrying.received) {
            self.retrying = None;
        }
    }
}

/// Describes the cause of a wait; `None` if there is none.
pub(super) fn words(file: &FileView, progress: &Progress, now: Duration) -> Option<String> {
    if !matches!(progress.phase, Phase::Starting | Phase::Transferring) {
        return None;
    }
    if let Some(retrying) = &file.seen.retrying {
        return Some(next_try(retrying, now));
    }
    let began = file.seen.began?;
    let quiet = now.saturating_sub(file.seen.moved.max(began));
    if progress.phase == Phase::Starting {
        let state = if progress.reached { "connected to" } else { "waiting for" };
        let answer = if progress.reached { ", no answer" } else { "" };
        return Some(match quiet.as_secs() {
            0 => format!("{state} {}", file.host),
            _ => format!("{state} {}{answer} for {}", file.host, format_duration(quiet)),
        });
    }
    let held = progress.slowed_by.as_ref().is_some_and(is_our_own);
    let all_stalled = progress.connections.iter().all(|connection| connection.stalled);
    (quiet >= SILENCE && all_stalled && !held)
        .then(|| format!("stalled: no bytes from {} for {}", file.host, format_duration(quiet)))
}

/// Returns true if this machine, and no server, is the reason that nothing comes.
fn is_our_own(slowness: &Slowness) -> bool {
    use Slowness::{Disk, Limit, Reader, Yielding};
    matches!(slowness, Limit { .. } | Yielding | Reader | Disk)
}

/// Time until the next attempt, for a line that stays on the screen.
pub(super) fn next_in(wait: Duration) -> String {
    match wait.as_secs_f32() {
        ..0.05 => "next at once".to_owned(),
        wait => format!("next in {wait:.1} s"),
    }
}

/// Describes the last attempt, its failure, and the time until the next one.
fn next_try(retrying: &Retrying, now: Duration) -> String {
    let Retrying { cause, attempt, until, .. } = retrying;
    let cause = escape::shown(cause);
    match until.saturating_sub(now).as_secs_f64().ceil() as u64 {
        0 => format!("try {attempt} failed, trying again: {cause}"),
        seconds => {
            let wait = format_duration(Duration::from_secs(seconds));
            format!("try {attempt} failed, next in {wait}: {cause}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::watch;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn file() -> FileView {
        FileView::new("a.bin".into(), "http://h/a.bin".into(), watch::channel(Progress::default()).1)
    }

    fn progress(phase: Phase, received: u64) -> Progress {
        Progress { phase, received, ..Progress::default() }
    }

    #[test]
    fn before_the_first_byte_it_is_said_what_is_waited_for() {
        let mut file = file();
        file.seen.look(&progress(Phase::Queued, 0), at(1));
        assert_eq!(words(&file, &progress(Phase::Queued, 0), at(1)), None);
        file.seen.look(&progress(Phase::Starting, 0), at(2));
        let said = |file: &FileView, reached, now| {
            words(file, &Progress { reached, ..progress(Phase::Starting, 0) }, at(now)).unwrap()
        };
        assert_eq!(said(&file, false, 2), "waiting for h");
        assert_eq!(said(&file, false, 6), "waiting for h for 0:04");
        assert_eq!(said(&file, true, 14), "connected to h, no answer for 0:12");
        let cause = "429 Too Many Requests\n".to_owned();
        file.seen.retrying = Some(Retrying { cause, attempt: 2, until: at(57), received: 0 });
        assert_eq!(said(&file, true, 15), r"try 2 failed, next in 0:42: 429 Too Many Requests\x0a");
        assert_eq!(said(&file, true, 58), r"try 2 failed, trying again: 429 Too Many Requests\x0a");
    }

    #[test]
    fn no_pause_of_nothing_is_told() {
        for (millis, told) in
            [(0, "next at once"), (40, "next at once"), (60, "next in 0.1 s"), (2000, "next in 2.0 s")]
        {
            assert_eq!(next_in(Duration::from_millis(millis)), told);
        }
    }

    #[test]
    fn a_failure_is_told_until_bytes_come_and_silence_in_words() {
        let mut file = file();
        file.seen.look(&progress(Phase::Transferring, 100), at(1));
        let cause = "reset".to_owned();
        file.seen.retrying = Some(Retrying { cause, attempt: 1, until: at(2), received: 100 });
        file.seen.look(&progress(Phase::Transferring, 100), at(3));
        assert!(words(&file, &progress(Phase::Transferring, 100), at(3)).is_some());
        file.seen.look(&progress(Phase::Transferring, 101), at(4));
        assert_eq!(words(&file, &progress(Phase::Transferring, 101), at(5)), None);
        let said = words(&file, &progress(Phase::Transferring, 101), at(16)).unwrap();
        assert_eq!(said, "stalled: no bytes from h for 0:12");
        let host = || "h".to_owned();
        for (slowness, is_told) in [
            (Slowness::Limit { rate: 1 }, false),
            (Slowness::Yielding, false),
            (Slowness::Reader, false),
            (Slowness::Disk, false),
            (Slowness::Server { host: host(), status: Some(429), wait: None }, true),
        ] {
            let slow = Progress { slowed_by: Some(slowness), ..progress(Phase::Transferring, 101) };
            assert_eq!(words(&file, &slow, at(16)).is_some(), is_told, "{slow:?}");
        }
        assert_eq!(words(&file, &progress(Phase::Verifying, 101), at(16)), None);
    }
}
