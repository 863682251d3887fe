//! Route of a URL: its redirect target, remembered for all workers of a file.

use super::Failure;
use super::jar::Jar;
use super::response::RedirectHead;
use crate::error::{Error, Kind, Remedy};
use crate::plan::Address;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Mutex as AsyncMutex, MutexGuard};
use tokio::task::JoinSet;

/// Timeout for finding a fresh URL.
const RENEWAL_PATIENCE: Duration = Duration::from_secs(60);

/// A fresh URL, or the reason why there is none. Dropping it ends the search.
pub(crate) type Fresh = Pin<Box<dyn Future<Output = Result<String, String>> + Send>>;

/// Finds a fresh URL for a resource whose URL has expired.
#[derive(Clone)]
pub(crate) struct Renewal {
    /// Lock held during a search; waiting for it is not part of the search.
    pub(crate) turn: Turn,
    pub(crate) look: Arc<dyn Fn() -> Fresh + Send + Sync>,
}

/// Renewals that share one search one after the other.
pub(crate) type Turn = Arc<AsyncMutex<()>>;

impl fmt::Debug for Renewal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Renewal")
    }
}

/// The user's URL and, once known, its redirect target.
///
/// One worker finds the target for all: until it is known, the others wait. A target that stops working (a signed URL
/// expires) is forgotten once, and found anew by one worker.
#[derive(Debug)]
pub(crate) struct Route {
    original: Mutex<Address>,
    state: Mutex<State>,
    finding: AsyncMutex<()>,
    renewal: Option<Renewal>,
    renewing: AsyncMutex<Renewing>,
    /// True once another URL has taken the place of the user's.
    renewed: AtomicBool,
    /// Cookies set by the redirects on the way.
    jar: Mutex<Jar>,
    /// Total time that redirects have made it wait.
    paused: Mutex<Duration>,
    /// Head of the last redirect that has links about the file.
    links: Mutex<Option<Box<RedirectHead>>>,
}

/// Search for a fresh URL. It belongs to no worker, so that it continues if the one that began it is given up, and it
/// ends with the route.
#[derive(Debug, Default)]
struct Renewing {
    search: JoinSet<Result<String, String>>,
    /// URL without a replacement, and the reason.
    failed: Option<(Address, String)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Unknown,
    /// The URL answers itself.
    Direct,
    Leads(Address),
}

/// Route of one request.
pub(super) enum Way<'a> {
    Known {
        address: Address,
        redirected: bool,
    },
    /// Not known yet; while the guard is held, no other worker searches.
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
            links: Mutex::default(),
        }
    }

    /// Keeps the head of a redirect that has links.
    pub(super) fn saw_links(&self, head: &RedirectHead) {
        *self.links.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(head.clone()));
    }

    /// Head of a redirect that had links, whatever became of its target; each is returned once.
    pub(crate) fn take_links(&self) -> Option<Box<RedirectHead>> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Returns true if a redirect may make it wait, with `most` as the limit for all of them together; the wait is
    /// counted then.
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

    /// The URL that every route starts from: the user's, or the one that took its place.
    pub(super) fn original(&self) -> Address {
        self.original.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces `stale`, which is refused, by a fresh URL; one worker does it for all. Returns false if there is no way
    /// to get one.
    pub(super) async fn renew(&self, stale: &Address) -> Result<bool, Failure> {
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
        if self.original() != *stale {
            // The application has replaced it meanwhile.
            return Ok(true);
        }
        self.renewed.fetch_or(fresh != *stale, Ordering::Relaxed);
        *self.original.lock().unwrap_or_else(PoisonError::into_inner) = fresh;
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = State::Unknown;
        Ok(true)
    }

    /// Puts another URL in the place of the user's, from the next request on.
    pub(crate) fn replace(&self, fresh: Address) {
        self.renewed.store(true, Ordering::Relaxed);
        *self.original.lock().unwrap_or_else(PoisonError::into_inner) = fresh;
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = State::Unknown;
    }

    /// Redirect target of the URL, as far as it is known.
    pub(crate) fn target(&self) -> Address {
        match self.state() {
            State::Leads(address) => address,
            State::Unknown | State::Direct => self.original(),
        }
    }

    /// Returns true if another URL has taken the place of the user's.
    pub(crate) fn is_renewed(&self) -> bool {
        self.renewed.load(Ordering::Relaxed)
    }

    /// Returns true if another URL can take its place.
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

    /// Records that the URL `from` led to `address`, unless another has taken its place meanwhile.
    pub(super) fn found(&self, from: &Address, address: &Address) {
        if *from != self.original() {
            return;
        }
        let found = if *address == self.original() { State::Direct } else { State::Leads(address.clone()) };
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = found;
    }

    /// Forgets `address`, which works no more, unless a newer target is known already.
    pub(super) fn expired(&self, address: &Address) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if *state == State::Leads(address.clone()) {
            *state = State::Unknown;
        }
    }
}

/// Parses a fresh URL, and refuses one with a user name.
fn usable(said: &str) -> Result<Address, String> {
    let (fresh, userinfo) = Address::parse(said.trim()).map_err(|error| error.to_string())?;
    match userinfo {
        Some(_) => Err("it carries a user name; credentials are given apart from it".to_owned()),
        None => Ok(fresh),
    }
}

fn no_renewal(why: &str) -> Failure {
    let cause = format!("the URL is refused, and there is no fresh one: {why}");
    Failure::Fatal(Error::new(Kind::Auth, cause).with_remedy(Remedy::CheckRenewal))
}
