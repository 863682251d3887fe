//! Reads back the claims of a manifest, piece by piece.

use super::run::Run;
use crate::plan::ByteRange;
use crate::storage::Storage;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

const READ: usize = 256 << 10;

/// Claimed ranges whose bytes do not match their checksum; blocking. Stops early, with the result so far, once `stop`
/// is set.
pub(crate) fn audit(storage: &dyn Storage, runs: &[Run], stop: &AtomicBool) -> io::Result<Vec<ByteRange>> {
    let mut buffer = vec![0; READ];
    let mut damaged = Vec::new();
    for run in runs {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        if checksum(storage, run.range, &mut buffer)? != Some(run.crc) {
            damaged.push(run.range);
        }
    }
    Ok(damaged)
}

/// CRC-32C of a range; `None` if the file ends before it does.
fn checksum(storage: &dyn Storage, range: ByteRange, buffer: &mut [u8]) -> io::Result<Option<u32>> {
    let (mut position, mut crc) = (range.start(), 0);
    while position < range.end() {
        let length = buffer.len().min(usize::try_from(range.end() - position).unwrap_or(usize::MAX));
        let read = storage.read_at(position, &mut buffer[..length])?;
        if read == 0 {
            return Ok(None);
        }
        crc = crc32c::crc32c_append(crc, &buffer[..read]);
        position += read as u64;
    }
    Ok(Some(crc))
}
