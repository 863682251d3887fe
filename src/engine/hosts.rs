//! What all files of a client have learned of the hosts they come from.

use super::clock::Clock;
use crate::plan::Origin;
use crate::plan::budget::Budget;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The budgets of all hosts, each shared by the files that come from it.
#[derive(Debug)]
pub(crate) struct Hosts {
    clock: Clock,
    budgets: Mutex<HashMap<Origin, Arc<Mutex<Budget>>>>,
}

/// One host, as one file sees it.
#[derive(Debug)]
pub(crate) struct Host {
    clock: Clock,
    budget: Arc<Mutex<Budget>>,
    /// What this file had received when it last told the budget.
    told: u64,
}

impl Hosts {
    pub(crate) fn new() -> Self {
        Self { clock: Clock::start(), budgets: Mutex::default() }
    }

    pub(crate) fn of(&self, origin: Origin) -> Host {
        // A panic elsewhere cannot leave the map half changed, nor the numbers behind it.
        let mut budgets = self.budgets.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = || Arc::new(Mutex::new(Budget::new(self.clock.now())));
        let budget = budgets.entry(origin).or_insert_with(fresh).clone();
        Host { clock: self.clock, budget, told: 0 }
    }
}

impl Host {
    /// The file has received so many bytes in all.
    pub(crate) fn served(&mut self, received: u64) {
        let more = received.saturating_sub(std::mem::replace(&mut self.told, received));
        if more > 0 {
            self.budget.lock().unwrap_or_else(PoisonError::into_inner).earn(more);
        }
    }

    /// Whether one more round of trying again may be made.
    pub(crate) fn may_retry(&self) -> bool {
        self.budget.lock().unwrap_or_else(PoisonError::into_inner).spend(self.clock.now())
    }
}
