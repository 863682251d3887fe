//! Many small files, each generated from its number.

use std::fs;
use std::io;
use std::path::Path;

use crate::payload::Random;

/// Their directory in the server's root.
pub(crate) const DIRECTORY: &str = "small";
/// Length of each file, in bytes.
pub(crate) const EACH: usize = 16 << 10;

/// Name of the file with this number.
pub(crate) fn name(nth: usize) -> String {
    format!("{nth:05}.bin")
}

/// Files numbered from 0.
pub(crate) struct Shelf {
    pub(crate) count: usize,
    seed: u64,
}

impl Shelf {
    /// Writes the files below the server's root.
    pub(crate) fn write(root: &Path, count: usize, seed: u64) -> io::Result<Self> {
        let shelf = Self { count, seed };
        let directory = root.join(DIRECTORY);
        fs::create_dir(&directory)?;
        for nth in 0..count {
            fs::write(directory.join(name(nth)), shelf.bytes(nth))?;
        }
        Ok(shelf)
    }

    /// Compares the files in `directory` with these; returns the first difference, extra files included.
    pub(crate) fn difference(&self, directory: &Path) -> Option<String> {
        self.compare(directory).unwrap_or_else(|error| Some(format!("{}: {error}", directory.display())))
    }

    fn compare(&self, directory: &Path) -> io::Result<Option<String>> {
        for nth in 0..self.count {
            if fs::read(directory.join(name(nth)))? != self.bytes(nth) {
                return Ok(Some(format!("{} has other bytes", name(nth))));
            }
        }
        let found = fs::read_dir(directory)?.count();
        Ok((found != self.count).then(|| format!("{found} files, not {}", self.count)))
    }

    fn bytes(&self, nth: usize) -> Vec<u8> {
        let mut bytes = vec![0; EACH];
        // Seeds far apart, so that no file is another one shifted.
        Random::new(self.seed.wrapping_add((nth as u64) << 32)).fill(&mut bytes);
        bytes
    }
}
