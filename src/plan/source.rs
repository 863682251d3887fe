//! The sources of one file: its URL, and the mirrors that are said to hold the same bytes.
//!
//! One source leads: what it says the file is, the file is. The others only help. Nothing but a digest shows that
//! two servers hold the same bytes, so there are others only where one is expected (RFC 6249 §7.1).

use super::representation::{Representation, Validators};
use super::{ByteRange, Moment, RangeSet};
use std::time::Duration;

/// A mirror that fails this often in a row without giving a byte is not asked again.
const FAILURES: u32 = 3;
/// How long one is left alone after it failed, the first time.
const FIRST_REST: Duration = Duration::from_secs(1);
/// How long one that refused one more connection has no more, the first time and at the most.
const FIRST_FULL: Duration = Duration::from_secs(5);
const LONGEST_FULL: Duration = Duration::from_secs(60);
/// How long one may be silent while another one could do its work.
const PATIENCE: Duration = Duration::from_secs(1);

#[derive(Debug)]
struct Source {
    /// What its first usable answer said. Validators of different servers are not comparable, so each is held
    /// against its own.
    seen: Option<Representation>,
    if_range_useful: bool,
    failures: u32,
    not_before: Moment,
    dropped: bool,
    /// It was dropped because what it has does not go with what the lead has: another length, or no ranges.
    other_kind: bool,
    /// Others are trusted now, to see whether this one gave wrong bytes.
    benched: bool,
    /// What it gave of the ranges that are fetched again, since someone gave wrong bytes.
    disputed: RangeSet,
    /// How many connections it serves at once, until when that is believed, and for how long it was.
    serves: Option<(usize, Moment, Duration)>,
    /// Smoothed time from a request to its answer.
    latency: Option<Duration>,
    /// What is on disk is what it gave in this run.
    wrote: RangeSet,
}

impl Source {
    fn new() -> Self {
        Self {
            seen: None,
            if_range_useful: true,
            failures: 0,
            not_before: Moment::ZERO,
            dropped: false,
            other_kind: false,
            benched: false,
            disputed: RangeSet::new(),
            serves: None,
            latency: None,
            wrote: RangeSet::new(),
        }
    }
}

/// All sources of a file, by number: 0 is its URL.
#[derive(Debug)]
pub(crate) struct Sources {
    all: Vec<Source>,
    lead: usize,
    /// In the place of those that an earlier run asked. It is never asked.
    earlier: Source,
}

impl Sources {
    pub(crate) fn new(count: usize) -> Self {
        let all = (0..count.max(1)).map(|_| Source::new()).collect();
        Self { all, lead: 0, earlier: Source::new() }
    }

    /// An earlier run left this.
    pub(crate) fn inherit(&mut self, have: &RangeSet) {
        self.earlier.wrote = have.clone();
    }

    pub(crate) fn lead(&self) -> usize {
        self.lead
    }

    pub(crate) fn count(&self) -> usize {
        self.all.len()
    }

    /// The source for the next attempt: of those that may be asked now the one with the least to do. One that has
    /// failed since it last gave bytes is the last choice where it is `late`.
    pub(crate) fn pick(
        &self,
        now: Moment,
        lead_rests: bool,
        late: bool,
        attempts: impl Fn(usize) -> usize,
    ) -> Option<usize> {
        let full = |number: usize| {
            let serves = self.all[number].serves.filter(|(_, until, _)| now < *until);
            serves.is_some_and(|(most, ..)| attempts(number) >= most)
        };
        let may = |number: &usize| {
            let rests = lead_rests && *number == self.lead;
            self.may_be_asked(*number, now) && !rests && !full(*number)
        };
        (0..self.all.len()).filter(may).min_by_key(|number| {
            let failed = self.all[*number].failures > 0;
            (late && failed, attempts(*number), failed, *number != self.lead, *number)
        })
    }

    /// Whether it is neither given up nor at rest.
    pub(crate) fn may_be_asked(&self, source: usize, now: Moment) -> bool {
        let source = &self.all[source];
        !source.dropped && !source.benched && now >= source.not_before
    }

    /// Whether it may be asked, and has not failed since it last gave bytes.
    pub(crate) fn is_sound(&self, source: usize, now: Moment) -> bool {
        self.may_be_asked(source, now) && self.all[source].failures == 0
    }

