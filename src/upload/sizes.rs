//! Sizes of the parts of an upload (Amazon S3 User Guide, "Amazon S3 multipart upload limits").

/// Parts of an upload, and bytes of a part, at most.
const MOST_PARTS: u64 = 10_000;
const LARGEST: u64 = 5 << 30;
/// Bytes of a part, unless the object needs larger ones: few enough that several are in memory, many enough that requests do not count.
pub(super) const USUAL: u64 = 8 << 20;
/// Parts of one size, where the length is not known: after each thousand the size doubles.
const EACH: u64 = 1000;
/// Bytes of parts that may be on their way at once, and such parts.
const UNDER_WAY: u64 = 16 << 20;
const MOST_AT_ONCE: u64 = 2;

/// Sizes of the parts of one object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Sizes {
    /// All but the last have this many bytes.
    Equal(u64),
    /// The length is not known, and they grow.
    Growing,
}

impl Sizes {
    /// Sizes for an object of this length; `None` for one that is too large.
    pub(super) fn of(length: Option<u64>) -> Option<Self> {
        let Some(length) = length else { return Some(Self::Growing) };
        let needed = length.div_ceil(MOST_PARTS).next_multiple_of(1 << 20).max(USUAL);
        (needed <= LARGEST).then_some(Self::Equal(needed))
    }

    /// Bytes of a part, counted from 1; `None` if there is none.
    pub(super) fn part(self, number: u32) -> Option<u64> {
        let number = u64::from(number);
        if !(1..=MOST_PARTS).contains(&number) {
            return None;
        }
        match self {
            Self::Equal(size) => Some(size),
            Self::Growing => Some(USUAL << ((number - 1) / EACH)),
        }
    }

    /// Parts of the size of this one that may be on their way at once.
    pub(super) fn at_once(self, number: u32) -> usize {
        let size = self.part(number).unwrap_or(LARGEST);
        usize::try_from((UNDER_WAY / size).clamp(1, MOST_AT_ONCE)).unwrap_or(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_length_has_parts_that_s3_takes(length in prop_oneof![0..=64_u64 << 20, 0..=MOST_PARTS * LARGEST]) {
            let sizes = Sizes::of(Some(length)).unwrap();
            let size = sizes.part(1).unwrap();
            prop_assert!((5 << 20..=LARGEST).contains(&size));
            prop_assert!(length.div_ceil(size) <= MOST_PARTS);
            prop_assert!(sizes.at_once(1) >= 1 && (sizes.at_once(1) == 1 || sizes.at_once(1) as u64 * size <= UNDER_WAY));
        }

        #[test]
        fn parts_of_an_unknown_length_grow_and_stay_within_the_limits(number in 1..=10_000_u32) {
            let size = Sizes::Growing.part(number).unwrap();
            prop_assert!((5 << 20..=LARGEST).contains(&size));
            prop_assert!(number == 1 || size >= Sizes::Growing.part(number - 1).unwrap());
        }
    }

    #[test]
    fn the_limits_are_those_of_s3() {
        assert_eq!(Sizes::of(Some(0)), Some(Sizes::Equal(USUAL)));
        assert_eq!(Sizes::of(Some(MOST_PARTS * USUAL)), Some(Sizes::Equal(USUAL)));
        assert_eq!(Sizes::of(Some(MOST_PARTS * USUAL + 1)), Some(Sizes::Equal(9 << 20)));
        assert_eq!(Sizes::of(Some(MOST_PARTS * LARGEST + 1)), None);
        assert_eq!((Sizes::Growing.part(0), Sizes::Growing.part(10_001)), (None, None));
        let all: u64 = (1..=10_000).filter_map(|number| Sizes::Growing.part(number)).sum();
        assert!(all > 5 << 40, "{all}");
    }
}
