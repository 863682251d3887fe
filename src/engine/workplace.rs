//! The part file, locked, and the manifest beside it.

use super::order::Order;
use crate::error::Error;
use crate::manifest::{FileRecord, Journal, Raw, Trusted};
use crate::plan::representation::Representation;
use crate::storage::{Allocation, PartFile, Storage as _, Target, remove_own, sync_directory};
use std::sync::Arc;

/// Where one file is being made. All methods block.
#[derive(Clone, Debug)]
pub(crate) struct Workplace {
    pub(crate) target: Target,
    pub(crate) part: Arc<PartFile>,
    /// Whether this run created the part file, so that it may remove it when nothing came of it.
    pub(crate) created: bool,
}

impl Workplace {
    pub(crate) fn new(target: Target, part: PartFile, created: bool) -> Self {
        Self { target, part: Arc::new(part), created }
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
        self.part.file().sync_all().map_err(|error| Error::disk("cannot save", path, &error))?;
        let manifest = self.target.manifest_path();
        let record = self.record(representation.clone(), order)?;
        let journal = Journal::create(manifest.clone(), record, Vec::new())
            .map_err(|error| Error::disk("cannot write", &manifest, &error))?;
        Ok((journal, allocation))
    }

    /// Goes on with an existing manifest; it is rewritten only where this run wants something else of it.
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
        let failed = |error| Error::disk("cannot write", &manifest, &error);
        let mut record = raw.file.clone();
        record.digests = order.digests.iter().map(ToString::to_string).collect();
        record.document = order.named_by.to_record();
        record.part = self.part.identity()?;
        if record == raw.file && raw.runs == trusted.runs && raw.rejected.is_none() {
            return Journal::reopen(manifest.clone(), raw, trusted.runs.clone()).map_err(failed);
        }
        Journal::create(manifest.clone(), record, trusted.runs.clone()).map_err(failed)
    }

    fn record(&self, representation: Representation, order: &Order) -> Result<FileRecord, Error> {
        Ok(FileRecord {
            url: order.address.to_record(),
            representation,
            digests: order.digests.iter().map(ToString::to_string).collect(),
            document: order.named_by.to_record(),
            part: self.part.identity()?,
        })
    }

    /// Forgets what was downloaded. The bytes go first, so that a manifest that survives a crash in between
    /// claims nothing that is there; then the manifest, durably, before the file may grow again.
    pub(crate) fn clear(&self) -> Result<(), Error> {
        self.part.clear()?;
        let manifest = self.target.manifest_path();
        remove_own(&manifest).map_err(|error| Error::disk("cannot remove", &manifest, &error))?;
        let directory = self.target.directory();
        sync_directory(directory).map_err(|error| Error::disk("cannot save", directory, &error))
    }

    /// Removes both files, where nothing worth keeping is in them.
    pub(crate) fn remove(&self) {
        // A failure here leaves an empty part file, which the next run takes over.
        let _ = remove_own(&self.target.manifest_path());
        let _ = remove_own(self.part.path());
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
