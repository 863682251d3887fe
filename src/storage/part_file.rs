//! `NAME.part`: created exclusively, never through a link, locked while in use.

use super::lacks::is_refusal;
use super::{Storage, Target, owner, parent};
use crate::error::{Error, Kind, Remedy};
use crate::plan::ByteRange;
use crate::sys::{self, Errno, Facts as _};
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// The locked part file. The lock belongs to the handle and ends with the process.
#[derive(Debug)]
pub(crate) struct PartFile {
    file: File,
    path: PathBuf,
}

/// Device and inode, by which a manifest recognises its own part file under the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Identity {
    pub(crate) device: u64,
    pub(crate) inode: u64,
}

/// Bytes copied at once.
const COPIED: usize = 1 << 20;

/// An open part file, created or existing.
pub(crate) enum Opened {
    Created(PartFile),
    Existing(PartFile),
}

/// Kind of preallocation that a file got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Allocation {
    /// Space is reserved: later writes will not fail for lack of it.
    Reserved,
    /// Space in memory is free but not reserved, since that would fill it, see [`PartFile::allocate`].
    Memory,
    /// The file system cannot reserve space; only the size is set.
    Sparse,
}

/// Opens the part file of `target`, or creates it, and locks it.
///
/// # Errors
/// `Locked` if another process uses it; `Unsafe` for anything but a regular file of our own with one name; `Disk` for
/// the rest.
pub(crate) fn open(target: &Target) -> Result<Opened, Error> {
    target.check_root()?;
    let path = target.part_path();
    // Between open and lock its owner may publish or remove it. The name then leads elsewhere, so try again.
    for _ in 0..16 {
        let (file, created) = match sys::create_new(&path) {
            Ok(file) => {
                target.check_created(&path)?;
                (file, true)
            }
            Err(Errno::EXIST) => match sys::open_to_write(&path) {
                Ok(file) => {
                    target.check_root()?;
                    (file, false)
                }
                Err(Errno::NOENT) => continue,
                Err(Errno::LOOP) => return Err(planted(&path, "a symbolic link")),
                Err(Errno::ISDIR) => return Err(planted(&path, "a directory")),
                Err(error) => return Err(Error::disk("cannot open", &path, &error.into())),
            },
            Err(error) => return Err(creating(target, error)),
        };
        lock(&file, &path)?;
        let part = PartFile { file, path: path.clone() };
        if part.is_still_named()? {
            return Ok(if created { Opened::Created(part) } else { Opened::Existing(part.checked()?) });
        }
    }
    Err(Error::new(Kind::Locked, format!("{} keeps changing hands", path.display())))
}

/// Creates the missing part file of `target`, and locks it.
///
/// # Errors
/// `Locked` if another process was faster; `Disk`.
pub(crate) fn create(target: &Target) -> Result<PartFile, Error> {
    target.check_root()?;
    let path = target.part_path();
    let file = sys::create_new(&path).map_err(|error| match error {
        Errno::EXIST => busy(&path),
        error => creating(target, error),
    })?;
    target.check_created(&path)?;
    lock(&file, &path)?;
    Ok(PartFile { file, path })
}

fn creating(target: &Target, error: Errno) -> Error {
    let failure = Error::disk("cannot create", &target.part_path(), &error.into());
    if error == Errno::NOENT {
        return failure.with_remedy(Remedy::MakeDirectory);
    }
    failure
}

fn lock(file: &File, path: &Path) -> Result<(), Error> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(busy(path)),
        // Some network file systems have no locks; users expect to go on without. The manifest states which run has it.
        Err(TryLockError::Error(error)) if is_refusal(&error) || is_without_locks(&error) => Ok(()),
        Err(TryLockError::Error(error)) => Err(Error::disk("cannot lock", path, &error)),
    }
}

fn busy(path: &Path) -> Error {
    Error::new(Kind::Locked, format!("another process is downloading to {}", path.display()))
        .with_remedy(Remedy::WaitOrRename)
}

