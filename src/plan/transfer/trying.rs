//! Search for the source that gave wrong bytes, once the digest shows that there is one.
//!
//! Only the digest tells which source is right, so sets of sources are trusted one after the other: first those that
//! agree with each other, then each alone. Ranges that the trusted ones did not give are fetched again from them.

use super::super::testimony::{Testimony, groups};
use super::{ByteRange, RangeSet, Retry, Stage, Transfer, VecDeque};

/// Length of a sample in bytes, number of samples of one source, and number of other sources that are asked for each.
const SAMPLE: u64 = 16 << 10;
const SAMPLES: u64 = 3;
const WITNESSES: usize = 4;

/// Positions that one source gave and another is to be asked for, to compare the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Comparison {
    pub(crate) giver: usize,
    pub(crate) witness: usize,
    pub(crate) range: ByteRange,
}

/// Next step of the search.
#[derive(Debug)]
pub(crate) enum Trial {
    /// Ranges to pass to [`Transfer::handle_disputed`], which are fetched again from the sources that are trusted now.
    Again(RangeSet),
    /// Everything is discarded by the next command, and comes from another source.
    Anew,
}

/// State of the search.
#[derive(Debug, Default)]
pub(super) struct Inquest {
    /// Group of each source; empty before the samples were compared.
    groups: Vec<usize>,
    trusted: VecDeque<Vec<usize>>,
    anew: VecDeque<usize>,
    begun: bool,
}

impl Inquest {
    pub(super) fn has_begun(&self) -> bool {
        self.begun
    }
}

impl Transfer {
    /// True if there is a source beside the lead.
    pub(crate) fn has_rivals(&self) -> bool {
        self.sources.count() > 1
    }

    /// Comparisons to make before the first trial.
    pub(crate) fn samples(&self) -> Vec<Comparison> {
        if self.inquest.begun || self.stage != Stage::Ranged {
            return Vec::new();
        }
        let mut samples = Vec::new();
        for (giver, gave) in self.sources.givers() {
            let ranges = spread(gave);
            let witnesses = self.sources.present().filter(|witness| *witness != giver).take(WITNESSES);
            for witness in witnesses {
                samples.extend(ranges.iter().map(|range| Comparison { giver, witness, range: *range }));
            }
        }
        samples
    }

    /// Takes in the comparisons of the samples, and lines up the sets of sources to trust.
    pub(crate) fn handle_testimonies(&mut self, told: &[Testimony]) {
        if std::mem::replace(&mut self.inquest.begun, true) {
            return;
        }
        let count = self.sources.count();
        let length = self.length().unwrap_or(0);
        // An earlier run has the number after the last source.
        let groups = groups(count + 1, told);
        let cost = |trusted: &[usize]| self.sources.unproven(trusted, length).len();
        let mut sets: Vec<Vec<usize>> = Vec::new();
        let present: Vec<_> = self.sources.present().collect();
        if self.stage == Stage::Ranged {
            let earlier = self.sources.givers().map(|(number, _)| number).filter(|number| *number == count);
            let parted = present.iter().copied().chain(earlier).any(|one| groups[one] != groups[present[0]]);
            let mut firsts: Vec<_> = present.iter().map(|one| groups[*one]).collect();
            firsts.dedup();
            let of_group = |first: usize| (0..=count).filter(|one| groups[*one] == first).collect::<Vec<_>>();
            let mut together: Vec<Vec<usize>> = firsts.into_iter().map(of_group).filter(|_| parted).collect();
            together.sort_by_key(|set| (usize::MAX - set.len(), cost(set)));
            let mut alone: Vec<Vec<usize>> = present.iter().map(|one| vec![*one]).collect();
            alone.sort_by_key(|set| cost(set));
            for set in together.into_iter().chain(alone) {
                if !sets.contains(&set) {
                    sets.push(set);
                }
            }
        } else {
            let lead = self.sources.lead();
            self.inquest.anew.extend(present.iter().filter(|one| **one != lead));
        }
        self.inquest.anew.extend(self.sources.of_another_kind());
        self.inquest.trusted = sets.into();
        self.inquest.groups = groups;
    }

