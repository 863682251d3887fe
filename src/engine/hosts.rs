//! Knowledge of the hosts, shared by all files of a client.

use super::limit::Limit;
use super::memory::Memory;
use crate::clock::Clock;
use crate::formats::host_book::HostFacts;
use crate::plan::budget::Budget;
use crate::plan::concurrency::{Base, Known as Level, Refusals};
use crate::plan::{Moment, Origin};
use crate::transport::Exchange;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A host counts as serving for this long after a file received something.
const LATELY: Duration = Duration::from_secs(3);

/// From this latency on, small files share a connection.
const FAR: Duration = Duration::from_millis(30);

/// All hosts, each shared by the files that come from it.
#[derive(Debug)]
pub(crate) struct Hosts {
    clock: Clock,
    known: Mutex<HashMap<Origin, Arc<Mutex<Known>>>>,
    memory: Option<Arc<Memory>>,
    /// Rate limits that the caller set, and those that files asked for.
    limits: Mutex<HashMap<Origin, Arc<Limit>>>,
}

/// Knowledge of one host.
#[derive(Debug)]
struct Known {
    budget: Budget,
    /// Connections of all files.
    connections: usize,
    /// Number of connections it serves at once, as learned by any of the files.
    refusals: Refusals,
    /// True if it has refused a connection in this run, so that the number is worth remembering.
    refuses: bool,
    /// True once a small file has come and the answers about it agreed, so that the host need not be asked twice: first
    /// if it came as ranges, second if as a whole.
    agrees: [bool; 2],
    /// Time at which any file last received something.
    served_at: Option<Moment>,
    /// Shortest time from a request to its response.
    latency: Option<Duration>,
    /// Facts for files of this run to begin with, from this run or earlier ones.
    facts: HostFacts,
}

/// View of one host by one file.
#[derive(Debug)]
pub(crate) struct Host {
    clock: Clock,
    origin: Origin,
    memory: Option<Arc<Memory>>,
    known: Arc<Mutex<Known>>,
    limit: Arc<Limit>,
    /// Bytes that this file had received when it last reported to the budget.
    told: u64,
    /// Connections that this file has.
    connections: usize,
}

/// State of the other files of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Others {
    /// Connections that they have.
    pub(crate) connections: usize,
    /// True if the host has served any file lately.
    pub(crate) served: bool,
    /// Number of connections of all files that the host serves at once, if it is known to refuse more.
    pub(crate) serves: Option<usize>,
}

impl Hosts {
    /// Hosts of which the memory tells what earlier runs learned, if there is one.
    pub(crate) fn new(memory: Option<Arc<Memory>>) -> Self {
        Self { clock: Clock::start(), known: Mutex::default(), memory, limits: Mutex::default() }
    }

    /// Reads what earlier runs learned, before the first host is asked for.
    pub(crate) async fn load(&self) {
        if let Some(memory) = &self.memory {
            memory.load().await;
        }
    }

    pub(crate) fn of(&self, origin: Origin) -> Host {
        // A panic elsewhere cannot leave the map half changed, nor the numbers behind it.
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = || {
            let facts = self.memory.as_ref().map(|memory| memory.facts(&origin)).unwrap_or_default();
            Arc::new(Mutex::new(Known::with(facts, self.clock.now())))
        };
        let known = known.entry(origin.clone()).or_insert_with(fresh).clone();
        let limit = self.limit_of(&origin);
        Host { clock: self.clock, origin, memory: self.memory.clone(), known, limit, told: 0, connections: 0 }
    }

    /// Rate limit of all files from one origin together.
    pub(crate) fn limit_of(&self, origin: &Origin) -> Arc<Limit> {
        let mut limits = self.limits.lock().unwrap_or_else(PoisonError::into_inner);
        limits.entry(origin.clone()).or_insert_with(|| Limit::new(None)).clone()
    }
}

impl Known {
    fn with(facts: HostFacts, now: Moment) -> Self {
        Self {
            budget: Budget::new(now),
            connections: 0,
            refusals: Refusals::new(usize::MAX),
            refuses: false,
            agrees: [false; 2],
            served_at: None,
            facts,
            latency: None,
        }
    }

    fn served_lately(&self, now: Moment) -> bool {
        self.served_at.is_some_and(|at| now.saturating_sub(at) < LATELY)
    }
}

impl Host {
    fn lock(&self) -> MutexGuard<'_, Known> {
        // Plain numbers: a panic elsewhere cannot leave them half changed.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Rate limit of all its files together.
    pub(crate) fn limit(&self) -> Arc<Limit> {
        self.limit.clone()
    }

    /// Reports the total number of bytes that the file has received.
    pub(crate) fn served(&mut self, received: u64) {
        let more = received.saturating_sub(std::mem::replace(&mut self.told, received));
        if more > 0 {
            let now = self.clock.now();
            let mut known = self.lock();
            known.budget.earn(more);
            known.served_at = Some(now);
        }
    }

    /// Notes that a small file has come and that the answers about it agreed.
    pub(crate) fn agreed(&self, whole: bool) {
        self.lock().agrees[usize::from(whole)] = true;
    }

    /// Returns true if it should not get extra requests: its files are small and its answers agree, or it has refused
    /// connections.
    pub(crate) fn is_enough(&self) -> bool {
        let known = self.lock();
        let refuses = known.refusals.cap().is_some() || known.facts.head == Some(false);
        known.agrees.contains(&true) || refuses
    }

    /// Begins with the number of connections that an earlier run was served, if it was refused more. Not for a number that the
    /// user gives: it is tried.
    pub(crate) fn recall_refusal(&self) {
        let mut known = self.lock();
        if let Some(serves) = known.facts.serves.take() {
            known.refusals.refused(serves, self.clock.now(), Duration::ZERO);
        }
    }

