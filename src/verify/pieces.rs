//! Digests of the pieces of a file (RFC 5854 §4.1.3): they show where it is wrong, and prove it where all of them are right.

use super::digest::{Algorithm, Digest, Hasher};
use crate::error::Error;
use crate::storage::{READ, Storage};
use std::io;
use std::num::NonZeroU64;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Digests of pieces of equal length, the last of which may be shorter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pieces {
    length: NonZeroU64,
    digests: Vec<Digest>,
}

/// Progress of a comparison that several threads share: each takes the next piece.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    next: AtomicUsize,
    stopped: AtomicBool,
}

impl Turns {
    /// Ends the comparison at the next pieces.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    fn take(&self) -> Option<usize> {
        let stopped = self.stopped.load(Ordering::Relaxed);
        (!stopped).then(|| self.next.fetch_add(1, Ordering::Relaxed))
    }
}

impl Pieces {
    pub(crate) fn new(length: NonZeroU64, digests: Vec<Digest>) -> Self {
        Self { length, digests }
    }

    /// Parses digests in hexadecimal digits, as a document states them.
    ///
    /// # Errors
    /// `Usage`, with what is wrong.
    pub(crate) fn parse(length: u64, algorithm: &str, digests: &[String]) -> Result<Self, Error> {
        let length = NonZeroU64::new(length).ok_or_else(|| Error::usage("a piece has at least one byte"))?;
        let algorithm: Algorithm = algorithm.parse()?;
        let digests: Result<Vec<_>, _> = digests.iter().map(|hex| Digest::from_hex(algorithm, hex)).collect();
        let digests = digests.map_err(|error| Error::usage(format!("a digest of the pieces: {error}")))?;
        Ok(Self::new(length, digests))
    }

    /// Number of pieces.
    pub(crate) fn count(&self) -> usize {
        self.digests.len()
    }

    /// Length of a piece in bytes.
    pub(crate) fn length(&self) -> NonZeroU64 {
        self.length
    }

    /// Algorithm of the digests, if each of them is collision resistant: then they prove the file without a digest of the whole.
    pub(crate) fn strong(&self) -> Option<Algorithm> {
        let strong = |digest: &Digest| digest.algorithm().is_collision_resistant();
        self.digests.first().filter(|_| self.digests.iter().all(strong)).map(Digest::algorithm)
    }

    /// Returns true if these are the pieces of a file of `length` bytes.
    pub(crate) fn fit(&self, length: u64) -> bool {
        length.div_ceil(self.length.get()) == self.digests.len() as u64
    }

    /// Ranges of the pieces of a file of `length` bytes that have another digest, or are not there; none if they are those of a file of
    /// another length. Blocking.
    pub(crate) fn wrong(&self, storage: &dyn Storage, length: u64) -> io::Result<Vec<Range<u64>>> {
        self.wrong_in_turns(storage, length, &Turns::default())
    }

