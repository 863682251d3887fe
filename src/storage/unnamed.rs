//! Files without a name, which get one when they are complete.

use super::publish::Publication;
use super::{Lacks, Storage as _, Target};
use crate::error::{Error, Kind, Remedy};
use crate::sys::{self, Errno};
use std::fs::File;
use std::path::Path;

/// A whole small file. It is invisible until it gets its name, and gone if the process dies before.
#[derive(Debug)]
pub(crate) struct Unnamed {
    file: File,
}

impl Unnamed {
    /// Returns true if unnamed files work in this directory.
    pub(crate) fn is_possible_in(directory: &Path) -> bool {
        make(directory).is_ok()
    }

    /// Creates one in the directory of `target`, with these bytes; returns `None` if the file system has no such files.
    ///
    /// # Errors
    /// `Disk`.
    pub(crate) fn write(target: &Target, bytes: &[u8]) -> Result<Option<Self>, Error> {
        target.check_root()?;
        let file = match make(target.directory()) {
            Ok(file) => file,
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL | Errno::NOSYS) => return Ok(None),
            Err(error) => return Err(failed("cannot create", target)(error.into())),
        };
        file.write_at(0, bytes).map_err(failed("cannot write to", target))?;
        Ok(Some(Self { file }))
    }

    /// The file, to be read back.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Sets mode, time and seal, and makes the file durable. Returns the refusals of the file system.
    pub(crate) fn prepare(&self, target: &Target, how: &Publication) -> Result<Lacks, Error> {
        let finished = Lacks::finish(&self.file, how.mode, how);
        let lacks = finished.map_err(|(doing, error)| failed(doing, target)(error))?;
        self.file.sync_all().map_err(failed("cannot save", target))?;
        Ok(lacks)
    }

    /// Gives it its name, which must be free. Returns false if this way of naming is not supported, or would have to
    /// replace a file.
    pub(crate) fn publish(&self, target: &Target, how: &Publication) -> Result<bool, Error> {
        target.check_root()?;
        let path = target.path();
        match sys::name_unnamed(&self.file, &path) {
            Ok(()) => Ok(true),
            Err(Errno::EXIST) if how.replace => Ok(false),
            Err(Errno::EXIST) => {
                Err(Error::new(Kind::Exists, format!("{} appeared meanwhile", target.path().display()))
                    .with_remedy(Remedy::MoveAwayOrOverwrite))
            }
            // Names are given in another way only there, or links are refused.
            Err(
                Errno::NOENT | Errno::XDEV | Errno::OPNOTSUPP | Errno::PERM | Errno::INVAL | Errno::NOSYS,
            ) => Ok(false),
            Err(error) => Err(failed("cannot give the final name to", target)(error.into())),
        }
    }
}

fn make(directory: &Path) -> Result<File, Errno> {
    // It cannot be opened by others before it has its name, so it has its final mode from the start, less the mask.
    sys::create_unnamed(directory, 0o666)
}

fn failed<'a>(doing: &'static str, target: &'a Target) -> impl FnOnce(std::io::Error) -> Error + 'a {
    move |error| Error::disk(doing, &target.path(), &error)
}
