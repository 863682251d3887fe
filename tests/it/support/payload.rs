//! File contents that cannot hide a mistake: all aligned 8-byte words differ, and a misplaced word tells the offset it
//! was meant for.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::ops::Range;
use std::path::Path;
use std::sync::Mutex;

use sha2::{Digest, Sha256};

const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// Contents of `len` bytes, each a pure function of the seed and its offset; nothing is held in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Payload {
    pub(crate) seed: u64,
    pub(crate) len: u64,
}

impl Payload {
    pub(crate) const fn new(seed: u64, len: u64) -> Self {
        Self { seed, len }
    }

    pub(crate) const fn mib(seed: u64, mib: u64) -> Self {
        Self::new(seed, mib * super::MIB)
    }

    /// Writes the bytes at `offset..offset + into.len()`, even beyond the end of the file.
    pub(crate) fn fill(&self, offset: u64, into: &mut [u8]) {
        let mut word_index = offset / 8;
        let mut skip = (offset % 8) as usize;
        let mut rest = into;
        while !rest.is_empty() {
            let word = self.word(word_index).to_le_bytes();
            let n = rest.len().min(8 - skip);
            let (now, later) = rest.split_at_mut(n);
            now.copy_from_slice(&word[skip..skip + n]);
            rest = later;
            skip = 0;
            word_index += 1;
        }
    }

    pub(crate) fn bytes(&self, range: Range<u64>) -> Vec<u8> {
        let mut bytes = vec![0; (range.end - range.start) as usize];
        self.fill(range.start, &mut bytes);
        bytes
    }

    pub(crate) fn all(&self) -> Vec<u8> {
        self.bytes(0..self.len)
    }

    pub(crate) fn sha256_hex(&self) -> String {
        static KNOWN: Mutex<Option<HashMap<Payload, String>>> = Mutex::new(None);
        if let Some(hex) = KNOWN.lock().unwrap().get_or_insert_default().get(self) {
            return hex.clone();
        }
        let mut hasher = Sha256::new();
        let mut buffer = vec![0; 1 << 20];
        let mut offset = 0;
        while offset < self.len {
            let n = (self.len - offset).min(buffer.len() as u64) as usize;
            self.fill(offset, &mut buffer[..n]);
            hasher.update(&buffer[..n]);
            offset += n as u64;
        }
        let hex = to_hex(&hasher.finalize());
        KNOWN.lock().unwrap().get_or_insert_default().insert(*self, hex.clone());
        hex
    }

    #[track_caller]
    pub(crate) fn assert_is(&self, bytes: &[u8]) {
        if let Err(difference) = self.compare(bytes) {
            panic!("{difference}");
        }
    }

    #[track_caller]
    pub(crate) fn assert_file_is(&self, path: &Path) {
        let file =
            File::open(path).unwrap_or_else(|e| panic!("{} should hold the payload: {e}", path.display()));
        if let Err(difference) = self.compare(BufReader::with_capacity(1 << 20, file)) {
            panic!("{}: {difference}", path.display());
        }
    }

    /// Reports the first difference of `actual` from this payload, and the content there.
    pub(crate) fn compare(&self, mut actual: impl Read) -> Result<(), String> {
        let mut got = vec![0; 1 << 16];
        let mut want = vec![0; 1 << 16];
        let mut offset = 0;
        loop {
            let n = read_full(&mut actual, &mut got).map_err(|e| format!("reading at {offset}: {e}"))?;
            self.fill(offset, &mut want[..n]);
            let inside = self.len.saturating_sub(offset).min(n as u64) as usize;
            if got[..inside] != want[..inside] {
                let at = (0..inside).find(|&i| got[i] != want[i]).unwrap();
                return Err(format!(
                    "first wrong byte at offset {}: {}",
                    offset + at as u64,
                    self.describe(&got[at..n])
                ));
            }
            if inside < n {
                return Err(format!(
                    "longer than {} bytes: then {}",
                    self.len,
                    self.describe(&got[inside..n])
                ));
            }
            offset += n as u64;
            if n < got.len() {
                break;
            }
        }
        if offset == self.len { Ok(()) } else { Err(format!("ends at {offset} instead of {}", self.len)) }
    }

