//! The host book: what earlier runs learned of hosts, as text. Host names are in it as keyed hashes.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as TEXT;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::time::Duration;

/// Format version; another one is read as an empty book.
const VERSION: u32 = 1;
/// Most hosts in a book. The oldest go first.
const MOST_HOSTS: usize = 1000;
/// Age at which an entry is dropped, counted from its first fact, so that each fact is learned anew that often.
const LIFE: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// No host is asked on more connections because of a book.
const MOST_CONNECTIONS: usize = 64;

/// Facts about one host that a later download may begin with. All of them are advice, to be verified.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct HostFacts {
    /// Number of connections that paid for one file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) connections: Option<usize>,
    /// Rate of all of them together, bytes a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rate: Option<u64>,
    /// True if more connections were found not to pay.
    pub(crate) settled: bool,
    /// Number of connections that the host serves at once, if it refused one more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) serves: Option<usize>,
    /// False if HEAD is refused or not answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) head: Option<bool>,
    /// Address family that connected although the resolver prefers the other: true for IPv6.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) v6: Option<bool>,
}

impl HostFacts {
    /// Facts within what any run could have learned; `None` for those that are not.
    fn plausible(self) -> Self {
        let number = |count: Option<usize>| count.filter(|count| (1..=MOST_CONNECTIONS).contains(count));
        let connections = number(self.connections);
        Self {
            connections,
            rate: self.rate.filter(|rate| connections.is_some() && *rate > 0),
            serves: number(self.serves),
            ..self
        }
    }

    /// True if nothing is known.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Later facts beside earlier ones: a later level and refusal replace what was known, the rest is kept if not observed.
    pub(crate) fn updated(self, later: Self) -> Self {
        let level = if later.connections.is_some() { later } else { self };
        Self {
            connections: level.connections,
            rate: level.rate,
            settled: level.settled,
            serves: later.serves,
            head: later.head.or(self.head),
            v6: later.v6.or(self.v6),
        }
    }

    /// True if the difference is worth a write: a rate changes each time.
    pub(crate) fn differs(self, other: Self) -> bool {
        let about = match (self.rate, other.rate) {
            (Some(one), Some(other)) => one.max(other) <= one.min(other).saturating_mul(5) / 4,
            (one, other) => one == other,
        };
        !about || Self { rate: None, ..self } != Self { rate: None, ..other }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Entry {
    /// Seconds since 1970 at which the first of the facts was learned.
    since: u64,
    #[serde(flatten)]
    facts: HostFacts,
}

/// All hosts of one network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct HostBook {
    version: u32,
    /// Key of the hashes, in Base64. Each book has its own.
    key: String,
    /// Hash of the network that the facts were learned on.
    network: String,
    hosts: HashMap<String, Entry>,
}

impl HostBook {
    /// An empty book for a network; `seed` makes its key.
    pub(crate) fn new(seed: [u8; 32], network: &str) -> Self {
        let mut book =
            Self { version: VERSION, key: TEXT.encode(seed), network: String::new(), hosts: HashMap::new() };
        book.network = book.hash(network);
        book
    }

    /// Reads a book, without what is older than its life or was learned after `now` (seconds since 1970). `None` for a text that is no book, or is of another network.
    pub(crate) fn parse(text: &str, network: &str, now: u64) -> Option<Self> {
        let mut book: Self = serde_json::from_str(text).ok()?;
        if book.version != VERSION || book.key().is_none() || book.network != book.hash(network) {
            return None;
        }
        book.hosts.retain(|_, entry| entry.since <= now && now - entry.since < LIFE.as_secs());
        for entry in book.hosts.values_mut() {
            entry.facts = entry.facts.plausible();
        }
        Some(book)
    }

