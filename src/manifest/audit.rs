//! Reads back the claims of a manifest, piece by piece.

use super::run::Run;
use crate::plan::ByteRange;
use crate::storage::{READ, Storage};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

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
    let mut crc = 0;
    let read = storage.read_range(range.start()..range.end(), buffer, &mut |bytes| {
        crc = crc32c::crc32c_append(crc, bytes);
    })?;
    Ok((read == range.len()).then_some(crc))
}
