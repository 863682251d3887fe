//! Addresses that failed after a successful connect: others get their turn before them.

use crate::error::Remedy;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Maximum number of addresses that are remembered; when it is reached, all of them start anew.
const MOST: usize = 1024;

/// Number of failures of each address since it last served. A successful connect proves nothing: a path may pass the
/// handshake and drop all larger packets.
#[derive(Debug, Default)]
pub(super) struct Strikes {
    counts: Mutex<HashMap<SocketAddr, u32>>,
    /// Hosts with several addresses.
    choices: Mutex<HashMap<String, Choice>>,
    /// Address family that connected first although the other one was tried before: true for IPv6.
    families: Mutex<HashMap<String, bool>>,
}

/// Manual choice for a host that fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Choice {
    Families,
    Addresses,
}

/// Addresses of a host that may be connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    Any,
    /// Addresses that have not failed since they last served.
    Untried,
}

impl Strikes {
    fn lock(&self) -> MutexGuard<'_, HashMap<SocketAddr, u32>> {
        // Plain numbers: a panic elsewhere cannot leave them half changed.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records a failure of the address. Returns true if it is the first.
    pub(super) fn failed(&self, address: SocketAddr) -> bool {
        let mut strikes = self.lock();
        if strikes.len() >= MOST && !strikes.contains_key(&address) {
            strikes.clear();
        }
        let count = strikes.entry(address).or_default();
        *count = count.saturating_add(1);
        *count == 1
    }

    /// Clears the failures of an address that has served.
    pub(super) fn served(&self, address: SocketAddr) {
        self.lock().remove(&address);
    }

    /// Records the addresses of a host.
    pub(super) fn found(&self, host: &str, addresses: &[SocketAddr]) {
        let v6 = addresses.iter().filter(|address| address.is_ipv6()).count();
        let choice = match addresses.len() {
            0 | 1 => return,
            all if v6 > 0 && v6 < all => Choice::Families,
            _ => Choice::Addresses,
        };
        // Whole entries: a panic elsewhere cannot leave them half changed.
        let mut choices = self.choices.lock().unwrap_or_else(PoisonError::into_inner);
        if choices.len() < MOST && choices.get(host) != Some(&choice) {
            choices.insert(host.to_owned(), choice);
        }
    }

    /// Remedy for a host that fails on every address.
    pub(super) fn remedy(&self, host: &str) -> Option<Remedy> {
        let choices = self.choices.lock().unwrap_or_else(PoisonError::into_inner);
        choices.get(host).map(|choice| match choice {
            Choice::Families => Remedy::OneFamily,
            Choice::Addresses => Remedy::OneAddress,
        })
    }

    /// Family to begin with, if one is known to connect sooner.
    pub(super) fn family(&self, host: &str) -> Option<bool> {
        self.families.lock().unwrap_or_else(PoisonError::into_inner).get(host).copied()
    }

    /// Connects to this family first from now on: the other one would keep each connection waiting.
    pub(super) fn prefer(&self, host: &str, v6: bool) {
        // Whole entries: a panic elsewhere cannot leave them half changed.
        let mut families = self.families.lock().unwrap_or_else(PoisonError::into_inner);
        if families.len() < MOST || families.contains_key(host) {
            families.insert(host.to_owned(), v6);
        }
    }

    /// Addresses with the preferred family first.
    pub(super) fn by_family(&self, host: &str, mut addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
        if let Some(v6) = self.family(host) {
            addresses.sort_by_key(|address| address.is_ipv6() != v6);
        }
        addresses
    }

    /// Order in which addresses are tried, each with its number of failures.
    pub(super) fn order(&self, addresses: Vec<SocketAddr>, turn: Turn) -> Vec<(SocketAddr, u32)> {
        let strikes = self.lock();
        let count = |address: &SocketAddr| strikes.get(address).copied().unwrap_or_default();
        let mut order: Vec<_> = addresses.into_iter().map(|address| (address, count(&address))).collect();
        order.retain(|(_, strikes)| turn == Turn::Any || *strikes == 0);
        order.sort_by_key(|(_, strikes)| *strikes);
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn address(number: u8) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, number], 80))
    }

    #[test]
    fn a_family_that_connected_sooner_comes_first_until_the_other_one_does() {
        let strikes = Strikes::default();
        let v6 = SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], 80));
        let order = |host| strikes.by_family(host, vec![v6, address(1), address(2)]);
        assert_eq!(order("host"), [v6, address(1), address(2)]);
        strikes.prefer("host", false);
        assert_eq!(order("host"), [address(1), address(2), v6]);
        assert_eq!(order("another"), [v6, address(1), address(2)]);
        strikes.prefer("host", true);
        assert_eq!((order("host")[0], strikes.family("host")), (v6, Some(true)));
    }

    #[test]
    fn an_address_that_failed_goes_to_the_end_until_it_serves() {
        let strikes = Strikes::default();
        let order = |turn| -> Vec<_> {
            strikes
                .order(vec![address(1), address(2), address(3)], turn)
                .into_iter()
                .map(|(at, _)| at)
                .collect()
        };
        assert!(strikes.failed(address(1)));
        assert_eq!(order(Turn::Any), [address(2), address(3), address(1)]);
        assert_eq!(order(Turn::Untried), [address(2), address(3)]);
        assert!(strikes.failed(address(2)) && !strikes.failed(address(2)));
        assert_eq!(order(Turn::Any), [address(3), address(1), address(2)]);
        strikes.served(address(2));
        assert_eq!(order(Turn::Any), [address(2), address(3), address(1)]);
    }

    #[test]
    fn a_host_with_several_addresses_leaves_a_choice() {
        let strikes = Strikes::default();
        let v6 = SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], 80));
        strikes.found("one", &[address(1)]);
        strikes.found("two", &[address(1), address(2)]);
        strikes.found("both", &[v6, address(1)]);
        assert_eq!(strikes.remedy("one"), None);
        assert_eq!(strikes.remedy("two"), Some(Remedy::OneAddress));
        assert_eq!(strikes.remedy("both"), Some(Remedy::OneFamily));
    }

    proptest! {
        #[test]
        fn of_addresses_that_always_fail_each_has_its_turn_before_one_has_its_second(count in 1..20_u8, tries in 1..100_usize) {
            let strikes = Strikes::default();
            let mut turns = vec![0_usize; usize::from(count)];
            for _ in 0..tries {
                let order = strikes.order((0..count).map(address).collect(), Turn::Any);
                let number = (0..count).find(|number| address(*number) == order[0].0).unwrap();
                turns[usize::from(number)] += 1;
                strikes.failed(order[0].0);
                let (least, most) = (turns.iter().min().unwrap(), turns.iter().max().unwrap());
                prop_assert!(most - least <= 1, "{turns:?}");
            }
        }
    }

    #[test]
    fn the_memory_of_failures_is_bounded() {
        let strikes = Strikes::default();
        for number in 0..10_000_u32 {
            strikes.failed(SocketAddr::from((number.to_be_bytes(), 80)));
        }
        assert!(strikes.lock().len() <= MOST);
    }
}
