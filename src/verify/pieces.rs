//! Digests of the pieces of a file, which show where it is wrong (RFC 5854 §4.1.3).

use super::digest::{Digest, Hasher};
use crate::storage::Storage;
use std::io;
use std::num::NonZeroU64;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

const READ: usize = 256 << 10;

/// Digests of pieces of equal length, the last of which may be shorter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pieces {
    length: NonZeroU64,
    digests: Vec<Digest>,
}

impl Pieces {
    pub(crate) fn new(length: NonZeroU64, digests: Vec<Digest>) -> Self {
        Self { length, digests }
    }

    /// Returns true if these are the pieces of a file of `length` bytes.
    pub(crate) fn fit(&self, length: u64) -> bool {
        length.div_ceil(self.length.get()) == self.digests.len() as u64
    }

    /// Ranges of the pieces of a file of `length` bytes that have another digest, or are not there; none if they are those of a file of
    /// another length. Blocking. Stops early, with the result so far, once `stop` is set.
    pub(crate) fn wrong(
        &self,
        storage: &dyn Storage,
        length: u64,
        stop: &AtomicBool,
    ) -> io::Result<Vec<Range<u64>>> {
        let mut wrong = Vec::new();
        if !self.fit(length) {
            return Ok(wrong);
        }
        let mut buffer = vec![0; READ];
        let mut start = 0_u64;
        for expected in &self.digests {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            let piece = start..length.min(start.saturating_add(self.length.get()));
            start = piece.end;
            let hasher = Hasher::new(expected.algorithm());
            if digest(storage, piece.clone(), hasher, &mut buffer)?.as_ref() != Some(expected) {
                wrong.push(piece);
            }
        }
        Ok(wrong)
    }
}

/// Digest of a range; `None` if the file ends before it does.
fn digest(
    storage: &dyn Storage,
    range: Range<u64>,
    mut hasher: Hasher,
    buffer: &mut [u8],
) -> io::Result<Option<Digest>> {
    let mut position = range.start;
    while position < range.end {
        let room = buffer.len().min(usize::try_from(range.end - position).unwrap_or(usize::MAX));
        let read = storage.read_at(position, &mut buffer[..room])?;
        if read == 0 {
            return Ok(None);
        }
        hasher.update(&buffer[..read]);
        position += read as u64;
    }
    Ok(Some(hasher.finish()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::Memory;
    use crate::verify::Algorithm;
    use proptest::prelude::*;

    fn pieces(bytes: &[u8], length: u64, algorithm: Algorithm) -> Pieces {
        let digest = |piece: &[u8]| {
            let mut hasher = Hasher::new(algorithm);
            hasher.update(piece);
            hasher.finish()
        };
        let digests = bytes.chunks(usize::try_from(length).unwrap()).map(digest).collect();
        Pieces::new(NonZeroU64::new(length).unwrap(), digests)
    }

    fn storage(bytes: &[u8]) -> Memory {
        let storage = Memory::new(bytes.len());
        storage.write_at(0, bytes).unwrap();
        storage
    }

    proptest! {
        #[test]
        fn exactly_the_pieces_with_a_changed_byte_are_wrong(
            length in 1_u64..5_000,
            piece in 1_u64..1_200,
            changed in proptest::collection::vec(0_u64..5_000, 0..4),
        ) {
            let mut bytes: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            let pieces = pieces(&bytes, piece, Algorithm::Sha1);
            let mut expected: Vec<u64> = changed.iter().map(|at| at % length).collect();
            expected.sort_unstable();
            expected.dedup();
            expected.iter().for_each(|at| bytes[*at as usize] ^= 1);
            expected.iter_mut().for_each(|at| *at /= piece);
            expected.dedup();
            let wrong = pieces.wrong(&storage(&bytes), length, &AtomicBool::new(false)).unwrap();
            let numbers: Vec<_> = wrong.iter().map(|range| range.start / piece).collect();
            prop_assert_eq!(numbers, expected);
            prop_assert!(wrong.iter().all(|range| range.end == length || range.end - range.start == piece));
        }
    }

    #[test]
    fn the_pieces_of_a_file_of_another_length_show_nothing_and_those_of_a_cut_file_are_wrong() {
        let bytes: Vec<u8> = (0..100).collect();
        let pieces = pieces(&bytes, 30, Algorithm::Sha256);
        let wrong =
            |bytes: &[u8], length| pieces.wrong(&storage(bytes), length, &AtomicBool::new(false)).unwrap();
        assert!(pieces.fit(100) && pieces.fit(91) && !pieces.fit(90) && !pieces.fit(121));
        assert_eq!(wrong(&bytes, 90), []);
        assert_eq!(wrong(&bytes[..50], 100), [30..60, 60..90, 90..100]);
    }
}
