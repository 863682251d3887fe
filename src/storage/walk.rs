//! Directories that a list or a document names, below the user's own: created and entered one by one.

use crate::error::{Error, Kind, Remedy};
use crate::formats::file_name::{Alphabet, fitted, replaced};
use crate::sys::{Errno, Handle, longest_name_in, own_user};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// Creates the missing directories `below` a directory of the user's, and returns their path: one whose name the file
/// system refuses gets another one.
///
/// A link on the way is followed only if it is ours, or made by the owner of the directory that holds it: any other
/// leads to places the user does not mean to write to.
///
/// # Errors
/// `Unsafe` for such a link, `Disk` for the rest.
pub(super) fn make_below(base: &Path, below: &Path) -> Result<PathBuf, Error> {
    let mut path: PathBuf = base.to_owned();
    let mut directory =
        Handle::open(base).map_err(|error| Error::disk("cannot open", base, &error.into()))?;
    for part in below {
        directory = enter_as_it_can_be(&directory, part, &mut path)?;
    }
    Ok(path)
}

/// Enters `part`, or an accepted variant of its name, and appends that to `path`.
fn enter_as_it_can_be(directory: &Handle, part: &OsStr, path: &mut PathBuf) -> Result<Handle, Error> {
    let name = part.to_string_lossy();
    let others = [
        fitted(&name, longest_name_in(path)),
        replaced(&name, Alphabet::Portable),
        replaced(&name, Alphabet::Ascii),
    ];
    let mut refused = Errno::INVAL;
    for candidate in std::iter::once(part).chain(others.iter().map(OsStr::new)) {
        let entered = path.join(candidate);
        match enter(directory, candidate, &entered) {
            Err(Obstacle::Name(error)) => refused = error,
            Err(Obstacle::Other(error)) => return Err(error),
            Ok(handle) => {
                *path = entered;
                return Ok(handle);
            }
        }
    }
    Err(Error::disk("cannot create", &path.join(part), &refused.into()))
}

/// Reason that a directory cannot be entered.
enum Obstacle {
    /// The file system refuses the name.
    Name(Errno),
    Other(Error),
}

impl Obstacle {
    fn of(doing: &str, path: &Path, error: Errno) -> Self {
        match error {
            Errno::INVAL | Errno::ILSEQ | Errno::NAMETOOLONG => Self::Name(error),
            error => Self::Other(Error::disk(doing, path, &error.into())),
        }
    }
}

fn enter(directory: &Handle, part: &OsStr, path: &Path) -> Result<Handle, Obstacle> {
    // Another process may create it between the two calls.
    for _ in 0..2 {
        match directory.enter(part) {
            Ok(entered) => return Ok(entered),
            Err(Errno::NOENT) => match directory.create(part) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(Obstacle::of("cannot create", path, error)),
            },
            Err(Errno::LOOP | Errno::NOTDIR) => {
                return follow(directory, part, path).map_err(Obstacle::Other);
            }
            Err(error) => return Err(Obstacle::of("cannot open", path, error)),
        }
    }
    Err(Obstacle::of("cannot open", path, Errno::NOENT))
}

/// Follows a trusted link. It is checked and read through one handle, so that it cannot be exchanged in between.
fn follow(directory: &Handle, part: &OsStr, path: &Path) -> Result<Handle, Error> {
    let failed = |error: Errno| Error::disk("cannot open", path, &error.into());
    let Some(link) = directory.link(part).map_err(failed)? else {
        let cause = format!("{} is in the way: it is not a directory", path.display());
        return Err(Error::new(Kind::Disk, cause).with_remedy(Remedy::MoveAwayOrOtherDirectory));
    };
    let trusted = [own_user(), directory.owner().map_err(failed)?];
    if !trusted.contains(&link.owner().map_err(failed)?) {
        let cause = format!("{} is a link that another user made, and is not followed", path.display());
        return Err(Error::new(Kind::Unsafe, cause).with_remedy(Remedy::LookOrOtherDirectory));
    }
    directory.follow(&link).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{chown, lchown, symlink};

    #[test]
    fn missing_directories_are_made_and_own_links_followed() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("there")).unwrap();
        symlink("there", root.path().join("link")).unwrap();
        make_below(root.path(), Path::new("link/a/b")).unwrap();
        make_below(root.path(), Path::new("link/a/b")).unwrap();
        assert!(root.path().join("there/a/b").is_dir());
    }

    #[expect(clippy::disallowed_methods, reason = "a file in the way")]
    #[test]
    fn a_file_in_the_way_is_said_to_be_one() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("file"), "").unwrap();
        let error = make_below(root.path(), Path::new("file/a")).unwrap_err();
        assert!(error.kind() == Kind::Disk && error.to_string().contains("not a directory"), "{error}");
        symlink("nowhere", root.path().join("dangling")).unwrap();
        assert_eq!(make_below(root.path(), Path::new("dangling/a")).unwrap_err().kind(), Kind::Disk);
    }

    /// Needs root, to act as several users.
    #[expect(clippy::print_stderr, reason = "a test that did not run says so")]
    #[test]
    fn a_link_of_another_user_is_followed_only_in_that_users_own_directory() {
        let root = tempfile::tempdir().unwrap();
        let (shared, theirs) = (root.path().join("shared"), root.path().join("theirs"));
        for directory in [&shared, &theirs, &root.path().join("goal")] {
            std::fs::create_dir(directory).unwrap();
        }
        for directory in [&shared, &theirs] {
            symlink("../goal", directory.join("link")).unwrap();
        }
        let other = Some(12_345);
        if lchown(shared.join("link"), other, None).is_err() {
            eprintln!("DID NOT RUN: only root can give files away");
            return;
        }
        lchown(theirs.join("link"), other, None).unwrap();
        chown(&theirs, other, None).unwrap();
        assert_eq!(make_below(&shared, Path::new("link/a")).unwrap_err().kind(), Kind::Unsafe);
        assert!(!root.path().join("goal/a").exists());
        make_below(&theirs, Path::new("link/a")).unwrap();
        assert!(root.path().join("goal/a").is_dir());
    }
}
