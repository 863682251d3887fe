//! Destinations of the caller's own: memory, a database, an object store.

use super::pipe::PipeWork;
use super::sink::Sink;
use super::{blocking, died, failed};
use crate::error::Error;
use crate::plan::representation::{EntityTag, Representation, Validators};
use crate::storage::Storage;
use crate::threads;
use crate::verify::{Algorithm, Digest, Follower, Frontier, Hashed};
use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;
use tokio::task::JoinHandle;

/// Bytes that may be ahead of the front of a destination that takes them in order, unless it says otherwise.
const WINDOW: u64 = 32 << 20;

/// Description of the content by the server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Content {
    /// Complete length in bytes, if it is known.
    pub size: Option<u64>,
    /// Media type.
    pub media_type: Option<String>,
    /// Entity tag.
    pub etag: Option<String>,
    /// Time of the last change, as the server writes it.
    pub last_modified: Option<String>,
    /// Time of the server as it said that.
    pub date: Option<String>,
}

impl Content {
    pub(crate) fn of(known: &Representation) -> Self {
        let Validators { etag, last_modified, date } = known.validators.clone();
        Self {
            size: known.complete_length,
            media_type: known.media_type.clone(),
            etag: etag.map(|etag| etag.as_str().to_owned()),
            last_modified,
            date,
        }
    }

    pub(crate) fn to_representation(&self) -> Representation {
        Representation {
            complete_length: self.size,
            validators: Validators {
                etag: self.etag.as_deref().and_then(EntityTag::parse),
                last_modified: self.last_modified.clone(),
                date: self.date.clone(),
            },
            media_type: self.media_type.clone(),
        }
    }
}

/// Request for which a destination is asked what it holds already.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sought {
    /// URL of the source as a record has it: without secrets.
    pub url: String,
    /// Digests that the content has to have.
    pub digests: Vec<Digest>,
    /// True if what an earlier run left is to be discarded.
    pub restart: bool,
    /// True if what has come of a version that is gone may be discarded.
    pub may_restart: bool,
}

/// Part of the content that a destination holds already.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Held {
    /// Nothing.
    #[default]
    Nothing,
    /// Nothing of use any more, for this reason.
    Lost(String),
    /// Its first bytes, of this version of the content: only the rest comes, if the source still has that version.
    Prefix(u64, Content),
    /// All of its bytes, proven and published before.
    Complete(u64, Vec<Digest>),
}

/// Requirements of a destination on order and memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Constraints {
    /// Bytes must come in order, from the first to the last.
    pub in_order: bool,
    /// Bytes that may be received ahead of those that it has taken in order, and thus the memory for them. Default 32 MiB, and 1 MiB at
    /// least.
    pub window: Option<u64>,
    /// Bytes can be read back. Without that a digest is computed as they come, so that they come in order.
    pub readable: bool,
    /// It computes digests itself: [`OwnDestination::expect`] says which. For one that takes bytes in order.
    pub digests: bool,
}

impl Constraints {
    /// Bytes in any order, which can be read back.
    #[must_use]
    pub const fn random_access() -> Self {
        Self { in_order: false, window: None, readable: true, digests: false }
    }

    /// Bytes in order.
    #[must_use]
    pub const fn in_order() -> Self {
        Self { in_order: true, window: None, readable: false, digests: false }
    }
}

