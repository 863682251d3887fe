//! Servers that refuse ranges, or serve several versions under one name: requests are reduced before they are given up.

use super::failures::{refused_for_good, trouble_of};
use super::{
    AttemptId, Duration, Error, FRESH_STARTS, FailureClass, Kind, Moment, Refusal, Remedy, SegmentRequest,
    Stage, Transfer,
};

/// Refusals of a range in a row that lead to shorter ranges; after them the rest is requested in one response.
const SHORTER: u32 = 2;
/// Bytes that may come once more to find out if a busy server is busy for ranges only.
const CHEAP: u64 = 64 << 20;
/// Minimum length of a range that is shortened because of a refusal.
const SHORTEST: u64 = 256 << 10;

/// Ranges served at the full limit before one without a limit is tried, after a first refusal.
const PATIENCE: u32 = 4;

/// Lengths of ranges that a server takes, in bytes. A refusal may have had another reason, so the limit is raised while ranges are
/// served, and lifted now and then, more rarely after each refusal.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lengths {
    longest: u64,
    /// Longest that was served, and shortest that was refused.
    served: u64,
    refused: u64,
    /// Ranges served since the last refusal.
    count: u32,
    patience: u32,
}

impl Lengths {
    /// Takes in a refusal.
    fn refused(known: Option<Self>, length: u64) -> Self {
        let shorter = (length / 4).max(SHORTEST);
        let first = Self { longest: shorter, served: 0, refused: length, count: 0, patience: PATIENCE };
        let Some(known) = known else {
            return first;
        };
        let refused = known.refused.min(length);
        let served = if known.served < refused { known.served } else { 0 };
        let longest = if served > 0 { served } else { shorter };
        Self { longest, served, refused, count: 0, patience: known.patience.saturating_mul(2) }
    }

    /// Takes in a range that was served; returns `None` if the refusals had nothing to do with the length.
    pub(super) fn served(self, length: u64) -> Option<Self> {
        if length >= self.refused {
            return None;
        }
        let (served, count) = (self.served.max(length), self.count + 1);
        let longest = match self.longest.saturating_mul(2) {
            longer if longer < self.refused => longer,
            _ if count >= self.patience => u64::MAX,
            _ => self.longest,
        };
        Some(Self { longest, served, count, ..self })
    }

    /// Limit on the next range.
    pub(super) fn longest(self) -> u64 {
        self.longest
    }
}

impl Transfer {
    /// True if the first ranged request is to be repeated without a range before its refusal counts: some servers and
    /// firewalls reject the field and not the file.
    pub(super) fn may_ask_plainly(&self, ranged: bool) -> bool {
        ranged && !self.less.plain_asked && self.fresh == 0 && self.sources.is_alone()
    }

    /// True for the second failure in a row: only that makes the range suspicious, since breaks and busy servers are
    /// mostly nothing else.
    pub(super) fn refused_twice(&self, class: &FailureClass) -> bool {
        let again = self.retry.rounds() > 0;
        match class {
            FailureClass::Busy { retry_after } => {
                let bearable = retry_after.unwrap_or_default() <= self.policy.retry.longest_pause();
                bearable && (again || self.policy.retry.attempts == 0)
            }
            FailureClass::Broken => again && self.less.reached,
            FailureClass::Unusable | FailureClass::Nameless => false,
        }
    }

    /// Records that a connection to the server was established.
    pub(crate) fn handle_reached(&mut self) {
        self.less.reached = true;
    }

    pub(super) fn ask_plainly(&mut self, why: &str) {
        (self.less.plain_asked, self.less.plain) = (true, true);
        self.ask_for_everything(&format!("asked again without a range: {why}"));
        self.abandon_all();
    }

    /// Returns to ranges after the request without a range was refused as well: the range was not to blame.
    pub(super) fn plain_failed(&mut self, ranged: bool) {
        if ranged || !std::mem::take(&mut self.less.plain) {
            return;
        }
        self.ranges_refused = false;
        let joins = self.begun && self.joinable() && self.length().is_some();
        self.stage = match joins {
            true => Stage::Ranged,
            false if self.begun => Stage::Stream,
            false => Stage::Probing { ranged: true },
        };
    }

    /// Handles a refused range of a file that was served before, while no other attempt is served: shorter ranges on
    /// one connection, then the rest in one response.
    pub(super) fn ask_for_less(
        &mut self,
        id: AttemptId,
        ask: &SegmentRequest,
        refusal: Refusal,
        now: Moment,
    ) {
        let status = match &refusal {
            Refusal::Denied { status, .. } | Refusal::NotFound(status) => Some(*status),
            _ => None,
        };
        let cause = match status {
            Some(status) => trouble_of(status),
            None => refused_for_good(refusal).to_string(),
        };
        self.less.refusals += 1;
        if self.less.refusals > SHORTER.min(self.policy.retry.attempts) {
            return self.stream(&cause);
        }
        self.less.lengths = Some(Lengths::refused(self.less.lengths, ask.wanted.len()));
        self.concurrency.refused_here(1, now, Duration::ZERO);
        self.kept_back(ask.source, status, Duration::ZERO, now);
        let failure = Error::new(Kind::Http, cause.clone());
        self.class(id, FailureClass::Unusable, cause, status, failure, now);
    }