    pub(crate) fn text(&self) -> String {
        // Maps with text as keys and plain numbers can always be written.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Facts about the host, if any are known.
    pub(crate) fn facts(&self, host: &str) -> HostFacts {
        self.hosts.get(&self.hash(host)).map(|entry| entry.facts).unwrap_or_default()
    }

    /// Records facts about a host, in place of the earlier ones.
    pub(crate) fn record(&mut self, host: &str, facts: HostFacts, now: u64) {
        let name = self.hash(host);
        if let Some(entry) = self.hosts.get_mut(&name) {
            entry.facts = facts;
            return;
        }
        if self.hosts.len() >= MOST_HOSTS
            && let Some(oldest) = self.hosts.iter().min_by_key(|(_, entry)| entry.since)
        {
            let oldest = oldest.0.clone();
            self.hosts.remove(&oldest);
        }
        self.hosts.insert(name, Entry { since: now, facts });
    }

    fn key(&self) -> Option<[u8; 32]> {
        TEXT.decode(&self.key).ok()?.try_into().ok()
    }

    fn hash(&self, text: &str) -> String {
        let hash = blake3::keyed_hash(&self.key().unwrap_or_default(), text.as_bytes());
        TEXT.encode(&hash.as_bytes()[..16])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DAY: u64 = 24 * 60 * 60;
    const NOW: u64 = 1_800_000_000;

    fn book() -> HostBook {
        HostBook::new([7; 32], "home")
    }

    fn level(connections: usize) -> HostFacts {
        HostFacts { connections: Some(connections), rate: Some(1 << 20), ..HostFacts::default() }
    }

    #[test]
    fn facts_come_back_for_a_week_on_the_same_network_and_no_name_is_readable() {
        let mut book = book();
        let facts = HostFacts { serves: Some(4), head: Some(false), v6: Some(true), ..level(8) };
        book.record("https://files.example.org", facts, NOW);
        let text = book.text();
        assert!(!text.contains("example") && !text.contains("home"), "{text}");
        let read = |network, now| HostBook::parse(&text, network, now);
        let known = |now| read("home", now).unwrap().facts("https://files.example.org");
        assert_eq!(known(NOW + 7 * DAY - 1), facts);
        assert_eq!(known(NOW + 7 * DAY), HostFacts::default());
        // A clock that was set back makes no fact younger.
        assert_eq!(known(NOW - 1), HostFacts::default());
        assert!(read("office", NOW).is_none());
        assert_eq!(read("home", NOW).unwrap().facts("https://other.example.org"), HostFacts::default());
    }

    #[test]
    fn each_fact_is_learned_anew_after_a_week_although_others_come_in_between() {
        let mut book = book();
        book.record("host", level(8), NOW);
        book.record("host", level(9), NOW + 6 * DAY);
        let text = book.text();
        assert_eq!(
            HostBook::parse(&text, "home", NOW + 8 * DAY).unwrap().facts("host"),
            HostFacts::default()
        );
    }

    #[test]
    fn the_oldest_hosts_make_room() {
        let mut book = book();
        for host in 0..MOST_HOSTS + 5 {
            book.record(&host.to_string(), level(3), NOW + host as u64);
        }
        assert_eq!(book.hosts.len(), MOST_HOSTS);
        assert!(book.facts("4").is_empty() && !book.facts("5").is_empty());
        assert!(book.text().len() < 128 << 10, "{}", book.text().len());
    }

    #[test]
    fn no_text_makes_haul_open_connections_without_end() {
        let mut book = book();
        book.record("host", level(8), NOW);
        for (from, to) in
            [("\"connections\":8", "\"connections\":100000"), ("\"connections\":8", "\"connections\":0")]
        {
            let text = book.text().replace(from, to);
            assert_ne!(text, book.text());
            assert_eq!(HostBook::parse(&text, "home", NOW).unwrap().facts("host"), HostFacts::default());
        }
        for text in ["", "{}", "[]", "haul", &book.text().replace("\"version\":1", "\"version\":2")] {
            assert!(HostBook::parse(text, "home", NOW).is_none(), "{text}");
        }
    }

    #[test]
    fn a_later_run_replaces_the_level_and_keeps_what_it_did_not_see() {
        let known = HostFacts { serves: Some(4), head: Some(false), ..level(4) };
        let later = known.updated(HostFacts { v6: Some(false), ..level(12) });
        assert_eq!(later, HostFacts { head: Some(false), v6: Some(false), ..level(12) });
        assert_eq!(known.updated(HostFacts { serves: Some(4), ..HostFacts::default() }), known);
        assert!(known.differs(later) && !known.differs(HostFacts { rate: Some(5 << 18), ..known }));
    }

    proptest! {
        #[test]
        fn whatever_stands_in_the_file_is_read_without_harm(text in "\\PC*", now in any::<u64>()) {
            if let Some(book) = HostBook::parse(&text, "home", now) {
                prop_assert!(book.facts("host").connections.is_none_or(|count| count <= MOST_CONNECTIONS));
            }
        }
    }
}
