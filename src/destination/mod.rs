//! Destinations of a download: a local file, a small file in memory, a pipe, or one of the caller's own.
//!
//! All have one lifecycle: `Unmade` or `Locked` → `Creating` → open (a sink takes bytes) → proven → published, kept or
//! discarded. The driver asks the destination, and does not look at its kind.

mod checkpoint;
mod create;
mod file;
pub(crate) mod inspect;
mod own;
mod partial_file;
mod pipe;
mod provenance;
mod sink;
mod small_files;
mod spec;

pub(crate) use create::{Creating, Made};
pub(crate) use file::FileWork;
pub use own::{Constraints, Content, Held, OwnDestination, Sought};
pub(crate) use own::{OwnWork, given_up, held, in_order, publish as publish_own};
pub(crate) use partial_file::PartialFile;
pub(crate) use pipe::PipeWork;
pub(crate) use provenance::NamedBy;
pub(crate) use sink::Sink;
pub(crate) use small_files::{SmallFile, SmallFiles};
pub use spec::IfExists;
pub(crate) use spec::{FileSpec, algorithms};

use crate::error::{Error, Kind, Remedy};
use crate::manifest::Run;
use crate::plan::{Moment, RangeSet};
use crate::storage::{Memory, Target};
use crate::threads;
use crate::verify::Algorithm;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// State of the destination of one download.
pub(crate) enum Destination {
    /// None of its names is taken. The part file is created once the length is known, and for a small file never.
    Unmade(Target),
    /// An empty part file, locked until the server has said what goes into it.
    Locked(PartialFile),
    /// The creation goes on in the background.
    Creating(Creating),
    File(Box<FileWork>),
    /// A small file, held as a whole.
    Small(SmallWork),
    Pipe(PipeWork),
    Own(OwnWork),
    /// It was taken out to be published, or given up.
    Gone,
}

/// A small file being gathered in memory: nothing of it is on disk before it is complete.
pub(crate) struct SmallWork {
    pub(crate) target: Target,
    memory: Arc<Memory>,
}

impl SmallWork {
    /// Gathers a file of `length` bytes.
    pub(crate) fn new(target: Target, length: usize) -> Self {
        Self { target, memory: Arc::new(Memory::new(length)) }
    }

    /// Takes the bytes out.
    pub(crate) fn take(&self) -> Vec<u8> {
        self.memory.take()
    }
}

/// View of a destination, taken regularly.
#[derive(Debug, Default)]
pub(crate) struct Look {
    /// Position up to which bytes have left in order, if they do.
    pub(crate) drained: Option<u64>,
    /// Reason that it takes no more bytes.
    pub(crate) broken: Option<Error>,
}

impl Destination {
    /// Takes it out, and leaves nothing behind.
    pub(crate) fn take(&mut self) -> Self {
        std::mem::replace(self, Self::Gone)
    }

    /// Sink for the bytes, once it is open.
    pub(crate) fn sink(&self) -> Option<Sink> {
        match self {
            Self::File(work) => Some(work.sink()),
            Self::Small(work) => Some(Sink::file(work.memory.clone(), true)),
            Self::Pipe(work) => Some(work.sink()),
            Self::Own(work) => Some(work.sink()),
            Self::Unmade(_) | Self::Locked(_) | Self::Creating(_) | Self::Gone => None,
        }
    }

    /// Computes digests by these algorithms, of which it learned with the first response.
    pub(crate) fn expect(&mut self, algorithms: Vec<Algorithm>) {
        match self {
            Self::File(work) => work.expect(algorithms),
            Self::Pipe(work) => work.expect(&algorithms),
            Self::Own(work) => work.expect(algorithms),
            // They are read from the request once they are needed.
            Self::Unmade(_) | Self::Small(_) | Self::Locked(_) | Self::Creating(_) | Self::Gone => {}
        }
    }

    /// Path of the file to be published, once it is open.
    pub(crate) fn path(&self) -> Option<PathBuf> {
        match self {
            Self::File(work) => Some(work.place.target.path()),
            Self::Small(work) => Some(work.target.path()),
            _ => None,
        }
    }

    /// True if the file may yet turn out to be small: nothing of it exists.
    pub(crate) fn is_unmade(&self) -> bool {
        matches!(self, Self::Unmade(_))
    }

    pub(crate) fn is_small(&self) -> bool {
        matches!(self, Self::Small(_))
    }

