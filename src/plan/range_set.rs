//! A set of positions, kept as disjoint ranges that do not touch.

use super::ByteRange;
use std::collections::BTreeMap;

/// Positions as the fewest possible ranges, in order. The size depends on the fragmentation, not on the number of
/// bytes covered: a file of 10 TiB that is fetched near its front costs a handful of entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RangeSet {
    /// start → end
    ranges: BTreeMap<u64, u64>,
    len: u64,
}

impl RangeSet {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Number of positions in the set.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds a range; returns the number of its positions that were not in the set before.
    pub(crate) fn insert(&mut self, range: ByteRange) -> u64 {
        if range.is_empty() {
            return 0;
        }
        let before = self.len;
        let (mut start, mut end) = (range.start(), range.end());
        // Merge everything that overlaps or touches into one range.
        while let Some((&other_start, &other_end)) = self.ranges.range(..=end).next_back() {
            if other_end < start {
                break;
            }
            start = start.min(other_start);
            end = end.max(other_end);
            self.ranges.remove(&other_start);
            self.len -= other_end - other_start;
        }
        self.ranges.insert(start, end);
        self.len += end - start;
        self.len - before
    }

    /// Removes a range from the set.
    pub(crate) fn remove(&mut self, range: ByteRange) {
        if range.is_empty() {
            return;
        }
        while let Some((&start, &end)) = self.ranges.range(..range.end()).next_back() {
            if end <= range.start() {
                break;
            }
            self.ranges.remove(&start);
            self.len -= end - start;
            for rest in [ByteRange::new(start, range.start()), ByteRange::new(range.end().max(start), end)] {
                if !rest.is_empty() {
                    self.ranges.insert(rest.start(), rest.end());
                    self.len += rest.len();
                }
            }
        }
    }

    /// Iterates over the ranges, in order.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = ByteRange> + '_ {
        self.ranges.iter().map(|(&start, &end)| ByteRange::new(start, end))
    }

    /// True if every position of `range` is in the set.
    pub(crate) fn covers(&self, range: ByteRange) -> bool {
        range.is_empty() || self.run_at(range.start()).is_some_and(|run| run.end() >= range.end())
    }

    /// Range of the set that holds `position`.
    pub(crate) fn run_at(&self, position: u64) -> Option<ByteRange> {
        let (&start, &end) = self.ranges.range(..=position).next_back()?;
        (position < end).then(|| ByteRange::new(start, end))
    }

    /// End of the contiguous positions from 0 on; 0 if there are none.
    pub(crate) fn front(&self) -> u64 {
        self.run_at(0).map_or(0, ByteRange::end)
    }

    /// First gap of the set within `within`.
    pub(crate) fn first_gap(&self, within: ByteRange) -> Option<ByteRange> {
        let start = self.run_at(within.start()).map_or(within.start(), ByteRange::end);
        if start >= within.end() {
            return None;
        }
        let end = self.ranges.range(start..).next().map_or(within.end(), |(&next, _)| next.min(within.end()));
        Some(ByteRange::new(start, end))
    }

    /// All gaps of the set within `within`, in order.
    #[cfg(test)]
    pub(crate) fn gaps(&self, within: ByteRange) -> impl Iterator<Item = ByteRange> + '_ {
        let mut rest = within;
        std::iter::from_fn(move || {
            let gap = self.first_gap(rest)?;
            rest = ByteRange::new(gap.end(), within.end());
            Some(gap)
        })
    }
}

impl FromIterator<ByteRange> for RangeSet {
    fn from_iter<I: IntoIterator<Item = ByteRange>>(ranges: I) -> Self {
        let mut set = Self::new();
        for range in ranges {
            set.insert(range);
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn set(ranges: &[(u64, u64)]) -> RangeSet {
        ranges.iter().map(|&(start, end)| ByteRange::new(start, end)).collect()
    }

    #[test]
    fn ranges_that_touch_become_one() {
        assert_eq!(set(&[(0, 5), (5, 9)]), set(&[(0, 9)]));
        assert_eq!(set(&[(0, 5), (6, 9), (5, 6)]).iter().count(), 1);
    }

    #[test]
    fn the_front_ends_at_the_first_hole() {
        assert_eq!(set(&[(0, 5), (6, 9)]).front(), 5);
        assert_eq!(set(&[(1, 5)]).front(), 0);
    }

    #[test]
    fn gaps_are_what_is_missing() {
        let gaps: Vec<_> = set(&[(2, 4), (6, 8)]).gaps(ByteRange::new(0, 10)).collect();
        assert_eq!(gaps, [ByteRange::new(0, 2), ByteRange::new(4, 6), ByteRange::new(8, 10)]);
    }

    proptest! {
        /// The set agrees with the simplest possible model, one bit per position.
        #[test]
        fn it_holds_what_a_row_of_bits_would_hold(
            steps in proptest::collection::vec((any::<bool>(), 0_u64..64, 0_u64..64), 0..40)
        ) {
            let mut ranges = RangeSet::new();
            let mut bits = [false; 128];
            for (insert, start, len) in steps {
                let range = ByteRange::new(start, start + len);
                let fresh = bits[start as usize..(start + len) as usize].iter().filter(|bit| !**bit).count();
                if insert {
                    prop_assert_eq!(ranges.insert(range), fresh as u64);
                } else {
                    ranges.remove(range);
                }
                bits[start as usize..(start + len) as usize].fill(insert);
            }
            prop_assert_eq!(ranges.len(), bits.iter().filter(|bit| **bit).count() as u64);
            let all = ByteRange::new(0, 128);
            for (position, bit) in bits.iter().enumerate() {
                let position = position as u64;
                prop_assert_eq!(ranges.run_at(position).is_some(), *bit);
                prop_assert_eq!(ranges.gaps(all).any(|gap| gap.contains(position)), !*bit);
            }
            let mut previous = None;
            for range in ranges.iter() {
                prop_assert!(previous.is_none_or(|end| end < range.start()));
                previous = Some(range.end());
            }
        }
    }
}
