//! Creation of a destination in the background: the part file is locked, checked for room, allocated, and described in a
//! manifest.

use super::inspect::{self, Existing, Opening};
use super::own::begin;
use super::{Content, Destination, FileSpec, PartialFile};
use crate::error::{Error, Kind, Remedy};
use crate::manifest::Journal;
use crate::plan::representation::Representation;
use crate::storage::{Allocation, Target};
use crate::threads;
use tokio::task::{JoinError, JoinHandle};

/// A creation that goes on.
pub(crate) struct Creating {
    task: JoinHandle<Made>,
    /// False until it is known that the file fits.
    pub(crate) fits: bool,
}

/// Outcome of a step in the creation.
pub(crate) enum Made {
    /// The file fits; allocating it may take long.
    Room(PartialFile, Box<Representation>),
    File(PartialFile, Box<Journal>, Allocation),
    /// A destination of the caller's own is ready.
    Ready(Box<Destination>),
    /// The remaining destination, and the error.
    Failed(Box<Destination>, Error),
}

impl Destination {
    /// Begins the creation for what the server has said; returns false if there is nothing to create.
    pub(crate) fn create(&mut self, representation: Representation, spec: &FileSpec) -> bool {
        let place = match self.take() {
            Self::Unmade(target) => Err(target),
            Self::Locked(place) => Ok(place),
            other => return self.create_own(other, &representation),
        };
        let spec = spec.clone();
        let task = threads::offload(move || {
            let place = match place.or_else(|target| first_in(target, &spec)) {
                Ok(place) => place,
                Err(error) => return Made::Failed(Box::new(Self::Gone), error),
            };
            match place.has_room_for(&representation) {
                Ok(()) => Made::Room(place, Box::new(representation)),
                Err(error) => Made::Failed(Box::new(Self::Locked(place)), error),
            }
        });
        *self = Self::Creating(Creating { task, fits: false });
        true
    }

    /// Prepares a destination of the caller's own; a plain pipe needs no preparation.
    fn create_own(&mut self, destination: Self, representation: &Representation) -> bool {
        let own = match &destination {
            Self::Own(work) => Some(work.destination()),
            Self::Pipe(work) => work.destination(),
            _ => None,
        };
        let Some(own) = own else {
            *self = destination;
            return false;
        };
        let content = Content::of(representation);
        let task = threads::offload(move || match begin(own.as_ref(), &content) {
            Ok(()) => Made::Ready(Box::new(destination)),
            Err(error) => Made::Failed(Box::new(destination), error),
        });
        *self = Self::Creating(Creating { task, fits: true });
        true
    }

    /// Allocates the file and writes the manifest. No byte is taken before that, but as the file is known to fit, further
    /// connections can be opened, their requests sent and their responses ruled on.
    pub(crate) fn allocate(&mut self, place: PartialFile, representation: Representation, spec: &FileSpec) {
        let spec = spec.clone();
        let task = threads::offload(move || match place.begin(&representation, &spec) {
            Ok((journal, allocation)) => Made::File(place, Box::new(journal), allocation),
            Err(error) => Made::Failed(Box::new(Self::Locked(place)), error),
        });
        *self = Self::Creating(Creating { task, fits: true });
    }

    /// Waits for the step of the creation that goes on; for ever if there is none. Cancel-safe.
    pub(crate) async fn created(&mut self) -> Result<Made, JoinError> {
        match self {
            Self::Creating(creating) => (&mut creating.task).await,
            _ => std::future::pending().await,
        }
    }
}

/// Creates and locks the part file where none existed before.
fn first_in(target: Target, spec: &FileSpec) -> Result<PartialFile, Error> {
    match inspect::open(target, spec)? {
        Opening::Ready(Existing::Fresh { partial_file, .. }) => Ok(partial_file),
        Opening::Ready(Existing::Built { partial_file, .. }) | Opening::Unconfirmed { partial_file, .. } => {
            let cause = format!("{} appeared meanwhile", partial_file.part.path().display());
            Err(Error::new(Kind::Locked, cause).with_remedy(Remedy::Again))
        }
    }
}
