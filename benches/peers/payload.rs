//! The published file: bytes from a seed, no two ranges alike, so that nothing swapped or repeated goes unseen.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

const BUFFER: usize = 1 << 20;

/// A file in the server's root, and its digest.
pub(crate) struct Payload {
    pub(crate) name: &'static str,
    pub(crate) path: PathBuf,
    pub(crate) size: u64,
    pub(crate) sha256: String,
}

impl Payload {
    /// Writes the file.
    pub(crate) fn write(root: &Path, name: &'static str, size: u64, seed: u64) -> io::Result<Self> {
        let path: PathBuf = root.join(name);
        let mut file = File::create(&path)?;
        let mut random = Random::new(seed);
        let mut buffer = vec![0; BUFFER];
        let mut left = size;
        while left > 0 {
            random.fill(&mut buffer);
            let now = usize::try_from(left).map_or(BUFFER, |left| left.min(BUFFER));
            file.write_all(&buffer[..now])?;
            left -= now as u64;
        }
        let sha256 = digest(&path)?;
        Ok(Self { name, path, size, sha256 })
    }

    /// Compares the file at `path` with this one; returns the difference, if there is any.
    pub(crate) fn difference(&self, path: &Path) -> Option<String> {
        match digest(path) {
            Ok(found) if found == self.sha256 => None,
            Ok(found) => Some(format!("sha256 {found}, not {}", self.sha256)),
            Err(error) => Some(format!("{}: {error}", path.display())),
        }
    }
}

fn digest(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; BUFFER];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        hasher.update(&buffer[..read]);
    }
    let hex = |byte: &u8| format!("{byte:02x}");
    Ok(hasher.finalize().iter().map(hex).collect())
}

/// SplitMix64: any seed is a good one, and the same seed gives the same file everywhere.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Returns a number from 0 inclusive to 1 exclusive.
    pub(crate) fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub(crate) fn fill(&mut self, buffer: &mut [u8]) {
        for word in buffer.chunks_exact_mut(8) {
            word.copy_from_slice(&self.next().to_le_bytes());
        }
    }
}
