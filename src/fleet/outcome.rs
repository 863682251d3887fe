//! Decision about a job that has ended in a worker: whether the queue forgets it, gives it out again, or lays it aside. Pure.

use crate::error::{Error, Kind};
use std::time::Duration;

/// Pauses before a job is given out again, by the number of its failures.
const BACK_OFF: [Duration; 6] = [
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(20),
    Duration::from_secs(60),
    Duration::from_secs(300),
    Duration::from_secs(600),
];
/// Longest pause that a server may ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);
/// Pause before a job is given out again whose target is in use.
const IN_USE: Duration = Duration::from_secs(1);
/// Pause before a job is given out again that found no slot of its origin.
const NO_SLOT: Duration = Duration::from_secs(2);
/// Pause before a job is given out again that a worker had no room on its disk for.
const NO_ROOM: Duration = Duration::from_secs(5);
/// Deliveries that are excused for want of a network, at most: a name that never resolves must not go round for ever.
const MOST_UNREACHED: u64 = 100;
/// Deliveries that are excused for a disk or a lock, at most, with all others: a file that fits on no disk must not go round for ever.
const MOST_AT_FAULT: u64 = 1000;

/// End of a job in a worker.
#[derive(Debug)]
pub(super) enum Outcome<'a> {
    /// The right file is there under its name, from this worker or another.
    Committed,
    /// The download failed; `reached` if a connection to the server was made.
    Failed { error: &'a Error, reached: bool },
    /// The message holds no job, or one that makes no sense.
    NoJob,
    /// The worker was told to stop, or has taken more jobs than it can start.
    HandedBack,
    /// Its origin had no free slot.
    NoSlot,
    /// No bytes moved until the lease was about to run out.
    Stalled,
    /// The lease may have run out.
    LeaseLost,
}

/// Reason why a delivery does not count against its job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Excuse {
    /// Its server was out of reach.
    Unreached,
    /// Anything else, which comes to an end by itself.
    Other,
}

/// Word to the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The job is done.
    Done,
    /// It is to be given out again after this time. An excused delivery does not count against it.
    Again { after: Duration, excuse: Option<Excuse> },
    /// It is laid aside with the reason, and never given out again.
    Dead,
    /// Nothing is said: another worker may have the job.
    Silence,
}

/// Deliveries of a job, this one included.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deliveries {
    pub(super) all: u64,
    pub(super) excused: u64,
    /// Those of the excused ones whose server was out of reach.
    pub(super) unreached: u64,
    /// Counted deliveries after which a job is laid aside.
    pub(super) most: u64,
    /// False if the number of excused ones could not be read: then all before this one count as excused.
    pub(super) known: bool,
}

impl Deliveries {
    fn counted(self) -> u64 {
        self.all.saturating_sub(self.excused).max(1)
    }

    /// Returns true if the deliveries before this one ended without a word so often that the job must be at fault.
    pub(super) fn are_too_many(self) -> bool {
        self.counted() > self.most
    }
}

/// See the module.
pub(super) fn judge(outcome: &Outcome<'_>, deliveries: Deliveries) -> Verdict {
    let excused = |after| Verdict::Again { after, excuse: Some(Excuse::Other) };
    match outcome {
        Outcome::Committed => Verdict::Done,
        Outcome::LeaseLost => Verdict::Silence,
        Outcome::NoJob => Verdict::Dead,
        Outcome::HandedBack => excused(Duration::ZERO),
        Outcome::NoSlot => excused(NO_SLOT),
        Outcome::Stalled => failed(deliveries, None),
        Outcome::Failed { error, reached } => match (error.kind(), reached) {
            (Kind::Cancelled, _) => excused(Duration::ZERO),
            (Kind::Locked, _) if deliveries.excused < MOST_AT_FAULT => excused(IN_USE),
            (Kind::Disk, _) if is_of_the_worker(error) && deliveries.excused < MOST_AT_FAULT => {
                excused(NO_ROOM)
            }
            (Kind::Network, false) if deliveries.unreached < MOST_UNREACHED => {
                Verdict::Again { after: pause(deliveries.unreached), excuse: Some(Excuse::Unreached) }
            }
            (Kind::Network | Kind::Tls | Kind::Disk | Kind::Locked | Kind::Changed | Kind::Other, _) => {
                failed(deliveries, None)
            }
            _ if error.is_transient() => failed(deliveries, error.retry_after()),
            _ => Verdict::Dead,
        },
    }
}

/// Returns true if the disk of this worker is at fault, so that it must take no jobs for a while.
pub(super) fn is_of_the_worker(error: &Error) -> bool {
    // EFBIG, EISDIR, ENOTDIR and ENAMETOOLONG are about the file itself (errno(3)).
    const OF_THE_FILE: [i32; 4] = [27, 21, 20, 36];
    error.kind() == Kind::Disk && error.errno().is_none_or(|errno| !OF_THE_FILE.contains(&errno))
}

fn failed(deliveries: Deliveries, asked: Option<Duration>) -> Verdict {
    let counted = deliveries.counted();
    if counted >= deliveries.most {
        return Verdict::Dead;
    }
    let own = pause(counted - 1);
    let after = asked.map_or(own, |asked| asked.clamp(Duration::from_millis(100), LONGEST_PAUSE));
    Verdict::Again { after, excuse: None }
}

