//! Where a URL leads, remembered for all workers of a file.

use crate::plan::Address;
use std::sync::{Mutex, PoisonError};
use tokio::sync::{Mutex as AsyncMutex, MutexGuard};

/// The user's URL and, once that is known, what it redirects to.
///
/// One worker finds the way for all: while nobody knows it, the others wait. A way that stops working (a
/// signed URL expires) is forgotten once, and found anew by one.
#[derive(Debug)]
pub(crate) struct Route {
    original: Address,
    state: Mutex<State>,
    finding: AsyncMutex<()>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Unknown,
    /// The URL answers itself.
    Direct,
    Leads(Address),
}

/// How a worker goes.
pub(super) enum Way<'a> {
    Known {
        address: Address,
        redirected: bool,
    },
    /// Nobody knows yet; while the guard is held, nobody else asks.
    Find(MutexGuard<'a, ()>),
}

impl Route {
    pub(crate) fn new(original: Address) -> Self {
        Self { original, state: Mutex::new(State::Unknown), finding: AsyncMutex::new(()) }
    }

    pub(crate) fn original(&self) -> &Address {
        &self.original
    }

    pub(super) async fn way(&self) -> Way<'_> {
        if let Some(way) = self.known() {
            return way;
        }
        let guard = self.finding.lock().await;
        self.known().unwrap_or(Way::Find(guard))
    }

    fn known(&self) -> Option<Way<'static>> {
        match self.state() {
            State::Unknown => None,
            State::Direct => Some(Way::Known { address: self.original.clone(), redirected: false }),
            State::Leads(address) => Some(Way::Known { address, redirected: true }),
        }
    }

    fn state(&self) -> State {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The URL led to `address`.
    pub(super) fn found(&self, address: &Address) {
        let found = if *address == self.original { State::Direct } else { State::Leads(address.clone()) };
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = found;
    }

    /// `address` works no more; says nothing if a newer way is known already.
    pub(super) fn expired(&self, address: &Address) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if *state == State::Leads(address.clone()) {
            *state = State::Unknown;
        }
    }
}
