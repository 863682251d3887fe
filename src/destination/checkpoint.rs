//! The only place that knows the crash order: sync the bytes, then append the record, then sync the record. Only after
//! that is a range *durable*. All of it only as long as no other run has taken the file over.

use crate::clock::Clock;
use crate::error::Error;
use crate::manifest::{Hold, Journal, Record, Run, unwritten};
use crate::plan::{ByteRange, Moment, RangeSet};
use crate::storage::Storage;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

/// Maximum time between checkpoints while bytes arrive …
const PERIOD: Duration = Duration::from_secs(1);
/// … shortened if saving is cheap, since a kill loses everything received after the last one, but not below this …
const SHORTEST: Duration = Duration::from_millis(100);
/// … nor so that saving takes more than one part in this many of the time …
const SHARE: u32 = 20;
/// … and a checkpoint is due whenever this many bytes are written but not durable.
const BYTES: u64 = 64 << 20;

/// Journal handed back, with the outcome of the batch and the time it took.
type Saved = (Journal, Result<Vec<Run>, Error>, Duration);

/// Slots written runs into durable ones, in the background, one batch after the other.
pub(crate) struct Checkpoint {
    part: Arc<dyn Storage>,
    /// Path shown in errors.
    path: PathBuf,
    /// `None` while a batch is being saved, and for good after a failure.
    journal: Option<Journal>,
    hold: Option<Hold>,
    written: bool,
    saving: Option<JoinHandle<Saved>>,
    /// Durable ranges are dropped from memory.
    lets_go: bool,
    pending: Vec<Run>,
    pending_bytes: u64,
    durable: RangeSet,
    last: Moment,
    /// Time it took to save the last batch.
    cost: Duration,
}

impl Checkpoint {
    pub(crate) fn new(
        part: Arc<dyn Storage>,
        path: PathBuf,
        journal: Journal,
        lets_go: bool,
        now: Moment,
    ) -> Self {
        let durable = journal.runs().iter().map(|run| run.range).collect();
        Self {
            part,
            path,
            hold: journal.hold().cloned(),
            written: journal.is_taken_over(),
            journal: Some(journal),
            saving: None,
            lets_go,
            pending: Vec::new(),
            pending_bytes: 0,
            durable,
            last: now,
            cost: Duration::ZERO,
        }
    }

    pub(crate) fn durable(&self) -> &RangeSet {
        &self.durable
    }

    /// Adds runs that have been written: the write calls have returned.
    pub(crate) fn add(&mut self, runs: Vec<Run>) {
        self.pending_bytes += runs.iter().map(|run| run.range.len()).sum::<u64>();
        self.pending.extend(runs);
    }

    /// Returns true if the next batch is due.
    pub(crate) fn is_due(&self, now: Moment) -> bool {
        let pause = (self.cost * SHARE).clamp(SHORTEST, PERIOD);
        let enough = self.pending_bytes >= BYTES || now.saturating_sub(self.last) >= pause;
        enough && !self.pending.is_empty() && self.journal.is_some()
    }

    /// Starts saving the runs written so far. Runs written meanwhile belong to the next batch.
    pub(crate) fn begin(&mut self, now: Moment) {
        let Some(journal) = self.journal.take() else {
            return;
        };
        let runs = std::mem::take(&mut self.pending);
        self.pending_bytes = 0;
        self.last = now;
        let (part, path, lets_go) = (self.part.clone(), self.path.clone(), self.lets_go);
        self.saving = Some(crate::threads::offload(move || {
            let saved = save(part.as_ref(), &path, journal, runs);
            if let (true, Ok(runs)) = (lets_go, &saved.1) {
                runs.iter().for_each(|run| part.forget(run.range.start(), run.range.len()));
            }
            saved
        }));
    }