    /// How long silence of this source is normal: some take seconds over each answer, and one that was given up too early
    /// has more time the next time.
    pub(crate) fn patience(&self, source: usize) -> Duration {
        let source = &self.all[source];
        (PATIENCE * (1 << source.failures.min(6))).max(source.latency.unwrap_or_default() * 3)
    }

    /// An answer of the source took so long.
    pub(crate) fn took(&mut self, source: usize, latency: Duration) {
        let smoothed = &mut self.all[source].latency;
        *smoothed = Some(smoothed.map_or(latency, |smoothed| (smoothed * 3 + latency) / 4));
    }

    /// What was asked of the source was taken away from it, because nothing came.
    pub(crate) fn doubted(&mut self, source: usize) {
        let source = &mut self.all[source];
        source.failures = source.failures.max(1);
    }

    /// From now on this source leads.
    pub(crate) fn lead_with(&mut self, source: usize) {
        self.lead = source;
    }

    /// What an answer of this source is held against, where `file` is what is known of the file.
    pub(crate) fn known(&self, source: usize, file: Option<&Representation>) -> Option<Representation> {
        let file = file?;
        Some(match &self.all[source].seen {
            Some(seen) => Representation { complete_length: file.complete_length, ..seen.clone() },
            None => Representation { validators: Validators::default(), ..file.clone() },
        })
    }

    /// The source has given a usable answer. Only the first one says what later ones must agree with.
    pub(crate) fn answered(&mut self, source: usize, seen: &Representation) {
        self.all[source].seen.get_or_insert_with(|| seen.clone());
    }

    /// The `If-Range` value for the next request to the source.
    pub(crate) fn if_range(&self, source: usize) -> Option<String> {
        let source = &self.all[source];
        let seen = source.seen.as_ref().filter(|_| source.if_range_useful)?;
        seen.validators.strong().map(str::to_owned)
    }

    /// The source takes `If-Range` amiss.
    pub(crate) fn ask_without_if_range(&mut self, source: usize) {
        self.all[source].if_range_useful = false;
    }

    /// New bytes of the file came from the source.
    pub(crate) fn wrote(&mut self, source: usize, range: ByteRange) {
        let source = &mut self.all[source];
        source.wrote.insert(range);
        source.failures = 0;
    }

    /// The source failed in a way that may pass. It is left alone for a while, which doubles each time; false
    /// once that has been tried often enough, where that `counts`: all fail where the network does.
    pub(crate) fn stumbled(&mut self, source: usize, wait: Duration, counts: bool, now: Moment) -> bool {
        let source = &mut self.all[source];
        let most = if counts { FAILURES } else { FAILURES - 1 };
        source.failures = (source.failures + 1).min(most);
        source.not_before = now + wait.max(FIRST_REST * (1 << source.failures.min(6)) / 2);
        source.failures < FAILURES
    }

    /// The source refused one more connection while it served so many: it has no more for a while, which doubles each time.
    pub(crate) fn refused_one_more(&mut self, source: usize, serving: usize, wait: Duration, now: Moment) {
        let serves = &mut self.all[source].serves;
        let pause = serves.map_or(FIRST_FULL, |(.., pause)| pause * 2).min(LONGEST_FULL).max(wait);
        let pause = match serves {
            // Those that were under way together are refused together.
            Some((_, until, pause)) if now < *until => *pause,
            _ => pause,
        };
        *serves = Some((serving.max(1), now + pause, pause));
    }

    /// How many times in a row it failed.
    pub(crate) fn failures(&self, source: usize) -> u32 {
        self.all[source].failures
    }

    /// How long it is still left alone.
    pub(crate) fn rests_for(&self, source: usize, now: Moment) -> Duration {
        self.all[source].not_before.saturating_sub(now)
    }

    /// Whether there is nobody to ask but the lead.
    pub(crate) fn is_alone(&self) -> bool {
        self.all.iter().filter(|source| !source.dropped).count() <= 1
    }

    /// Whether the lead is left alone for a while.
    pub(crate) fn lead_rests(&self, now: Moment) -> bool {
        now < self.all[self.lead].not_before
    }

    /// Another source leads, if there is one that may be asked now.
    pub(crate) fn hand_over(&mut self, now: Moment) -> bool {
        let may = |number: &usize| *number != self.lead && self.may_be_asked(*number, now);
        let next = (0..self.all.len()).find(may);
        self.lead = next.unwrap_or(self.lead);
        next.is_some()
    }

