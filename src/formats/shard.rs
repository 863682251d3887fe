//! Shards of a list: each job belongs to one of several processes, by rendezvous hashing, so that a line that is added moves no
//! other one.

/// One of several shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shard {
    /// Counted from 0.
    index: u32,
    count: u32,
}

impl Shard {
    /// Parses `I/N`, counted from 1 or from 0: `0/N` and `N/N` are the same shard. `auto` takes the task of a SLURM array, and `auto/N` the index of a Kubernetes job too;
    /// `variable` reads the environment.
    ///
    /// # Errors
    /// A message with the allowed forms.
    pub(crate) fn parse(text: &str, variable: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let number = |name: &str| variable(name).and_then(|text| text.trim().parse::<u32>().ok());
        let of_slurm = || {
            let (first, step) = (number("SLURM_ARRAY_TASK_MIN"), number("SLURM_ARRAY_TASK_STEP"));
            let beyond = number("SLURM_ARRAY_TASK_ID")?.checked_sub(first.unwrap_or(0))?;
            Some(beyond / step.unwrap_or(1).max(1))
        };
        let wrong = || {
            format!(
                "{text:?} is no shard: write I/N, counted from 1 or from 0, or auto in a SLURM array, or auto/N in an indexed job"
            )
        };
        let (index, count) = match text.split_once('/') {
            None if text == "auto" => {
                let missing =
                    || "auto needs SLURM_ARRAY_TASK_ID and SLURM_ARRAY_TASK_COUNT; write I/N".to_owned();
                (of_slurm().ok_or_else(missing)?, number("SLURM_ARRAY_TASK_COUNT").ok_or_else(missing)?)
            }
            Some(("auto", count)) => {
                let index = number("JOB_COMPLETION_INDEX").or_else(of_slurm);
                let index =
                    index.ok_or("auto/N needs JOB_COMPLETION_INDEX or SLURM_ARRAY_TASK_ID; write I/N")?;
                (index, count.parse().map_err(|_| wrong())?)
            }
            Some((index, count)) => {
                let (index, count): (u32, u32) =
                    (index.parse().map_err(|_| wrong())?, count.parse().map_err(|_| wrong())?);
                (if index == count { 0 } else { index }, count)
            }
            None => return Err(wrong()),
        };
        if index < count { Ok(Self { index, count }) } else { Err(wrong()) }
    }

    /// Returns true if the job with this key belongs to the shard.
    pub(crate) fn has(self, key: &[u8]) -> bool {
        let hash = key.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let weight = |shard: u32| mixed(hash ^ mixed(u64::from(shard) + 1));
        let heaviest = (0..self.count).max_by_key(|shard| (weight(*shard), *shard));
        heaviest == Some(self.index)
    }
}

/// The finalizer of `SplitMix64`.
fn mixed(mut x: u64) -> u64 {
    x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str, variables: &[(&str, &str)]) -> Option<(u32, u32)> {
        let variable = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        Shard::parse(text, variable).ok().map(|shard| (shard.index, shard.count))
    }

    #[test]
    fn a_shard_is_written_out_or_taken_from_the_scheduler() {
        for (text, index) in [("0/3", 0), ("1/3", 1), ("2/3", 2), ("3/3", 0)] {
            assert_eq!(parse(text, &[]), Some((index, 3)), "{text}");
        }
        let slurm =
            [("SLURM_ARRAY_TASK_ID", "12"), ("SLURM_ARRAY_TASK_COUNT", "4"), ("SLURM_ARRAY_TASK_MIN", "10")];
        assert_eq!(parse("auto", &slurm), Some((2, 4)));
        assert_eq!(parse("auto/4", &slurm), Some((2, 4)));
        let stepped = [slurm[0], slurm[1], slurm[2], ("SLURM_ARRAY_TASK_STEP", "2")];
        assert_eq!(parse("auto", &stepped), Some((1, 4)));
        assert_eq!(parse("auto/5", &[("JOB_COMPLETION_INDEX", "0")]), Some((0, 5)));
        for (text, variables) in [
            ("4/3", &[][..]),
            ("0/0", &[]),
            ("1/0", &[]),
            ("x", &[]),
            ("1/x", &[]),
            ("auto", &[]),
            ("auto/3", &[]),
            ("auto/3", &[("JOB_COMPLETION_INDEX", "3")]),
        ] {
            assert_eq!(parse(text, variables), None, "{text}");
        }
    }

    #[test]
    fn shards_are_of_about_the_same_size_and_a_new_one_takes_only_its_share() {
        let keys: Vec<_> = (0..10_000).map(|number| format!("https://example.org/{number}")).collect();
        let of = |count: u32, key: &str| {
            (0..count).find(|index| Shard { index: *index, count }.has(key.as_bytes())).unwrap()
        };
        let sizes: Vec<_> =
            (0..4).map(|index| keys.iter().filter(|key| of(4, key) == index).count()).collect();
        assert!(sizes.iter().all(|size| (2300..2700).contains(size)), "{sizes:?}");
        let moved = keys.iter().filter(|key| of(4, key) != of(5, key)).count();
        assert!((1800..2200).contains(&moved), "{moved}");
    }

    proptest! {
        #[test]
        fn each_job_belongs_to_exactly_one_shard(key in any::<String>(), count in 1_u32..20) {
            let owners = (0..count).filter(|index| Shard { index: *index, count }.has(key.as_bytes())).count();
            prop_assert_eq!(owners, 1);
        }
    }
}
