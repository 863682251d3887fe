//! Where a URL leads, remembered for all workers of a file.

use super::Trouble;
use super::jar::Jar;
use crate::error::{Error, Kind};
use crate::plan::Address;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Mutex as AsyncMutex, MutexGuard};

/// How long finding a fresh URL may take.
const RENEWAL_PATIENCE: Duration = Duration::from_secs(60);

/// Says a fresh URL for a resource whose URL has expired. Blocking.
#[derive(Clone)]
pub(crate) struct Renewal(pub(crate) Arc<dyn Fn() -> Result<String, String> + Send + Sync>);

impl fmt::Debug for Renewal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Renewal")
    }
}

/// The user's URL and, once that is known, what it redirects to.
///
/// One worker finds the way for all: while nobody knows it, the others wait. A way that stops working (a
/// signed URL expires) is forgotten once, and found anew by one.
#[derive(Debug)]
pub(crate) struct Route {
    original: Mutex<Address>,
    state: Mutex<State>,
    finding: AsyncMutex<()>,
    renewal: Option<Renewal>,
    renewing: AsyncMutex<()>,
    /// What the redirects on the way have set.
    jar: Mutex<Jar>,
    /// How long redirects have made it wait.
    paused: Mutex<Duration>,
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
    pub(crate) fn new(original: Address, renewal: Option<Renewal>) -> Self {
        Self {
            original: Mutex::new(original),
            state: Mutex::new(State::Unknown),
            finding: AsyncMutex::new(()),
            renewal,
            renewing: AsyncMutex::new(()),
            jar: Mutex::default(),
            paused: Mutex::default(),
        }
    }

    /// Whether a redirect may make it wait, where all of them together may do so for `most`. If so, that counts.
    pub(super) fn may_pause(&self, wait: Duration, most: Duration) -> bool {
        let mut paused = self.paused.lock().unwrap_or_else(PoisonError::into_inner);
        let sum = paused.saturating_add(wait);
        let may = sum <= most;
        if may {
            *paused = sum;
        }
        may
    }

    pub(super) fn jar(&self) -> std::sync::MutexGuard<'_, Jar> {
        // A panic elsewhere cannot leave a list half changed.
        self.jar.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The URL that everything begins from: the user's, or the one that took its place.
    pub(super) fn original(&self) -> Address {
        self.original.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts a fresh URL in the place of `stale`, which is refused; one worker does it for all. False where
    /// there is no way to get one.
    pub(super) async fn renew(&self, stale: &Address) -> Result<bool, Trouble> {
        let Some(Renewal(renewal)) = self.renewal.clone() else {
            return Ok(false);
        };
        let _one_for_all = self.renewing.lock().await;
        if self.original() != *stale {
            return Ok(true);
        }
        let asking = crate::threads::offload(move || renewal());
        let said = match tokio::time::timeout(RENEWAL_PATIENCE, asking).await {
            Ok(Ok(said)) => said.map_err(|why| no_renewal(&why))?,
            Ok(Err(error)) => return Err(no_renewal(&error.to_string())),
            Err(_) => {
                return Err(no_renewal(&format!("nothing came within {} s", RENEWAL_PATIENCE.as_secs())));
            }
        };
        let (fresh, userinfo) =
            Address::parse(said.trim()).map_err(|error| no_renewal(&error.to_string()))?;
        if userinfo.is_some() {
            return Err(no_renewal("it carries a user name; credentials are given with -u"));
        }
        *self.original.lock().unwrap_or_else(PoisonError::into_inner) = fresh;
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = State::Unknown;
        Ok(true)
    }

    /// Where the URL leads, as far as is known.
    pub(crate) fn target(&self) -> Address {
        match self.state() {
            State::Leads(address) => address,
            State::Unknown | State::Direct => self.original(),
        }
    }

    pub(super) async fn way(&self) -> Way<'_> {
        if let Some(way) = self.known() {
            return way;
        }
        let guard = self.finding.lock().await;
        self.known().unwrap_or(Way::Find(guard))
    }

    /// Where it leads, as far as that is known.
    pub(super) fn leads_to(&self) -> Address {
        match self.state() {
            State::Leads(address) => address,
            State::Unknown | State::Direct => self.original(),
        }
    }

    fn known(&self) -> Option<Way<'static>> {
        match self.state() {
            State::Unknown => None,
            State::Direct => Some(Way::Known { address: self.original(), redirected: false }),
            State::Leads(address) => Some(Way::Known { address, redirected: true }),
        }
    }

    fn state(&self) -> State {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The URL led to `address`.
    pub(super) fn found(&self, address: &Address) {
        let found = if *address == self.original() { State::Direct } else { State::Leads(address.clone()) };
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

fn no_renewal(why: &str) -> Trouble {
    let cause = format!("the URL is refused, and there is no fresh one: {why}");
    Trouble::Fatal(
        Error::new(Kind::Auth, cause).with_hint("run the same command with a URL that is valid now"),
    )
}
