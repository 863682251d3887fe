//! Runs: written ranges with the checksum of their bytes.

use crate::plan::ByteRange;

/// A range and the CRC-32C of its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) range: ByteRange,
    pub(crate) crc: u32,
}

/// Piece size: runs are cut at its multiples, so that damage is located to within one piece. It grows with the file:
/// the manifest of the largest one has no more lines than that of a file of 16 GiB.
pub(crate) fn piece_size(complete_length: Option<u64>) -> u64 {
    let pieces = 16 << 10;
    complete_length.unwrap_or(0).div_ceil(pieces).next_power_of_two().max(1 << 20)
}

/// Written runs in the order they were made, neighbours within a piece merged.
#[derive(Debug)]
pub(crate) struct Runs {
    piece: u64,
    runs: Vec<Run>,
}

impl Runs {
    pub(crate) fn new(piece: u64) -> Self {
        Self { piece, runs: Vec::new() }
    }

    /// Adds `bytes` written at `offset`.
    pub(crate) fn wrote(&mut self, mut offset: u64, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let boundary = (offset / self.piece + 1) * self.piece;
            let length = bytes.len().min(usize::try_from(boundary - offset).unwrap_or(usize::MAX));
            let (now, later) = bytes.split_at(length);
            self.push(offset, now);
            offset += length as u64;
            bytes = later;
        }
    }

    fn push(&mut self, offset: u64, bytes: &[u8]) {
        let end = offset + bytes.len() as u64;
        match self.runs.last_mut() {
            Some(last) if last.range.end() == offset && !offset.is_multiple_of(self.piece) => {
                last.crc = crc32c::crc32c_append(last.crc, bytes);
                last.range = ByteRange::new(last.range.start(), end);
            }
            _ => self.runs.push(Run { range: ByteRange::new(offset, end), crc: crc32c::crc32c(bytes) }),
        }
    }

    /// Takes out the runs written so far.
    pub(crate) fn take(&mut self) -> Vec<Run> {
        std::mem::take(&mut self.runs)
    }
}

/// Merges neighbours within a piece, as a rewritten manifest does.
pub(crate) fn melted(mut runs: Vec<Run>, piece: u64) -> Vec<Run> {
    runs.sort_by_key(|run| run.range.start());
    let mut melted: Vec<Run> = Vec::new();
    for run in runs {
        match melted.last_mut() {
            Some(last)
                if last.range.end() == run.range.start() && !run.range.start().is_multiple_of(piece) =>
            {
                let length = usize::try_from(run.range.len()).unwrap_or(usize::MAX);
                last.crc = crc32c::crc32c_combine(last.crc, run.crc, length);
                last.range = ByteRange::new(last.range.start(), run.range.end());
            }
            _ => melted.push(run),
        }
    }
    melted
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_largest_file_needs_no_more_lines_than_a_large_one() {
        assert_eq!(piece_size(None), 1 << 20);
        assert_eq!(piece_size(Some(16 << 30)), 1 << 20);
        assert_eq!((10_u64 << 40).div_ceil(piece_size(Some(10 << 40))), 10 << 10);
    }

    proptest! {
        #[test]
        fn however_bytes_arrive_the_runs_are_those_of_the_pieces(
            cuts in proptest::collection::vec(1_usize..50, 1..40), start in 0_u64..100,
        ) {
            let data: Vec<u8> = (0..cuts.iter().sum::<usize>()).map(|at| (at * 7 % 251) as u8).collect();
            let mut runs = Runs::new(32);
            let (mut at, mut all) = (0, Vec::new());
            for (number, cut) in cuts.iter().enumerate() {
                runs.wrote(start + at as u64, &data[at..at + cut]);
                at += cut;
                if number % 3 == 0 {
                    all.extend(runs.take());
                }
            }
            all.extend(runs.take());
            let mut expected = start;
            for run in melted(all, 32) {
                prop_assert_eq!(run.range.start(), expected);
                prop_assert!(run.range.end() <= (run.range.start() / 32 + 1) * 32);
                let bytes = &data[(run.range.start() - start) as usize..(run.range.end() - start) as usize];
                prop_assert_eq!(run.crc, crc32c::crc32c(bytes));
                expected = run.range.end();
            }
            prop_assert_eq!(expected, start + data.len() as u64);
        }
    }
}
