//! A set of ranges, filled through the public interface.

use crate::plan::{ByteRange, RangeSet};

/// Positions as the fewest possible ranges.
#[derive(Clone, Debug, Default)]
pub struct Scatter(RangeSet);

impl Scatter {
    /// A set that holds nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a range; says how many of its positions are new.
    pub fn insert(&mut self, range: ByteRange) -> u64 {
        self.0.insert(range)
    }

    /// Adds every range of another set.
    pub fn unite(&mut self, other: &Self) {
        for range in other.0.iter() {
            self.0.insert(range);
        }
    }

    /// The first positions within `within` that are not in the set.
    #[must_use]
    pub fn first_gap(&self, within: ByteRange) -> Option<ByteRange> {
        self.0.first_gap(within)
    }
}
