//! Failures of a run: how many there are of each kind, however many files there are.

use super::exit;
use crate::error::Kind;

/// Failures by kind.
#[derive(Clone, Debug, Default)]
pub(super) struct Failures(Vec<(Kind, usize)>);

impl Failures {
    pub(super) fn add(&mut self, kind: Kind) {
        match self.0.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, count)) => *count += 1,
            None => self.0.push((kind, 1)),
        }
    }

    pub(super) fn count(&self) -> usize {
        self.0.iter().map(|(_, count)| count).sum()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Exit code of the run.
    pub(super) fn code(&self) -> u8 {
        let kinds: Vec<_> = self.0.iter().map(|(kind, _)| *kind).collect();
        exit::combined(&kinds)
    }

    /// Number of failures of each kind, the most frequent first, as words.
    pub(super) fn by_cause(&self) -> Vec<(&'static str, usize)> {
        let mut counted: Vec<_> = self.0.iter().map(|(kind, count)| (kind.name(), *count)).collect();
        counted.sort_by_key(|(name, count)| (std::cmp::Reverse(*count), *name));
        counted
    }
}

impl FromIterator<Kind> for Failures {
    fn from_iter<T: IntoIterator<Item = Kind>>(kinds: T) -> Self {
        let mut failures = Self::default();
        kinds.into_iter().for_each(|kind| failures.add(kind));
        failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_counted_the_most_frequent_first() {
        let failures = Failures::from_iter([Kind::Http, Kind::NotFound, Kind::NotFound, Kind::Disk]);
        assert_eq!(failures.by_cause(), [("not_found", 2), ("disk", 1), ("http", 1)]);
        assert_eq!((failures.count(), failures.code()), (4, 1));
    }

    #[test]
    fn many_failures_of_one_kind_take_no_memory_and_have_its_code() {
        let failures = Failures::from_iter(std::iter::repeat_n(Kind::NotFound, 1_000_000));
        assert_eq!((failures.0.len(), failures.count(), failures.code()), (1, 1_000_000, 3));
        assert!(Failures::default().is_empty() && Failures::default().code() == 0);
    }
}