    /// Next set of sources to trust; `None` once all were tried.
    pub(crate) fn next_trial(&mut self) -> Option<Trial> {
        let length = self.length()?;
        while let Some(trusted) = self.inquest.trusted.pop_front() {
            let again = self.sources.unproven(&trusted, length);
            let present = self.sources.present().any(|one| trusted.contains(&one));
            if again.is_empty() || !present || self.says_the_same(&trusted, length) {
                continue;
            }
            self.sources.trust_only(&trusted);
            self.retry = Retry::new(self.policy.retry.clone(), self.policy.seed);
            return Some(Trial::Again(again));
        }
        let source = self.inquest.anew.pop_front()?;
        self.sources.revive(source);
        self.sources.trust_only(&[source]);
        self.lead_anew();
        self.stage = Stage::Ranged;
        self.discard = Some("the file has another digest than the one that was asked for".to_owned());
        self.finished = false;
        Some(Trial::Anew)
    }

    /// True if two other sources of its group have given each byte on disk: then a third one that agreed with them
    /// adds nothing, and the digest is of another file.
    fn says_the_same(&self, trusted: &[usize], length: u64) -> bool {
        let [one] = trusted else {
            return false;
        };
        let same = |other: &usize| self.inquest.groups[*other] == self.inquest.groups[*one];
        let others: Vec<_> = (0..self.sources.count()).filter(same).collect();
        self.sources.is_twice_proven(&others, length)
    }

    /// Marks ranges that are fetched again; the sources that gave them are remembered.
    pub(crate) fn handle_disputed(&mut self, ranges: &[ByteRange]) {
        for range in ranges {
            self.sources.disputed(*range);
            self.written.remove(*range);
        }
        self.finished = false;
    }

    /// Handles ranges that are known to be wrong: drops each source that alone gave all of one of them, as long as another is left, and
    /// returns those. `None` if the file came in one response, so that no range can be fetched again. The ranges are to be passed to
    /// [`Self::handle_disputed`].
    pub(crate) fn handle_wrong(&mut self, wrong: &[ByteRange]) -> Option<Vec<usize>> {
        if self.stage != Stage::Ranged {
            return None;
        }
        let only_giver = |range: &ByteRange| match self.gave(*range)[..] {
            [giver] => Some(giver),
            _ => None,
        };
        let givers: Vec<_> = wrong.iter().filter_map(only_giver).collect();
        let dropped = givers.into_iter().filter(|giver| self.sources.drop(*giver)).collect();
        self.lead_anew();
        Some(dropped)
    }

    /// Records that disputed ranges came again with the same bytes: the sources that had given them gave what is on
    /// disk.
    pub(crate) fn handle_confirmed(&mut self, ranges: &[ByteRange]) {
        ranges.iter().for_each(|range| self.sources.confirmed(*range));
    }

    /// Records that the bytes from before the dispute were put back in these ranges.
    pub(crate) fn handle_put_back(&mut self, ranges: &[ByteRange]) {
        ranges.iter().for_each(|range| self.sources.put_back(*range));
    }

    /// Sources that gave all of this range.
    pub(crate) fn gave(&self, range: ByteRange) -> Vec<usize> {
        let gave = self.sources.givers().filter(|(_, gave)| gave.covers(range));
        gave.map(|(number, _)| number).filter(|number| *number < self.sources.count()).collect()
    }

    /// Sources that gave the whole file.
    pub(crate) fn gave_everything(&self) -> Vec<usize> {
        self.length().map_or_else(Vec::new, |length| self.gave(ByteRange::new(0, length)))
    }
}

/// A few ranges spread over a set.
fn spread(set: &RangeSet) -> Vec<ByteRange> {
    let mut ranges: Vec<ByteRange> = Vec::new();
    for nth in 0..SAMPLES {
        // The middle of each of `SAMPLES` parts of equal length.
        let mut position = set.len() * (2 * nth + 1) / (2 * SAMPLES);
        for run in set.iter() {
            if position < run.len() {
                let end = run.end().min(run.start() + position + SAMPLE);
                let range = ByteRange::new(end.saturating_sub(SAMPLE).max(run.start()), end);
                if !ranges.contains(&range) {
                    ranges.push(range);
                }
                break;
            }
            position -= run.len();
        }
    }
    ranges
}
