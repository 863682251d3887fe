//! Where a URL leads, remembered for all workers of a file.

use super::Trouble;
use super::jar::Jar;
use crate::error::{Error, Kind};
use crate::plan::Address;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Mutex as AsyncMutex, MutexGuard};
use tokio::task::JoinSet;

/// How long finding a fresh URL may take.
const RENEWAL_PATIENCE: Duration = Duration::from_secs(60);

/// A fresh URL, or why there is none. Dropping it ends the search.
pub(crate) type Fresh = Pin<Box<dyn Future<Output = Result<String, String>> + Send>>;

/// Looks for a fresh URL of a resource whose URL has expired.
#[derive(Clone)]
pub(crate) struct Renewal {
    /// Waiting for it is no part of the search.
    pub(crate) turn: Turn,
    pub(crate) look: Arc<dyn Fn() -> Fresh + Send + Sync>,
}

/// Those that share one look for fresh URLs one after the other.
pub(crate) type Turn = Arc<AsyncMutex<()>>;

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
    renewing: AsyncMutex<Renewing>,
    /// Another URL has taken the place of the user's.
    renewed: AtomicBool,
    /// What the redirects on the way have set.
    jar: Mutex<Jar>,
    /// How long redirects have made it wait.
    paused: Mutex<Duration>,
}

/// The search for a fresh URL. It belongs to no worker, so that it goes on when the one that began it is given up, and it
/// ends with the route.
#[derive(Debug, Default)]
struct Renewing {
    search: JoinSet<Result<String, String>>,
    /// What there is no fresh URL for, and why.
    failed: Option<(Address, String)>,
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
            renewing: AsyncMutex::default(),
            renewed: AtomicBool::new(false),
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
        let Some(Renewal { turn, look }) = &self.renewal else {
            return Ok(false);
        };
        let mut renewing = self.renewing.lock().await;
        if self.original() != *stale {
            return Ok(true);
        }
        if let Some((_, why)) = renewing.failed.as_ref().filter(|(failed, _)| failed == stale) {
            return Err(no_renewal(why));
        }
        if renewing.search.is_empty() {
            let too_late = || format!("nothing came within {} s", RENEWAL_PATIENCE.as_secs());
            let (turn, look) = (turn.clone(), look.clone());
            renewing.search.spawn(async move {
                let _turn = turn.lock().await;
                tokio::time::timeout(RENEWAL_PATIENCE, look()).await.unwrap_or_else(|_| Err(too_late()))
            });
        }
        let said = match renewing.search.join_next().await {
            Some(Ok(said)) => said,
            Some(Err(error)) => Err(error.to_string()),
            None => Err("nothing came".to_owned()),
        };
        let fresh = said.and_then(|said| usable(&said)).inspect_err(|why| {
            renewing.failed = Some((stale.clone(), why.clone()));
        });
        let fresh = fresh.map_err(|why| no_renewal(&why))?;
        self.renewed.fetch_or(fresh != *stale, Ordering::Relaxed);
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

    /// Whether another URL has taken the place of the user's.
    pub(crate) fn is_renewed(&self) -> bool {
        self.renewed.load(Ordering::Relaxed)
    }

    /// Whether another URL can take its place.
    pub(crate) fn can_be_renewed(&self) -> bool {
        self.renewal.is_some()
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

/// The URL that was said, where it is one that may take another's place.
fn usable(said: &str) -> Result<Address, String> {
    let (fresh, userinfo) = Address::parse(said.trim()).map_err(|error| error.to_string())?;
    match userinfo {
        Some(_) => Err("it carries a user name; credentials are given with -u".to_owned()),
        None => Ok(fresh),
    }
}

fn no_renewal(why: &str) -> Trouble {
    let cause = format!("the URL is refused, and there is no fresh one: {why}");
    Trouble::Fatal(
        Error::new(Kind::Auth, cause).with_hint(
            "look at what --refresh-cmd does, or run the same command with a URL that is valid now",
        ),
    )
}
