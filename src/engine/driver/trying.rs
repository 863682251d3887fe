//! Search for the source that gave wrong bytes: compares samples between sources, and fetches again the bytes that the
//! trusted ones did not give.

use super::Driver;
use super::ending::unless_cancelled;
use crate::clock::Clock;
use crate::destination::{FileWork, blocking};
use crate::engine::event::{Event, Notice};
use crate::engine::publisher::Publisher;
use crate::engine::worker::Shared;
use crate::error::Error;
use crate::manifest::{Run, audit, piece_size};
use crate::plan::byte_range::ContentRange;
use crate::plan::response_head::{Field, ResponseHead};
use crate::plan::testimony::Testimony;
use crate::plan::transfer::{Comparison, Trial};
use crate::plan::{ByteRange, RangeSet};
use crate::storage::{PartFile, Storage};
use crate::transport::Requester;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;

/// Timeout for one sample from a source.
const PATIENCE: Duration = Duration::from_secs(5);
/// Ranges fetched again are kept in memory up to this many bytes, to be restored if the guess was wrong.
const STASH: u64 = 32 << 20;

/// State of the search for the sources of wrong bytes.
#[derive(Default)]
pub(super) struct Search {
    /// Number of times that wrong pieces were fetched again.
    pub(super) replaced: usize,
    /// True while everything is about to be fetched again from another source, and not because it changed.
    pub(super) of_same_version: bool,
    disputed: Vec<Disputed>,
    /// Index of the first entry of the present trial.
    present: usize,
    /// Bytes from before the present trial, if they are few.
    stash: BTreeMap<u64, Vec<u8>>,
    /// Sources whose files have another digest.
    refuted: BTreeSet<usize>,
}

/// Run before it was fetched again, and the sources that had given it.
struct Disputed {
    run: Run,
    givers: Vec<usize>,
}

impl Driver {
    /// The file does not have the expected digest. Fetches suspect bytes again; returns false if everything was tried.
    pub(super) async fn try_others(
        &mut self,
        work: &mut FileWork,
        length: u64,
        publisher: &mut Publisher,
    ) -> Result<bool, Error> {
        if !self.transfer.has_rivals() {
            return Ok(false);
        }
        self.settle_trial(work, length, publisher).await?;
        self.search.refuted.extend(self.transfer.gave_everything());
        let (samples, cancelled) = (self.transfer.samples(), self.cancelled.clone());
        let asking = compared(self.shared.clone(), work.place.part.clone(), samples, length);
        let told = unless_cancelled(cancelled, asking).await?;
        self.transfer.handle_testimonies(&told);
        match self.transfer.next_trial() {
            None => Ok(false),
            Some(Trial::Anew) => {
                let refuted = std::mem::take(&mut self.search.refuted);
                self.search = Search { refuted, of_same_version: true, ..Search::default() };
                Ok(true)
            }
            Some(Trial::Again(ranges)) => {
                self.fetch_again(work, &ranges, publisher).await?;
                Ok(true)
            }
        }
    }

    /// The digest matches. Reports the sources whose bytes had to be replaced by others.
    pub(super) async fn name_refuted(
        &mut self,
        work: &FileWork,
        publisher: &mut Publisher,
    ) -> Result<(), Error> {
        let mut search = std::mem::take(&mut self.search);
        let differing =
            differing(work, search.disputed.iter().map(|disputed| disputed.run).collect()).await?;
        for Disputed { run, givers } in search.disputed {
            if differing.contains(&run.range) {
                search.refuted.extend(givers);
            }
        }
        for source in search.refuted {
            let url = self.wants.sources.get(source).cloned().unwrap_or_default();
            let cause = "it gave bytes that the digest shows to be wrong".to_owned();
            publisher.tell(Event::Source { url, cause });
        }
        Ok(())
    }