    /// True while it is being created, so that no byte may be taken.
    pub(crate) fn is_being_created(&self) -> bool {
        matches!(self, Self::Creating(_))
    }

    /// True until it is known that the file fits.
    pub(crate) fn may_not_fit(&self) -> bool {
        matches!(self, Self::Creating(creating) if !creating.fits)
    }

    /// True if what it takes in is recorded in a manifest.
    pub(crate) fn records(&self) -> bool {
        matches!(self, Self::File(_))
    }

    /// True if another source may take back what a wrong one gave.
    pub(crate) fn can_be_repaired(&self) -> bool {
        !matches!(self, Self::Small(_) | Self::Pipe(_) | Self::Own(_))
    }

    /// Adds written runs, to be recorded at the next checkpoint.
    pub(crate) fn record(&mut self, runs: Vec<Run>) {
        if let Self::File(work) = self {
            work.checkpoint.add(runs);
        }
    }

    /// Moves the hash up to the `front`, begins a checkpoint that is due, and tells what has become of it.
    pub(crate) fn look(&mut self, front: u64, now: Moment) -> Look {
        match self {
            Self::File(work) => {
                work.advance(front);
                if work.checkpoint.is_due(now) {
                    work.checkpoint.begin(now);
                }
                Look::default()
            }
            Self::Pipe(work) => Look { drained: Some(work.drained()), broken: work.broken() },
            Self::Own(work) => {
                work.advance(front);
                Look::default()
            }
            _ => Look::default(),
        }
    }

    /// Bytes that the hash has seen, if there is one.
    pub(crate) fn hashed(&self) -> Option<u64> {
        match self {
            Self::File(work) => work.hashed(),
            Self::Own(work) => work.hashed(),
            _ => None,
        }
    }

    pub(crate) fn durable(&self) -> RangeSet {
        match self {
            Self::File(work) => work.checkpoint.durable().clone(),
            _ => RangeSet::new(),
        }
    }

    /// Waits for the checkpoint being saved; for ever if there is none. Cancel-safe.
    pub(crate) async fn saved(&mut self) -> Result<(), Error> {
        match self {
            Self::File(work) => work.checkpoint.saved().await,
            _ => std::future::pending().await,
        }
    }

    /// Makes everything written durable, where that is recorded.
    ///
    /// # Errors
    /// `Disk`; nothing more is recorded after that.
    pub(crate) async fn flush(&mut self, now: Moment) -> Result<(), Error> {
        match self {
            Self::File(work) => work.checkpoint.flush(now).await,
            _ => Ok(()),
        }
    }

    /// Lets go of workers that wait for room: nothing of theirs is wanted any more.
    pub(crate) fn release(&self) {
        if let Self::Pipe(work) = self {
            work.close();
        }
    }

    /// Forgets everything that has come, so that another version can begin. On an error it is as it was, or gone.
    ///
    /// # Errors
    /// `Changed`, for the reason `why`, if bytes have left that cannot be taken back; `Disk`, `Locked`.
    pub(crate) async fn clear(&mut self, why: String) -> Result<(), Error> {
        *self = match self.take() {
            Self::File(work) => Self::Locked(work.clear().await?),
            Self::Small(work) => Self::Unmade(work.target),
            Self::Own(work) => Self::Own(work.clear().await?),
            Self::Pipe(work) if work.can_begin_anew() => Self::Pipe(work.begin_anew().await?),
            Self::Pipe(work) => {
                *self = Self::Pipe(work);
                return Err(Error::new(Kind::Changed, why).with_remedy(Remedy::ToAFile));
            }
            other => other,
        };
        Ok(())
    }
}

/// Runs blocking work on a thread that may block.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    threads::offload(work).await.map_err(|error| died(error, "the work on the disk"))?
}

fn died(error: tokio::task::JoinError, what: &str) -> Error {
    Error::new(Kind::Other, format!("{what} died")).with_source(error)
}

/// The error that a destination has made itself, or else one of the class of the disk.
fn failed(what: &str, error: &io::Error) -> Error {
    match own_error(error) {
        Some(own) => own,
        None => Error::new(Kind::Disk, format!("the destination {what}: {error}")),
    }
}

/// The error of haul's own that an error holds.
fn own_error(error: &io::Error) -> Option<Error> {
    let own = error.get_ref()?.downcast_ref::<Error>()?;
    Some(own.retold(own.to_string()))
}
