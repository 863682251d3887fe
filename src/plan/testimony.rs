//! Agreement between sources: a comparison of the bytes that several of them gave for the same positions of a file.

use std::collections::BTreeMap;

/// Comparison of two sources: one was asked for positions that the other had given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Testimony {
    /// Source of the bytes on disk.
    pub(crate) giver: usize,
    /// Source that was asked for the same positions.
    pub(crate) witness: usize,
    /// True if both gave the same bytes.
    pub(crate) agrees: bool,
}

/// Group of each of `count` sources, as the number of its first member. Each member of a group has given the same
/// bytes as some other member wherever the two were compared.
pub(crate) fn groups(count: usize, testimonies: &[Testimony]) -> Vec<usize> {
    let mut pairs = BTreeMap::new();
    for Testimony { giver, witness, agrees } in testimonies {
        let pair = (*giver.min(witness), *giver.max(witness));
        *pairs.entry(pair).or_insert(true) &= agrees;
    }
    let mut groups: Vec<_> = (0..count).collect();
    for ((one, other), _) in pairs.into_iter().filter(|(_, agree)| *agree) {
        if let (Some(&one), Some(&other)) = (groups.get(one), groups.get(other)) {
            let (first, second) = (one.min(other), one.max(other));
            groups.iter_mut().filter(|group| **group == second).for_each(|group| *group = first);
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn testimony(giver: usize, witness: usize, agrees: bool) -> Testimony {
        Testimony { giver, witness, agrees }
    }

    #[test]
    fn one_that_agrees_with_nobody_stands_alone() {
        let told = [
            testimony(0, 1, false),
            testimony(1, 2, true),
            testimony(2, 0, false),
            testimony(1, 0, false),
            testimony(2, 1, true),
        ];
        assert_eq!(groups(4, &told), [0, 1, 1, 3]);
    }

    #[test]
    fn two_that_differ_anywhere_do_not_agree() {
        let told = [testimony(0, 1, true), testimony(1, 0, false), testimony(0, 1, true)];
        assert_eq!(groups(2, &told), [0, 1]);
    }

    proptest! {
        // Whichever sources are asked, honest ones are in one group as soon as comparisons join them, and no liar is
        // in it.
        #[test]
        fn honest_sources_are_never_parted_from_each_other_nor_joined_with_a_liar(
            honest in proptest::collection::vec(any::<bool>(), 2..9),
            asked in proptest::collection::vec((0_usize..9, 0_usize..9), 0..60),
        ) {
            let count = honest.len();
            let told: Vec<_> = asked
                .into_iter()
                .filter(|(giver, witness)| giver != witness && *giver < count && *witness < count)
                // Each liar has a file of its own.
                .map(|(giver, witness)| testimony(giver, witness, honest[giver] && honest[witness]))
                .collect();
            let groups = groups(count, &told);
            for told in &told {
                let together = groups[told.giver] == groups[told.witness];
                prop_assert_eq!(together, told.agrees);
            }
            for (number, group) in groups.iter().enumerate() {
                prop_assert!(honest[*group] == honest[number] && *group <= number);
            }
        }
    }
}
