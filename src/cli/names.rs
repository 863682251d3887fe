//! Target names of the downloads of one run, so that no two of them collide.

use super::setup::Wanted;
use crate::error::Error;
use crate::formats::escape;
use crate::formats::file_name::beside_which;
use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::path::{Path, PathBuf};

/// Hash that stands for a name: among a million names two collide with a probability of one in 10²⁶.
type Fingerprint = [u64; 2];

/// Download to be saved under a name, as half a fingerprint each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Kept {
    /// Hash of the address and of the request parameters.
    source: u64,
    digests: u64,
}

/// Registry of names, as described in the module.
#[derive(Default)]
pub(super) struct Names {
    /// Downloads by name; each is only compared with others of the same name.
    files: HashMap<Fingerprint, Kept>,
    /// Base names of side files among the targets, such as `x` for `x.part`. They are few.
    bases: HashSet<Fingerprint>,
}

impl Names {
    /// Registers the name of one more file; returns false for an exact duplicate of an earlier request. A name that the
    /// server will choose cannot be checked.
    ///
    /// # Errors
    /// `Usage`, if another download has the name, or needs it for its part file or manifest.
    pub(super) fn take(&mut self, wanted: &Wanted) -> Result<bool, Error> {
        let Wanted { job, request, .. } = wanted;
        let Some(path) = request.planned_path() else {
            return Ok(true);
        };
        // Only the written-out userinfo is compared as text; the rest of a URL has several spellings.
        let userinfo = job.url.split_once('@').map(|(before, _)| before);
        let [source, _] =
            fingerprint(&(request.address(), userinfo, &job.login, &job.bearer, &job.headers, &job.mirrors));
        let mut digests: Vec<_> = request.digests().iter().map(ToString::to_string).collect();
        digests.sort();
        let [digests, _] = fingerprint(&digests);
        self.take_path(&path, Kept { source, digests })
    }

    fn take_path(&mut self, path: &Path, wanted: Kept) -> Result<bool, Error> {
        let name = fingerprint(path);
        if let Some(before) = self.files.insert(name, wanted) {
            if before == wanted {
                return Ok(false);
            }
            let path = escape::for_terminal(&path.to_string_lossy()).into_owned();
            if before.source == wanted.source {
                return Err(Error::usage(format!("{path} is asked for twice, with different digests"))
                    .with_hint("only one of them can be that of the file: ask for it once, with that one"));
            }
            return Err(refused(format!("two of the URLs would be saved as {path}")));
        }
        if self.bases.contains(&name) {
            return Err(in_the_way(path));
        }
        let Some(base) = base(path) else {
            return Ok(true);
        };
        let base_name = fingerprint(base.as_path());
        self.bases.insert(base_name);
        if self.files.contains_key(&base_name) { Err(in_the_way(&base)) } else { Ok(true) }
    }
}

fn fingerprint(of: &(impl Hash + ?Sized)) -> Fingerprint {
    [0_u8, 1].map(|salt| {
        let mut hasher = DefaultHasher::new();
        (salt, of).hash(&mut hasher);
        hasher.finish()
    })
}

/// Target whose side file would have this name.
fn base(path: &Path) -> Option<PathBuf> {
    let base = beside_which(path.file_name()?.to_str()?)?;
    Some(path.with_file_name(base))
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
    use crate::{Defaults, Job};

    fn taken(names: &[&str]) -> Result<(), Error> {
        let mut taken = Names::default();
        names.iter().enumerate().try_for_each(|(number, name)| {
            let wanted = Kept { source: number as u64, digests: 0 };
            taken.take_path(Path::new(name), wanted).map(|fresh| assert!(fresh))
        })
    }

    #[test]
    fn a_name_is_taken_once() {
        taken(&["/d/x", "/d/y", "/e/x", "/d/x.1"]).unwrap();
        assert!(taken(&["/d/x", "/d/y", "/d/x"]).is_err());
    }

    #[test]
    fn who_asks_for_the_very_same_again_is_told_so() {
        let mut names = Names::default();
        let wanted = |url: &str, digest: Option<String>| {
            let mut job = Job::new(url);
            job.digests.extend(digest);
            let request = crate::resolve(&job, &Defaults::default()).unwrap();
            Wanted { job, request, line: None }
        };
        assert!(names.take(&wanted("http://host/x", None)).unwrap());
        assert!(!names.take(&wanted("http://HOST:80/x", None)).unwrap());
        let digest = Some(format!("md5:{}", "0".repeat(32)));
        let error = names.take(&wanted("http://host/x", digest)).unwrap_err();
        assert!(error.to_string().contains("different digests"), "{error}");
        let error = names.take(&wanted("http://host/y/x", None)).unwrap_err();
        assert!(error.to_string().contains("two of the URLs"), "{error}");
        assert!(names.take(&wanted("http://me:pw@host/z", None)).unwrap());
        assert!(names.take(&wanted("http://host/z", None)).is_err());
    }

    #[test]
    fn what_is_kept_beside_a_file_is_no_name_for_another_in_whatever_order() {
        for beside in ["/d/x.part", "/d/x.haul", "/d/x.haul.tmp", "/d/x.Part"] {
            assert!(taken(&["/d/x", beside]).is_err());
            assert!(taken(&[beside, "/d/x"]).is_err());
            taken(&[beside, "/d/x.2", "/e/x"]).unwrap();
        }
        taken(&["/d/x.part", "/d/x.haul"]).unwrap();
        assert!(taken(&["/d/x.part.haul", "/d/x.part"]).is_err());
    }
}
