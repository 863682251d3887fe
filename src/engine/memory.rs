//! Memory of hosts across runs. It holds advice alone: a run without it, or with a wrong one, gets the same bytes.

use crate::clock::Clock;
use crate::formats::host_book::{HostBook, HostFacts};
use crate::plan::Origin;
use crate::storage::StateFile;
use crate::threads;
use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::OnceCell;

/// No download waits longer for its memory to be written: a home directory may be on a server that is gone.
const PATIENCE: Duration = Duration::from_secs(1);

/// The book of a file, and what this run learned.
#[derive(Debug)]
pub(crate) struct Memory {
    file: StateFile,
    state: Mutex<State>,
    /// Held by the one write at a time.
    writing: Mutex<()>,
    loaded: OnceCell<()>,
    /// Set once a write did not end in time: there is no other one.
    hung: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    /// As it was read, with what was learned since; `None` until it was read.
    book: Option<HostBook>,
    /// The network of the book.
    network: Option<String>,
    /// Facts of this run by host, for them to be added to what another process may have written meanwhile.
    learned: HashMap<String, HostFacts>,
}

impl Memory {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self {
            file: StateFile::new(path),
            state: Mutex::default(),
            writing: Mutex::default(),
            loaded: OnceCell::new(),
            hung: AtomicBool::new(false),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Whole entries: a panic elsewhere cannot leave them half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the file, once for all who wait. Facts are known after it; a file that does not come soon is done without. Dropping the
    /// future leaves the read to its thread.
    pub(crate) async fn load(self: &Arc<Self>) {
        self.loaded.get_or_init(|| self.read_in_time()).await;
    }

    async fn read_in_time(self: &Arc<Self>) {
        let memory = self.clone();
        let reading = threads::offload(move || {
            let network = crate::sys::fingerprint();
            let book = network.as_ref().map(|network| memory.read(network));
            let mut state = memory.lock();
            (state.network, state.book) = (network, book);
        });
        let _ = tokio::time::timeout(PATIENCE, reading).await;
    }

    /// Facts about the host that earlier runs learned.
    pub(crate) fn facts(&self, origin: &Origin) -> HostFacts {
        self.lock().book.as_ref().map(|book| book.facts(&origin.to_string())).unwrap_or_default()
    }

    fn read(&self, network: &str) -> HostBook {
        let read = self.file.read().and_then(|text| HostBook::parse(&text, network, now()));
        read.unwrap_or_else(|| HostBook::new(seed(), network))
    }

    /// Takes in facts about the host, and writes them if they are news. A file that cannot be written is no failure of a
    /// download, so nothing is said of it. Dropping the future leaves the write to its thread.
    pub(crate) async fn learn(self: Arc<Self>, origin: &Origin, facts: HostFacts) {
        let host = origin.to_string();
        {
            let mut state = self.lock();
            // Without a network that can be told from others there is nothing to remember.
            let Some(book) = &mut state.book else {
                return;
            };
            let known = book.facts(&host);
            let updated = known.updated(facts);
            if updated.is_empty() || !updated.differs(known) {
                return;
            }
            book.record(&host, updated, now());
            state.learned.insert(host, updated);
        }
        if self.hung.load(Ordering::Relaxed) {
            return;
        }
        let memory = self.clone();
        let writing = threads::offload(move || memory.write());
        if tokio::time::timeout(PATIENCE, writing).await.is_err() {
            self.hung.store(true, Ordering::Relaxed);
        }
    }

    /// Adds what was learned to what is in the file by now.
    fn write(&self) {
        let _one_at_a_time = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let network = self.lock().network.clone();
        // After a change of network the facts are of the earlier one.
        let Some(network) = network.filter(|network| crate::sys::fingerprint().as_ref() == Some(network))
        else {
            return;
        };
        let mut book = self.read(&network);
        let learned = self.lock().learned.clone();
        for (host, facts) in learned {
            book.record(&host, facts, now());
        }
        let _ = self.file.replace(&book.text());
        self.lock().book = Some(book);
    }
}

fn now() -> u64 {
    Clock::since_1970().as_secs()
}

/// A key that differs from book to book. It hides names from a glance, not from a search by trial.
fn seed() -> [u8; 32] {
    let random = RandomState::new();
    let mut seed = [0; 32];
    for (index, bytes) in seed.chunks_mut(8).enumerate() {
        bytes.copy_from_slice(&random.hash_one(index).to_ne_bytes());
    }
    seed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Address;

    fn origin(host: &str) -> Origin {
        Address::parse(&format!("https://{host}/")).unwrap().0.origin()
    }

    fn level(connections: usize) -> HostFacts {
        HostFacts { connections: Some(connections), rate: Some(1 << 20), ..HostFacts::default() }
    }

    #[tokio::test]
    async fn what_one_run_learns_the_next_one_knows_and_two_at_once_lose_nothing() {
        let home = tempfile::tempdir().unwrap();
        let memory = || Arc::new(Memory::new(home.path().join("haul/hosts")));
        let (one, two) = (memory(), memory());
        one.load().await;
        two.load().await;
        assert!(one.facts(&origin("a")).is_empty() && two.facts(&origin("b")).is_empty());
        one.clone().learn(&origin("a"), level(4)).await;
        two.clone().learn(&origin("b"), level(8)).await;
        one.learn(&origin("c"), level(12)).await;
        let next = memory();
        next.load().await;
        for (host, connections) in [("a", 4), ("b", 8), ("c", 12)] {
            assert_eq!(next.facts(&origin(host)), level(connections), "{host}");
        }
    }

    #[tokio::test]
    async fn a_place_that_cannot_be_written_to_costs_nothing() {
        let memory = Arc::new(Memory::new(PathBuf::from("/proc/haul/hosts")));
        memory.load().await;
        memory.clone().learn(&origin("a"), level(4)).await;
        assert_eq!(memory.facts(&origin("a")), level(4));
    }
}
