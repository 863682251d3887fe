//! A pipe being fed: bytes arrive in any order within a window, and leave in order.

use super::OwnDestination;
use super::sink::Sink;
use super::{died, own_error};
use crate::error::{Error, Kind};
use crate::storage::Pipe;
use crate::threads;
use crate::verify::{Algorithm, Digest, Hasher};
use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use tokio::task::JoinHandle;

/// A pipe being fed.
pub(crate) struct PipeWork {
    pipe: Arc<Pipe>,
    draining: Option<JoinHandle<io::Result<Vec<Digest>>>>,
    hashers: Hashers,
    /// Destination of the caller's own at its other end, with the window and the algorithms.
    pub(super) own: Option<(Arc<dyn OwnDestination>, u64, Vec<Algorithm>)>,
    /// Reason that it cannot be fed any more.
    broken: Arc<OnceLock<Error>>,
}

impl PipeWork {
    pub(crate) fn new(out: Box<dyn Write + Send>, window: u64, algorithms: &[Algorithm]) -> Self {
        Self::begun(out, window, algorithms, 0)
    }

    /// As [`Self::new`], for an output that has the first `from` bytes.
    pub(super) fn begun(
        out: Box<dyn Write + Send>,
        window: u64,
        algorithms: &[Algorithm],
        from: u64,
    ) -> Self {
        let pipe = Arc::new(Pipe::begun(window as usize, from));
        let hashers = Hashers::default();
        hashers.expect(algorithms);
        let broken = Arc::new(OnceLock::new());
        let drain = Drain { pipe: pipe.clone(), out, hashers: hashers.clone(), broken: broken.clone() };
        let draining = threads::beside(drain, Drain::run, Drain::run_in_turns);
        Self { pipe, draining: Some(draining), hashers, own: None, broken }
    }

    /// Computes digests by these algorithms, if nothing has left yet.
    pub(super) fn expect(&mut self, algorithms: &[Algorithm]) {
        if !self.is_untouched() {
            return;
        }
        match &mut self.own {
            Some((own, _, expected)) if own.constraints().digests => {
                own.expect(algorithms);
                *expected = algorithms.to_vec();
            }
            _ => self.hashers.expect(algorithms),
        }
    }

    pub(crate) fn sink(&self) -> Sink {
        Sink::pipe(self.pipe.clone())
    }

    pub(crate) fn is_untouched(&self) -> bool {
        self.pipe.is_untouched()
    }

    pub(crate) fn drained(&self) -> u64 {
        self.pipe.drained()
    }

    /// Reason that nothing can be written to the output any more, if so.
    pub(crate) fn broken(&self) -> Option<Error> {
        let ended = self.draining.as_ref().is_some_and(JoinHandle::is_finished);
        let told = |error: &Error| error.retold(error.to_string());
        ended.then(|| self.broken.get().map_or_else(|| Error::new(Kind::Disk, "the output died"), told))
    }

    /// Drains the pipe completely and returns the digests of the output. Cancel-safe.
    pub(crate) async fn finish(&mut self) -> Result<Vec<Digest>, Error> {
        self.pipe.close();
        let Some(draining) = &mut self.draining else {
            return Ok(Vec::new());
        };
        let drained = draining.await;
        self.draining = None;
        let drained = drained.map_err(|error| died(error, "the output"))?;
        let drained = drained.map_err(|error| unwritable(&error))?;
        self.own_digests(drained).await
    }

    /// Closes the pipe.
    pub(crate) fn close(&self) {
        self.pipe.close();
        if let Some((own, ..)) = &self.own {
            own.release();
        }
    }
}

/// Reading end of a pipe.
struct Drain {
    pipe: Arc<Pipe>,
    out: Box<dyn Write + Send>,
    hashers: Hashers,
    broken: Arc<OnceLock<Error>>,
}

impl Drain {
    fn run(mut self) -> io::Result<Vec<Digest>> {
        let hashers = &self.hashers;
        let outcome = self.pipe.drain_to(&mut *self.out, |bytes| hashers.update(bytes));
        self.ended(outcome)
    }

    async fn run_in_turns(mut self) -> io::Result<Vec<Digest>> {
        let hashers = &self.hashers;
        let outcome = self.pipe.drain_in_turns(&mut *self.out, |bytes| hashers.update(bytes)).await;
        self.ended(outcome)
    }

    fn ended(mut self, outcome: io::Result<u64>) -> io::Result<Vec<Digest>> {
        let outcome = outcome.and_then(|_| self.out.flush());
        if let Err(error) = &outcome {
            // This is the only place that sets it.
            let _ = self.broken.set(unwritable(error));
        }
        // Whatever ended it: no writer may wait for room any more.
        self.pipe.close();
        outcome?;
        Ok(self.hashers.finish())
    }
}

/// Hashers of what leaves; none may be added once something has.
#[derive(Clone, Default)]
struct Hashers(Arc<Mutex<Vec<Hasher>>>);

impl Hashers {
    fn lock(&self) -> MutexGuard<'_, Vec<Hasher>> {
        // A panic of a hasher ends the drain, and its digests are not asked for.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn expect(&self, algorithms: &[Algorithm]) {
        let mut hashers = self.lock();
        if hashers.is_empty() {
            hashers.extend(algorithms.iter().copied().map(Hasher::new));
        }
    }

    fn update(&self, bytes: &[u8]) {
        self.lock().iter_mut().for_each(|hasher| hasher.update(bytes));
    }

    fn finish(&self) -> Vec<Digest> {
        std::mem::take(&mut *self.lock()).into_iter().map(Hasher::finish).collect()
    }
}

impl Drop for PipeWork {
    /// The draining thread must not outlive the feeder.
    fn drop(&mut self) {
        self.pipe.close();
    }
}

fn unwritable(error: &io::Error) -> Error {
    if let Some(own) = own_error(error) {
        return own;
    }
    let cause = match error.kind() {
        io::ErrorKind::BrokenPipe => "broken pipe: the output is not read any more".to_owned(),
        _ => format!("cannot write to the output: {error}"),
    };
    Error::new(Kind::Disk, cause)
}
