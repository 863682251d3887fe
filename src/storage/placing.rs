//! Placement of a target: creates its directory and finds a name that the file system accepts.

use super::Target;
use super::target::Chosen;
use super::walk::make_below;
use crate::error::{Error, Kind, Remedy};
use crate::formats::escape::for_terminal;
use crate::formats::file_name::{Alphabet, fitted, is_refused_by, longest_target, replaced};
use crate::sys::{self, Errno, longest_name_in};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::Path;

/// A target that can be created.
#[derive(Debug)]
pub(crate) struct Placed {
    pub(crate) target: Target,
    /// Reason that its name differs from the proposed one.
    pub(crate) note: Option<String>,
}

/// Creates the directory of `target`, if `create` is set or a foreign name includes directories, and finds a name that
/// it accepts. A name that the user chose is not changed.
///
/// # Errors
/// `Disk` or `Usage` for an impossible name of the user's, with a possible one in the hint; `Unsafe` for a link on the
/// way.
pub(crate) fn place(target: Target, create: bool) -> Result<Placed, Error> {
    let wanted = target;
    wanted.check_root()?;
    let target = in_directory_of(&wanted, create)?;
    target.check_root()?;
    let longest = longest_name_in(target.directory());
    let room = longest_target(longest);
    match target.chosen() {
        Chosen::ByUser if target.name().len() > room => Err(too_long(&target, room)),
        Chosen::ByUser if !is_doubtful(&target) => Ok(Placed { target, note: None }),
        Chosen::ByUser => {
            match acceptable(target.name(), longest, |name| try_out(target.directory(), name)) {
                Found::AsItIs => Ok(Placed { target, note: None }),
                Found::Other(name, why) => Err(refused(&target, &why)
                    .with_remedy(Remedy::PossibleName(for_terminal(&name).into_owned()))),
                Found::Nothing(why) => Err(refused(&target, &why).with_remedy(Remedy::OtherName)),
            }
        }
        Chosen::ByOthers { .. } => {
            let Placed { target, note } = place_foreign(&target, longest)?;
            let moved = (target.directory() != wanted.directory()).then(|| {
                let there = target.path();
                format!("it is saved as {}: a name is not possible there", there.display())
            });
            Ok(Placed { target, note: moved.or(note) })
        }
    }
}

fn place_foreign(target: &Target, longest: usize) -> Result<Placed, Error> {
    let proposed = target.name().to_string_lossy().into_owned();
    let short = fitted(&proposed, longest);
    let mut why = (short != proposed).then(|| too_long_here(longest_target(longest)));
    let mut placed = target.named(&short);
    if is_doubtful(&placed) {
        match acceptable(OsStr::new(&short), longest, |name| try_out(placed.directory(), name)) {
            Found::AsItIs => {}
            Found::Other(name, refusal) => {
                placed = target.named(name);
                why = Some(refusal);
            }
            Found::Nothing(refusal) => {
                return Err(refused(target, &refusal).with_remedy(Remedy::OtherName));
            }
        }
    }
    let note = why.map(|why| format!("it is saved as {}: {why}", placed.name().to_string_lossy()));
    Ok(Placed { target: placed, note })
}

/// Creates the directory of `target`, if `create` is set or a foreign name includes directories.
fn in_directory_of(target: &Target, create: bool) -> Result<Target, Error> {
    let directories = match target.chosen() {
        Chosen::ByUser => 0,
        Chosen::ByOthers { directories } => directories,
    };
    // There are at least that many, since they were appended one by one.
    let base = target.directory().ancestors().nth(directories).unwrap_or(Path::new(""));
    let below = target.directory().strip_prefix(base).unwrap_or(Path::new(""));
    let base = if base.as_os_str().is_empty() { Path::new(".") } else { base };
    if create && !base.is_dir() {
        fs::create_dir_all(base).map_err(|error| Error::disk("cannot create", base, &error))?;
    }
    if directories == 0 {
        return Ok(target.clone());
    }
    let made = make_below(base, below)?;
    if made.ends_with(below) {
        return Ok(target.clone());
    }
    Ok(target.moved_to(made.strip_prefix(".").unwrap_or(&made).to_owned()))
}

/// Length in bytes up to which every file system takes a name, unless a character in it is refused.
const SHORT: usize = 100;

