//! Number of connections that a file uses at once: found by trial, or fixed, and bounded by the limit of its server
//! and the connections of the other files from there.

use super::Moment;
use std::time::Duration;

mod climb;
mod measure;
mod refusals;

use climb::Climb;
pub(crate) use climb::{CEILING, HIGHEST};
pub(crate) use measure::{Base, Sample};
pub(crate) use refusals::Refusals;

/// Number of connections that the user allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Allowance {
    /// This many, or as many of them as the server serves.
    Fixed(usize),
    /// As many as make it faster, up to this many.
    Adaptive(usize),
}

impl Allowance {
    /// Upper bound of the number.
    pub(crate) fn most(self) -> usize {
        match self {
            Self::Fixed(most) | Self::Adaptive(most) => most.max(1),
        }
    }
}

/// Level at which a file ended, for a later one from the same server to begin with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Known {
    pub(crate) base: Base,
    /// True if more connections were found not to pay.
    pub(crate) settled: bool,
}

impl Known {
    /// Level to begin with. A file that was over before more connections could be tried leaves that to the next one.
    fn first_level(self) -> usize {
        let level = self.base.level;
        if self.settled { level } else { (level + level.div_ceil(2)).min(CEILING).max(level) }
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Concurrency {
    most: usize,
    /// `None` if the number is fixed.
    climb: Option<Climb>,
    refusals: Refusals,
    /// Connections of other files to the same server.
    elsewhere: usize,
    /// Connections, of all files together, that the server serves at once, if it has refused more.
    serves: Option<usize>,
    /// Connections, of all files together, that the server has just been seen to serve while it refused one more.
    learned_limit: Option<usize>,
    /// Level of an earlier file from the same server.
    known: Option<Known>,
    /// Other files took connections of the same server while this one was measured.
    shared: bool,
    /// True if the user allows fewer than before.
    fewer: bool,
}

impl Concurrency {
    pub(crate) fn new(allowance: Allowance) -> Self {
        let most = allowance.most();
        let refusals = Refusals::new(most);
        let climb = matches!(allowance, Allowance::Adaptive(_)).then(|| Climb::new(1, false, Moment::ZERO));
        Self {
            most,
            climb,
            refusals,
            elsewhere: 0,
            serves: None,
            learned_limit: None,
            known: None,
            shared: false,
            fewer: false,
        }
    }

    /// An earlier file from the same server ended at this level. It counts before the first answer only.
    pub(crate) fn begin_with(&mut self, known: Known) {
        self.known = Some(known);
    }

    /// Level for a later file from the same server to begin with; `None` if nothing was found out, or if other files had a part
    /// in it.
    pub(crate) fn found(&self) -> Option<Known> {
        self.climb.as_ref().and_then(Climb::found).filter(|_| !self.shared)
    }

    /// Level to begin with if an earlier one is known: that of all files together, of which others have their part.
    fn known_level(&self, latency: Duration) -> Option<usize> {
        // On a long path a file fans out without measuring: the level of one that has ended says little of the first second.
        let known = self.known.filter(|_| !Climb::is_long(latency))?.first_level();
        Some(match self.elsewhere {
            0 => known,
            others => known.saturating_sub(others).max(Climb::first_level(latency)),
        })
    }

    /// The length of the file is known; the first response took `latency`.
    pub(crate) fn confine(&mut self, length: u64, latency: Duration) {
        if let Some(climb) = &mut self.climb {
            climb.confine(length, latency);
        }
    }

    /// Allows several connections, now that the first response has come, `latency` after its request.
    pub(crate) fn begin(&mut self, latency: Duration, now: Moment) {
        if self.climb.is_none() {
            return;
        }
        self.climb = Some(match (self.known, self.known_level(latency)) {
            (Some(known), Some(level)) => Climb::known(known, level.min(self.most), now),
            _ => {
                let level = Climb::first_level(latency).min(self.most);
                Climb::new(level, Climb::is_long(latency), now)
            }
        });
    }

    /// Number of connections to begin with, if the first response takes `latency`. An earlier file says nothing of one whose length
    /// is not known.
    pub(crate) fn first_limit(&self, latency: Duration, length: Option<u64>) -> usize {
        let usual = Climb::first_level(latency);
        let level = length.and_then(|length| Some(self.known_level(latency)?.min(Climb::worth(length))));
        let level = level.map_or(usual, |level| level.max(usual));
        let first = self.climb.as_ref().map_or(self.most, |_| level);
        first.min(self.most).min(self.share()).min(self.refusals.cap().unwrap_or(usize::MAX))
    }

    /// Number of connections allowed at `now`.
    pub(crate) fn limit(&mut self, now: Moment) -> usize {
        let level = self.climb.as_ref().map_or(self.most, Climb::level);
        self.refusals.limit(now).min(level).min(self.share())
    }

    /// Number of connections expected in a moment, if all goes well, with `rest` bytes left.
    pub(crate) fn expected(&mut self, rest: u64, now: Moment) -> usize {
        let expected = self.climb.as_ref().map_or(self.most, |climb| climb.expected(rest));
        self.refusals.limit(now).min(expected).min(self.share())
    }

    /// Connections that the other files leave to this one, so that their server does not get too many. A fixed number
    /// applies to each file.
    fn share(&self) -> usize {
        // Zero if the others have all that the server serves: then this file waits for its turn.
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

    /// Number of the `active` connections to retire, because fewer are as fast, or because fewer are allowed now.
    pub(crate) fn surplus(&self, active: usize) -> usize {
        let shrunk = self.climb.as_ref().filter(|climb| climb.has_shrunk());
        let beyond_level = shrunk.map_or(0, |climb| active.saturating_sub(climb.level()));
        if self.fewer { beyond_level.max(active.saturating_sub(self.most)) } else { beyond_level }
    }

    /// Changes the number of connections that the user allows.
    pub(crate) fn allow(&mut self, allowance: Allowance, now: Moment) {
        let most = allowance.most();
        self.fewer |= most < self.most;
        self.most = most;
        self.refusals.want(most);
        self.climb = match (allowance, self.climb.take()) {
            (Allowance::Fixed(_), _) => None,
            (Allowance::Adaptive(_), Some(climb)) => Some(climb),
            (Allowance::Adaptive(_), None) => Some(Climb::new(Climb::first_level(Moment::ZERO), false, now)),
        };
        if let Some(climb) = &mut self.climb {
            climb.bounded(most, now);
        }
    }

    /// All connections were closed for a while, and are opened again.
    pub(crate) fn go_on(&mut self, now: Moment) {
        self.refusals.served();
        if let Some(climb) = &mut self.climb {
            climb.begin_again(now);
        }
    }

    /// Takes in a sample; `allowed` is filled in here.
    pub(crate) fn observe(&mut self, sample: &Sample, now: Moment) {
        let allowed = self.refusals.limit(now).min(self.share());
        if let Some(climb) = &mut self.climb {
            climb.observe(&Sample { allowed, ..*sample }, now);
        }
    }

    /// Records the connections of other files to the same server, which is known to serve `serves` in all.
    pub(crate) fn others_use(&mut self, connections: usize, serves: Option<usize>) {
        (self.elsewhere, self.serves) = (connections, serves);
        self.shared |= connections > 0;
    }

    /// Records that the server refused this file while it serves others: their number is its limit.
    pub(crate) fn waits_for_slot(&mut self) {
        self.learned_limit = Some(self.elsewhere);
        self.serves = self.learned_limit;
    }

    /// Limit of the server to pass on to the other files, returned once after each refusal.
    pub(crate) fn take_learned_limit(&mut self) -> Option<usize> {
        self.learned_limit.take()
    }

    /// Records that the server refused one more while `serving` were under way (0: while it served nothing at all);
    /// none is added before `wait` is over.
    pub(crate) fn refused(&mut self, serving: usize, now: Moment, wait: Duration) {
        self.refused_here(serving, now, wait);
        if serving > 0 {
            self.learned_limit = Some(serving + self.elsewhere);
        }
    }

    /// Records a refusal as [`Self::refused`] does, but one that may concern only this file: the others learn nothing
    /// from it.
    pub(crate) fn refused_here(&mut self, serving: usize, now: Moment, wait: Duration) {
        self.refusals.refused(serving, now, wait);
        if serving == 0 {
            return;
        }
        if let Some(climb) = &mut self.climb {
            climb.bounded(serving, now);
        }
    }

    /// Records that bytes come, which ends an outage.
    pub(crate) fn served(&mut self) {
        self.refusals.served();
    }

    /// True while a refusal keeps the number below the allowed one.
    pub(crate) fn is_lowered(&self) -> bool {
        self.refusals.is_lowered()
    }

    /// Uses one connection for the rest, whatever was allowed.
    pub(crate) fn only_one(&mut self) {
        (self.most, self.climb) = (1, None);
        self.refusals.only_one();
    }
}

#[cfg(test)]
mod tests;
