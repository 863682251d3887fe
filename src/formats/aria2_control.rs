//! aria2's control file beside an unfinished download: which of its pieces are there.

/// Complete length, and the ranges that are there, as first and next position.
pub(crate) type There = (u64, Vec<(u64, u64)>);

/// Parses a control file of version 1. Pieces that were under way are left out.
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
    let pieces = total.checked_div(piece).ok_or("its pieces have no length")?;
    if (field as u64) < (pieces + u64::from(total % piece != 0)).div_ceil(8) {
        return Err("it has fewer bits than pieces");
    }
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for (index, byte) in bits.iter().enumerate() {
        for bit in 0..8 {
            let Some(start) = (8 * index as u64 + bit).checked_mul(piece).filter(|start| *start < total)
            else {
                continue;
            };
            if byte & (0x80 >> bit) == 0 {
                continue;
            }
            let end = start.saturating_add(piece).min(total);
            match ranges.last_mut() {
                Some(last) if last.1 == start => last.1 = end,
                _ => ranges.push((start, end)),
            }
        }
    }
    Ok((total, ranges))
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
