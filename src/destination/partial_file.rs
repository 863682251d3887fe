//! The locked part file and the manifest beside it.

use super::spec::FileSpec;
use crate::error::{Error, Kind, Remedy};
use crate::manifest::{FileRecord, Journal, Raw, Trusted, new_holder, unwritten};
use crate::plan::representation::Representation;
use crate::storage::{self, Allocation, PartFile, Storage as _, Target, remove_own, sync_directory};
use std::sync::Arc;

/// Files of one unfinished download. All methods block.
#[derive(Clone, Debug)]
pub(crate) struct PartialFile {
    pub(crate) target: Target,
    pub(crate) part: Arc<PartFile>,
    /// True if this run created the part file, so that it may remove it when nothing came of it.
    pub(crate) created: bool,
    /// Length of the part file when it was opened, in bytes.
    found: u64,
}

impl PartialFile {
    pub(crate) fn new(target: Target, part: PartFile, created: bool) -> Self {
        // An unknown length counts as the largest, so that nothing is given back.
        let found = part.len().unwrap_or(u64::MAX);
        Self { target, part: Arc::new(part), created, found }
    }

    /// Checks that the file would fit, as far as can be told without creating it.
    pub(crate) fn has_room_for(&self, representation: &Representation) -> Result<(), Error> {
        representation.complete_length.map_or(Ok(()), |length| self.part.has_room_for(length))
    }

    /// Creates the file for `representation`: allocates it, syncs it, then writes the first manifest, so that no
    /// manifest ever refers to a file that is not there yet.
    pub(crate) fn begin(
        &self,
        representation: &Representation,
        spec: &FileSpec,
    ) -> Result<(Journal, Allocation), Error> {
        let allocation = match representation.complete_length {
            Some(length) => self.part.allocate(length)?,
            None => Allocation::Reserved,
        };
        let path = self.part.path();
        self.check_name()?;
        self.part.file().sync_all().map_err(|error| Error::disk("cannot save", path, &error))?;
        let manifest = self.target.manifest_path();
        let record = self.record(representation.clone(), spec)?;
        self.target.check_root()?;
        let journal = Journal::create(manifest.clone(), record, Vec::new())
            .map_err(|error| unwritten(&manifest, &error))?;
        Ok((journal.of(&self.target)?, allocation))
    }

    /// Continues with an existing manifest: it is rewritten at once if this run changes its content, otherwise with the
    /// first new record.
    pub(crate) fn reopen(
        &self,
        raw: &Raw,
        trusted: &Trusted,
        spec: &FileSpec,
        part_length: u64,
    ) -> Result<Journal, Error> {
        if let Some(length) = trusted.representation.complete_length
            && length != part_length
        {
            self.part.allocate(length)?;
        }
        let manifest = self.target.manifest_path();
        let mut record = self.renewed(raw, spec)?;
        let same = record == raw.file && raw.runs == trusted.runs && raw.rejected.is_none();
        record.holder = Some(new_holder());
        if same {
            return Journal::resume(manifest, raw, record, trusted.runs.clone()).of(&self.target);
        }
        self.target.check_root()?;
        let journal = Journal::create(manifest.clone(), record, trusted.runs.clone())
            .map_err(|error| unwritten(&manifest, &error))?;
        journal.of(&self.target)
    }

    /// Continues in a new part file of this run's own, where locks have no effect: another run that has the old one
    /// open may still write to it, and possibly bytes of another version.
    pub(crate) fn reopen_apart(
        self,
        raw: &Raw,
        trusted: &Trusted,
        spec: &FileSpec,
    ) -> Result<(Self, Journal), Error> {
        let manifest = self.target.manifest_path();
        let unwritten = |error: std::io::Error| unwritten(&manifest, &error);
        self.check_name()?;
        // Once its name is removed, the old file exists only until this run ends.
        self.part.has_room_for_a_copy(trusted.representation.complete_length.unwrap_or(self.length()?))?;
        let path = self.part.path();
        remove_own(path).map_err(|error| Error::disk("cannot remove", path, &error))?;
        let place = Self::new(self.target.clone(), storage::create(&self.target)?, false);
        let mut record = place.renewed(raw, spec)?;
        record.holder = Some(new_holder());
        let journal = Journal::create(manifest.clone(), record, Vec::new()).map_err(unwritten)?;
        let mut journal = journal.of(&self.target)?;
        if let Some(length) = trusted.representation.complete_length {
            place.part.allocate(length)?;
        }
        for run in &trusted.runs {
            place.part.copy_from(&self.part, run.range)?;
        }
        place.part.file().sync_all().map_err(|error| Error::disk("cannot save", path, &error))?;
        journal.append(&[], &trusted.runs).map_err(unwritten)?;
        Ok((place, journal))
    }