    /// The trial has failed. Compares the new bytes with the previous ones, and restores those that are still known:
    /// the next trial may need them.
    async fn settle_trial(
        &mut self,
        work: &mut FileWork,
        length: u64,
        publisher: &Publisher,
    ) -> Result<(), Error> {
        let runs: Vec<_> = self.search.disputed[self.search.present..].iter().map(|one| one.run).collect();
        let differing = differing(work, runs.clone()).await?;
        let stash = std::mem::take(&mut self.search.stash);
        // A range fetched again may be claimed together with adjacent bytes of its piece.
        let again: RangeSet = runs.iter().map(|run| run.range).collect();
        let claimed_with = |range: &ByteRange| {
            let piece = whole_pieces(*range, length);
            again.run_at(range.start()).map_or(*range, |run| run.intersection(piece))
        };
        let kept = differing.iter().filter(|_| !stash.is_empty());
        let pieces: RangeSet = kept.map(claimed_with).collect();
        let (back, rest): (Vec<_>, Vec<_>) = runs
            .into_iter()
            .partition(|run| pieces.covers(run.range) && stash.contains_key(&run.range.start()));
        let same: Vec<_> =
            rest.iter().map(|run| run.range).filter(|range| !differing.contains(range)).collect();
        self.transfer.handle_confirmed(&same);
        if !back.is_empty() {
            let pieces: Vec<_> = pieces.iter().collect();
            work.checkpoint.withdraw(pieces.clone()).await?;
            let (part, path) = (work.place.part.clone(), work.place.part.path().to_owned());
            let ranges: Vec<_> = back.iter().map(|run| run.range).collect();
            blocking(move || {
                let mut put =
                    ranges.iter().filter_map(|range| Some((range.start(), stash.get(&range.start())?)));
                put.try_for_each(|(at, bytes)| part.write_at(at, bytes))
                    .map_err(|error| Error::disk("cannot write to", &path, &error))
            })
            .await?;
            work.checkpoint.add(back);
            work.checkpoint.flush(publisher.clock.now()).await?;
            self.transfer.handle_put_back(&pieces);
        }
        self.search.present = self.search.disputed.len();
        Ok(())
    }

    /// Queues ranges to be fetched again, as whole claims, because the manifest cannot withdraw part of one.
    async fn fetch_again(
        &mut self,
        work: &mut FileWork,
        ranges: &RangeSet,
        publisher: &mut Publisher,
    ) -> Result<(), Error> {
        let runs = claimed(work, ranges);
        let ranges: RangeSet = runs.iter().map(|run| run.range).collect();
        if ranges.len() <= STASH {
            let (part, path, runs) =
                (work.place.part.clone(), work.place.part.path().to_owned(), runs.clone());
            self.search.stash = blocking(move || {
                let read = |run: Run| Ok((run.range.start(), bytes_of(part.as_ref(), run.range)?));
                let stash: std::io::Result<_> = runs.into_iter().map(read).collect();
                stash.map_err(|error| Error::disk("cannot read back", &path, &error))
            })
            .await?;
        }
        let giver = |run: Run| Disputed { run, givers: self.transfer.gave(run.range) };
        let disputed: Vec<_> = runs.into_iter().map(giver).collect();
        self.search.disputed.extend(disputed);
        let from = self.wants.sources.get(self.transfer.lead()).cloned().unwrap_or_default();
        let text = format!(
            "the file has another digest than the one that was asked for, so one of its sources gave wrong bytes: {} bytes are \
             fetched again, from {from}",
            ranges.len()
        );
        publisher.notice(Notice::Repairing, text);
        self.queue_again(work, ranges).await
    }

    /// Withdraws ranges, which are whole claims, and queues them.
    pub(super) async fn queue_again(&mut self, work: &mut FileWork, ranges: RangeSet) -> Result<(), Error> {
        let ranges: Vec<_> = ranges.iter().collect();
        self.transfer.handle_disputed(&ranges);
        work.checkpoint.withdraw(ranges).await?;
        work.follow();
        Ok(())
    }
}

