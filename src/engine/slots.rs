//! Job slots: the number of files that are downloaded at once.

use super::settings::Jobs;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

/// Number of slots unless the user sets it, …
const FEW: usize = 4;
/// … and the number it may grow to as long as the files turn out to be small: then each of them mostly waits for the
/// round trip, not for bandwidth.
const MANY: usize = 32;

/// Hands out slots; cheap to clone.
#[derive(Clone)]
pub(crate) struct Slots {
    free: Arc<Semaphore>,
    width: Arc<Mutex<Width>>,
}

struct Width {
    /// Number of slots while files are large, and while they are small.
    least: usize,
    most: usize,
    /// Number of slots that may be out at once.
    now: usize,
    /// Number of slots that are out and are not to be handed out again.
    too_many: usize,
}

type Waiting = Pin<Box<dyn Future<Output = Result<OwnedSemaphorePermit, AcquireError>> + Send>>;

/// Wait for a slot.
pub(crate) type SlotWait = Pin<Box<dyn Future<Output = JobSlot> + Send>>;

/// Waits for the slot; for ever if none is waited for. Cancel-safe.
pub(crate) async fn granted(waiting: &mut Option<SlotWait>) -> JobSlot {
    match waiting {
        Some(waiting) => waiting.await,
        None => std::future::pending().await,
    }
}

/// A place in the queue for a slot; given up when dropped.
pub(crate) struct Place {
    state: State,
    width: Arc<Mutex<Width>>,
}

enum State {
    Taken(JobSlot),
    Waiting(Waiting),
}

impl Place {
    /// Waits for the slot.
    pub(crate) async fn slot(self) -> JobSlot {
        match self.state {
            State::Taken(slot) => slot,
            // The semaphore is never closed, so there always is a permit.
            State::Waiting(waiting) => JobSlot { permit: waiting.await.ok(), width: self.width },
        }
    }
}

/// JobSlot of one file; given back when dropped.
pub(crate) struct JobSlot {
    permit: Option<OwnedSemaphorePermit>,
    width: Arc<Mutex<Width>>,
}

impl Slots {
    pub(crate) fn new(jobs: Jobs) -> Self {
        let (least, most) = bounds(jobs);
        let width = Arc::new(Mutex::new(Width { least, most, now: least, too_many: 0 }));
        Self { free: Arc::new(Semaphore::new(least)), width }
    }

    /// Changes the number of slots. Those that are out stay out.
    pub(crate) fn resize(&self, jobs: Jobs) {
        let mut width = lock(&self.width);
        (width.least, width.most) = bounds(jobs);
        let now = width.now.clamp(width.least, width.most);
        self.set(&mut width, now);
    }

    /// Changes the number of slots that may be out at once.
    fn set(&self, width: &mut Width, now: usize) {
        if now < width.now {
            let surplus = width.now - now;
            width.too_many += surplus - self.free.forget_permits(surplus);
        } else {
            let more = now - width.now;
            let back = more.min(width.too_many);
            width.too_many -= back;
            self.free.add_permits(more - back);
        }
        width.now = now;
    }

    /// Queues for a slot from this call on, and not only once it is awaited: slots come in the order of these calls.
    pub(crate) fn queue(&self) -> Place {
        let state = match self.free.clone().try_acquire_owned() {
            Ok(permit) => State::Taken(self.slot(permit)),
            Err(_) => {
                let mut waiting: Waiting = Box::pin(self.free.clone().acquire_owned());
                // The first poll takes the place; the task that awaits it later is woken.
                match waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                    Poll::Ready(Ok(permit)) => State::Taken(self.slot(permit)),
                    Poll::Ready(Err(_)) | Poll::Pending => State::Waiting(waiting),
                }
            }
        };
        Place { state, width: self.width.clone() }
    }

    fn slot(&self, permit: OwnedSemaphorePermit) -> JobSlot {
        JobSlot { permit: Some(permit), width: self.width.clone() }
    }

    #[cfg(test)]
    async fn take(&self) -> JobSlot {
        self.queue().slot().await
    }

    /// A file has turned out to be small: one more may run at once.
    pub(crate) fn saw_small(&self) {
        let mut width = lock(&self.width);
        let now = (width.now + 1).min(width.most);
        self.set(&mut width, now);
    }

    /// Returns true if the next file is likely to be small, since the last ones were.
    pub(crate) fn expects_small(&self) -> bool {
        let width = lock(&self.width);
        width.now > width.least
    }

    /// A file has turned out not to be small: from now on only a few run at once.
    pub(crate) fn saw_large(&self) {
        let mut width = lock(&self.width);
        let least = width.least;
        self.set(&mut width, least);
    }
}

