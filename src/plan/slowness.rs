//! Reason for a limited rate: found from the facts of each look, and told once it has held for about a second.

use super::Moment;
use std::num::NonZeroU64;
use std::time::Duration;

/// Time constant of the smoothed share of looks at which a reason holds.
const MEMORY: Duration = Duration::from_millis(600);
/// Share from which a reason is told, and share down to which it stays told. A reason that holds from one moment on passes the first
/// after 0.97 s, and one that has ended the second after as long.
const TOLD_FROM: f64 = 0.8;
const TOLD_TO: f64 = 0.2;
/// Longest time that one look stands for: what lies between two looks that are far apart is not known.
const LONGEST_LOOK: Duration = Duration::from_millis(250);

/// Facts that may hold the rate down, as they are at one look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    /// Limit of the caller's that delays connections, in bytes a second.
    pub(crate) limit: Option<NonZeroU64>,
    /// True if other traffic fills the line, and connections yield to it.
    pub(crate) yields: bool,
    /// True if bytes in order wait for the reader of a pipe.
    pub(crate) reader: bool,
    /// True if most of the time is spent in writing, or in syncing the last bytes.
    pub(crate) disk: bool,
    /// Bytes that are on disk and not hashed, once all of them are on disk.
    pub(crate) unhashed: Option<NonZeroU64>,
    pub(crate) refused: Option<Refused>,
    pub(crate) silent: Option<Silent>,
}

/// A refusal that still keeps connections back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) source: usize,
    /// HTTP status; `None` for a connection that was refused or broke.
    pub(crate) status: Option<u16>,
    /// Pause that the server asked for, as long as it lasts.
    pub(crate) wait: Option<Duration>,
}

/// A silent connection, while others deliver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Silent {
    pub(crate) source: usize,
    /// Time without a byte.
    pub(crate) quiet: Duration,
}

/// Reason for a limited rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    Limit(NonZeroU64),
    Yielding,
    Reader,
    Disk,
    Hash { behind: NonZeroU64 },
    Refused(Refused),
    Silent(Silent),
}

/// Number of reasons, with a refusal counted twice: with a pause, and without.
const REASONS: usize = 8;

impl Facts {
    /// All reasons that hold, in order of precedence: first those of this machine, then a pause that a server asks for, then one
    /// silent connection, and at last a refusal that merely keeps the number of connections low.
    fn reasons(&self) -> [Option<Reason>; REASONS] {
        let (pause, lowered) = match self.refused {
            Some(refused) if refused.wait.is_some() => (Some(Reason::Refused(refused)), None),
            refused => (None, refused.map(Reason::Refused)),
        };
        [
            self.limit.map(Reason::Limit),
            self.yields.then_some(Reason::Yielding),
            self.reader.then_some(Reason::Reader),
            self.disk.then_some(Reason::Disk),
            self.unhashed.map(|behind| Reason::Hash { behind }),
            pause,
            self.silent.map(Reason::Silent),
            lowered,
        ]
    }
}

/// Reasons over time. Each is told and withdrawn only after a while, so that the display does not flicker.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Reasons {
    looked: Option<Moment>,
    held: [Held; REASONS],
}

impl Reasons {
    /// Takes in one look.
    pub(crate) fn look(&mut self, facts: &Facts, now: Moment) {
        let since = now.saturating_sub(self.looked.replace(now).unwrap_or(now)).min(LONGEST_LOOK);
        for (held, reason) in self.held.iter_mut().zip(facts.reasons()) {
            held.saw(reason, since);
        }
    }

    /// The reason to tell, if any, as it was last seen.
    pub(crate) fn told(&self) -> Option<Reason> {
        self.held.iter().find(|held| held.told).and_then(|held| held.latest)
    }
}

/// One reason over time.
#[derive(Clone, Copy, Debug, Default)]
struct Held {
    /// Smoothed share of the time for which it held, from 0 to 1.
    share: f64,
    told: bool,
    latest: Option<Reason>,
}

