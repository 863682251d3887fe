//! Keys in use, renewed before they expire.

use super::chain;
use super::keys::Keys;
use super::settings::Source;
use crate::clock::Clock;
use crate::error::Failure;
use crate::transport::Carrier;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// Time before the end from which keys are renewed, and between two renewals that bring keys of a shorter time.
const EARLY: Duration = Duration::from_secs(300);
const BETWEEN: Duration = Duration::from_secs(60);

/// See the module.
#[derive(Default)]
pub(super) struct Vault {
    held: Mutex<Held>,
    /// Held by the one request that fetches keys for all.
    fetching: tokio::sync::Mutex<()>,
}

#[derive(Clone, Default)]
struct Held {
    keys: Option<Arc<Keys>>,
    /// When they were fetched.
    fetched: Option<SystemTime>,
    /// True if a server said that they have expired.
    refused: bool,
}

impl Held {
    /// Returns true if other keys should be fetched now.
    fn is_stale(&self, now: SystemTime) -> bool {
        let Some(keys) = &self.keys else { return true };
        let Some(left) = keys.left(now) else { return self.refused };
        let lately = self.fetched.is_some_and(|then| now.duration_since(then).is_ok_and(|age| age < BETWEEN));
        self.refused || left.is_zero() || (left < EARLY && !lately)
    }

    /// Returns true if they may be used although others cannot be had.
    fn is_valid(&self, now: SystemTime) -> bool {
        let lasts = |keys: &Arc<Keys>| keys.left(now).is_none_or(|left| !left.is_zero());
        !self.refused && self.keys.as_ref().is_some_and(lasts)
    }
}

impl Vault {
    fn held(&self) -> Held {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Held> {
        // It is replaced as a whole.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The keys, once there are any.
    pub(super) fn held_keys(&self) -> Option<Arc<Keys>> {
        self.lock().keys.clone()
    }

    /// Fetches keys if there are none, or none that last.
    pub(super) async fn fill(&self, source: &Source, carrier: &dyn Carrier) -> Result<(), Failure> {
        match source {
            Source::Anonymous => return Ok(()),
            Source::Fixed(keys) => {
                self.lock().keys.get_or_insert_with(|| Arc::new(keys.clone()));
                return Ok(());
            }
            _ => {}
        }
        if !self.held().is_stale(Clock::date()) {
            return Ok(());
        }
        let _turn = self.fetching.lock().await;
        let held = self.held();
        if !held.is_stale(Clock::date()) {
            return Ok(());
        }
        match chain::fetched(source, carrier).await {
            Ok(keys) => {
                let fetched = Some(Clock::date());
                *self.lock() = Held { keys: Some(Arc::new(keys)), fetched, refused: false };
                Ok(())
            }
            Err(_) if held.is_valid(Clock::date()) => {
                self.lock().fetched = Some(Clock::date());
                Ok(())
            }
            Err(failure) => Err(failure),
        }
    }

    /// The server says that the keys with this name have expired.
    pub(super) fn refuse(&self, access: &str) {
        let mut held = self.lock();
        held.refused |= held.keys.as_ref().is_some_and(|keys| keys.access == access);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_renewed_before_they_expire_and_not_at_each_request() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let held = |expires: Option<u64>, fetched: u64, refused| Held {
            keys: Some(Arc::new(Keys {
                access: "a".into(),
                secret: "s".into(),
                token: None,
                expires: expires.map(at),
            })),
            fetched: Some(at(fetched)),
            refused,
        };
        for (held, now, stale, valid) in [
            (Held::default(), 0, true, false),
            (held(None, 0, false), 9999, false, true),
            (held(Some(3600), 0, false), 3000, false, true),
            (held(Some(3600), 0, false), 3301, true, true),
            (held(Some(3600), 3300, false), 3301, false, true),
            (held(Some(3600), 3300, false), 3361, true, true),
            (held(Some(3600), 3599, false), 3600, true, false),
            (held(Some(3600), 0, true), 1, true, false),
        ] {
            assert_eq!((held.is_stale(at(now)), held.is_valid(at(now))), (stale, valid), "{now}");
        }
    }
}
