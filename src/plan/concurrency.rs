//! How many connections a file uses at once: found out by trying, or given, and bounded by what its server, and the
//! other files that come from there, leave for it.

use super::Moment;
use std::time::Duration;

mod climb;
mod measure;
mod refusals;

use climb::Climb;
pub(crate) use climb::{CEILING, HIGHEST};
pub(crate) use measure::Sample;
pub(crate) use refusals::Refusals;

/// What the user wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Allowance {
    /// So many, or as many of them as the server serves.
    Fixed(usize),
    /// As many as make it faster, up to so many.
    Adaptive(usize),
}

impl Allowance {
    /// The most there can be.
    pub(crate) fn most(self) -> usize {
        match self {
            Self::Fixed(most) | Self::Adaptive(most) => most.max(1),
        }
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Concurrency {
    most: usize,
    /// `None` where the number is given.
    climb: Option<Climb>,
    refusals: Refusals,
    /// Connections that other files have to the same server.
    elsewhere: usize,
    /// How many of all files' connections that server serves at once, if it has refused more.
    serves: Option<usize>,
    /// What it has just been seen to serve, of all files' connections, while it refused one more.
    lesson: Option<usize>,
}

impl Concurrency {
    pub(crate) fn new(allowance: Allowance) -> Self {
        let most = allowance.most();
        let refusals = Refusals::new(most);
        let climb = matches!(allowance, Allowance::Adaptive(_)).then(|| Climb::new(1, false, Moment::ZERO));
        Self { most, climb, refusals, elsewhere: 0, serves: None, lesson: None }
    }

    /// The first answer has come, `latency` after it was asked for: from now on there may be several.
    pub(crate) fn begin(&mut self, latency: Duration, now: Moment) {
        if self.climb.is_some() {
            let level = Climb::first_level(latency).min(self.most);
            self.climb = Some(Climb::new(level, Climb::is_long(latency), now));
        }
    }

    /// How many there will be at first, if the first answer takes `latency`.
    pub(crate) fn first_limit(&self, latency: Duration) -> usize {
        let first = self.climb.as_ref().map_or(self.most, |_| Climb::first_level(latency));
        first.min(self.most).min(self.share()).min(self.refusals.cap().unwrap_or(usize::MAX))
    }

    /// How many may be in use at `now`.
    pub(crate) fn limit(&mut self, now: Moment) -> usize {
        let level = self.climb.as_ref().map_or(self.most, Climb::level);
        self.refusals.limit(now).min(level).min(self.share())
    }

    /// How many will be in use in a moment, if all goes well, where `rest` bytes are left.
    pub(crate) fn expected(&mut self, rest: u64, now: Moment) -> usize {
        let expected = self.climb.as_ref().map_or(self.most, |climb| climb.expected(rest));
        self.refusals.limit(now).min(expected).min(self.share())
    }

    /// What the other files leave of a server that is not to be asked on too many connections. A number that was
    /// given is meant for each file.
    fn share(&self) -> usize {
        // Nothing, where the others have all that the server serves: then this file waits for its turn.
        let room = self.serves.map_or(usize::MAX, |serves| serves.saturating_sub(self.elsewhere));
        self.ours().min(room)
    }

    fn ours(&self) -> usize {
        if self.climb.is_none() {
            self.most
        } else {
            CEILING.max(self.most).saturating_sub(self.elsewhere).max(1)
        }
    }

    /// How many of `active` are to be given up, because fewer are as fast.
    pub(crate) fn surplus(&self, active: usize) -> usize {
        self.climb
            .as_ref()
            .filter(|climb| climb.has_shrunk())
            .map_or(0, |climb| active.saturating_sub(climb.level()))
    }

    /// Takes in how things stand; `allowed` is filled in here.
    pub(crate) fn observe(&mut self, sample: &Sample, now: Moment) {
        let allowed = self.refusals.limit(now).min(self.share());
        if let Some(climb) = &mut self.climb {
            climb.observe(&Sample { allowed, ..*sample }, now);
        }
    }

    /// Other files have so many connections to the same server, which is known to serve `serves` in all.
    pub(crate) fn others_use(&mut self, connections: usize, serves: Option<usize>) {
        (self.elsewhere, self.serves) = (connections, serves);
    }

    /// The server refused this file, and serves others: those are as many as it serves.
    pub(crate) fn crowded_out(&mut self) {
        self.lesson = Some(self.elsewhere);
        self.serves = self.lesson;
    }

    /// What the other files are to be told that the server serves, once after each refusal.
    pub(crate) fn take_lesson(&mut self) -> Option<usize> {
        self.lesson.take()
    }

    /// The server refused one more while `serving` were under way (0: while it served nothing at all); none
    /// is added before `wait` is over.
    pub(crate) fn refused(&mut self, serving: usize, now: Moment, wait: Duration) {
        self.refused_here(serving, now, wait);
        if serving > 0 {
            self.lesson = Some(serving + self.elsewhere);
        }
    }

    /// As [`Self::refused`], in a way that may be a matter of this file: the others learn nothing from it.
    pub(crate) fn refused_here(&mut self, serving: usize, now: Moment, wait: Duration) {
        self.refusals.refused(serving, now, wait);
        if serving == 0 {
            return;
        }
        if let Some(climb) = &mut self.climb {
            climb.bounded(serving, now);
        }
    }

    /// Bytes come: if nothing was served at all before, that is over.
    pub(crate) fn served(&mut self) {
        self.refusals.served();
    }

    /// Whether a refusal holds it below what was asked for.
    pub(crate) fn is_lowered(&self) -> bool {
        self.refusals.is_lowered()
    }

    /// One connection for the rest, whatever was asked for.
    pub(crate) fn only_one(&mut self) {
        (self.most, self.climb) = (1, None);
        self.refusals.only_one();
    }
}

#[cfg(test)]
mod tests;
