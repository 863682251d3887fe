//! Sources of one file: its URL, and the mirrors that are said to hold the same bytes.
//!
//! One source leads and defines the file; the others only help. Only a digest proves that two servers hold the same
//! bytes, so there are other sources only if a digest is expected (RFC 6249 §7.1).

use super::representation::{Representation, Validators};
use super::{ByteRange, Moment, RangeSet};
use std::time::Duration;

/// Failures in a row, without a byte in between, after which a mirror is not asked again.
const FAILURES: u32 = 3;
/// First back-off of a source after a failure.
const FIRST_REST: Duration = Duration::from_secs(1);
/// Time for which a source that refused one more connection counts as full, at first and at most.
const FIRST_FULL: Duration = Duration::from_secs(5);
const LONGEST_FULL: Duration = Duration::from_secs(60);
/// Silence of a source, at the least, after which another one may take over.
const PATIENCE: Duration = Duration::from_secs(1);

#[derive(Debug)]
struct Source {
    /// Representation of its first usable response. Validators of different servers are not comparable, so each
    /// response is compared with the first one of its own source.
    seen: Option<Representation>,
    if_range_useful: bool,
    failures: u32,
    not_before: Moment,
    dropped: bool,
    /// True if it was dropped because its file does not match the lead's: another length, or no ranges.
    other_kind: bool,
    /// True while only other sources are trusted, to find out if this one gave wrong bytes.
    benched: bool,
    /// Ranges it gave that are being fetched again, because some source gave wrong bytes.
    disputed: RangeSet,
    /// Connections it serves at once, the time until which that is believed, and for how long it was.
    serves: Option<(usize, Moment, Duration)>,
    /// Smoothed time from a request to its response.
    latency: Option<Duration>,
    /// Ranges on disk that it gave in this run.
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
    /// Stands in for the sources of an earlier run. It is never asked.
    earlier: Source,
}

impl Sources {
    pub(crate) fn new(count: usize) -> Self {
        let all = (0..count.max(1)).map(|_| Source::new()).collect();
        Self { all, lead: 0, earlier: Source::new() }
    }

    /// Adds a source, and returns its number.
    pub(crate) fn add(&mut self) -> usize {
        self.all.push(Source::new());
        self.all.len() - 1
    }

    /// Takes over the ranges that an earlier run left.
    pub(crate) fn inherit(&mut self, have: &RangeSet) {
        self.earlier.wrote = have.clone();
    }

    pub(crate) fn lead(&self) -> usize {
        self.lead
    }

    pub(crate) fn count(&self) -> usize {
        self.all.len()
    }

    /// Source for the next attempt: the available one with the fewest attempts. A source that has failed since it last
    /// gave bytes is the last choice if it is `late`.
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

    /// True if it is neither dropped nor benched nor backing off.
    pub(crate) fn may_be_asked(&self, source: usize, now: Moment) -> bool {
        let source = &self.all[source];
        !source.dropped && !source.benched && now >= source.not_before
    }

    /// True if it may be asked and has not failed since it last gave bytes.
    pub(crate) fn is_sound(&self, source: usize, now: Moment) -> bool {
        self.may_be_asked(source, now) && self.all[source].failures == 0
    }

    /// Normal silence of this source: some take seconds for each response, and a source that was given up too early
    /// gets more time afterwards.
    pub(crate) fn patience(&self, source: usize) -> Duration {
        let source = &self.all[source];
        (PATIENCE * (1 << source.failures.min(6))).max(source.latency.unwrap_or_default() * 3)
    }

    /// Records the latency of a response of the source.
    pub(crate) fn took(&mut self, source: usize, latency: Duration) {
        let smoothed = &mut self.all[source].latency;
        *smoothed = Some(smoothed.map_or(latency, |smoothed| (smoothed * 3 + latency) / 4));
    }

    /// Records that a request was taken away from the source because nothing came.
    pub(crate) fn doubted(&mut self, source: usize) {
        let source = &mut self.all[source];
        source.failures = source.failures.max(1);
    }

    /// Makes this source the lead.
    pub(crate) fn lead_with(&mut self, source: usize) {
        self.lead = source;
    }

    /// Representation that a response of this source must match, where `file` is the known one of the file.
    pub(crate) fn known(&self, source: usize, file: Option<&Representation>) -> Option<Representation> {
        let file = file?;
        Some(match &self.all[source].seen {
            Some(seen) => Representation { complete_length: file.complete_length, ..seen.clone() },
            None => Representation { validators: Validators::default(), ..file.clone() },
        })
    }

