//! Pieces with digests of their own: found wrong on all processors, and fetched again from sources that gave none of them.

use super::Driver;
use super::ending::unless_cancelled;
use super::trying::claimed;
use crate::destination::FileWork;
use crate::engine::event::{Event, Notice};
use crate::engine::publisher::Publisher;
use crate::error::{Error, Kind, Remedy};
use crate::plan::{ByteRange, RangeSet};
use crate::storage::Storage;
use crate::threads;
use crate::verify::{Pieces, Turns};
use std::io;
use std::sync::Arc;

impl Driver {
    /// Ranges of the pieces that have another digest than stated, in order; none if no pieces of a file of this length are known.
    pub(super) async fn wrong_pieces(
        &mut self,
        work: &FileWork,
        length: u64,
    ) -> Result<Vec<ByteRange>, Error> {
        let Some(pieces) = self.wants.pieces.clone() else {
            return Ok(Vec::new());
        };
        let part = work.place.part.clone();
        let looking = async {
            let path = part.path().to_owned();
            let wrong = compared(pieces, part, length).await;
            wrong.map_err(|error| Error::disk("cannot read back", &path, &error))
        };
        unless_cancelled(self.cancelled.clone(), looking).await
    }

    /// Returns true until wrong pieces were fetched again from each source.
    pub(super) fn may_replace_pieces(&self) -> bool {
        self.search.replaced < self.wants.sources.len()
    }

    /// Fetches wrong pieces again, from sources that gave none of them; returns false if there are none, or if they were fetched again from
    /// each source already.
    pub(super) async fn replace_pieces(
        &mut self,
        work: &mut FileWork,
        wrong: &[ByteRange],
        publisher: &mut Publisher,
    ) -> Result<bool, Error> {
        if wrong.is_empty() || !self.may_replace_pieces() {
            return Ok(false);
        }
        self.search.replaced += 1;
        let Some(liars) = self.transfer.handle_wrong(wrong) else {
            return Ok(false);
        };
        for source in liars {
            let url = self.wants.sources.get(source).cloned().unwrap_or_default();
            let cause = "it gave bytes that the digest of their piece shows to be wrong".to_owned();
            publisher.tell(Event::Source { url, cause });
        }
        let wrong: RangeSet = wrong.iter().copied().collect();
        let again: RangeSet = claimed(work, &wrong).iter().map(|run| run.range).collect();
        let places = wrong.iter().count();
        let (plural, bytes) = (if places == 1 { "" } else { "s" }, again.len());
        let text = format!(
            "the digests of pieces show wrong bytes in {places} place{plural}: {bytes} bytes are fetched again"
        );
        publisher.notice(Notice::Repairing, text);
        self.queue_again(work, again).await?;
        Ok(true)
    }

    /// Error for a file that these wrong pieces remain in.
    pub(super) fn of_wrong_pieces(&self, wrong: &[ByteRange]) -> Error {
        let (count, by) =
            (self.wants.pieces.as_ref().map_or(0, |pieces| pieces.count()), self.wants.source_of_pieces());
        let place = wrong.first().map_or_else(String::new, |first| {
            format!(", the first at bytes {}-{}", first.start(), first.end().saturating_sub(1))
        });
        let cause = format!(
            "checksum mismatch: {} of {count} pieces have other digests than {by} states{place}",
            wrong.len()
        );
        Error::new(Kind::Checksum, cause).with_remedy(Remedy::LaterOrOtherUrl)
    }
}

/// Ranges of the claims that have bytes in these ranges.
pub(super) fn whole_claims(work: &FileWork, ranges: &[ByteRange]) -> Vec<ByteRange> {
    let ranges: RangeSet = ranges.iter().copied().collect();
    claimed(work, &ranges).iter().map(|run| run.range).collect()
}

/// Compares the pieces with their digests, on as many threads as there are processors, and returns the ranges of the wrong ones in order.
/// Dropping the future ends the threads at their next pieces.
async fn compared(pieces: Arc<Pieces>, storage: Arc<dyn Storage>, length: u64) -> io::Result<Vec<ByteRange>> {
    let turns = Ending(Arc::new(Turns::default()));
    let count = threads::processors().min(pieces.count()).max(1);
    let looking = |_| {
        let (pieces, storage, turns) = (pieces.clone(), storage.clone(), turns.0.clone());
        threads::offload(move || pieces.wrong_in_turns(storage.as_ref(), length, &turns))
    };
    let all: Vec<_> = (0..count).map(looking).collect();
    let mut wrong = Vec::new();
    for one in all {
        let found = one.await.map_err(io::Error::other)??;
        wrong.extend(found.into_iter().map(|piece| ByteRange::new(piece.start, piece.end)));
    }
    wrong.sort_unstable_by_key(|piece| piece.start());
    Ok(wrong)
}

/// Ends a comparison when it is dropped.
struct Ending(Arc<Turns>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.stop();
    }
}
