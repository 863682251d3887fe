//! The names that the downloads of one run take, so that none of them finds another in its way.

use crate::error::Error;
use crate::formats::escape;
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};

/// What haul puts behind the name of a file for what it keeps beside it until it is whole.
const BESIDE: [&str; 2] = ["part", "haul"];

/// Stands for a name: of a million names there are two alike with a chance of one in 10²⁶.
type Fingerprint = [u64; 2];

/// See the module.
#[derive(Default)]
pub(super) struct Names {
    files: HashSet<Fingerprint>,
    /// Names beside which one of the files lies, as `x` for `x.part`. They are few.
    bases: HashSet<Fingerprint>,
}

impl Names {
    /// Takes the name of one more file.
    ///
    /// # Errors
    /// `Usage`, if another one has it, or needs it for what it keeps until it is whole.
    pub(super) fn take(&mut self, path: &Path) -> Result<(), Error> {
        let name = fingerprint(path);
        if !self.files.insert(name) {
            let path = escape::for_terminal(&path.to_string_lossy()).into_owned();
            return Err(refused(format!("two of the URLs would be saved as {path}")));
        }
        if self.bases.contains(&name) {
            return Err(in_the_way(path));
        }
        let Some(base) = base(path) else {
            return Ok(());
        };
        self.bases.insert(fingerprint(&base));
        if self.files.contains(&fingerprint(&base)) { Err(in_the_way(&base)) } else { Ok(()) }
    }
}

fn fingerprint(path: &Path) -> Fingerprint {
    [0_u8, 1].map(|salt| {
        let mut hasher = DefaultHasher::new();
        (salt, path).hash(&mut hasher);
        hasher.finish()
    })
}

/// The file beside which something of this name is kept.
fn base(path: &Path) -> Option<PathBuf> {
    let extension = path.extension()?;
    BESIDE.iter().any(|beside| extension == *beside).then(|| path.with_extension(""))
}

fn in_the_way(base: &Path) -> Error {
    let base = escape::for_terminal(&base.to_string_lossy()).into_owned();
    refused(format!(
        "{base} is kept in {base}.part and {base}.haul until it is whole, and another URL would be saved there"
    ))
}

fn refused(cause: String) -> Error {
    Error::usage(cause)
        .with_hint("give them names or directories of their own, in a list (-i) or in runs of their own")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(names: &[&str]) -> Result<(), Error> {
        let mut taken = Names::default();
        names.iter().try_for_each(|name| taken.take(Path::new(name)))
    }

    #[test]
    fn a_name_is_taken_once() {
        taken(&["/d/x", "/d/y", "/e/x", "/d/x.1"]).unwrap();
        assert!(taken(&["/d/x", "/d/y", "/d/x"]).is_err());
    }

    #[test]
    fn what_is_kept_beside_a_file_is_no_name_for_another_in_whatever_order() {
        for beside in ["/d/x.part", "/d/x.haul"] {
            assert!(taken(&["/d/x", beside]).is_err());
            assert!(taken(&[beside, "/d/x"]).is_err());
            taken(&[beside, "/d/x.2", "/e/x"]).unwrap();
        }
        taken(&["/d/x.part", "/d/x.haul"]).unwrap();
        assert!(taken(&["/d/x.part.haul", "/d/x.part"]).is_err());
    }
}