impl Drop for JobSlot {
    fn drop(&mut self) {
        let width = self.width.clone();
        let mut width = lock(&width);
        let Some(permit) = self.permit.take() else {
            return;
        };
        if width.too_many > 0 {
            width.too_many -= 1;
            permit.forget();
        } else {
            // Within the lock, so that a change of the number counts it once.
            drop(permit);
        }
    }
}

/// Numbers of slots while files are large, and while they are small.
fn bounds(jobs: Jobs) -> (usize, usize) {
    match jobs {
        Jobs::Auto => (FEW, MANY),
        Jobs::AtMost(count) => {
            let count = count.clamp(1, Semaphore::MAX_PERMITS);
            (count, count)
        }
    }
}

impl From<JobSlot> for Place {
    /// A place whose slot is there already.
    fn from(slot: JobSlot) -> Self {
        Self { width: slot.width.clone(), state: State::Taken(slot) }
    }
}

fn lock(width: &Mutex<Width>) -> MutexGuard<'_, Width> {
    // Plain numbers: a panic elsewhere cannot leave them half changed.
    width.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;
    use std::pin::pin;

    /// Takes as many slots as are available at once.
    fn all(slots: &Slots) -> Vec<JobSlot> {
        let mut cx = Context::from_waker(Waker::noop());
        let mut taken = Vec::new();
        while let Poll::Ready(slot) = pin!(slots.take()).poll(&mut cx) {
            taken.push(slot);
        }
        taken
    }

    #[test]
    fn small_files_widen_the_way_and_a_large_one_narrows_it_again() {
        let slots = Slots::new(Jobs::Auto);
        assert_eq!(all(&slots).len(), 4);
        (0..100).for_each(|_| slots.saw_small());
        let mut out = all(&slots);
        assert_eq!(out.len(), 32);
        slots.saw_large();
        // None is handed out again until few are out.
        out.truncate(4);
        assert_eq!(all(&slots).len(), 0);
        out.truncate(3);
        assert_eq!(all(&slots).len(), 1);
        slots.saw_large();
        drop(out);
        assert_eq!(all(&slots).len(), 4);
    }

    #[test]
    fn what_is_given_back_while_it_narrows_and_widens_is_never_lost_nor_counted_twice() {
        let slots = Slots::new(Jobs::Auto);
        let mut seed = 1;
        let mut out = Vec::new();
        for _ in 0..10_000 {
            seed = crate::plan::seed::mix(seed);
            match seed % 7 {
                0 => slots.saw_large(),
                1..4 => slots.saw_small(),
                4 => out.extend(all(&slots)),
                _ => out.truncate(out.len() - out.len() * (seed as usize / 7 % 3) / 2),
            }
            assert!(out.len() <= 32);
        }
        drop(out);
        slots.saw_large();
        assert_eq!(all(&slots).len(), 4);
    }

    #[test]
    fn slots_are_granted_in_the_order_of_queueing() {
        let slots = Slots::new(Jobs::AtMost(1));
        let mut cx = Context::from_waker(Waker::noop());
        let first = all(&slots);
        let (second, third, fourth) = (slots.queue(), slots.queue(), slots.queue());
        let (mut second, mut fourth) = (pin!(second.slot()), pin!(fourth.slot()));
        assert!(fourth.as_mut().poll(&mut cx).is_pending());
        // A place that was given up gets no slot.
        drop(third);
        drop(first);
        assert!(fourth.as_mut().poll(&mut cx).is_pending());
        let Poll::Ready(slot) = second.as_mut().poll(&mut cx) else {
            panic!("the second one is next");
        };
        drop(slot);
        assert!(fourth.as_mut().poll(&mut cx).is_ready());
    }

    #[test]
    fn the_number_can_be_changed_while_slots_are_out() {
        let slots = Slots::new(Jobs::AtMost(3));
        let mut out = all(&slots);
        slots.resize(Jobs::AtMost(1));
        out.truncate(1);
        assert_eq!(all(&slots).len(), 0);
        slots.resize(Jobs::AtMost(5));
        out.extend(all(&slots));
        assert_eq!(out.len(), 5);
        let slot: JobSlot = out.pop().unwrap();
        // A slot that is handed on is neither lost nor given back.
        let place = Place::from(slot);
        assert_eq!(all(&slots).len(), 0);
        drop(place);
        assert_eq!(all(&slots).len(), 1);
    }

    #[test]
    fn a_given_number_is_not_changed() {
        let slots = Slots::new(Jobs::AtMost(2));
        (0..10).for_each(|_| slots.saw_small());
        assert_eq!(all(&slots).len(), 2);
        slots.saw_large();
        assert_eq!(all(&slots).len(), 2);
        assert_eq!(all(&Slots::new(Jobs::AtMost(0))).len(), 1);
    }
}
