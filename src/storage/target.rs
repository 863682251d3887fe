//! Name of the finished file, and the names beside it.

use super::{ReadOnly, owner, parent};
use crate::error::{Error, Kind, Remedy};
use crate::formats::file_name::{ForeignName, longest_target};
use crate::plan::representation::Validators;
use crate::sys::{self, Facts as _, longest_name_in};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Endings of the names beside a target.
pub(super) const SIDE_FILES: [&str; 3] = [".part", ".haul", ".haul.tmp"];

/// A directory and a name in it. `NAME.part` holds unfinished bytes, `NAME.haul` the manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    directory: PathBuf,
    name: OsString,
    chosen: Chosen,
    /// Directory that it does not leave.
    root: Option<Arc<Path>>,
}

/// Origin of the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chosen {
    /// The user; taken literally.
    ByUser,
    /// A server or a document, together with this many directories at the end of the path.
    ByOthers { directories: usize },
}

impl Target {
    pub(crate) fn new(directory: PathBuf, name: OsString) -> Result<Self, Error> {
        let text = name.to_string_lossy();
        if name.is_empty() || name == "." || name == ".." || text.contains(['/', '\0']) {
            return Err(Error::usage(format!("{text:?} is not a usable file name")));
        }
        Ok(Self { directory, name, chosen: Chosen::ByUser, root: None })
    }

    /// Target of `-o PATH`, relative to `directory`.
    pub(crate) fn from_path(directory: &Path, path: &Path) -> Result<Self, Error> {
        let whole = if directory == Path::new(".") { path.to_owned() } else { directory.join(path) };
        let name = whole.file_name().filter(|_| !path.as_os_str().to_string_lossy().ends_with('/'));
        let name = name.ok_or_else(|| Error::usage(format!("{} does not name a file", path.display())))?;
        let parent = whole.parent().filter(|parent| !parent.as_os_str().is_empty());
        Self::new(parent.unwrap_or(Path::new("")).to_owned(), name.to_owned())
    }

    /// Target of a foreign name, below the user's `directory`.
    pub(crate) fn foreign(directory: &Path, name: &ForeignName) -> Self {
        let mut directory = if directory == Path::new(".") { PathBuf::new() } else { directory.to_owned() };
        directory.extend(name.above());
        let chosen = Chosen::ByOthers { directories: name.above().len() };
        Self { directory, name: name.name().into(), chosen, root: None }
    }

    /// The same target, which is refused wherever a link leads out of `root`, once that is there.
    #[must_use]
    pub(crate) fn within(self, root: Option<Arc<Path>>) -> Self {
        Self { root, ..self }
    }

    /// Checks that the directory, or the nearest one above it that exists, lies in the directory that it does not leave. Each creation of a
    /// file checks it anew: a link can be made at any time.
    ///
    /// # Errors
    /// `Unsafe` for one that leads out.
    pub(crate) fn check_root(&self) -> Result<(), Error> {
        let Some(root) = &self.root else {
            return Ok(());
        };
        let real = fs::canonicalize(root).map_err(|error| Error::disk("cannot open", root, &error))?;
        let mut above = self.directory().ancestors();
        // A link that leads nowhere would be followed by the creation of what it names.
        let there = above.find(|path| fs::symlink_metadata(path).is_ok());
        match there.map(fs::canonicalize) {
            Some(Ok(there)) if there.starts_with(&real) => Ok(()),
            _ => {
                let directory = self.directory().display();
                let cause = format!("{directory} leads out of {} by a link", root.display());
                Err(Error::new(Kind::Unsafe, cause).with_remedy(Remedy::LookOrOtherDirectory))
            }
        }
    }

    /// As [`Self::check_root`], right after a file was created at `path`: a link may have been made in between. The file is removed then.
    ///
    /// # Errors
    /// `Unsafe` for a directory that leads out.
    pub(crate) fn check_created(&self, path: &Path) -> Result<(), Error> {
        self.check_root().inspect_err(|_| {
            // A file that cannot be removed is empty.
            let _ = sys::unlink(path);
        })
    }

    pub(super) fn name(&self) -> &OsStr {
        &self.name
    }

    pub(super) fn chosen(&self) -> Chosen {
        self.chosen
    }

    /// Returns the same name in another directory of the same depth.
    pub(super) fn moved_to(&self, directory: PathBuf) -> Self {
        Self { directory, ..self.clone() }
    }

    /// Returns the same directory with another name.
    pub(super) fn named(&self, name: impl Into<OsString>) -> Self {
        Self { name: name.into(), ..self.clone() }
    }

    /// Directory, in a form that can be opened.
    pub(crate) fn directory(&self) -> &Path {
        if self.directory.as_os_str().is_empty() { Path::new(".") } else { &self.directory }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.directory.join(&self.name)
    }

    pub(crate) fn part_path(&self) -> PathBuf {
        self.beside(".part")
    }

    pub(crate) fn manifest_path(&self) -> PathBuf {
        self.beside(".haul")
    }