    /// Manifest record of the file, updated for this run.
    fn renewed(&self, raw: &Raw, spec: &FileSpec) -> Result<FileRecord, Error> {
        let mut record = raw.file.clone();
        record.signature = spec.signature.as_deref().cloned();
        // Bytes of a mirror are proven by the digest alone, whichever run ends the file.
        if !spec.digests.is_empty() || record.mirrors.is_empty() {
            record.digests = spec.recorded();
            record.mirrors.clone_from(&spec.mirrors);
        }
        record.document = spec.named_by.to_record();
        record.part = self.part.identity()?;
        Ok(record)
    }

    fn record(&self, representation: Representation, spec: &FileSpec) -> Result<FileRecord, Error> {
        Ok(FileRecord {
            url: spec.address.to_record(),
            representation,
            digests: spec.recorded(),
            signature: spec.signature.as_deref().cloned(),
            document: spec.named_by.to_record(),
            mirrors: spec.mirrors.clone(),
            holder: Some(new_holder()),
            part: self.part.identity()?,
        })
    }

    /// Discards the download. The part file goes first, so that a manifest that survives a crash in between claims
    /// nothing that exists; then the manifest; then a new part file is created. It is another file, so that a run that
    /// still has the old one open, where locks have no effect, cannot write the old version into the new one.
    pub(crate) fn clear(self) -> Result<Self, Error> {
        let directory = self.target.directory();
        let unsaved = |error: std::io::Error| Error::disk("cannot save", directory, &error);
        self.check_name()?;
        self.part.remove()?;
        sync_directory(directory).map_err(unsaved)?;
        self.remove_manifest()?;
        let part = storage::create(&self.target)?;
        sync_directory(directory).map_err(unsaved)?;
        Ok(Self::new(self.target, part, true))
    }

    /// Checks that the part file still has its name.
    fn check_name(&self) -> Result<(), Error> {
        if self.part.is_still_named()? {
            return Ok(());
        }
        let cause = format!("another process has replaced {}", self.part.path().display());
        Err(Error::new(Kind::Locked, cause).with_remedy(Remedy::WaitOrRename))
    }

    /// Removes the manifest of a part file that is gone, durably.
    pub(crate) fn remove_manifest(&self) -> Result<(), Error> {
        let manifest = self.target.manifest_path();
        remove_own(&manifest).map_err(|error| Error::disk("cannot remove", &manifest, &error))?;
        let directory = self.target.directory();
        sync_directory(directory).map_err(|error| Error::disk("cannot save", directory, &error))
    }

    /// Gives up with `kept` bytes, the last of them before `end`: releases the space reserved beyond it, or removes
    /// both files if this run created them and kept nothing. Returns false, and touches nothing, if the part file was
    /// replaced. Touches nothing either if this run has not `written` and reserved nothing.
    pub(crate) fn leave(&self, written: bool, kept: u64, end: u64) -> Result<bool, Error> {
        if !self.part.is_still_named()? {
            return Ok(false);
        }
        if kept == 0 && self.created {
            // A failure here leaves an empty part file, which the next run takes over.
            let _ = remove_own(&self.target.manifest_path());
            let _ = remove_own(self.part.path());
        } else if written || self.length()? > self.found {
            self.part.give_back_beyond(end);
        }
        Ok(true)
    }

    /// Returns true if the file exceeds half of the memory, so that caching it would evict everything else from the
    /// page cache.
    pub(crate) fn is_larger_than_memory(&self) -> bool {
        self.part.len().is_ok_and(|length| length > crate::sys::memory() / 2)
    }

    /// Complete length as it is on disk, for resources whose server never stated it.
    pub(crate) fn length(&self) -> Result<u64, Error> {
        self.part.len().map_err(|error| Error::disk("cannot look at", self.part.path(), &error))
    }
}