    /// Describes misplaced `bytes`.
    fn describe(&self, bytes: &[u8]) -> String {
        let zeros = bytes.iter().take_while(|&&b| b == 0).count();
        if zeros >= 8 || zeros == bytes.len() {
            return format!("{zeros} zero bytes");
        }
        if let Some((skipped, place)) = self.locate(bytes) {
            return format!("the bytes of offset {}", place.saturating_sub(skipped));
        }
        format!("foreign bytes {}", String::from_utf8_lossy(&bytes[..bytes.len().min(24)]).escape_debug())
    }

    /// Searches the first bytes for a word of this payload: returns its position in them, and the offset it belongs to.
    fn locate(&self, bytes: &[u8]) -> Option<(u64, u64)> {
        (0..8).find_map(|skip| {
            let word = u64::from_le_bytes(bytes.get(skip..skip + 8)?.try_into().unwrap());
            let index = self.index_of(word);
            (index < self.len.div_ceil(8)).then(|| (skip as u64, index * 8))
        })
    }

    /// Computes splitmix64: a bijection, so no two words are alike and a word can be traced back to its index.
    fn word(&self, index: u64) -> u64 {
        let mut z = self.seed.wrapping_mul(0xD6E8_FEB8_6659_FD93).wrapping_add(index.wrapping_mul(GOLDEN));
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn index_of(&self, word: u64) -> u64 {
        let mut z = unshift(word, 31);
        z = unshift(z.wrapping_mul(inverse(0x94D0_49BB_1331_11EB)), 27);
        z = unshift(z.wrapping_mul(inverse(0xBF58_476D_1CE4_E5B9)), 30);
        z.wrapping_sub(self.seed.wrapping_mul(0xD6E8_FEB8_6659_FD93)).wrapping_mul(inverse(GOLDEN))
    }
}

/// Inverts `z ^ (z >> by)`.
fn unshift(z: u64, by: u32) -> u64 {
    let mut result = z;
    for _ in 0..64 / by {
        result = z ^ (result >> by);
    }
    result
}

/// Computes the inverse of an odd number modulo 2^64, by Newton's iteration.
fn inverse(odd: u64) -> u64 {
    (0..6).fold(odd, |x, _| x.wrapping_mul(2u64.wrapping_sub(odd.wrapping_mul(x))))
}

fn read_full(from: &mut impl Read, into: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while filled < into.len() {
        match from.read(&mut into[filled..])? {
            0 => break,
            n => filled += n,
        }
    }
    Ok(filled)
}

pub(crate) fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

mod checks {
    use super::*;

    #[test]
    fn any_window_of_a_payload_is_the_same_bytes() {
        let payload = Payload::new(7, 1000);
        let all = payload.all();
        for (start, end) in [(0, 1), (3, 17), (8, 16), (991, 1000), (5, 5)] {
            assert_eq!(payload.bytes(start..end), all[start as usize..end as usize]);
        }
    }

    #[test]
    fn a_wrong_byte_is_named_with_what_stands_there() {
        let payload = Payload::new(7, 4096);
        let mut bytes = payload.all();
        bytes[100..200].fill(0);
        assert!(payload.compare(&bytes[..]).unwrap_err().contains("offset 100: 100 zero bytes"));
        let mut bytes = payload.all();
        bytes.copy_within(2003..2103, 100);
        assert!(payload.compare(&bytes[..]).unwrap_err().contains("offset 100: the bytes of offset 2003"));
        assert!(payload.compare(&payload.all()[..4000]).unwrap_err().contains("ends at 4000"));
        assert!(
            payload
                .compare(&[payload.all(), b"x".to_vec()].concat()[..])
                .unwrap_err()
                .contains("longer than 4096")
        );
        assert_eq!(payload.compare(&payload.all()[..]), Ok(()));
    }
}
