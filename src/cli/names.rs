//! Target names of the downloads of one run, so that no two of them collide.

use super::setup::Wanted;
use crate::error::Error;
use crate::formats::escape;
use crate::formats::file_name::beside_which;
use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, DefaultHasher, Hash, Hasher as _, RandomState};
use std::path::{Path, PathBuf};

/// Name of a download, and what is requested there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    path: PathBuf,
    /// Hash of the address and of the request parameters.
    source: u64,
    digests: u64,
}

impl Entry {
    /// `None` for a name that the server will choose.
    pub(super) fn of(wanted: &Wanted) -> Option<Self> {
        let Wanted { job, request, .. } = wanted;
        let path = request.planned_path()?;
        // Only the written-out userinfo is compared as text; the rest of a URL has several spellings.
        let userinfo = job.url.split_once('@').map(|(before, _)| before);
        let source =
            hash(&(request.address(), userinfo, &job.login, &job.bearer, &job.headers, &job.mirrors));
        let mut digests: Vec<_> = request.digests().iter().map(ToString::to_string).collect();
        digests.sort();
        Some(Self { path, source, digests: hash(&digests) })
    }

    /// Compares a download with an earlier one of the same name; returns false for an exact duplicate.
    ///
    /// # Errors
    /// `Usage` for anything else.
    fn beside(&self, before: &Self) -> Result<bool, Error> {
        if self == before {
            return Ok(false);
        }
        let path = escape::for_terminal(&self.path.to_string_lossy()).into_owned();
        if before.source == self.source {
            return Err(Error::usage(format!("{path} is asked for twice, with different digests"))
                .with_hint("only one of them can be that of the file: ask for it once, with that one"));
        }
        Err(refused(format!("two of the URLs would be saved as {path}")))
    }
}

/// Registry of names, as described in the module. It holds positions, from which the downloads are read again where two names
/// have one hash.
#[derive(Default)]
pub(super) struct Names {
    files: Positions,
    /// Downloads that are named as side files are, such as `x.part`, by the name that these would belong to. They are few.
    bases: Positions,
    hasher: RandomState,
    /// Download that was read again last: duplicates often follow each other.
    last: Option<(u64, Option<Entry>)>,
}

impl Names {
    /// Registers the name of the download at `position`; returns false for an exact duplicate of an earlier one. `again` reads an
    /// earlier one.
    ///
    /// # Errors
    /// `Usage`, if another download has the name, or needs it for its part file or manifest; those of `again`.
    pub(super) fn take(
        &mut self,
        entry: &Entry,
        position: u64,
        again: impl Fn(u64) -> Result<Option<Entry>, Error>,
    ) -> Result<bool, Error> {
        let name = self.hasher.hash_one(&entry.path);
        for before in self.files.at(name) {
            let before = self.read(before, &again)?;
            if let Some(before) = before.filter(|before| before.path == entry.path) {
                return entry.beside(before);
            }
        }
        self.files.insert(name, position);
        for beside in self.bases.at(name) {
            let beside = self.read(beside, &again)?;
            if beside.is_some_and(|beside| base(&beside.path).as_deref() == Some(&*entry.path)) {
                return Err(in_the_way(&entry.path));
            }
        }
        let Some(base) = base(&entry.path) else {
            return Ok(true);
        };
        let name = self.hasher.hash_one(&base);
        self.bases.insert(name, position);
        for before in self.files.at(name) {
            let before = self.read(before, &again)?;
            if before.is_some_and(|before| before.path == base) {
                return Err(in_the_way(&base));
            }
        }
        Ok(true)
    }

    /// Returns true unless the download at `position` is a duplicate of an earlier one.
    pub(super) fn has_first(&self, entry: &Entry, position: u64) -> bool {
        self.files.at(self.hasher.hash_one(&entry.path)).contains(&position)
    }

    fn read(
        &mut self,
        position: u64,
        again: impl Fn(u64) -> Result<Option<Entry>, Error>,
    ) -> Result<Option<&Entry>, Error> {
        if self.last.as_ref().is_none_or(|(known, _)| *known != position) {
            self.last = Some((position, again(position)?));
        }
        Ok(self.last.as_ref().and_then(|(_, entry)| entry.as_ref()))
    }
}

/// Positions by hash, in 12 bytes each: of a list of any length little more is kept.
#[derive(Default)]
struct Positions(Vec<Vec<Slot>>);

#[derive(Clone, Copy)]
struct Slot {
    /// Half of the hash; the other half chooses the bucket.
    hash: u32,
    /// Lower and upper half.
    position: [u32; 2],
}

impl Positions {
    const BUCKETS: usize = 4096;

    fn split(hash: u64) -> (usize, u32) {
        ((hash >> 32) as usize % Self::BUCKETS, hash as u32)
    }

    fn at(&self, hash: u64) -> Vec<u64> {
        let (bucket, hash) = Self::split(hash);
        let slots = self.0.get(bucket).into_iter().flatten().filter(|slot| slot.hash == hash);
        slots.map(|slot| u64::from(slot.position[1]) << 32 | u64::from(slot.position[0])).collect()
    }