    /// Waits for the batch being saved; for ever if there is none. Cancel-safe.
    ///
    /// # Errors
    /// After a failed sync or write the batch is void: nothing of it is claimed, nothing is retried, and no later batch
    /// is saved. Ranges that were durable before stay so.
    pub(crate) async fn saved(&mut self) -> Result<(), Error> {
        let Some(saving) = &mut self.saving else {
            return std::future::pending().await;
        };
        let joined = saving.await;
        self.saving = None;
        let (journal, saved, cost) = joined
            .map_err(|error| Error::new(crate::Kind::Other, "the checkpoint died").with_source(error))?;
        self.look_at(&journal);
        let runs = saved?;
        self.cost = cost;
        for run in &runs {
            self.durable.insert(run.range);
        }
        self.journal = Some(journal);
        Ok(())
    }

    /// Waits until nothing is being saved any more.
    pub(crate) async fn settled(mut self) -> Result<(), Error> {
        if self.saving.is_some() { self.saved().await } else { Ok(()) }
    }

    /// Makes all written runs durable.
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

    /// Check that this run still holds the file.
    pub(crate) fn hold(&self) -> Option<Hold> {
        self.hold.clone()
    }

    /// Returns true if this run has written to the manifest.
    pub(crate) fn has_written(&self) -> bool {
        self.written
    }

    fn look_at(&mut self, journal: &Journal) {
        (self.hold, self.written) = (journal.hold().cloned(), journal.is_taken_over());
    }

    /// Current claims, to be audited. Empty after a failure.
    pub(crate) fn claims(&self) -> Vec<Run> {
        self.journal.as_ref().map(|journal| journal.runs().to_vec()).unwrap_or_default()
    }

    /// Durably withdraws claims that turned out to be wrong.
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
        let changing = crate::threads::offload(move || {
            let changed = journal
                .check()
                .and_then(|()| change(&mut journal).map_err(|error| unwritten(journal.path(), &error)));
            (journal, changed)
        });
        let (journal, changed) = changing.await.map_err(|error| {
            Error::new(crate::Kind::Other, "the manifest could not be changed").with_source(error)
        })?;
        self.look_at(&journal);
        changed?;
        self.journal = Some(journal);
        Ok(())
    }
}