    /// Records a usable response of the source. Only the first one defines what later ones must match.
    pub(crate) fn answered(&mut self, source: usize, seen: &Representation) {
        self.all[source].seen.get_or_insert_with(|| seen.clone());
    }

    /// `If-Range` value for the next request to the source.
    pub(crate) fn if_range(&self, source: usize) -> Option<String> {
        let source = &self.all[source];
        let seen = source.seen.as_ref().filter(|_| source.if_range_useful)?;
        seen.validators.strong().map(str::to_owned)
    }

    /// Omits `If-Range` from now on, because the source mishandles it.
    pub(crate) fn ask_without_if_range(&mut self, source: usize) {
        self.all[source].if_range_useful = false;
    }

    /// Records bytes of the file from the source, and forgets its failures.
    pub(crate) fn wrote(&mut self, source: usize, range: ByteRange) {
        let source = &mut self.all[source];
        source.wrote.insert(range);
        source.failures = 0;
    }

    /// Records a failure that may pass. The source backs off, twice as long each time; returns false once it has
    /// failed too often in a row, which requires a failure that `counts`: all sources fail when the network does.
    pub(crate) fn stumbled(&mut self, source: usize, wait: Duration, counts: bool, now: Moment) -> bool {
        let source = &mut self.all[source];
        let most = if counts { FAILURES } else { FAILURES - 1 };
        source.failures = (source.failures + 1).min(most);
        source.not_before = now + wait.max(FIRST_REST * (1 << source.failures.min(6)) / 2);
        source.failures < FAILURES
    }

    /// Records that the source refused one more connection while it served `serving`: it counts as full for a while,
    /// which doubles each time.
    pub(crate) fn refused_one_more(&mut self, source: usize, serving: usize, wait: Duration, now: Moment) {
        let serves = &mut self.all[source].serves;
        let pause = serves.map_or(FIRST_FULL, |(.., pause)| pause * 2).min(LONGEST_FULL).max(wait);
        let pause = match serves {
            // Attempts that were under way together are refused together.
            Some((_, until, pause)) if now < *until => *pause,
            _ => pause,
        };
        *serves = Some((serving.max(1), now + pause, pause));
    }

    /// True while the source counts as one that serves no more connections.
    pub(crate) fn is_full(&self, source: usize, now: Moment) -> bool {
        self.all[source].serves.is_some_and(|(_, until, _)| now < until)
    }

    /// Number of failures in a row.
    pub(crate) fn failures(&self, source: usize) -> u32 {
        self.all[source].failures
    }

    /// Remaining back-off of the source.
    pub(crate) fn rests_for(&self, source: usize, now: Moment) -> Duration {
        self.all[source].not_before.saturating_sub(now)
    }

    /// True if no source but the lead is left.
    pub(crate) fn is_alone(&self) -> bool {
        self.all.iter().filter(|source| !source.dropped).count() <= 1
    }

    /// True while the lead backs off.
    pub(crate) fn lead_rests(&self, now: Moment) -> bool {
        now < self.all[self.lead].not_before
    }

    /// Makes another source the lead; false if none may be asked now.
    pub(crate) fn hand_over(&mut self, now: Moment) -> bool {
        let may = |number: &usize| *number != self.lead && self.may_be_asked(*number, now);
        let next = (0..self.all.len()).find(may);
        self.lead = next.unwrap_or(self.lead);
        next.is_some()
    }

    /// Drops the source. If it led, another one takes over; false if there is none, or if it was dropped already.
    pub(crate) fn drop(&mut self, source: usize) -> bool {
        if self.all[source].dropped {
            return false;
        }
        let left = |number: &usize| *number != source && !self.all[*number].dropped;
        // Prefer the shortest remaining back-off, and benched sources only if no other is left.
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

    /// Marks a dropped source as one with another file, or without ranges: it may be right all the same.
    pub(crate) fn is_of_another_kind(&mut self, source: usize) {
        self.all[source].other_kind = self.all[source].dropped;
    }

    /// Sources that were not dropped.
    pub(crate) fn present(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.all.len()).filter(|number| !self.all[*number].dropped)
    }