    /// The source is not asked again. If it led, another takes over; false where there is none, or it is gone
    /// already.
    pub(crate) fn drop(&mut self, source: usize) -> bool {
        if self.all[source].dropped {
            return false;
        }
        let left = |number: &usize| *number != source && !self.all[*number].dropped;
        // Of those that rest the one that does so for the shortest; of those that are not trusted now only where no other is left.
        let order = |number: &usize| (self.all[*number].benched, self.all[*number].not_before);
        let next = (0..self.all.len()).filter(left).min_by_key(order);
        let Some(next) = next else {
            return false;
        };
        self.all[source].dropped = true;
        if self.lead == source {
            self.lead = next;
            if self.all[next].benched {
                self.all.iter_mut().for_each(|source| source.benched = false);
            }
        }
        true
    }

    /// The source that was dropped has another file, or no ranges: it may be right all the same.
    pub(crate) fn is_of_another_kind(&mut self, source: usize) {
        self.all[source].other_kind = self.all[source].dropped;
    }

    /// Sources that were not dropped.
    pub(crate) fn present(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.all.len()).filter(|number| !self.all[*number].dropped)
    }

    /// Sources that were dropped because their file does not go with that of the lead.
    pub(crate) fn of_another_kind(&self) -> Vec<usize> {
        (0..self.all.len())
            .filter(|number| self.all[*number].dropped && self.all[*number].other_kind)
            .collect()
    }

    /// All sources, and after them what an earlier run left.
    fn numbered(&self) -> impl Iterator<Item = (usize, &Source)> {
        self.all.iter().chain([&self.earlier]).enumerate()
    }

    fn numbered_mut(&mut self) -> impl Iterator<Item = (usize, &mut Source)> {
        self.all.iter_mut().chain([&mut self.earlier]).enumerate()
    }

    /// What each has given of what is there, where that is anything; an earlier run has the number after the last.
    pub(crate) fn givers(&self) -> impl Iterator<Item = (usize, &RangeSet)> {
        self.numbered()
            .filter(|(_, source)| !source.wrote.is_empty())
            .map(|(number, source)| (number, &source.wrote))
    }

    /// What of a file of `length` bytes none of these has given.
    pub(crate) fn unproven(&self, trusted: &[usize], length: u64) -> RangeSet {
        let mut unproven: RangeSet = [ByteRange::new(0, length)].into_iter().collect();
        for (_, gave) in self.givers().filter(|(number, _)| trusted.contains(number)) {
            gave.iter().for_each(|range| unproven.remove(range));
        }
        unproven
    }

    /// Whether two of these have given each byte.
    pub(crate) fn is_twice_proven(&self, by: &[usize], length: u64) -> bool {
        // Each byte is there without any one of them.
        let without = |one: &usize| by.iter().copied().filter(|other| other != one).collect::<Vec<_>>();
        by.len() > 1 && by.iter().all(|one| self.unproven(&without(one), length).is_empty())
    }

    /// None but these are asked, as long as one of them is left.
    pub(crate) fn trust_only(&mut self, trusted: &[usize]) {
        for (number, source) in self.all.iter_mut().enumerate() {
            source.benched = !trusted.contains(&number);
            (source.failures, source.not_before) = (0, Moment::ZERO);
        }
        let first = self.present().find(|number| !self.all[*number].benched);
        if self.all[self.lead].benched || self.all[self.lead].dropped {
            self.lead = first.unwrap_or(self.lead);
        }
    }

    /// One that was dropped may be asked again.
    pub(crate) fn revive(&mut self, source: usize) {
        let source = &mut self.all[source];
        (source.dropped, source.other_kind, source.failures) = (false, false, 0);
    }

    /// The range is fetched again; those who gave something of it are remembered.
    pub(crate) fn disputed(&mut self, range: ByteRange) {
        for (_, source) in self.numbered_mut() {
            let gave: Vec<_> = source.wrote.iter().map(|gave| gave.intersection(range)).collect();
            source.wrote.remove(range);
            gave.into_iter().for_each(|gave| {
                source.disputed.insert(gave);
            });
        }
    }

    /// The range came again and is the same: those who had given it gave what is there.
    pub(crate) fn confirmed(&mut self, range: ByteRange) {
        for (_, source) in self.numbered_mut() {
            let gave: Vec<_> = source.disputed.iter().map(|gave| gave.intersection(range)).collect();
            source.disputed.remove(range);
            gave.into_iter().for_each(|gave| {
                source.wrote.insert(gave);
            });
        }
    }

    /// What had been there in the range before it was fetched again is there once more.
    pub(crate) fn put_back(&mut self, range: ByteRange) {
        for (_, source) in self.numbered_mut() {
            source.wrote.remove(range);
        }
        self.confirmed(range);
    }

    /// These bytes are wanted again, whoever they came from.
    pub(crate) fn lost(&mut self, range: ByteRange) {
        self.numbered_mut().for_each(|(_, source)| source.wrote.remove(range));
    }

    /// Who has given bytes in this run.
    pub(crate) fn contributors(&self) -> Vec<usize> {
        (0..self.all.len()).filter(|number| !self.all[*number].wrote.is_empty()).collect()
    }

    /// Nothing is known any more of what the sources hold.
    pub(crate) fn forget(&mut self) {
        for (_, source) in self.numbered_mut() {
            (source.seen, source.if_range_useful) = (None, true);
            (source.wrote, source.disputed) = (RangeSet::new(), RangeSet::new());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::representation::EntityTag;
    use super::*;

    fn representation(etag: &str) -> Representation {
        Representation {
            complete_length: Some(100),
            validators: Validators { etag: EntityTag::parse(etag), ..Validators::default() },
            media_type: None,
        }
    }

    #[test]
    fn the_source_with_the_least_to_do_is_asked_and_the_lead_first() {
        let sources = Sources::new(3);
        assert_eq!(sources.pick(Moment::ZERO, false, false, |_| 0), Some(0));
        assert_eq!(sources.pick(Moment::ZERO, false, false, |number| [2, 1, 1][number]), Some(1));
        assert_eq!(sources.pick(Moment::ZERO, true, false, |_| 0), Some(1));
    }

    #[test]
    fn the_lead_goes_to_whoever_may_be_asked_and_to_nobody_who_rests() {
        let mut sources = Sources::new(3);
        assert!(sources.hand_over(Moment::ZERO) && sources.lead() == 1);
        assert!(sources.stumbled(0, Duration::ZERO, true, Moment::ZERO) && sources.hand_over(Moment::ZERO));
        assert_eq!(sources.lead(), 2);
        assert!(sources.stumbled(1, Duration::ZERO, true, Moment::ZERO) && !sources.hand_over(Moment::ZERO));
        assert_eq!(sources.lead(), 2);
        assert!(sources.hand_over(FIRST_REST) && sources.lead() == 0);
        assert!(!Sources::new(1).hand_over(Moment::ZERO));
    }

    // T024
    #[test]
    fn each_source_is_held_against_its_own_validators_and_the_length_of_the_file() {
        let mut sources = Sources::new(2);
        let file = representation("\"a\"");
        sources.answered(0, &file);
        assert_eq!(sources.known(0, Some(&file)), Some(file.clone()));
        let other = sources.known(1, Some(&file)).unwrap();
        assert_eq!((other.complete_length, &other.validators), (Some(100), &Validators::default()));
        assert_eq!(sources.if_range(1), None);
        sources.answered(1, &representation("\"b\""));
        sources.answered(1, &representation("\"c\""));
        assert_eq!(sources.if_range(1).as_deref(), Some("\"b\""));
    }

    #[test]
    fn a_source_that_keeps_failing_is_given_up_and_one_that_gives_is_not() {
        let mut sources = Sources::new(2);
        assert!(sources.stumbled(1, Duration::ZERO, true, Moment::ZERO));
        assert_eq!(sources.pick(Moment::ZERO, true, false, |_| 0), None);
        assert_eq!(sources.pick(Moment::from_secs(1), true, false, |_| 0), Some(1));
        sources.wrote(1, ByteRange::new(0, 10));
        assert!(sources.stumbled(1, Duration::ZERO, true, Moment::ZERO));
        assert!(sources.stumbled(1, Duration::ZERO, true, Moment::ZERO));
        assert!(!sources.stumbled(1, Duration::ZERO, true, Moment::ZERO));
    }

    #[test]
    fn another_takes_over_from_a_lead_that_is_gone_and_the_last_one_stays() {
        let mut sources = Sources::new(2);
        sources.wrote(0, ByteRange::new(0, 10));
        assert!(sources.drop(0));
        assert_eq!((sources.lead(), sources.pick(Moment::ZERO, false, false, |_| 0)), (1, Some(1)));
        assert_eq!(sources.unproven(&[1], 10).len(), 10);
        assert!(!sources.drop(1));
    }
}
