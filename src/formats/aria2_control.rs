//! aria2's control file beside an unfinished download: which of its pieces are there.

/// Complete length, and the ranges that are there, as first and next position.
pub(crate) type There = (u64, Vec<(u64, u64)>);

/// Length of the blocks that a piece under way consists of, in bytes.
const BLOCK: u64 = 16 << 10;

/// Parses a control file of version 1. Of the pieces that were under way the blocks that had come are taken.
///
/// # Errors
/// A message for a file that is none, or is cut.
pub(crate) fn parse(bytes: &[u8]) -> Result<There, &'static str> {
    let mut rest = bytes;
    let mut take = |length: usize| -> Result<&[u8], &'static str> {
        let (taken, left) = rest.split_at_checked(length).ok_or("it is cut")?;
        rest = left;
        Ok(taken)
    };
    let number = |bytes: &[u8]| bytes.iter().fold(0_u64, |number, byte| (number << 8) | u64::from(*byte));
    if take(2)? != [0, 1] {
        return Err("it is no control file of version 1");
    }
    // The extension tells a torrent, whose length of the hash follows.
    take(4)?;
    let hash = number(take(4)?);
    take(usize::try_from(hash).map_err(|_| "it is cut")?)?;
    let piece = number(take(4)?);
    let total = number(take(8)?);
    take(8)?;
    let field = usize::try_from(number(take(4)?)).map_err(|_| "it is cut")?;
    let bits = take(field)?;
    let pieces = total.checked_div(piece).ok_or("its pieces have no length")? + u64::from(total % piece != 0);
    if (field as u64) < pieces.div_ceil(8) {
        return Err("it has fewer bits than pieces");
    }
    let mut ranges = marked(bits, piece, 0, total);
    for _ in 0..number(take(4)?) {
        let (index, length) = (number(take(4)?), number(take(4)?));
        let field = usize::try_from(number(take(4)?)).map_err(|_| "it is cut")?;
        let bits = take(field)?;
        let start = index.checked_mul(piece).filter(|start| *start < total);
        let start = start.ok_or("it has a piece under way beyond the end")?;
        let end = start.saturating_add(piece).min(total);
        if length != end - start || (field as u64) < length.div_ceil(BLOCK).div_ceil(8) {
            return Err("it has a piece under way of another length");
        }
        ranges.extend(marked(bits, BLOCK, start, end));
    }
    Ok((total, joined(ranges)))
}

/// Ranges of the units of `unit` bytes from `start` on whose bits are set, the highest bit of each byte first.
fn marked(bits: &[u8], unit: u64, start: u64, end: u64) -> Vec<(u64, u64)> {
    let set = (0_u64..).zip(bits).flat_map(|(index, byte)| {
        (0..8).filter(move |bit| byte & (0x80 >> bit) != 0).map(move |bit| 8 * index + bit)
    });
    let range = |number: u64| {
        let from = number.checked_mul(unit)?.checked_add(start).filter(|from| *from < end)?;
        Some((from, from.saturating_add(unit).min(end)))
    };
    joined(set.filter_map(range).collect())
}

/// The ranges in order, those that touch as one.
fn joined(mut ranges: Vec<(u64, u64)>) -> Vec<(u64, u64)> {
    ranges.sort_unstable();
    let mut joined: Vec<(u64, u64)> = Vec::new();
    for (start, end) in ranges {
        match joined.last_mut() {
            Some(last) if last.1 >= start => last.1 = last.1.max(end),
            _ => joined.push((start, end)),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn control(piece: u32, total: u64, bits: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
        bytes.extend(piece.to_be_bytes());
        bytes.extend(total.to_be_bytes());
        bytes.extend([0; 8]);
        bytes.extend(u32::try_from(bits.len()).unwrap().to_be_bytes());
        bytes.extend(bits);
        bytes.extend([0; 4]);
        bytes
    }

    #[test]
    fn pieces_that_are_there_become_ranges() {
        assert_eq!(
            parse(&control(10, 95, &[0b1100_0001, 0b0100_0000])),
            Ok((95, vec![(0, 20), (70, 80), (90, 95)]))
        );
        assert_eq!(parse(&control(10, 20, &[0])), Ok((20, vec![])));
        for wrong in [
            &b""[..],
            b"\x00\x00",
            &control(0, 10, &[0]),
            &control(10, 1000, &[0xff]),
            &control(10, 95, &[1, 2])[..20],
        ] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn blocks_of_pieces_under_way_become_ranges_too() {
        const MIB: u64 = 1 << 20;
        let under_way = |entries: &[(u32, u32, &[u8])]| {
            let mut bytes = control(1 << 20, 3 * MIB - 100_000, &[0b1000_0000]);
            bytes.truncate(bytes.len() - 4);
            bytes.extend(u32::try_from(entries.len()).unwrap().to_be_bytes());
            for (index, length, bits) in entries {
                bytes.extend(index.to_be_bytes());
                bytes.extend(length.to_be_bytes());
                bytes.extend(u32::try_from(bits.len()).unwrap().to_be_bytes());
                bytes.extend(*bits);
            }
            bytes
        };
        let last = (1 << 20) - 100_000;
        let (second, third) = ([0xc0, 0, 0, 0, 0, 0, 0, 1], [0, 0, 0, 0, 0, 0, 0, 0x40]);
        assert_eq!(
            parse(&under_way(&[(2, last, &third), (1, 1 << 20, &second)])),
            Ok((
                3 * MIB - 100_000,
                // The last block of the file is a short one.
                vec![
                    (0, MIB + 2 * BLOCK),
                    (2 * MIB - BLOCK, 2 * MIB),
                    (2 * MIB + 57 * BLOCK, 3 * MIB - 100_000)
                ]
            ))
        );
        for wrong in [(3, 1 << 20, &second[..]), (2, 1 << 20, &third), (1, 1 << 20, &second[..7])] {
            assert!(parse(&under_way(&[wrong])).is_err(), "{wrong:?}");
        }
        let cut = under_way(&[(1, 1 << 20, &second)]);
        assert_eq!(parse(&cut[..cut.len() - 1]), Err("it is cut"));
    }

    proptest! {
        #[test]
        fn no_bytes_make_ranges_beyond_the_length(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut whole = vec![0, 1, 0, 0, 0, 0];
            whole.extend(bytes);
            if let Ok((total, ranges)) = parse(&whole) {
                prop_assert!(ranges.iter().all(|(start, end)| start < end && *end <= total));
            }
        }
    }
}
