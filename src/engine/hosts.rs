//! What all files of a client have learned of the hosts they come from.

use super::clock::Clock;
use crate::plan::Origin;
use crate::plan::budget::Budget;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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
}

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
            Arc::new(Mutex::new(Known { budget, connections: 0, serves: None }))
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
            self.lock().budget.earn(more);
        }
    }

    /// Whether one more round of trying again may be made.
    pub(crate) fn may_retry(&self) -> bool {
        self.lock().budget.spend(self.clock.now())
    }

    /// The file has so many connections now; says how many the others have.
    pub(crate) fn uses(&mut self, connections: usize) -> usize {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let others = known.connections - self.connections;
        known.connections = others + connections;
        self.connections = connections;
        others
    }

    /// The file's transfer knows that the host serves so many of its connections at once.
    pub(crate) fn teach(&mut self, learned: Option<usize>) {
        if let Some(cap) = learned.filter(|_| learned != self.learned) {
            let mut known = self.lock();
            known.serves = Some(cap + known.connections - self.connections);
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
        assert_eq!(two.uses(2), 3);
        one.teach(Some(3));
        assert_eq!(hosts.of(origin()).learned(), Some(1));
        drop((one, two));
        assert_eq!(hosts.of(origin()).learned(), Some(5));
    }
}