/// Returns true if a process has locked this part file; `None` if there is no such file, or if locks do not work. The
/// probe holds a shared lock for a moment, so that two probes do not see each other.
pub(crate) fn is_worked_on(path: &Path) -> Option<bool> {
    let file = sys::open_to_read(path).ok()?;
    match file.try_lock_shared() {
        Ok(()) => Some(false),
        Err(TryLockError::WouldBlock) => Some(true),
        Err(TryLockError::Error(_)) => None,
    }
}

fn is_without_locks(error: &io::Error) -> bool {
    Errno::from_io_error(error) == Some(Errno::NOLCK)
}

fn planted(path: &Path, what: &str) -> Error {
    Error::new(Kind::Unsafe, format!("{} is {what}, not a part file of haul's", path.display()))
        .with_remedy(Remedy::MoveForeignAway)
}

/// Removes the part file of `target` unless another process uses it.
pub(crate) fn remove_unlocked(target: &Target) -> Result<bool, Error> {
    let path = target.part_path();
    let file = match sys::open_to_write(&path) {
        Ok(file) => file,
        Err(Errno::NOENT) => return Ok(false),
        Err(Errno::LOOP) => return Err(planted(&path, "a symbolic link")),
        Err(error) => return Err(Error::disk("cannot open", &path, &error.into())),
    };
    lock(&file, &path)?;
    super::remove_own(&path).map_err(|error| Error::disk("cannot remove", &path, &error))?;
    Ok(true)
}