/// Returns true if every file system takes the name, as far as it is not too long for it.
fn is_plain(name: &OsStr) -> bool {
    let may_be_refused =
        |name: &str| name.ends_with(['.', ' ']) || name.chars().any(|c| is_refused_by(Alphabet::Ascii, c));
    name.len() <= SHORT && name.to_str().is_some_and(|name| !may_be_refused(name))
}

/// Returns true if [`place`] would leave the target as it is, in a directory that exists and whose longest name is known.
pub(crate) fn needs_no_place(target: &Target, longest: usize) -> bool {
    let directories = match target.chosen() {
        Chosen::ByUser => 0,
        Chosen::ByOthers { directories } => directories,
    };
    directories == 0 && target.name().len() <= longest_target(longest) && is_plain(target.name())
}

/// Returns true for a name that a file system may refuse without stating so, unless a file of that name or its part
/// exists already. A lookup of the longest side name finds names that are too long on most file systems with a wrong
/// stated length.
fn is_doubtful(target: &Target) -> bool {
    let name = target.name();
    if is_plain(name) {
        return false;
    }
    let refused = |error| {
        matches!(Errno::from_io_error(&error), Some(Errno::NAMETOOLONG | Errno::INVAL | Errno::ILSEQ))
    };
    if fs::symlink_metadata(target.longest_path()).is_err_and(refused) {
        return true;
    }
    let there = |path: &Path| fs::symlink_metadata(path).is_ok();
    !there(&target.path()) && !there(&target.part_path())
}

/// Result of the search for a name.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Found {
    AsItIs,
    /// Another name is accepted, for this reason.
    Other(String, String),
    Nothing(String),
}

/// Limits of known file systems, in bytes, eCryptfs first.
const LENGTHS: [usize; 4] = [143, 100, 60, 30];

/// Searches for an accepted name similar to `name`, by asking `says` a few times at most.
fn acceptable(name: &OsStr, longest: usize, says: impl Fn(&OsStr) -> Acceptance) -> Found {
    let mut answer = says(name);
    if answer == Acceptance::Taken {
        return Found::AsItIs;
    }
    let mut lengths = LENGTHS.iter().filter(|length| **length < longest);
    let mut alphabets = [Alphabet::Portable, Alphabet::Ascii].iter();
    let (mut candidate, mut why) = (name.to_string_lossy().into_owned(), String::new());
    loop {
        let next = match answer {
            Acceptance::Taken => return Found::Other(candidate, why),
            Acceptance::TooLong => lengths
                .next()
                .map(|length| (fitted(&candidate, *length), too_long_here(longest_target(*length)))),
            Acceptance::Refused => alphabets
                .next()
                .map(|alphabet| (replaced(&candidate, *alphabet), not_allowed(&candidate, *alphabet))),
        };
        let Some((changed, reason)) = next else {
            return Found::Nothing(if why.is_empty() { NOT_POSSIBLE.to_owned() } else { why });
        };
        if changed != candidate {
            (candidate, why) = (changed, reason);
            answer = says(OsStr::new(&candidate));
        }
    }
}

const NOT_POSSIBLE: &str = "it is not possible there";

/// Response of a directory to a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Acceptance {
    Taken,
    TooLong,
    Refused,
}

/// Creates a file of this name, with a suffix as long as the longest of haul's own, and removes it again: many file
/// systems refuse a name only then. Other errors show up later.
fn try_out(directory: &Path, name: &OsStr) -> Acceptance {
    let mut tried = OsString::from(name);
    tried.push(format!(".{:08x}", std::process::id()));
    let path = directory.join(tried);
    match sys::create_new(&path) {
        Ok(_) => {
            // A file that cannot be removed is empty, and useless to others.
            let _ = sys::unlink(&path);
            Acceptance::Taken
        }
        Err(Errno::NAMETOOLONG) => Acceptance::TooLong,
        Err(Errno::INVAL | Errno::ILSEQ) => Acceptance::Refused,
        // CIFS returns this for a name that it refuses.
        Err(Errno::NOENT) if directory.is_dir() => Acceptance::Refused,
        Err(_) => Acceptance::Taken,
    }
}

fn too_long(target: &Target, room: usize) -> Error {
    let fitting = fitted(&target.name().to_string_lossy(), longest_name_in(target.directory()));
    let name = for_terminal(&fitting);
    Error::usage(format!("the file name is longer than {room} bytes"))
        .with_remedy(Remedy::ShorterName(name.into_owned()))
}