    /// Longest of the names that are needed beside it.
    pub(super) fn longest_path(&self) -> PathBuf {
        self.beside(".haul.tmp")
    }

    fn beside(&self, suffix: &str) -> PathBuf {
        let mut name = self.name.clone();
        name.push(suffix);
        self.directory.join(name)
    }

    /// Returns true if anything is at its name, or if that cannot be told.
    pub(crate) fn is_taken(&self) -> bool {
        !is_absent(&self.path())
    }

    /// Returns true if none of the names beside it exists.
    pub(crate) fn has_no_side_files(&self) -> bool {
        is_absent(&self.part_path()) && is_absent(&self.manifest_path())
    }

    /// Returns the first of `NAME.1`, `NAME.2`, … (before the extension) that is free.
    pub(crate) fn renamed(&self) -> Result<Self, Error> {
        let room = longest_target(longest_name_in(self.directory()));
        for number in 1..10_000 {
            let fresh = self.named(numbered(Path::new(&self.name), number, room));
            if fresh.present()?.is_none() {
                return Ok(fresh);
            }
        }
        Err(Error::new(
            Kind::Exists,
            format!("{} and ten thousand names like it exist", self.path().display()),
        ))
    }

    /// Looks at the final name. A link is not followed.
    pub(crate) fn present(&self) -> Result<Option<Present>, Error> {
        let path = self.path();
        match fs::symlink_metadata(&path) {
            Ok(metadata) => Ok(Some(Present { metadata })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::disk("cannot look at", &path, &error)),
        }
    }
}

/// Returns true if nothing is there, even if its directory does not exist either.
fn is_absent(path: &Path) -> bool {
    fs::symlink_metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}

/// Builds `NAME.number.EXTENSION`, cutting the name to the available room.
fn numbered(name: &Path, number: u32, room: usize) -> OsString {
    let mut ending = OsString::from(format!(".{number}"));
    if let Some(extension) = name.extension() {
        ending.push(".");
        ending.push(extension);
    }
    let stem = name.file_stem().unwrap_or_default();
    let most = room.saturating_sub(ending.len()).max(1);
    let mut fresh = match stem.to_str() {
        Some(text) if text.len() > most => text[..text.floor_char_boundary(most)].into(),
        _ => stem.to_owned(),
    };
    fresh.push(ending);
    fresh
}

/// An existing file, or anything else, at the final name.
#[derive(Clone, Debug)]
pub(crate) struct Present {
    metadata: fs::Metadata,
}

impl Present {
    pub(crate) fn is_regular(&self) -> bool {
        self.metadata.is_file()
    }

    pub(crate) fn len(&self) -> u64 {
        self.metadata.len()
    }

    /// Mode for a file that replaces it in `directory`: its own, less the umask; `None` if it is not ours, since its
    /// mode is then not ours either.
    pub(crate) fn mode_to_keep(&self, directory: &Path) -> Option<u32> {
        owner::is_ours(&self.metadata, directory).then(|| self.metadata.mode_bits() & 0o666 & !sys::umask())
    }
}

/// Extended attribute of a finished file that states its resource and version, so that the next run can see that there
/// is nothing to do. It is void once the file's size or modification time differ.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Seal {
    pub(crate) url: String,
    pub(crate) size: u64,
    pub(crate) modified: (i64, i64),
    pub(crate) validators: Validators,
}

const SEAL: &str = "user.haul";

impl Seal {
    pub(crate) fn of(file: &fs::File, url: String, validators: Validators) -> io::Result<Self> {
        let metadata = file.metadata()?;
        Ok(Self { url, size: metadata.len(), modified: metadata.modified_at(), validators })
    }

    /// Writes it as an extended attribute.
    pub(crate) fn write(&self, file: &fs::File) -> io::Result<()> {
        let text = serde_json::to_vec(self)?;
        sys::set_attribute(file, SEAL, &text)
    }

    /// Reads the seal of the file at `path`, if it is still valid and no other user can have made it.
    ///
    /// # Errors
    /// The reason that there is none, to be appended to a cause; mostly empty.
    pub(crate) fn read(path: &Path) -> Result<Self, &'static str> {
        let file = ReadOnly::open_itself(path).map_err(|_| "")?;
        let metadata = file.file().metadata().map_err(|_| "")?;
        let seal = Self::parse(file.file(), &metadata).ok_or("")?;
        if owner::flaw(&metadata, parent(path)).is_some() {
            return Err(
                ", and it is another user's, or has a second name, so what is noted at it shows nothing",
            );
        }
        if owner::others_may_write(&metadata, parent(path)) {
            return Err(", and others may write to it, so what is noted at it shows nothing");
        }
        Ok(seal)
    }

    fn parse(file: &fs::File, metadata: &fs::Metadata) -> Option<Self> {
        let mut buffer = vec![0; 16 << 10];
        let seal: Self = serde_json::from_slice(sys::attribute(file, SEAL, &mut buffer)?).ok()?;
        let same = metadata.len() == seal.size && metadata.modified_at() == seal.modified;
        same.then_some(seal)
    }
}