impl PartFile {
    /// The open file.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn identity(&self) -> Result<Identity, Error> {
        let metadata = self.metadata()?;
        let (device, inode) = metadata.identity();
        Ok(Identity { device, inode })
    }

    fn metadata(&self) -> Result<fs::Metadata, Error> {
        self.file.metadata().map_err(|error| Error::disk("cannot look at", &self.path, &error))
    }

    /// Returns true if its name still leads to this very file, and not to a planted one.
    pub(crate) fn is_still_named(&self) -> Result<bool, Error> {
        self.is_at(&self.path)
    }

    /// Returns true if `path` leads to this very file.
    pub(crate) fn is_at(&self, path: &Path) -> Result<bool, Error> {
        let own = self.metadata()?;
        match fs::symlink_metadata(path) {
            Ok(named) => Ok(named.identity() == own.identity()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(Error::disk("cannot look at", path, &error)),
        }
    }

    /// Refuses an existing part that is not a regular file of our own with one name: anything else was planted.
    fn checked(self) -> Result<Self, Error> {
        match owner::flaw(&self.metadata()?, parent(&self.path)) {
            Some(flaw) => Err(planted(&self.path, flaw)),
            None => Ok(self),
        }
    }

    /// Returns true if the lock works: a second handle must not get it as well.
    pub(crate) fn excludes_others(&self) -> bool {
        let other = sys::open_to_write(&self.path);
        other.is_ok_and(|other| matches!(other.try_lock(), Err(TryLockError::WouldBlock)))
    }

    /// Checks that a copy of it, `length` bytes long, would fit beside it.
    pub(crate) fn has_room_for_a_copy(&self, length: u64) -> Result<(), Error> {
        match sys::free(&self.file) {
            Some(free) if free < length => Err(self.too_small(length, self.metadata()?.len())),
            _ => Ok(()),
        }
    }

    /// Copies a range from another file.
    pub(crate) fn copy_from(&self, other: &Self, range: ByteRange) -> Result<(), Error> {
        let mut buffer = vec![0; COPIED];
        let mut position = range.start();
        while position < range.end() {
            let length = buffer.len().min(usize::try_from(range.end() - position).unwrap_or(usize::MAX));
            let read = other.read_at(position, &mut buffer[..length]);
            let read = read.map_err(|error| Error::disk("cannot read back", &self.path, &error))?;
            if read == 0 {
                let cut = io::Error::from(io::ErrorKind::UnexpectedEof);
                return Err(Error::disk("cannot read back", &self.path, &cut));
            }
            let written = self.write_at(position, &buffer[..read]);
            written.map_err(|error| Error::disk("cannot write to", &self.path, &error))?;
            position += read as u64;
        }
        Ok(())
    }

    /// Returns true if others may write to it, so that only a digest can vouch for its content.
    pub(crate) fn is_shared(&self) -> Result<bool, Error> {
        Ok(owner::others_may_write(&self.metadata()?, parent(&self.path)))
    }

    /// Revokes the write permission of others, as far as the file system allows.
    pub(crate) fn withhold(&self) {
        if let Ok(metadata) = self.file.metadata()
            && metadata.mode_bits() & owner::OTHERS_WRITE != 0
        {
            let _ = sys::set_mode(&self.file, metadata.mode_bits() & 0o700);
        }
    }

    /// Bytes of disk space allocated to the file.
    pub(crate) fn allocated(&self) -> Result<u64, Error> {
        Ok(self.metadata()?.allocated())
    }

    /// Returns true if no byte was ever written to it. Only used to see that starting over loses nothing, never as
    /// evidence of progress.
    pub(crate) fn holds_nothing(&self) -> bool {
        sys::holds_no_data(&self.file) || self.file.metadata().is_ok_and(|metadata| metadata.len() == 0)
    }

    /// Preallocates `length` bytes.
    ///
    /// # Errors
    /// `Disk`, naming the bytes needed and free, before a single byte is fetched.
    pub(crate) fn allocate(&self, length: u64) -> Result<Allocation, Error> {
        let before = self.metadata()?.len();
        if length == 0 {
            return self.resize(0).map(|()| Allocation::Reserved);
        }
        // fallocate on tmpfs allocates and clears every page at once: a quarter of a second for each GiB, in which
        // nothing can be written. The free space is checked instead.
        if sys::is_in_memory(&self.file) {
            self.enough_space(length, before)?;
            return self.resize(length).map(|()| Allocation::Memory);
        }
        match sys::reserve(&self.file, length) {
            Ok(()) => self.resize(length).map(|()| Allocation::Reserved),
            Err(Errno::NOSPC | Errno::DQUOT) => Err(self.too_small(length, before)),
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => {
                self.enough_space(length, before)?;
                self.resize(length).map(|()| Allocation::Sparse)
            }
            Err(error) => Err(Error::disk("cannot make room in", &self.path, &error.into())),
        }
    }

    fn resize(&self, length: u64) -> Result<(), Error> {
        self.file.set_len(length).map_err(|error| Error::disk("cannot set the size of", &self.path, &error))
    }

    /// Checks that `length` bytes would fit.
    pub(crate) fn has_room_for(&self, length: u64) -> Result<(), Error> {
        self.enough_space(length, self.metadata()?.len())
    }

    /// Checks that the space not allocated to the file yet is free.
    fn enough_space(&self, length: u64, before: u64) -> Result<(), Error> {
        let has = self.allocated()?;
        if sys::free(&self.file).is_some_and(|free| free < length.saturating_sub(has)) {
            Err(self.too_small(length, before))
        } else {
            Ok(())
        }
    }

    fn too_small(&self, needed: u64, before: u64) -> Error {
        // A failed reservation is given back before the free space is read.
        let _ = self.file.set_len(before);
        let free = sys::free(&self.file).unwrap_or_default();
        Error::new(
            Kind::Disk,
            format!("no space for {}: {needed} bytes needed, {free} free", self.path.display()),
        )
        .with_remedy(Remedy::FreeSpaceOrOtherDisk)
    }

    /// Removes its name, and then frees its space, for a new version of the resource. Another run that holds this file,
    /// too, may have published it a moment ago: then it keeps its bytes.
    pub(crate) fn remove(&self) -> Result<(), Error> {
        super::remove_own(&self.path).map_err(|error| Error::disk("cannot remove", &self.path, &error))?;
        if self.metadata()?.names() == 0 {
            // The space is freed with the handle in any case.
            let _ = self.file.set_len(0);
        }
        Ok(())
    }

    /// Gives back space reserved beyond `length`, as far as the file system allows.
    pub(crate) fn give_back_beyond(&self, length: u64) {
        if self.file.len().is_ok_and(|has| has > length) {
            let _ = self.file.set_len(length);
        }
    }
}

impl Storage for PartFile {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        Storage::write_at(&self.file, offset, bytes)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        Storage::read_at(&self.file, offset, buffer)
    }

    fn forget(&self, offset: u64, length: u64) {
        sys::forget(&self.file, offset, length);
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }
}