fn pause(failures: u64) -> Duration {
    let last = BACK_OFF.len() - 1;
    BACK_OFF[usize::try_from(failures).map_or(last, |failures| failures.min(last))]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn deliveries(all: u64, excused: u64) -> Deliveries {
        Deliveries { all, excused, unreached: excused, most: 5, known: true }
    }

    fn again(seconds: u64, is_excused: bool) -> Verdict {
        Verdict::Again { after: Duration::from_secs(seconds), excuse: is_excused.then_some(Excuse::Other) }
    }

    fn disk(errno: i32) -> Error {
        Error::disk("cannot write", Path::new("f"), &std::io::Error::from_raw_os_error(errno))
    }

    #[test]
    fn each_end_of_a_job_has_one_word() {
        let http = |kind, status| Error::new(kind, "no").with_status(status);
        let unreached = Verdict::Again { after: Duration::from_secs(1), excuse: Some(Excuse::Unreached) };
        let asked = http(Kind::Http, 503).with_retry_after(Some(Duration::from_secs(7)));
        for (error, reached, wanted) in [
            (http(Kind::NotFound, 404), true, Verdict::Dead),
            (http(Kind::NotFound, 410), true, Verdict::Dead),
            (http(Kind::Auth, 401), true, Verdict::Dead),
            (http(Kind::Http, 400), true, Verdict::Dead),
            (Error::new(Kind::Checksum, "other bytes"), true, Verdict::Dead),
            (Error::new(Kind::Exists, "another file"), true, Verdict::Dead),
            (Error::new(Kind::Unsafe, "no"), true, Verdict::Dead),
            (Error::usage("no"), false, Verdict::Dead),
            (http(Kind::Http, 503), true, again(1, false)),
            (http(Kind::Http, 429), true, again(1, false)),
            (asked, true, again(7, false)),
            // DNS or the network is down: that is no fault of the job.
            (Error::new(Kind::Network, "no such name"), false, unreached),
            (Error::new(Kind::Network, "reset"), true, again(1, false)),
            (Error::new(Kind::Tls, "expired"), false, again(1, false)),
            (Error::new(Kind::Changed, "another version"), true, again(1, false)),
            (Error::new(Kind::Locked, "in use"), false, again(1, true)),
            (Error::new(Kind::Cancelled, "stopped"), true, again(0, true)),
            (disk(28), true, again(5, true)),
            (disk(36), true, again(1, false)),
        ] {
            let outcome = Outcome::Failed { error: &error, reached };
            assert_eq!(judge(&outcome, deliveries(1, 0)), wanted, "{error:?}");
        }
        assert_eq!(judge(&Outcome::Committed, deliveries(9, 0)), Verdict::Done);
        assert_eq!(judge(&Outcome::NoJob, deliveries(1, 0)), Verdict::Dead);
        assert_eq!(judge(&Outcome::HandedBack, deliveries(9, 0)), again(0, true));
        assert_eq!(judge(&Outcome::NoSlot, deliveries(9, 0)), again(2, true));
        assert_eq!(judge(&Outcome::LeaseLost, deliveries(9, 0)), Verdict::Silence);
    }

    #[test]
    fn a_job_is_laid_aside_after_the_deliveries_that_count() {
        let stalled = |all, excused| judge(&Outcome::Stalled, deliveries(all, excused));
        assert_eq!(stalled(1, 0), again(1, false));
        assert_eq!(stalled(4, 0), again(60, false));
        assert_eq!(stalled(5, 0), Verdict::Dead);
        assert_eq!(stalled(9, 5), again(60, false));
        assert_eq!(stalled(10, 5), Verdict::Dead);
        assert!(deliveries(6, 0).are_too_many() && !deliveries(6, 1).are_too_many());
    }

    #[test]
    fn no_job_goes_round_for_ever() {
        let error = Error::new(Kind::Network, "no such name");
        let down = Outcome::Failed { error: &error, reached: false };
        let (mut all, mut excused, mut time) = (1, 0, Duration::ZERO);
        while !deliveries(all, excused).are_too_many() {
            let Verdict::Again { after, excuse } = judge(&down, deliveries(all, excused)) else { break };
            time += after;
            all += 1;
            excused += u64::from(excuse == Some(Excuse::Unreached));
            assert!(all < 1000);
        }
        // A network that is down for a working day loses nothing.
        assert!(time > Duration::from_secs(8 * 3600), "{time:?}");
    }

    #[test]
    fn no_disk_and_no_lock_lets_a_job_go_round_for_ever() {
        for error in [disk(28), Error::new(Kind::Locked, "in use")] {
            let outcome = Outcome::Failed { error: &error, reached: true };
            let mut excused = 0;
            while let Verdict::Again { excuse, .. } = judge(&outcome, deliveries(excused + 1, excused)) {
                excused += u64::from(excuse.is_some());
                if excuse.is_none() {
                    break;
                }
            }
            assert_eq!(excused, MOST_AT_FAULT);
            assert_eq!(judge(&outcome, deliveries(excused + 5, excused)), Verdict::Dead);
        }
    }

    #[test]
    fn a_pause_that_a_server_asks_for_is_bounded() {
        let error = Error::new(Kind::Http, "no").with_retry_after(Some(Duration::from_secs(1 << 40)));
        let outcome = Outcome::Failed { error: &error, reached: true };
        assert_eq!(judge(&outcome, deliveries(1, 0)), again(3600, false));
    }
}