    fn insert(&mut self, hash: u64, position: u64) {
        let (bucket, hash) = Self::split(hash);
        self.0.resize_with(Self::BUCKETS, Vec::new);
        let slots = &mut self.0[bucket];
        if slots.len() == slots.capacity() {
            // Doubling would leave half of the memory empty.
            slots.reserve_exact(slots.len() / 4 + 2);
        }
        slots.push(Slot { hash, position: [position as u32, (position >> 32) as u32] });
    }
}

/// Names of the downloads that have begun and not ended: of a list that comes while the run goes on nothing else is kept. A file that
/// is complete is dealt with as any file that exists.
#[derive(Default)]
pub(super) struct InFlight(BTreeMap<usize, Entry>);

impl InFlight {
    /// Returns false for an exact duplicate of a download that has not ended.
    ///
    /// # Errors
    /// `Usage`, if another download has the name, or needs it for its part file or manifest.
    pub(super) fn allows(&self, entry: &Entry) -> Result<bool, Error> {
        let own = base(&entry.path);
        for other in self.0.values() {
            if other.path == entry.path {
                return entry.beside(other);
            }
            if own.as_deref() == Some(&*other.path) {
                return Err(in_the_way(&other.path));
            }
            if base(&other.path).as_deref() == Some(&*entry.path) {
                return Err(in_the_way(&entry.path));
            }
        }
        Ok(true)
    }

    pub(super) fn begun(&mut self, id: usize, entry: Entry) {
        self.0.insert(id, entry);
    }

    pub(super) fn ended(&mut self, id: usize) {
        self.0.remove(&id);
    }
}

fn hash(of: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
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

    fn entry(name: &str, source: u64) -> Entry {
        Entry { path: name.into(), source, digests: 0 }
    }

    /// Registers names for different downloads, whose positions are their places.
    fn taken(names: &[&str]) -> Result<(), Error> {
        let (mut registry, mut in_flight) = (Names::default(), InFlight::default());
        let of = |position: u64| entry(names[position as usize], position);
        for position in 0..names.len() as u64 {
            let of_list = registry.take(&of(position), position, |before| Ok(Some(of(before))));
            let of_stream = in_flight.allows(&of(position));
            assert_eq!(of_list.is_ok(), of_stream.is_ok(), "{names:?}");
            assert!(of_list?);
            in_flight.begun(position as usize, of(position));
        }
        Ok(())
    }

    #[test]
    fn a_name_is_taken_once() {
        taken(&["/d/x", "/d/y", "/e/x", "/d/x.1"]).unwrap();
        assert!(taken(&["/d/x", "/d/y", "/d/x"]).is_err());
    }

    #[test]
    fn names_of_one_hash_are_told_apart_by_reading_the_downloads_again() {
        let mut names = Names::default();
        let (a, b) = (entry("/d/a", 1), entry("/d/b", 2));
        // As if both had the hash of the second.
        names.files.insert(names.hasher.hash_one(&b.path), 7);
        let read = |position| Ok(Some(if position == 7 { a.clone() } else { b.clone() }));
        assert!(names.take(&b, 8, read).unwrap());
        assert!(!names.take(&b, 9, read).unwrap());
        assert!(names.has_first(&b, 8) && !names.has_first(&b, 9));
    }

    #[test]
    fn positions_of_many_names_take_little_more_than_twelve_bytes_each() {
        let mut positions = Positions::default();
        let hasher = RandomState::new();
        for position in 0..200_000_u64 {
            positions.insert(hasher.hash_one(position), position << 20);
        }
        for position in (0..200_000_u64).step_by(997) {
            assert!(positions.at(hasher.hash_one(position)).contains(&(position << 20)));
        }
        let bytes: usize = positions.0.iter().map(|slots| slots.capacity() * size_of::<Slot>()).sum();
        assert!(bytes < 200_000 * 16, "{bytes}");
    }

    #[test]
    fn a_second_request_for_the_very_same_file_is_a_duplicate() {
        let wanted = |url: &str, digest: Option<String>| {
            let mut job = Job::new(url);
            job.digests.extend(digest);
            let request = crate::resolve(&job, &Defaults::default()).unwrap();
            Entry::of(&Wanted { job, request, line: None }).unwrap()
        };
        let first = wanted("http://host/x", None);
        assert!(!wanted("http://HOST:80/x", None).beside(&first).unwrap());
        let digest = Some(format!("md5:{}", "0".repeat(32)));
        let error = wanted("http://host/x", digest).beside(&first).unwrap_err();
        assert!(error.to_string().contains("different digests"), "{error}");
        let error = wanted("http://host/y/x", None).beside(&first).unwrap_err();
        assert!(error.to_string().contains("two of the URLs"), "{error}");
        assert!(wanted("http://host/z", None).beside(&wanted("http://me:pw@host/z", None)).is_err());
    }

    #[test]
    fn a_name_is_free_again_once_its_download_has_ended() {
        let mut in_flight = InFlight::default();
        in_flight.begun(3, entry("/d/x", 1));
        assert!(!in_flight.allows(&entry("/d/x", 1)).unwrap());
        assert!(in_flight.allows(&entry("/d/x", 2)).is_err());
        in_flight.ended(3);
        assert!(in_flight.allows(&entry("/d/x", 2)).unwrap());
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
