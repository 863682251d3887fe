//! Places for connections: within a bound, and none is kept from a client that knows the secret by one that does not.

use super::caller::Caller;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Connections at once, within a bound.
pub(super) struct Places {
    most: usize,
    taken: Mutex<VecDeque<Taken>>,
}

/// A connection, the oldest first.
struct Taken {
    caller: Arc<Caller>,
    /// Notified when its place is given to another.
    leave: Arc<Notify>,
}

/// The place of a connection; given back when dropped.
pub(super) struct Place {
    places: Arc<Places>,
    leave: Arc<Notify>,
}

impl Places {
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, taken: Mutex::default() })
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Taken>> {
        // Each change is one insertion or removal.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a client: if all are taken, that of the oldest client that has shown no secret; `None` if there is none.
    pub(super) fn take(self: &Arc<Self>, caller: &Arc<Caller>) -> Option<Place> {
        let mut taken = self.lock();
        if taken.len() >= self.most {
            let stranger = taken.iter().position(|one| !one.caller.is_known())?;
            if let Some(gone) = taken.remove(stranger) {
                gone.leave.notify_one();
            }
        }
        let leave = Arc::new(Notify::new());
        taken.push_back(Taken { caller: caller.clone(), leave: leave.clone() });
        Some(Place { places: self.clone(), leave })
    }
}

impl Place {
    /// Waits until the place is given to another.
    pub(super) async fn lost(&self) {
        self.leave.notified().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.lock().retain(|one| !Arc::ptr_eq(&one.leave, &self.leave));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_oldest_stranger_leaves_and_nobody_who_is_known() {
        let places = Places::new(3);
        let caller = || Arc::new(Caller::new(false, true));
        let (known, old, young) = (caller(), caller(), caller());
        known.introduce();
        let _first = places.take(&known).unwrap();
        let (second, third) = (places.take(&old).unwrap(), places.take(&young).unwrap());
        let fourth = places.take(&known).unwrap();
        second.lost().await;
        drop(third);
        let _fifth = places.take(&known).unwrap();
        assert!(places.take(&known).is_none());
        drop(second);
        drop(fourth);
        assert!(places.take(&old).is_some());
    }
}