/// Claims that have bytes in these ranges.
pub(super) fn claimed(work: &FileWork, ranges: &RangeSet) -> Vec<Run> {
    let overlaps = |run: &Run| ranges.iter().any(|range| !range.intersection(run.range).is_empty());
    work.checkpoint.claims().into_iter().filter(overlaps).collect()
}

/// Fetches and compares the samples, all witnesses in parallel.
async fn compared(
    shared: Arc<Shared>,
    part: Arc<PartFile>,
    samples: Vec<Comparison>,
    length: u64,
) -> Result<Vec<Testimony>, Error> {
    let path = part.path().to_owned();
    let known = blocking(move || {
        let read = |sample: Comparison| Ok((sample, bytes_of(part.as_ref(), sample.range)?));
        let known: std::io::Result<Vec<_>> = samples.into_iter().map(read).collect();
        known.map_err(|error| Error::disk("cannot read back", &path, &error))
    })
    .await?;
    let mut asked: BTreeMap<usize, Vec<_>> = BTreeMap::new();
    for (sample, bytes) in known {
        asked.entry(sample.witness).or_default().push((sample, bytes));
    }
    let mut asking = JoinSet::new();
    for (witness, samples) in asked {
        let requester = shared.requesters.of(witness);
        let shared = shared.clone();
        asking.spawn(async move {
            let mut told = Vec::new();
            for (Comparison { giver, witness, range }, bytes) in samples {
                let asked = given_by(&requester, range, length);
                // A source that does not answer in time is not asked for more.
                let Ok(Some(given)) = tokio::time::timeout(PATIENCE, asked).await else {
                    break;
                };
                shared.received.fetch_add(given.len() as u64, Ordering::Relaxed);
                told.push(Testimony { giver, witness, agrees: given == bytes });
            }
            told
        });
    }
    let mut told = Vec::new();
    while let Some(joined) = asking.join_next().await {
        told.extend(joined.unwrap_or_default());
    }
    Ok(told)
}

/// Bytes that a source gives for a range; `None` unless it is that range of a file of `length` bytes.
async fn given_by(requester: &Requester, range: ByteRange, length: u64) -> Option<Vec<u8>> {
    let reply = requester.get(range.to_header().as_deref(), None).await.ok()?;
    let answer = ResponseHead::read(reply.status, &reply.headers, Clock::date());
    let Field::Given(ContentRange::Satisfied { range: stated, complete_length }) = answer.content_range
    else {
        return None;
    };
    let usable = reply.status == http::StatusCode::PARTIAL_CONTENT
        && stated.start() == range.start()
        && stated.end() >= range.end()
        && complete_length.is_none_or(|complete| complete == length)
        && answer.coding.is_none();
    if !usable {
        return None;
    }
    let wanted = usize::try_from(range.len()).ok()?;
    let (mut given, mut body) = (Vec::with_capacity(wanted), reply.body);
    while given.len() < wanted {
        given.extend_from_slice(&body.next().await.ok()??);
    }
    given.truncate(wanted);
    Some(given)
}

/// Ranges of the runs whose bytes have changed.
async fn differing(work: &FileWork, runs: Vec<Run>) -> Result<Vec<ByteRange>, Error> {
    let (part, path) = (work.place.part.clone(), work.place.part.path().to_owned());
    blocking(move || {
        audit(part.as_ref(), &runs, &AtomicBool::new(false))
            .map_err(|error| Error::disk("cannot read back", &path, &error))
    })
    .await
}

/// Bytes of a range that is known to be there.
fn bytes_of(part: &dyn Storage, range: ByteRange) -> std::io::Result<Vec<u8>> {
    let bytes = part.bytes_of(range.start()..range.end())?;
    let is_whole = bytes.len() as u64 == range.len();
    if is_whole { Ok(bytes) } else { Err(std::io::ErrorKind::UnexpectedEof.into()) }
}

/// The range, extended to whole pieces.
fn whole_pieces(range: ByteRange, length: u64) -> ByteRange {
    let piece = piece_size(Some(length));
    ByteRange::new(range.start() / piece * piece, range.end().next_multiple_of(piece).min(length))
}
