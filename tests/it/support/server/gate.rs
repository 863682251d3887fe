//! Payload held back until a test releases it.

use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use super::PATIENCE;

/// Holds payload back until a test releases it.
#[derive(Clone, Debug)]
pub(crate) struct Gate {
    state: Arc<(Mutex<GateState>, Condvar)>,
}

#[derive(Debug)]
struct GateState {
    /// Bytes that may still pass, all connections together; `None` is no limit.
    budget: Option<u64>,
    /// Bytes at and beyond this offset of the file may not pass.
    offset: Option<u64>,
    waiting: usize,
}

impl Gate {
    /// Lets this many payload bytes pass, then holds everything.
    pub(crate) fn after(bytes: u64) -> Self {
        Self::new(Some(bytes), None)
    }

    /// Holds every byte at or beyond this offset of the file.
    pub(crate) fn at_offset(offset: u64) -> Self {
        Self::new(None, Some(offset))
    }

    pub(crate) fn shut() -> Self {
        Self::after(0)
    }

    fn new(budget: Option<u64>, offset: Option<u64>) -> Self {
        Self { state: Arc::new((Mutex::new(GateState { budget, offset, waiting: 0 }), Condvar::new())) }
    }

    pub(crate) fn open(&self) {
        let (state, changed) = &*self.state;
        let mut state = state.lock().unwrap();
        state.budget = None;
        state.offset = None;
        changed.notify_all();
    }

    /// Lets this many more bytes pass.
    pub(crate) fn allow(&self, bytes: u64) {
        let (state, changed) = &*self.state;
        let mut state = state.lock().unwrap();
        state.budget = state.budget.map(|budget| budget + bytes);
        changed.notify_all();
    }

    /// Blocks until this many connections wait at the gate.
    #[track_caller]
    pub(crate) fn wait_for_waiting(&self, connections: usize) {
        let (state, changed) = &*self.state;
        let (state, timeout) = changed
            .wait_timeout_while(state.lock().unwrap(), PATIENCE, |state| state.waiting < connections)
            .unwrap();
        assert!(
            !timeout.timed_out(),
            "{} connections stand before the gate, not {connections}",
            state.waiting
        );
    }

    /// Returns the number of bytes, up to `want` at `offset`, that may pass now; blocks while it is 0. `None` once
    /// `given_up` returns true.
    pub(crate) fn pass(&self, offset: u64, want: u64, mut given_up: impl FnMut() -> bool) -> Option<u64> {
        let (state, changed) = &*self.state;
        let mut state = state.lock().unwrap();
        let mut waiting = false;
        loop {
            let allowed = state.allowed(offset, want);
            if allowed > 0 {
                state.budget = state.budget.map(|budget| budget - allowed);
                state.waiting -= usize::from(waiting);
                changed.notify_all();
                return Some(allowed);
            }
            if !waiting {
                waiting = true;
                state.waiting += 1;
                changed.notify_all();
            }
            if given_up() {
                state.waiting -= 1;
                return None;
            }
            state = changed.wait_timeout(state, Duration::from_millis(50)).unwrap().0;
        }
    }
}

impl GateState {
    fn allowed(&self, offset: u64, want: u64) -> u64 {
        let by_offset = self.offset.map_or(want, |limit| limit.saturating_sub(offset));
        want.min(by_offset).min(self.budget.unwrap_or(want))
    }
}
