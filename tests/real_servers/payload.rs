//! The published bytes: generated from a seed, no two ranges alike, so that nothing swapped or repeated goes unseen.

use sha2::{Digest, Sha256};

/// Enough for several connections, and not a multiple of anything.
pub(crate) const SIZE: usize = (24 << 20) + 12_345;

/// Returns `size` bytes that are unique to this seed (SplitMix64).
pub(crate) fn bytes(seed: u64, size: usize) -> Vec<u8> {
    let mut state = seed;
    let mut bytes = Vec::with_capacity(size + 8);
    while bytes.len() < size {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bytes.extend_from_slice(&(mixed ^ (mixed >> 31)).to_le_bytes());
    }
    bytes.truncate(size);
    bytes
}

/// Digest in the form that `--sha256` takes.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    let hex = |byte: &u8| format!("{byte:02x}");
    Sha256::digest(bytes).iter().map(hex).collect()
}
