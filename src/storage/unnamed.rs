//! A file without a name, which gets one when it is complete.

use super::publish::Publication;
use super::{Lacks, Storage as _, Target};
use crate::error::{Error, Kind};
use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use rustix::io::Errno;
use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::path::Path;

/// The whole of a small file. Until it is given its name nobody can see it, and when the process dies it is gone.
#[derive(Debug)]
pub(crate) struct Unnamed {
    file: File,
}

impl Unnamed {
    /// Whether one can be made in this directory.
    pub(crate) fn is_possible_in(directory: &Path) -> bool {
        make(directory).is_ok()
    }

    /// Makes one in the directory of `target`, with these bytes; `None` where the file system has no such files.
    ///
    /// # Errors
    /// `Disk`.
    pub(crate) fn write(target: &Target, bytes: &[u8]) -> Result<Option<Self>, Error> {
        let file = match make(target.directory()) {
            Ok(file) => file,
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL | Errno::NOSYS) => return Ok(None),
            Err(error) => return Err(failed("cannot create", target)(error.into())),
        };
        file.write_at(0, bytes).map_err(failed("cannot write to", target))?;
        Ok(Some(Self { file }))
    }

    /// What it holds, to be read back.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Makes it what it is to be once it has its name, and durable. Returns what the file system would not do for it.
    pub(crate) fn prepare(&self, target: &Target, how: &Publication) -> Result<Lacks, Error> {
        let finished = Lacks::finish(&self.file, how.mode, how);
        let lacks = finished.map_err(|(doing, error)| failed(doing, target)(error))?;
        self.file.sync_all().map_err(failed("cannot save", target))?;
        Ok(lacks)
    }

    /// Gives it its name, which nothing may have yet. False where this way of naming is not to be had, which cannot
    /// replace anything either.
    pub(crate) fn publish(&self, target: &Target, how: &Publication) -> Result<bool, Error> {
        let path = target.path();
        // The shorter way is open to whoever made the file since Linux 6.10, and before that to root; otherwise it is as if
        // nothing were there.
        let named = match rustix::fs::linkat(&self.file, "", CWD, &path, AtFlags::EMPTY_PATH) {
            Err(Errno::NOENT) => {
                let own = format!("/proc/self/fd/{}", self.file.as_raw_fd());
                rustix::fs::linkat(CWD, Path::new(&own), CWD, &path, AtFlags::SYMLINK_FOLLOW)
            }
            named => named,
        };
        match named {
            Ok(()) => Ok(true),
            Err(Errno::EXIST) if how.replace => Ok(false),
            Err(Errno::EXIST) => {
                Err(Error::new(Kind::Exists, format!("{} appeared meanwhile", target.path().display()))
                    .with_hint("move that file away, or replace it with --if-exists overwrite"))
            }
            // Without /proc, or where links are refused.
            Err(
                Errno::NOENT | Errno::XDEV | Errno::OPNOTSUPP | Errno::PERM | Errno::INVAL | Errno::NOSYS,
            ) => Ok(false),
            Err(error) => Err(failed("cannot give the final name to", target)(error.into())),
        }
    }
}

fn make(directory: &Path) -> Result<File, Errno> {
    let flags = OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC;
    // Nobody can open it before it has its name, so it has its final mode from the start, less the mask.
    rustix::fs::open(directory, flags, Mode::from_raw_mode(0o666)).map(File::from)
}

fn failed<'a>(doing: &'static str, target: &'a Target) -> impl FnOnce(std::io::Error) -> Error + 'a {
    move |error| Error::disk(doing, &target.path(), &error)
}
