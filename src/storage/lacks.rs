//! Capabilities that a file system lacks for a finished file, none of which affects its bytes.

use super::Seal;
use super::publish::Publication;
use crate::sys::{self, Errno};
use std::fs::File;
use std::io;
use std::ops::BitOr;

/// Refused operations. The file is complete and published all the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lacks {
    mode: bool,
    time: bool,
    seal: bool,
    /// Sync of its directory.
    name: bool,
}

/// Returns true if the error means that the file system does not support the operation, or not for this user.
pub(crate) fn is_refusal(error: &io::Error) -> bool {
    let refusals = [Errno::PERM, Errno::ACCESS, Errno::OPNOTSUPP, Errno::NOSYS, Errno::INVAL];
    Errno::from_io_error(error).is_some_and(|error| refusals.contains(&error))
}

impl Lacks {
    /// Sets mode, time and seal of a complete file that is still to be synced.
    ///
    /// # Errors
    /// Errors that are no refusals, with the failed operation.
    pub(super) fn finish(
        file: &File,
        mode: Option<u32>,
        how: &Publication,
    ) -> Result<Self, (&'static str, io::Error)> {
        let set_mode = mode.map(|mode| sys::set_mode(file, mode));
        let mode = is_lacking(set_mode).map_err(|error| ("cannot set the mode of", error))?;
        let set_time = how.modified.map(|modified| file.set_modified(modified));
        let time = is_lacking(set_time).map_err(|error| ("cannot set the time of", error))?;
        // Without a seal the next run has to ask the server.
        let sealed =
            Seal::of(file, how.url.clone(), how.validators.clone()).and_then(|seal| seal.write(file));
        Ok(Self { mode, time, seal: sealed.is_err(), name: false })
    }

    /// Lack of durable names, unless the directory was `synced`.
    pub(crate) fn of_names(synced: bool) -> Self {
        Self { name: !synced, ..Self::default() }
    }

    /// Describes the capabilities that are lacking now and were not lacking before.
    pub(crate) fn beyond(self, before: Self) -> Option<String> {
        let lacks = [
            (self.mode && !before.mode, "the mode of files cannot be set"),
            (self.time && !before.time, "the time of files cannot be set"),
            (
                self.seal && !before.seal,
                "nothing can be noted at a file, so the next run needs a digest to see that it is complete",
            ),
            (
                self.name && !before.name,
                "directories cannot be synced, so a new name may be lost in a power cut",
            ),
        ];
        let texts: Vec<_> = lacks.iter().filter(|(lacking, _)| *lacking).map(|(_, text)| *text).collect();
        (!texts.is_empty()).then(|| format!("on this file system {}", texts.join("; ")))
    }
}

impl BitOr for Lacks {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self {
            mode: self.mode | other.mode,
            time: self.time | other.time,
            seal: self.seal | other.seal,
            name: self.name | other.name,
        }
    }
}

/// Returns true if the operation was refused.
fn is_lacking(done: Option<io::Result<()>>) -> io::Result<bool> {
    match done {
        Some(Err(error)) if !is_refusal(&error) => Err(error),
        done => Ok(done.is_some_and(|done| done.is_err())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lacking_is_said_once() {
        let mode = Lacks { mode: true, ..Lacks::default() };
        let both = Lacks { time: true, ..mode };
        assert_eq!(Lacks::default().beyond(Lacks::default()), None);
        assert!(mode.beyond(Lacks::default()).is_some_and(|text| text.contains("mode")));
        assert!(both.beyond(mode).is_some_and(|text| text.contains("time") && !text.contains("mode")));
        assert_eq!(both.beyond(mode | both), None);
    }

    #[test]
    fn a_disk_that_fails_does_not_refuse() {
        let of = |errno: Errno| is_refusal(&errno.into());
        assert!([Errno::PERM, Errno::OPNOTSUPP, Errno::NOSYS, Errno::INVAL].into_iter().all(of));
        assert!(![Errno::IO, Errno::NOSPC, Errno::DQUOT, Errno::MFILE, Errno::ROFS].into_iter().any(of));
    }
}