    /// Connects as an earlier run found to be right.
    pub(crate) fn prepare(&self, exchange: &Exchange) {
        let learned = exchange.family(&self.origin.host).is_some();
        if let Some(v6) = self.lock().facts.v6.filter(|_| !learned) {
            exchange.prefer_family(&self.origin.host, v6);
        }
    }

    /// Knowledge of it from earlier files.
    pub(crate) fn facts(&self) -> HostFacts {
        self.lock().facts
    }

    /// Level that an earlier file from the host ended at.
    pub(crate) fn level(&self) -> Option<Level> {
        let HostFacts { connections, rate, settled, .. } = self.lock().facts;
        Some(Level { base: Base { level: connections?, goodput: rate? as f64 }, settled })
    }

    /// A file ended at this level.
    pub(crate) fn found(&self, level: Level) {
        let mut known = self.lock();
        known.facts.connections = Some(level.base.level);
        known.facts.rate = Some(level.base.goodput as u64);
        known.facts.settled = level.settled;
    }

    /// A response came after this time, redirects included.
    pub(crate) fn answered_after(&self, latency: Duration) {
        let mut known = self.lock();
        known.latency = Some(known.latency.map_or(latency, |shortest| shortest.min(latency)));
    }

    /// Returns true if a small file from it takes much longer than its bytes.
    pub(crate) fn is_far(&self) -> bool {
        self.lock().latency.is_some_and(|latency| latency >= FAR)
    }

    /// HEAD was answered, or refused.
    pub(crate) fn answers_head(&self, answered: bool) {
        self.lock().facts.head = Some(answered);
    }

    /// Hands what was learned to the memory, for later runs. Dropping the future leaves a write to its thread.
    pub(crate) async fn remember(&self, exchange: &Exchange) {
        let Some(memory) = &self.memory else {
            return;
        };
        let v6 = exchange.family(&self.origin.host);
        let facts = {
            let known = self.lock();
            let serves = known.refusals.cap().filter(|_| known.refuses).or(known.facts.serves);
            HostFacts { serves, v6: v6.or(known.facts.v6), ..known.facts }
        };
        memory.clone().learn(&self.origin, facts).await;
    }

    /// Returns true if its answers agreed on whole responses: from a server that serves ranges, a whole response is
    /// odd.
    pub(crate) fn agrees_with_whole_answers(&self) -> bool {
        self.lock().agrees[1]
    }

    /// Notes that a file has come as a whole.
    pub(crate) fn served_all(&self) {
        self.lock().budget.earn_one();
    }

    /// Returns true if one more retry round may be made. A host that serves others meanwhile is not in trouble, and
    /// each file has a limit of its own.
    pub(crate) fn may_retry(&self) -> bool {
        let now = self.clock.now();
        let mut known = self.lock();
        let may = match known.served_at {
            Some(_) => known.budget.spend_together(now),
            None => known.budget.spend(now),
        };
        may || known.served_lately(now)
    }

    /// Reports the number of connections of the file; returns the state of the others.
    pub(crate) fn uses(&mut self, connections: usize) -> Others {
        let now = self.clock.now();
        let before = std::mem::replace(&mut self.connections, connections);
        let mut known = self.lock();
        let others = known.connections - before;
        known.connections = others + connections;
        let served = known.served_lately(now);
        // Reading the limit also raises it when that is due.
        let limit = known.refusals.limit(now);
        Others { connections: others, served, serves: known.refusals.cap().map(|_| limit) }
    }

    /// Records that the host has refused this file one more connection while it served `serving` of all files.
    pub(crate) fn refused(&self, serving: usize) {
        let mut known = self.lock();
        known.refuses = true;
        known.refusals.refused(serving.max(1), self.clock.now(), Duration::ZERO);
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
    fn what_one_file_learns_of_a_host_the_others_know() {
        let hosts = Hosts::new(None);
        let origin = || Address::parse("http://host/").unwrap().0.origin();
        let (mut one, mut two) = (hosts.of(origin()), hosts.of(origin()));
        one.uses(3);
        assert_eq!(two.uses(2), Others { connections: 3, served: false, serves: None });
        one.refused(5);
        assert_eq!(two.uses(2), Others { connections: 3, served: false, serves: Some(5) });
        // Only a refusal teaches anything, not that a file has fewer or more connections afterwards.
        one.uses(1);
        assert_eq!(two.uses(2), Others { connections: 1, served: false, serves: Some(5) });
        one.served(10);
        assert!(two.uses(2).served);
        drop((one, two));
        assert_eq!(hosts.of(origin()).uses(0), Others { connections: 0, served: true, serves: Some(5) });
    }

    #[test]
    fn files_of_a_host_that_serves_others_are_tried_again_and_of_one_that_serves_nobody_only_for_a_while() {
        let hosts = Hosts::new(None);
        let origin = || Address::parse("http://host/").unwrap().0.origin();
        let (mut one, other) = (hosts.of(origin()), hosts.of(origin()));
        let exhaust = |host: &Host| host.lock().budget = Budget::exhausted(host.clock.now());
        // It has never served anything: each failure counts.
        let tries = (0..1000).filter(|_| other.may_retry()).count();
        assert!((32..40).contains(&tries), "{tries}");
        one.served(10);
        assert!(other.may_retry());
        // A file that came as a whole earns a round.
        let forgiven = hosts.of(Address::parse("http://another/").unwrap().0.origin());
        exhaust(&forgiven);
        assert!(!forgiven.may_retry());
        forgiven.served_all();
        assert!(forgiven.may_retry());
    }
}
