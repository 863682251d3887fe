//! The part file, locked, and the manifest beside it.

use super::order::Order;
use crate::error::{Error, Kind};
use crate::manifest::{FileRecord, Journal, Raw, Trusted, new_holder, unwritten};
use crate::plan::representation::Representation;
use crate::storage::{self, Allocation, PartFile, Storage as _, Target, remove_own, sync_directory};
use std::sync::Arc;

/// Where one file is being made. All methods block.
#[derive(Clone, Debug)]
pub(crate) struct Workplace {
    pub(crate) target: Target,
    pub(crate) part: Arc<PartFile>,
    /// Whether this run created the part file, so that it may remove it when nothing came of it.
    pub(crate) created: bool,
    /// How long the part file was found.
    found: u64,
}

impl Workplace {
    pub(crate) fn new(target: Target, part: PartFile, created: bool) -> Self {
        // One that cannot be looked at is as long as any.
        let found = part.len().unwrap_or(u64::MAX);
        Self { target, part: Arc::new(part), created, found }
    }

    /// Whether the file would fit, as far as can be told without making it.
    pub(crate) fn has_room_for(&self, representation: &Representation) -> Result<(), Error> {
        representation.complete_length.map_or(Ok(()), |length| self.part.has_room_for(length))
    }

    /// Makes the file for `representation`: room first, then the size on disk, then the first manifest, so
    /// that no manifest ever refers to a file that is not there yet.
    pub(crate) fn begin(
        &self,
        representation: &Representation,
        order: &Order,
    ) -> Result<(Journal, Allocation), Error> {
        let allocation = match representation.complete_length {
            Some(length) => self.part.allocate(length)?,
            None => Allocation::Reserved,
        };
        let path = self.part.path();
        self.check_name()?;
        self.part.file().sync_all().map_err(|error| Error::disk("cannot save", path, &error))?;
        let manifest = self.target.manifest_path();
        let record = self.record(representation.clone(), order)?;
        let journal = Journal::create(manifest.clone(), record, Vec::new())
            .map_err(|error| unwritten(&manifest, &error))?;
        Ok((journal, allocation))
    }

    /// Goes on with an existing manifest: it is written anew, at once where this run wants something else of it, otherwise as
    /// soon as there is something to write.
    pub(crate) fn reopen(
        &self,
        raw: &Raw,
        trusted: &Trusted,
        order: &Order,
        part_length: u64,
    ) -> Result<Journal, Error> {
        if let Some(length) = trusted.representation.complete_length
            && length != part_length
        {
            self.part.allocate(length)?;
        }
        let manifest = self.target.manifest_path();
        let mut record = self.renewed(raw, order)?;
        let same = record == raw.file && raw.runs == trusted.runs && raw.rejected.is_none();
        record.holder = Some(new_holder());
        if same {
            return Ok(Journal::resume(manifest, raw, record, trusted.runs.clone()));
        }
        Journal::create(manifest.clone(), record, trusted.runs.clone())
            .map_err(|error| unwritten(&manifest, &error))
    }

    /// Goes on in a part file of this run's own, for where locks do nothing: a run that has the other one open may write to it
    /// still, and what it writes need not be of this version.
    pub(crate) fn reopen_apart(
        self,
        raw: &Raw,
        trusted: &Trusted,
        order: &Order,
    ) -> Result<(Self, Journal), Error> {
        let manifest = self.target.manifest_path();
        let unwritten = |error: std::io::Error| unwritten(&manifest, &error);
        self.check_name()?;
        // Once its name is gone, what is kept is there until this run ends and no longer.
        self.part.has_room_for_a_copy(trusted.representation.complete_length.unwrap_or(self.length()?))?;
        let path = self.part.path();
        remove_own(path).map_err(|error| Error::disk("cannot remove", path, &error))?;
        let place = Self::new(self.target.clone(), storage::create(&self.target)?, false);
        let mut record = place.renewed(raw, order)?;
        record.holder = Some(new_holder());
        let mut journal = Journal::create(manifest.clone(), record, Vec::new()).map_err(unwritten)?;
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

    /// What the manifest says of the file, as this run wants it.
    fn renewed(&self, raw: &Raw, order: &Order) -> Result<FileRecord, Error> {
        let mut record = raw.file.clone();
        record.digests = order.digests.iter().map(ToString::to_string).collect();
        record.document = order.named_by.to_record();
        record.mirrors.clone_from(&order.mirrors);
        record.part = self.part.identity()?;
        Ok(record)
    }

    fn record(&self, representation: Representation, order: &Order) -> Result<FileRecord, Error> {
        Ok(FileRecord {
            url: order.address.to_record(),
            representation,
            digests: order.digests.iter().map(ToString::to_string).collect(),
            document: order.named_by.to_record(),
            mirrors: order.mirrors.clone(),
            holder: Some(new_holder()),
            part: self.part.identity()?,
        })
    }

    /// Forgets what was downloaded. The part file goes first, so that a manifest that survives a crash in between claims
    /// nothing that is there; then the manifest; then there is a new part file. It is another file, so that a run that
    /// believes it has the old one, where locks do nothing, cannot write the old version into the new one.
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

    /// Whether the part file is still the one that has the name.
    fn check_name(&self) -> Result<(), Error> {
        if self.part.is_still_named()? {
            return Ok(());
        }
        let cause = format!("another process has replaced {}", self.part.path().display());
        Err(Error::new(Kind::Locked, cause).with_hint("wait for it to end, or choose another name with -o"))
    }

    /// Removes what was said of a part file that is gone, durably.
    pub(crate) fn remove_manifest(&self) -> Result<(), Error> {
        let manifest = self.target.manifest_path();
        remove_own(&manifest).map_err(|error| Error::disk("cannot remove", &manifest, &error))?;
        let directory = self.target.directory();
        sync_directory(directory).map_err(|error| Error::disk("cannot save", directory, &error))
    }

    /// Gives up, with so many bytes kept, the last of them before `end`: gives back what was reserved beyond, or removes both
    /// files where nothing of this run's is in them. False where the part file is not this one any more; then nothing is
    /// touched; nor if this run has `written` nothing and reserved nothing.
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

    /// Whether the file would fill so much of memory that nothing of anybody else would be left in the page cache.
    pub(crate) fn is_larger_than_memory(&self) -> bool {
        let memory = rustix::system::sysinfo();
        let total = memory.totalram.saturating_mul(u64::from(memory.mem_unit));
        self.part.len().is_ok_and(|length| length > total / 2)
    }

    /// The complete length as it stands on disk, for resources whose server never said it.
    pub(crate) fn length(&self) -> Result<u64, Error> {
        self.part.len().map_err(|error| Error::disk("cannot look at", self.part.path(), &error))
    }
}