impl Held {
    fn saw(&mut self, reason: Option<Reason>, since: Duration) {
        let weight = 1.0 - (-since.as_secs_f64() / MEMORY.as_secs_f64()).exp();
        self.share += (f64::from(u8::from(reason.is_some())) - self.share) * weight;
        self.told = self.share >= TOLD_FROM || (self.told && self.share > TOLD_TO);
        self.latest = reason.or(self.latest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Interval between two looks.
    const LOOK: Duration = Duration::from_millis(20);

    fn number(bytes: u64) -> NonZeroU64 {
        NonZeroU64::new(bytes).unwrap()
    }

    const SILENT: Silent = Silent { source: 1, quiet: Duration::from_secs(3) };

    fn refused(wait: Option<u64>) -> Refused {
        Refused { source: 0, status: Some(429), wait: wait.map(Duration::from_secs) }
    }

    /// Reason told at each of these looks, from the facts at each.
    fn told(looks: impl IntoIterator<Item = Facts>) -> Vec<Option<Reason>> {
        let mut reasons = Reasons::default();
        let look = |(at, facts): (usize, Facts)| {
            reasons.look(&facts, LOOK * at as u32);
            reasons.told()
        };
        looks.into_iter().enumerate().map(look).collect()
    }

    #[test]
    fn each_fact_is_a_reason_and_the_first_of_several_counts() {
        let none = Facts::default();
        let all = Facts {
            limit: Some(number(500)),
            yields: true,
            reader: true,
            disk: true,
            unhashed: Some(number(7)),
            refused: Some(refused(Some(30))),
            silent: Some(SILENT),
        };
        let lowered = Facts { refused: Some(refused(None)), ..none };
        for (facts, reason) in [
            (none, None),
            (all, Some(Reason::Limit(number(500)))),
            (Facts { limit: None, ..all }, Some(Reason::Yielding)),
            (Facts { reader: true, disk: true, ..none }, Some(Reason::Reader)),
            (Facts { disk: true, unhashed: all.unhashed, ..none }, Some(Reason::Disk)),
            (Facts { unhashed: all.unhashed, ..none }, Some(Reason::Hash { behind: number(7) })),
            (
                Facts { refused: all.refused, silent: all.silent, ..none },
                Some(Reason::Refused(refused(Some(30)))),
            ),
            (Facts { silent: all.silent, ..lowered }, Some(Reason::Silent(SILENT))),
            (lowered, Some(Reason::Refused(refused(None)))),
        ] {
            assert_eq!(told([facts; 100])[99], reason, "{facts:?}");
        }
    }

    #[test]
    fn a_reason_is_told_after_about_a_second_and_withdrawn_after_as_long() {
        let (busy, idle) = (Facts { disk: true, ..Facts::default() }, Facts::default());
        let told = told([[busy; 200], [idle; 200]].concat());
        let first = told.iter().position(Option::is_some).unwrap();
        let last = told.iter().rposition(Option::is_some).unwrap();
        assert!((45..=55).contains(&first), "told after {first} looks");
        assert!((245..=255).contains(&last), "withdrawn after {} looks", last - 200);
        assert!(told[first..=last].iter().all(|told| *told == Some(Reason::Disk)));
    }

    #[test]
    fn a_reason_is_told_with_its_latest_values() {
        let at = |quiet| Facts {
            silent: Some(Silent { source: 2, quiet: Duration::from_secs(quiet) }),
            ..Facts::default()
        };
        let told = told([vec![at(3); 100], vec![at(5)], vec![Facts::default()]].concat());
        let silent = Some(Reason::Silent(Silent { source: 2, quiet: Duration::from_secs(5) }));
        assert_eq!(told[100..], [silent, silent], "one look without it changes nothing");
    }

    #[test]
    fn looks_that_are_far_apart_do_not_stand_for_the_time_between_them() {
        let mut reasons = Reasons::default();
        let busy = Facts { disk: true, ..Facts::default() };
        for at in [0, 100] {
            reasons.look(&busy, Duration::from_secs(at));
            assert_eq!(reasons.told(), None);
        }
    }

    proptest! {
        #[test]
        fn whatever_comes_and_goes_no_reason_comes_back_within_a_moment(
            looks in prop::collection::vec((any::<bool>(), any::<bool>(), 1_usize..40), 1..60),
        ) {
            let facts = looks.iter().flat_map(|(disk, yields, count)| {
                let facts = Facts { disk: *disk, yields: *yields, ..Facts::default() };
                std::iter::repeat_n(facts, *count)
            });
            let told = told(facts);
            for wanted in [Reason::Disk, Reason::Yielding] {
                // Precedence may hide a reason; it may not make it flicker.
                let shown: Vec<_> = told.iter().map(|told| *told == Some(wanted)).collect();
                let begins = (1..shown.len()).filter(|at| shown[*at] && !shown[at - 1]);
                let begins: Vec<_> = begins.collect();
                for two in begins.windows(2) {
                    prop_assert!(LOOK * (two[1] - two[0]) as u32 >= Duration::from_millis(800), "{begins:?}");
                }
            }
        }
    }
}