/// A destination of the caller's own. Methods other than `constraints` may block; `constraints` runs on the runtime's threads, more
/// than once, and must give the same value each time.
///
/// The order of the calls: `begin` once the server has answered; `write_at` with each position once, from one thread at a time if bytes
/// come in order, else from several; then `publish` if everything is there and proven. `give_up` ends a download that failed or was
/// cancelled, also after an error of `begin` or `publish`; one that ends before its destination is looked at calls neither. If another
/// version has to be fetched from the start, `discard` comes before the next `begin`. An error fails the download: one that holds an
/// [`Error`](crate::Error) as it is, any other with kind `Disk`.
///
/// One that takes bytes in order may keep them for another run: it says with `held` how many it has, in which case `begin` does not come; it
/// computes the digests itself and goes on with them, and `give_up_for` tells it whether what it has may still be of use.
///
/// ```no_run
/// use std::io;
/// use std::sync::{Arc, Mutex};
///
/// #[derive(Default)]
/// struct Memory(Mutex<Vec<u8>>);
///
/// impl haul::OwnDestination for Memory {
///     fn constraints(&self) -> haul::Constraints {
///         haul::Constraints::in_order()
///     }
///     fn write_at(&self, _offset: u64, bytes: &[u8]) -> io::Result<()> {
///         self.0.lock().unwrap().extend_from_slice(bytes);
///         Ok(())
///     }
///     fn discard(&self) -> io::Result<()> {
///         self.0.lock().unwrap().clear();
///         Ok(())
///     }
/// }
///
/// # async fn example(client: haul::Client) -> Result<(), haul::Error> {
/// let memory = Arc::new(Memory::default());
/// let request = haul::Request::new("https://example.org/model.json")?.into_destination(memory.clone());
/// client.start(request).join().await?;
/// println!("{} bytes", memory.0.lock().unwrap().len());
/// # Ok(())
/// # }
/// ```
pub trait OwnDestination: Send + Sync + 'static {
    /// Requirements on order and memory; asked before anything else.
    fn constraints(&self) -> Constraints;

    /// Tells what it holds of the content already. Comes before any request is made.
    ///
    /// # Errors
    /// Any; the download fails with it before any request is made.
    fn held(&self, sought: &Sought) -> io::Result<Held> {
        let _ = sought;
        Ok(Held::Nothing)
    }

    /// Digests by these algorithms will be asked for, if it computes them itself. Comes before `held`, and once more if the server states a
    /// digest and nothing has been written; algorithms that it cannot compute then are left out.
    fn expect(&self, algorithms: &[Algorithm]) {
        let _ = algorithms;
    }

    /// Prepares for the bytes that come.
    ///
    /// # Errors
    /// Any; the download fails with it before a byte is taken.
    fn begin(&self, content: &Content) -> io::Result<()> {
        let _ = content;
        Ok(())
    }

    /// Takes all of `bytes` at `offset`.
    ///
    /// # Errors
    /// Any; the download fails with it.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Reads up to `buffer.len()` bytes back from `offset`, for the digest; 0 at the end.
    ///
    /// # Errors
    /// Any; the download fails with it. `Unsupported` unless it can be read.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let _ = (offset, buffer);
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Digests of all bytes by the expected algorithms, once all are written, if it computes them itself.
    ///
    /// # Errors
    /// Any; the download fails with it.
    fn digests(&self) -> io::Result<Vec<Digest>> {
        Ok(Vec::new())
    }

    /// Everything is there and proven: `size` bytes, with these digests, if any were expected.
    ///
    /// # Errors
    /// Any; the download fails with it.
    fn publish(&self, size: u64, digests: &[Digest]) -> io::Result<()> {
        let _ = (size, digests);
        Ok(())
    }

    /// Forgets everything that has come.
    ///
    /// # Errors
    /// Any; the download fails with it.
    fn discard(&self) -> io::Result<()>;

    /// The download has failed or was cancelled. What has come is incomplete or wrong.
    fn give_up(&self) {
        // An error here has no receiver.
        let _ = self.discard();
    }

    /// As [`Self::give_up`], with the reason. Returns the number of bytes that it keeps for another run.
    fn give_up_for(&self, why: &Error) -> u64 {
        let _ = why;
        self.give_up();
        0
    }

    /// The download ends: a call that goes on should return soon, with any error. Called on a thread of the runtime, and must not block.
    fn release(&self) {}
}

impl fmt::Debug for dyn OwnDestination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OwnDestination")
    }
}

/// Returns the window of a destination that takes bytes in order, hashed by these algorithms; `None` if it takes them in any order.
pub(crate) fn in_order(own: &dyn OwnDestination, algorithms: &[Algorithm]) -> Option<u64> {
    let Constraints { in_order, window, readable, digests } = own.constraints();
    let hashed_as_it_comes = !readable && !digests && !algorithms.is_empty();
    (in_order || hashed_as_it_comes).then(|| window.unwrap_or(WINDOW).max(1 << 20))
}

/// Hash that follows the front; ends without digests if the frontier is dropped.
type Following = (Frontier, JoinHandle<io::Result<Option<Vec<Digest>>>>);

/// A destination of the caller's own that takes bytes in any order.
pub(crate) struct OwnWork {
    own: Arc<dyn OwnDestination>,
    algorithms: Vec<Algorithm>,
    following: Option<Following>,
}

impl OwnWork {
    pub(crate) fn new(own: Arc<dyn OwnDestination>, algorithms: &[Algorithm]) -> Self {
        let mut work = Self { own, algorithms: algorithms.to_vec(), following: None };
        work.follow();
        work
    }

    /// Computes digests by these algorithms, if it can be read back.
    pub(super) fn expect(&mut self, algorithms: Vec<Algorithm>) {
        if self.algorithms.is_empty() && self.own.constraints().readable {
            self.algorithms = algorithms;
            self.follow();
        }
    }

    fn storage(&self) -> Arc<dyn Storage> {
        Arc::new(Adapter(self.own.clone()))
    }

    fn follow(&mut self) {
        if !self.algorithms.is_empty() {
            let (frontier, follower) = Frontier::new(self.storage(), &self.algorithms, false);
            self.following =
                Some((frontier, threads::beside(follower, Follower::run, Follower::run_in_turns)));
        }
    }

    pub(super) fn sink(&self) -> Sink {
        Sink::file(self.storage(), false)
    }

    pub(super) fn advance(&self, front: u64) {
        if let Some((frontier, _)) = &self.following {
            frontier.advance(front, false);
        }
    }

    pub(super) fn hashed(&self) -> Option<u64> {
        self.following.as_ref().map(|(frontier, _)| frontier.hashed())
    }