fn too_long_here(room: usize) -> String {
    format!("names have at most {room} bytes there, beside the files that haul keeps")
}

fn refused(target: &Target, why: &str) -> Error {
    let name = target.name().to_string_lossy();
    let directory = target.directory().display();
    Error::new(Kind::Disk, format!("the file system of {directory} refuses the file name {name}: {why}"))
}

/// Lists the characters of a refused name that are not allowed there.
fn not_allowed(name: &str, alphabet: Alphabet) -> String {
    let mut characters: Vec<char> = name.chars().filter(|c| is_refused_by(alphabet, *c)).collect();
    characters.sort_unstable();
    characters.dedup();
    match &characters[..] {
        [] => NOT_POSSIBLE.to_owned(),
        [one] => format!("{one:?} is not allowed in a name there"),
        many => {
            let many: Vec<_> = many.iter().take(8).map(|c| format!("{c:?}")).collect();
            format!("{} are not allowed in a name there", many.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::file_name::ForeignName;

    #[test]
    fn a_name_that_a_directory_takes_stays_and_leaves_nothing_behind() {
        let root = tempfile::tempdir().unwrap();
        for name in ["plain.iso", "what?.bin", "日本語.zip", "a:b"] {
            let foreign = ForeignName::from_server(name).unwrap();
            let placed = place(Target::foreign(root.path(), &foreign), true).unwrap();
            assert!(placed.note.is_none() && placed.target.path() == root.path().join(name), "{placed:?}");
            let own = place(Target::new(root.path().to_owned(), name.into()).unwrap(), false).unwrap();
            assert_eq!(own.target.path(), root.path().join(name));
        }
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_name_of_the_user_is_refused_and_one_of_others_cut_where_it_is_too_long() {
        let root = tempfile::tempdir().unwrap();
        let long = "n".repeat(250);
        let own = Target::new(root.path().to_owned(), long.clone().into()).unwrap();
        assert_eq!(place(own, false).unwrap_err().kind(), Kind::Usage);
        let foreign = Target::foreign(root.path(), &ForeignName::from_server(&long).unwrap());
        let placed = place(foreign, false).unwrap();
        assert!(placed.target.name().len() <= 246, "{placed:?}");
    }

    /// Real file systems: forbidden characters, and the limit in bytes, which not all of them state.
    #[test]
    fn every_file_system_gets_a_name_that_it_takes() {
        let systems: [(&str, bool, usize); 4] =
            [("", false, 143), (":?*\"<>|", false, 255), (":?*\"<>|", true, 255), ("?", true, 60)];
        for (forbidden, ascii_only, most) in systems {
            let says = |name: &OsStr| {
                let name = name.to_str().unwrap();
                match () {
                    () if longest_target(most) < name.len() => Acceptance::TooLong,
                    () if name.contains(|c| forbidden.contains(c)) => Acceptance::Refused,
                    () if ascii_only && !name.is_ascii() => Acceptance::Refused,
                    () => Acceptance::Taken,
                }
            };
            for name in ["x.iso", "a:b?.iso", "naïve?.txt", &"n".repeat(246), &"日?".repeat(60)] {
                let found = acceptable(OsStr::new(name), 255, says);
                let taken = match &found {
                    Found::AsItIs => name,
                    Found::Other(other, why) => {
                        assert!(!why.is_empty() && other != name);
                        other
                    }
                    Found::Nothing(_) => panic!("{name:?} in {forbidden:?}, {ascii_only}, {most}"),
                };
                assert_eq!(says(OsStr::new(taken)), Acceptance::Taken, "{found:?}");
            }
        }
        let shut = acceptable(OsStr::new("x"), 255, |_| Acceptance::Refused);
        assert_eq!(shut, Found::Nothing(NOT_POSSIBLE.to_owned()));
    }

    #[test]
    fn the_reason_names_the_characters() {
        assert_eq!(not_allowed("what?", Alphabet::Portable), "'?' is not allowed in a name there");
        assert_eq!(not_allowed("a:b?:", Alphabet::Portable), "':', '?' are not allowed in a name there");
        assert_eq!(not_allowed("ü", Alphabet::Ascii), "'ü' is not allowed in a name there");
    }
}
