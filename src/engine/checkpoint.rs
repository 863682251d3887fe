//! The only place that knows the crash order: sync the bytes, then record them, then sync the record.
//! Only after that is a range *durable*.

use crate::error::Error;
use crate::manifest::{Journal, Record, Run};
use crate::plan::{ByteRange, Moment, RangeSet};
use crate::storage::{PartFile, Storage as _};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

/// A checkpoint is made at least this often while bytes come …
const PERIOD: Duration = Duration::from_secs(1);
/// … and whenever this much is written but not durable.
const BYTES: u64 = 64 << 20;

/// The journal comes back with what became of the batch.
type Saved = (Journal, Result<Vec<Run>, Error>);

/// Turns written runs into durable ones, in the background, one batch after the other.
pub(crate) struct Checkpoint {
    part: Arc<PartFile>,
    /// `None` while a batch is being saved, and for good after a failure.
    journal: Option<Journal>,
    saving: Option<JoinHandle<Saved>>,
    pending: Vec<Run>,
    pending_bytes: u64,
    durable: RangeSet,
    last: Moment,
}

impl Checkpoint {
    pub(crate) fn new(part: Arc<PartFile>, journal: Journal, now: Moment) -> Self {
        let durable = journal.runs().iter().map(|run| run.range).collect();
        Self {
            part,
            journal: Some(journal),
            saving: None,
            pending: Vec::new(),
            pending_bytes: 0,
            durable,
            last: now,
        }
    }

    pub(crate) fn durable(&self) -> &RangeSet {
        &self.durable
    }

    /// These runs have been written: the write calls have returned.
    pub(crate) fn add(&mut self, runs: Vec<Run>) {
        self.pending_bytes += runs.iter().map(|run| run.range.len()).sum::<u64>();
        self.pending.extend(runs);
    }

    /// Whether it is time for the next batch.
    pub(crate) fn is_due(&self, now: Moment) -> bool {
        let enough = self.pending_bytes >= BYTES || now.saturating_sub(self.last) >= PERIOD;
        enough && !self.pending.is_empty() && self.journal.is_some()
    }

    /// Begins to save what is written now. What is written while it runs belongs to the next batch.
    pub(crate) fn begin(&mut self, now: Moment) {
        let Some(journal) = self.journal.take() else {
            return;
        };
        let runs = std::mem::take(&mut self.pending);
        self.pending_bytes = 0;
        self.last = now;
        let part = self.part.clone();
        self.saving = Some(tokio::task::spawn_blocking(move || save(&part, journal, runs)));
    }

    /// Waits for the batch that is being saved; for ever if there is none. Cancel-safe.
    ///
    /// # Errors
    /// After a failed sync or write the batch is void: nothing of it is claimed, nothing is tried again, and
    /// no later batch is saved. What was durable before stays so.
    pub(crate) async fn saved(&mut self) -> Result<(), Error> {
        let Some(saving) = &mut self.saving else {
            return std::future::pending().await;
        };
        let joined = saving.await;
        self.saving = None;
        let (journal, saved) = joined
            .map_err(|error| Error::new(crate::Kind::Other, "the checkpoint died").with_source(error))?;
        let runs = saved?;
        for run in &runs {
            self.durable.insert(run.range);
        }
        self.journal = Some(journal);
        Ok(())
    }

    /// Waits until nothing is being saved any more, however that ends.
    pub(crate) async fn settled(mut self) -> Result<(), Error> {
        if self.saving.is_some() { self.saved().await } else { Ok(()) }
    }

    /// Makes everything durable that has been written.
    pub(crate) async fn flush(&mut self, now: Moment) -> Result<(), Error> {
        if self.saving.is_some() {
            self.saved().await?;
        }
        if !self.pending.is_empty() {
            self.begin(now);
            if self.saving.is_some() {
                self.saved().await?;
            }
        }
        Ok(())
    }

    /// The claims as they stand, to be audited. Empty after a failure.
    pub(crate) fn claims(&self) -> Vec<Run> {
        self.journal.as_ref().map(|journal| journal.runs().to_vec()).unwrap_or_default()
    }

    /// Takes back claims that turned out to be wrong, durably.
    pub(crate) async fn withdraw(&mut self, ranges: Vec<ByteRange>) -> Result<(), Error> {
        for range in &ranges {
            self.durable.remove(*range);
        }
        self.with_journal(move |journal| journal.withdraw(&ranges)).await
    }

    /// Adds a record that claims nothing.
    pub(crate) async fn record(&mut self, record: Record) -> Result<(), Error> {
        self.with_journal(move |journal| journal.append(&[record], &[])).await
    }

    async fn with_journal(
        &mut self,
        change: impl FnOnce(&mut Journal) -> std::io::Result<()> + Send + 'static,
    ) -> Result<(), Error> {
        if self.saving.is_some() {
            self.saved().await?;
        }
        let Some(mut journal) = self.journal.take() else {
            return Err(Error::new(crate::Kind::Disk, "the manifest cannot be written any more"));
        };
        let changing = tokio::task::spawn_blocking(move || {
            let changed = change(&mut journal);
            (journal, changed)
        });
        let (journal, changed) = changing.await.map_err(|error| {
            Error::new(crate::Kind::Other, "the manifest could not be changed").with_source(error)
        })?;
        changed.map_err(|error| Error::disk("cannot write", journal.path(), &error))?;
        self.journal = Some(journal);
        Ok(())
    }
}

/// The order that makes the claims true. Blocking.
fn save(part: &PartFile, mut journal: Journal, runs: Vec<Run>) -> Saved {
    let saved = part
        .sync()
        .map_err(|error| Error::disk("cannot save", part.path(), &error))
        .and_then(|()| {
            let appended = journal.append(&[], &runs);
            appended.map_err(|error| Error::disk("cannot write", journal.path(), &error))
        })
        .map(|()| runs);
    (journal, saved)
}