    /// Requests the rest in one response: everything comes once more, and written positions are skipped.
    pub(super) fn stream(&mut self, why: &str) {
        self.single_stream(why);
        self.ranges_refused = true;
        self.stage = Stage::Stream;
        self.concurrency.only_one();
        self.abandon_all();
    }

    /// Handles a digest mismatch. If responses of different versions were joined, a whole response is requested, once;
    /// false if there is nothing else to try.
    pub(crate) fn handle_mixture(&mut self) -> bool {
        if !std::mem::take(&mut self.mixed) || !self.policy.may_restart || self.policy.window.is_some() {
            return false;
        }
        let why = "what came under different versions has another digest";
        self.finished = false;
        self.stream(why);
        self.discard = Some(why.to_owned());
        true
    }

    /// Requests the rest in one response before the transfer fails because a range of it is refused repeatedly; but
    /// not if much would come once more, since a busy server may be just that.
    pub(super) fn tries_the_last(&mut self, ranged: bool, why: &str) -> bool {
        let cheap = self.written.len() <= CHEAP;
        let may = ranged && cheap && self.fresh > 0 && self.begun && self.sources.is_alone();
        if !may || std::mem::replace(&mut self.less.last_resort, true) {
            return false;
        }
        self.stream(why);
        true
    }

    /// Handles the same length under another validator. The first time it counts as a new version; after that as
    /// several servers behind one name, of which one whole response is one version.
    pub(super) fn other_version(&mut self, what: &str) {
        let loses = !self.written.is_empty() && !self.policy.may_restart;
        if !self.restarted || loses {
            return self.changed(what);
        }
        if self.discard.is_some() {
            return;
        }
        self.fresh_starts += 1;
        if self.fresh_starts > FRESH_STARTS {
            let cause = format!("the servers behind this name have different versions of the file: {what}");
            return self.fail(Error::new(Kind::Changed, cause).with_remedy(Remedy::DigestJoins));
        }
        let why = format!("the servers behind this name do not agree about the version: {what}");
        self.stream(&why);
        self.discard = Some(why);
    }
}

/// Error for a status that refuses the rest of a partly served file.
pub(super) fn refuses_the_rest(status: u16) -> Error {
    let kind = if matches!(status, 404 | 410) { Kind::NotFound } else { Kind::Auth };
    Error::new(kind, format!("the server has served a part of the file and refuses the rest ({status})"))
        .with_status(status)
        .with_remedy(Remedy::FreshLink)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    /// Requests for `total` bytes in ranges of `usual` bytes, to a server that refuses the requests of these numbers, and all that are
    /// longer than `most`: the number of refusals, and of ranges served.
    fn requested(total: u64, usual: u64, most: u64, refuses: &[u32]) -> (u32, u32) {
        let (mut lengths, mut at, mut refused, mut served) = (None::<Lengths>, 0, 0, 0);
        while at < total {
            let length = lengths.map_or(usual, |lengths| lengths.longest().min(usual)).min(total - at);
            if length > most || refuses.contains(&(refused + served)) {
                lengths = Some(Lengths::refused(lengths, length));
                refused += 1;
            } else {
                lengths = lengths.and_then(|lengths| lengths.served(length));
                (at, served) = (at + length, served + 1);
            }
        }
        (refused, served)
    }

    #[test]
    fn a_refusal_that_passes_costs_a_few_short_ranges_and_not_all_that_follow() {
        let (refused, served) = requested(1 << 30, 8 * MIB, u64::MAX, &[3]);
        assert_eq!(refused, 1);
        assert!(served <= 128 + 4, "{served} ranges");
    }

    #[test]
    fn a_server_that_takes_no_long_ranges_is_asked_for_one_more_and_more_rarely() {
        for most in [300 << 10, MIB, 3 * MIB] {
            let (refused, served) = requested(10 << 30, 16 * MIB, most, &[]);
            assert!(refused <= 16, "{most}: {refused} refusals");
            let fewest = u32::try_from((10_u64 << 30) / most).unwrap();
            assert!((fewest..=2 * fewest + 8).contains(&served), "{most}: {served} ranges, {fewest} at best");
        }
    }

    #[test]
    fn no_limit_is_shorter_than_a_request_is_worth() {
        let mut lengths = None;
        for length in [16 * MIB, 4 * MIB, MIB, SHORTEST, SHORTEST] {
            let now = Lengths::refused(lengths, length);
            assert!(now.longest() >= SHORTEST && now.longest() <= length);
            lengths = Some(now);
        }
    }
}