    /// Counter of the bytes hashed, if there is a hash.
    pub(crate) fn hash(&self) -> Option<Hashed> {
        self.following.as_ref().map(|(frontier, _)| frontier.counter())
    }

    pub(crate) fn destination(&self) -> Arc<dyn OwnDestination> {
        self.own.clone()
    }

    /// Digests of everything. Cancel-safe.
    pub(crate) async fn digests(&mut self, length: u64) -> Result<Vec<Digest>, Error> {
        let Some((frontier, following)) = &mut self.following else {
            return Ok(Vec::new());
        };
        frontier.advance(length, true);
        let hashed = following.await;
        self.following = None;
        let hashed = hashed.map_err(|error| died(error, "the hash"))?;
        Ok(hashed.map_err(|error| failed("cannot be read back", &error))?.unwrap_or_default())
    }

    /// Stops the hash.
    async fn stop(&mut self) {
        if let Some((frontier, following)) = self.following.take() {
            drop(frontier);
            // Its result is not needed any more.
            let _ = following.await;
        }
    }

    pub(super) async fn clear(mut self) -> Result<Self, Error> {
        self.stop().await;
        discard(self.own.clone()).await?;
        self.follow();
        Ok(self)
    }

    /// The download has failed. Returns the bytes that it keeps.
    pub(crate) async fn give_up(mut self, why: &Error) -> u64 {
        self.stop().await;
        given_up(self.own, why).await
    }
}

/// Prepares a destination for what comes. Blocking.
pub(super) fn begin(own: &dyn OwnDestination, content: &Content) -> Result<(), Error> {
    own.begin(content).map_err(|error| failed("refuses the file", &error))
}

/// Publishes what is complete and proven.
pub(crate) async fn publish(
    own: Arc<dyn OwnDestination>,
    size: u64,
    digests: Vec<Digest>,
) -> Result<(), Error> {
    blocking(move || own.publish(size, &digests).map_err(|error| failed("cannot publish the file", &error)))
        .await
}

pub(super) async fn discard(own: Arc<dyn OwnDestination>) -> Result<(), Error> {
    blocking(move || own.discard().map_err(|error| failed("cannot start over", &error))).await
}

/// Gives the destination up; returns the bytes that it keeps.
pub(crate) async fn given_up(own: Arc<dyn OwnDestination>, why: &Error) -> u64 {
    let why = why.retold(why.to_string());
    // The error of the download counts.
    blocking(move || Ok(own.give_up_for(&why))).await.unwrap_or_default()
}

/// Asks the destination what it holds.
pub(crate) async fn held(
    own: Arc<dyn OwnDestination>,
    sought: Sought,
    algorithms: Vec<Algorithm>,
) -> Result<Held, Error> {
    blocking(move || {
        own.expect(&algorithms);
        own.held(&sought).map_err(|error| failed("cannot be looked at", &error))
    })
    .await
}

/// The destination as the engine's own storage.
struct Adapter(Arc<dyn OwnDestination>);

impl Storage for Adapter {
    fn len(&self) -> io::Result<u64> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_at(offset, bytes)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read_at(offset, buffer)
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

/// Feeds a destination in order.
pub(super) struct InOrder {
    own: Arc<dyn OwnDestination>,
    position: u64,
}

impl Write for InOrder {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.own.write_at(self.position, bytes)?;
        self.position += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl PipeWork {
    /// Feeds a destination of the caller's own in order, which holds the first `from` bytes.
    pub(crate) fn into_own(
        own: Arc<dyn OwnDestination>,
        window: u64,
        algorithms: &[Algorithm],
        from: u64,
    ) -> Self {
        let out = InOrder { own: own.clone(), position: from };
        let hashed = if own.constraints().digests { &[] } else { algorithms };
        let mut work = Self::begun(Box::new(out), window, hashed, from);
        work.own = Some((own, window, algorithms.to_vec()));
        work
    }

    /// Digests that the destination has computed itself.
    pub(super) async fn own_digests(&self, computed: Vec<Digest>) -> Result<Vec<Digest>, Error> {
        let Some(own) = self.destination().filter(|own| own.constraints().digests) else {
            return Ok(computed);
        };
        blocking(move || own.digests().map_err(|error| failed("has no digests", &error))).await
    }

    /// The destination that it feeds, unless that is a plain writer.
    pub(crate) fn destination(&self) -> Option<Arc<dyn OwnDestination>> {
        self.own.as_ref().map(|(own, ..)| own.clone())
    }

    /// True if what has left can be taken back, or nothing has.
    pub(super) fn can_begin_anew(&self) -> bool {
        self.own.is_some() || self.is_untouched()
    }

    pub(super) async fn begin_anew(mut self) -> Result<Self, Error> {
        let Some((own, window, algorithms)) = self.own.take() else {
            return Ok(self);
        };
        // An error of the drain is that of bytes which do not count any more.
        let _ = self.finish().await;
        discard(own.clone()).await?;
        own.expect(&algorithms);
        Ok(Self::into_own(own, window, &algorithms, 0))
    }
}