    /// As [`Self::wrong`], of the pieces that no other thread takes meanwhile.
    pub(crate) fn wrong_in_turns(
        &self,
        storage: &dyn Storage,
        length: u64,
        turns: &Turns,
    ) -> io::Result<Vec<Range<u64>>> {
        let mut wrong = Vec::new();
        if !self.fit(length) {
            return Ok(wrong);
        }
        let mut buffer = vec![0; READ];
        while let Some((number, expected)) =
            turns.take().and_then(|number| Some((number, self.digests.get(number)?)))
        {
            let start = self.length.get().saturating_mul(number as u64);
            let piece = start..length.min(start.saturating_add(self.length.get()));
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
    let read = storage.read_range(range.clone(), buffer, &mut |bytes| hasher.update(bytes))?;
    Ok((read == range.end - range.start).then(|| hasher.finish()))
}

/// Digest of a file and digests of its pieces of `length` bytes, from one reading; first the number of bytes read. Blocking.
pub(crate) fn hash_pieces(
    storage: &dyn Storage,
    algorithm: Algorithm,
    length: NonZeroU64,
) -> io::Result<(u64, Digest, Vec<Digest>)> {
    let (mut whole, mut pieces, mut position) = (Hasher::new(algorithm), Vec::new(), 0_u64);
    let mut buffer = vec![0; READ];
    loop {
        let mut piece = Hasher::new(algorithm);
        let end = position.saturating_add(length.get());
        let read = storage.read_range(position..end, &mut buffer, &mut |bytes| {
            whole.update(bytes);
            piece.update(bytes);
        })?;
        if read == 0 {
            return Ok((position, whole.finish(), pieces));
        }
        pieces.push(piece.finish());
        position += read;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::Memory;
    use proptest::prelude::*;

    fn pieces(bytes: &[u8], length: u64, algorithm: Algorithm) -> Pieces {
        let length = NonZeroU64::new(length).unwrap();
        let (read, _, digests) = hash_pieces(&storage(bytes), algorithm, length).unwrap();
        assert_eq!(read, bytes.len() as u64);
        Pieces::new(length, digests)
    }

    fn storage(bytes: &[u8]) -> Memory {
        let storage = Memory::new(bytes.len());
        storage.write_at(0, bytes).unwrap();
        storage
    }

    fn digest_of(bytes: &[u8], algorithm: Algorithm) -> Digest {
        let mut hasher = Hasher::new(algorithm);
        hasher.update(bytes);
        hasher.finish()
    }

    proptest! {
        #[test]
        fn exactly_the_pieces_with_a_changed_byte_are_wrong(
            length in 1_u64..5_000,
            piece in 1_u64..1_200,
            changed in proptest::collection::vec(0_u64..5_000, 0..4),
            threads in 1..4,
        ) {
            let mut bytes: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            let pieces = pieces(&bytes, piece, Algorithm::Sha1);
            let mut expected: Vec<u64> = changed.iter().map(|at| at % length).collect();
            expected.sort_unstable();
            expected.dedup();
            expected.iter().for_each(|at| bytes[*at as usize] ^= 1);
            expected.iter_mut().for_each(|at| *at /= piece);
            expected.dedup();
            let (storage, turns) = (storage(&bytes), Turns::default());
            let mut wrong: Vec<_> = std::thread::scope(|scope| {
                let looking: Vec<_> = (0..threads)
                    .map(|_| scope.spawn(|| pieces.wrong_in_turns(&storage, length, &turns).unwrap()))
                    .collect();
                looking.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
            });
            wrong.sort_unstable_by_key(|range| range.start);
            prop_assert_eq!(&wrong, &pieces.wrong(&storage, length).unwrap());
            let numbers: Vec<_> = wrong.iter().map(|range| range.start / piece).collect();
            prop_assert_eq!(numbers, expected);
            prop_assert!(wrong.iter().all(|range| range.end == length || range.end - range.start == piece));
        }

        #[test]
        fn each_piece_has_the_digest_of_its_bytes(bytes in any::<Vec<u8>>(), piece in 1_usize..40) {
            let length = NonZeroU64::new(piece as u64).unwrap();
            let (read, whole, pieces) = hash_pieces(&storage(&bytes), Algorithm::Blake3, length).unwrap();
            prop_assert_eq!((read, whole), (bytes.len() as u64, digest_of(&bytes, Algorithm::Blake3)));
            let expected: Vec<_> =
                bytes.chunks(piece).map(|piece| digest_of(piece, Algorithm::Blake3)).collect();
            prop_assert_eq!(pieces, expected);
        }
    }

    #[test]
    fn the_pieces_of_a_file_of_another_length_show_nothing_and_those_of_a_cut_file_are_wrong() {
        let bytes: Vec<u8> = (0..100).collect();
        let pieces = pieces(&bytes, 30, Algorithm::Sha256);
        let wrong = |bytes: &[u8], length| pieces.wrong(&storage(bytes), length).unwrap();
        assert!(pieces.fit(100) && pieces.fit(91) && !pieces.fit(90) && !pieces.fit(121));
        assert_eq!(wrong(&bytes, 90), []);
        assert_eq!(wrong(&bytes[..50], 100), [30..60, 60..90, 90..100]);
    }

    #[test]
    fn a_comparison_that_is_stopped_looks_at_no_further_piece() {
        let pieces = pieces(&[1; 100], 10, Algorithm::Sha256);
        let turns = Turns::default();
        turns.stop();
        assert_eq!(pieces.wrong_in_turns(&storage(&[2; 100]), 100, &turns).unwrap(), []);
    }

    #[test]
    fn only_strong_digests_of_every_piece_prove_a_file() {
        let bytes = [7; 100];
        let strong = pieces(&bytes, 30, Algorithm::Sha512);
        assert_eq!(strong.strong(), Some(Algorithm::Sha512));
        assert_eq!(pieces(&bytes, 30, Algorithm::Md5).strong(), None);
        let mut mixed = strong.digests;
        mixed[2] = digest_of(&bytes, Algorithm::Sha1);
        assert_eq!(Pieces::new(strong.length, mixed).strong(), None);
        assert_eq!(Pieces::new(strong.length, Vec::new()).strong(), None);
    }

    #[test]
    fn digests_that_a_document_states_wrongly_are_told() {
        let hex = "0".repeat(64);
        let parse = |length, algorithm: &str, hex: &str| {
            Pieces::parse(length, algorithm, &[hex.to_owned()]).map_err(|error| error.to_string())
        };
        assert!(parse(1, "sha-256", &hex).is_ok());
        assert_eq!(parse(0, "sha256", &hex).unwrap_err(), "a piece has at least one byte");
        assert!(parse(1, "tiger", &hex).unwrap_err().contains("unknown digest algorithm"));
        assert!(parse(1, "sha256", "12").unwrap_err().starts_with("a digest of the pieces: "));
    }
}