/// Saves a batch in the order that makes the claims true. Blocking.
fn save(part: &dyn Storage, path: &Path, mut journal: Journal, runs: Vec<Run>) -> Saved {
    let clock = Clock::start();
    let saved = journal
        .check()
        .and_then(|()| part.sync().map_err(|error| Error::disk("cannot save", path, &error)))
        .and_then(|()| {
            let appended = journal.append(&[], &runs);
            appended.map_err(|error| unwritten(journal.path(), &error))
        })
        .map(|()| runs);
    (journal, saved, clock.now())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{FileRecord, Raw};
    use crate::plan::representation::Representation;
    use crate::plan::seed::mix;
    use crate::storage::Identity;
    use crate::storage::crash::{CrashDisk, CrashFile};
    use proptest::prelude::*;

    const LENGTH: usize = 40_000;

    /// No byte equals the one a sector away, nor the zero that was there before.
    fn byte_at(position: u64) -> u8 {
        (mix(position) as u8).max(1)
    }

    fn record() -> FileRecord {
        FileRecord {
            url: "http://h/f".to_owned(),
            representation: Representation {
                complete_length: Some(LENGTH as u64),
                ..Representation::default()
            },
            digests: vec![],
            signature: None,
            document: None,
            mirrors: vec![],
            holder: None,
            part: Identity { device: 1, inode: 2 },
        }
    }

    /// A part file and its manifest on one disk, and the writer that follows the crash order.
    struct Bench {
        disk: CrashDisk,
        part: CrashFile,
        manifest: CrashFile,
        checkpoint: Checkpoint,
        written: RangeSet,
        /// Ranges that were durable at the last report.
        promised: RangeSet,
    }

    impl Bench {
        fn new(seed: u64) -> Self {
            let disk = CrashDisk::new(seed);
            let (part, manifest) = (disk.file(LENGTH), disk.file(0));
            let journal = Journal::over(Box::new(manifest.clone()), record()).unwrap();
            let checkpoint =
                Checkpoint::new(Arc::new(part.clone()), PathBuf::new(), journal, false, Moment::ZERO);
            Self { disk, part, manifest, checkpoint, written: RangeSet::new(), promised: RangeSet::new() }
        }

        /// Writes and checkpoints at random as a download does; stops at the first failure and returns it.
        async fn download(&mut self, mut seed: u64) -> Result<(), Error> {
            for _ in 0..24 {
                for _ in 0..seed % 4 {
                    seed = mix(seed);
                    let from = seed % LENGTH as u64;
                    let Some(gap) = self.written.first_gap(ByteRange::new(from, LENGTH as u64)) else {
                        continue;
                    };
                    let length = (1 + (seed >> 20) % 3000).min(gap.len());
                    let range = ByteRange::new(gap.start(), gap.start() + length);
                    self.written.insert(range);
                    let bytes: Vec<u8> = (range.start()..range.end()).map(byte_at).collect();
                    let written = self.part.write_at(range.start(), &bytes);
                    written.map_err(|error| Error::disk("cannot write", Path::new(""), &error))?;
                    self.checkpoint.add(vec![Run { range, crc: crc32c::crc32c(&bytes) }]);
                }
                seed = mix(seed);
                match seed % 8 {
                    0 => {
                        let first = self.checkpoint.durable().iter().next();
                        if let Some(range) = first {
                            self.promised.remove(range);
                            self.written.remove(range);
                            self.checkpoint.withdraw(vec![range]).await?;
                        }
                    }
                    1..5 => {
                        self.checkpoint.begin(Moment::ZERO);
                        // Runs written while the batch is being saved belong to the next one.
                        self.checkpoint.flush(Moment::ZERO).await?;
                    }
                    _ => {}
                }
                self.promised = self.checkpoint.durable().clone();
            }
            self.checkpoint.flush(Moment::ZERO).await?;
            self.promised = self.checkpoint.durable().clone();
            Ok(())
        }

        /// Checks the state after a power failure: every claim is true, and nothing that was promised is missing.
        fn check(&self) {
            let raw = Raw::parse(&self.disk.image(&self.manifest)).unwrap();
            let image = self.disk.image(&self.part);
            let mut claimed = RangeSet::new();
            for run in &raw.runs {
                let bytes = &image[run.range.start() as usize..run.range.end() as usize];
                let right = (run.range.start()..run.range.end()).map(byte_at).eq(bytes.iter().copied());
                assert!(right, "{:?} is claimed and is not there", run.range);
                assert_eq!(run.crc, crc32c::crc32c(bytes));
                claimed.insert(run.range);
            }
            let missing = self.promised.iter().find(|range| !claimed.covers(*range));
            assert_eq!(missing, None, "promised to be durable, and not claimed");
        }
    }

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().build().unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        // T088
        #[test]
        fn whenever_the_power_goes_every_claim_is_true(seed: u64) {
            let runtime = runtime();
            let whole = {
                let mut bench = Bench::new(seed);
                runtime.block_on(bench.download(seed)).unwrap();
                bench.check();
                bench.disk.operations()
            };
            for operation in 1..=whole {
                let mut bench = Bench::new(mix(seed ^ operation as u64));
                bench.disk.crash_at(operation);
                let _ = runtime.block_on(bench.download(seed));
                bench.check();
            }
        }

        // T095
        #[test]
        fn after_a_failed_sync_nothing_more_is_claimed(seed: u64, nth in 1_usize..20) {
            let runtime = runtime();
            let mut bench = Bench::new(seed);
            bench.disk.fail_sync(nth);
            let ended = runtime.block_on(bench.download(seed));
            bench.check();
            if ended.is_err() {
                let before = Raw::parse(&bench.disk.image(&bench.manifest)).unwrap().runs;
                // Whatever is tried afterwards, the disk reports success, and nothing is claimed.
                runtime.block_on(async {
                    bench.checkpoint.begin(Moment::ZERO);
                    let _ = bench.checkpoint.flush(Moment::ZERO).await;
                    assert!(bench.checkpoint.withdraw(vec![]).await.is_err());
                });
                prop_assert_eq!(Raw::parse(&bench.disk.image(&bench.manifest)).unwrap().runs, before);
            }
        }
    }
}