    /// Sources that were dropped because their file does not match the lead's.
    pub(crate) fn of_another_kind(&self) -> Vec<usize> {
        (0..self.all.len())
            .filter(|number| self.all[*number].dropped && self.all[*number].other_kind)
            .collect()
    }

    /// All sources, and after them the stand-in for an earlier run.
    fn numbered(&self) -> impl Iterator<Item = (usize, &Source)> {
        self.all.iter().chain([&self.earlier]).enumerate()
    }

    fn numbered_mut(&mut self) -> impl Iterator<Item = (usize, &mut Source)> {
        self.all.iter_mut().chain([&mut self.earlier]).enumerate()
    }

    /// Ranges on disk of each source that gave any; an earlier run has the number after the last source.
    pub(crate) fn givers(&self) -> impl Iterator<Item = (usize, &RangeSet)> {
        self.numbered()
            .filter(|(_, source)| !source.wrote.is_empty())
            .map(|(number, source)| (number, &source.wrote))
    }

    /// Ranges of a file of `length` bytes that none of the `trusted` sources has given.
    pub(crate) fn unproven(&self, trusted: &[usize], length: u64) -> RangeSet {
        let mut unproven: RangeSet = [ByteRange::new(0, length)].into_iter().collect();
        for (_, gave) in self.givers().filter(|(number, _)| trusted.contains(number)) {
            gave.iter().for_each(|range| unproven.remove(range));
        }
        unproven
    }

    /// True if at least two of these sources have given each byte.
    pub(crate) fn is_twice_proven(&self, by: &[usize], length: u64) -> bool {
        // Without any one of them, each byte is still covered.
        let without = |one: &usize| by.iter().copied().filter(|other| other != one).collect::<Vec<_>>();
        by.len() > 1 && by.iter().all(|one| self.unproven(&without(one), length).is_empty())
    }

    /// Benches all sources but these, which are asked as long as one of them is left.
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

    /// Reinstates a dropped source.
    pub(crate) fn revive(&mut self, source: usize) {
        let source = &mut self.all[source];
        (source.dropped, source.other_kind, source.failures) = (false, false, 0);
    }

    /// Drops all sources but the first one, which leads.
    pub(crate) fn keep_first(&mut self) {
        for (number, source) in self.all.iter_mut().enumerate() {
            (source.dropped, source.benched) = (number > 0, false);
        }
        self.lead = 0;
    }

    /// Marks a range that is fetched again; the sources that gave parts of it are remembered.
    pub(crate) fn disputed(&mut self, range: ByteRange) {
        for (_, source) in self.numbered_mut() {
            let gave: Vec<_> = source.wrote.iter().map(|gave| gave.intersection(range)).collect();
            source.wrote.remove(range);
            gave.into_iter().for_each(|gave| {
                source.disputed.insert(gave);
            });
        }
    }

    /// Records that the range came again with the same bytes: the sources that had given it gave what is on disk.
    pub(crate) fn confirmed(&mut self, range: ByteRange) {
        for (_, source) in self.numbered_mut() {
            let gave: Vec<_> = source.disputed.iter().map(|gave| gave.intersection(range)).collect();
            source.disputed.remove(range);
            gave.into_iter().for_each(|gave| {
                source.wrote.insert(gave);
            });
        }
    }

    /// Records that the bytes from before the range was fetched again are back on disk.
    pub(crate) fn put_back(&mut self, range: ByteRange) {
        for (_, source) in self.numbered_mut() {
            source.wrote.remove(range);
        }
        self.confirmed(range);
    }

    /// Removes a range from all sources: it must be fetched again.
    pub(crate) fn lost(&mut self, range: ByteRange) {
        self.numbered_mut().for_each(|(_, source)| source.wrote.remove(range));
    }

    /// Sources that have given bytes in this run.
    pub(crate) fn contributors(&self) -> Vec<usize> {
        (0..self.all.len()).filter(|number| !self.all[*number].wrote.is_empty()).collect()
    }

    /// Forgets all that is known of the sources' files.
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

    #[test]
    fn where_nothing_proves_the_others_the_first_one_leads_again_even_if_it_was_dropped() {
        let mut sources = Sources::new(3);
        assert!(sources.drop(0) && sources.lead() == 1);
        sources.keep_first();
        assert_eq!((sources.lead(), sources.present().collect::<Vec<_>>()), (0, vec![0]));
        sources.revive(2);
        assert_eq!(sources.present().collect::<Vec<_>>(), [0, 2]);
    }
}
