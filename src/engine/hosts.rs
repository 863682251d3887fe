//! What all files of a client have learned of the hosts they come from.

use super::clock::Clock;
use crate::plan::budget::Budget;
use crate::plan::{Moment, Origin};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// All hosts, each shared by the files that come from it.
#[derive(Debug)]
pub(crate) struct Hosts {
    clock: Clock,
    known: Mutex<HashMap<Origin, Arc<Mutex<Known>>>>,
}

/// What is known of one host.
#[derive(Debug)]
struct Known {
    budget: Budget,
    /// Connections of all files.
    connections: usize,
    /// How many it serves at once, if it has ever refused more.
    serves: Option<usize>,
    /// When one more is tried, and for how long that waits the next time.
    raise_at: Moment,
    hold: Duration,
    /// When any file last received something.
    served_at: Option<Moment>,
}

/// What the other files of a host leave for one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Others {
    /// Connections that they have.
    pub(crate) connections: usize,
    /// Whether anybody is being served.
    pub(crate) served: bool,
    /// How many the host serves at once, if it is known to refuse more.
    pub(crate) serves: Option<usize>,
}

/// Who received something this long ago is being served.
const LATELY: Duration = Duration::from_secs(3);
/// A host that refused is asked for one more after this long, the first time.
const FIRST_HOLD: Duration = Duration::from_secs(10);
const LONGEST_HOLD: Duration = Duration::from_secs(300);

/// One host, as one file sees it.
#[derive(Debug)]
pub(crate) struct Host {
    clock: Clock,
    known: Arc<Mutex<Known>>,
    /// What this file had received when it last told the budget.
    told: u64,
    /// Connections that this file has.
    connections: usize,
    /// What this file's transfer had learned when that was last told.
    learned: Option<usize>,
}

impl Hosts {
    pub(crate) fn new() -> Self {
        Self { clock: Clock::start(), known: Mutex::default() }
    }

    pub(crate) fn of(&self, origin: Origin) -> Host {
        // A panic elsewhere cannot leave the map half changed, nor the numbers behind it.
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = || {
            let budget = Budget::new(self.clock.now());
            Arc::new(Mutex::new(Known {
                budget,
                connections: 0,
                serves: None,
                raise_at: Moment::ZERO,
                hold: FIRST_HOLD,
                served_at: None,
            }))
        };
        let known = known.entry(origin).or_insert_with(fresh).clone();
        Host { clock: self.clock, known, told: 0, connections: 0, learned: None }
    }
}

impl Host {
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The file has received so many bytes in all.
    pub(crate) fn served(&mut self, received: u64) {
        let more = received.saturating_sub(std::mem::replace(&mut self.told, received));
        if more > 0 {
            let now = self.clock.now();
            let mut known = self.lock();
            known.budget.earn(more);
            known.served_at = Some(now);
        }
    }

    /// Whether one more round of trying again may be made.
    pub(crate) fn may_retry(&self) -> bool {
        self.lock().budget.spend(self.clock.now())
    }

    /// The file has so many connections now; says how it stands with the others.
    pub(crate) fn uses(&mut self, connections: usize) -> Others {
        let now = self.clock.now();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(serves) = known.serves.filter(|_| now >= known.raise_at) {
            (known.serves, known.raise_at) = (Some(serves + 1), now + known.hold);
        }
        let others = known.connections - self.connections;
        known.connections = others + connections;
        self.connections = connections;
        let served = known.served_at.is_some_and(|at| now.saturating_sub(at) < LATELY);
        Others { connections: others, served, serves: known.serves }
    }

    /// The file's transfer has been refused, and knows that the host serves so many of all connections at once.
    pub(crate) fn teach(&mut self, learned: Option<usize>) {
        if let Some(serves) = learned.filter(|_| learned != self.learned) {
            let now = self.clock.now();
            let mut known = self.lock();
            known.serves = Some(serves.max(1));
            known.raise_at = now + known.hold;
            known.hold = (known.hold * 2).min(LONGEST_HOLD);
        }
        self.learned = learned;
    }

    /// How many connections it would serve to one more file, if it is known to refuse too many.
    pub(crate) fn learned(&self) -> Option<usize> {
        let known = self.lock();
        known.serves.map(|serves| serves.saturating_sub(known.connections).max(1))
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.uses(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Address;

    // T049
    #[test]
    fn what_one_file_learns_of_a_host_the_next_one_knows() {
        let hosts = Hosts::new();
        let origin = || Address::parse("http://host/").unwrap().0.origin();
        let (mut one, mut two) = (hosts.of(origin()), hosts.of(origin()));
        assert_eq!(two.learned(), None);
        one.uses(3);
        assert_eq!(two.uses(2).connections, 3);
        one.teach(Some(5));
        assert_eq!(two.uses(2), Others { connections: 3, served: false, serves: Some(5) });
        assert_eq!(hosts.of(origin()).learned(), Some(1));
        one.served(10);
        assert!(two.uses(2).served);
        drop((one, two));
        assert_eq!(hosts.of(origin()).learned(), Some(5));
    }
}
