//! Claims of a manifest, parsed independently of the program and compared with the file.

use std::ops::Range;
use std::path::{Path, PathBuf};

/// Ranges that a manifest claims.
pub(crate) fn claims(manifest: &[u8]) -> Vec<Range<u64>> {
    let text = String::from_utf8_lossy(manifest);
    let records = text.lines().filter_map(|line| serde_json::from_str(line.get(9..)?).ok());
    let claimed = |record: serde_json::Value| {
        let have = record.get("have")?;
        Some(have[0].as_u64()?..have[1].as_u64()?)
    };
    records.filter_map(claimed).collect()
}

pub(crate) fn claimed(manifest: &[u8]) -> u64 {
    claims(manifest).iter().map(|range| range.end - range.start).sum()
}

/// Number of claimed bytes beside this target that differ from the payload; 0 without a manifest.
pub(crate) fn untrue_claims(target: &Path, payload: &super::Payload) -> u64 {
    let side = |ending: &str| {
        let mut path = target.as_os_str().to_owned();
        path.push(ending);
        PathBuf::from(path)
    };
    let Ok(manifest) = std::fs::read(side(".haul")) else {
        return 0;
    };
    // Between the last rename and the removal of the manifest, the file already has its final name.
    let part = std::fs::File::open(side(".part")).or_else(|_| std::fs::File::open(target)).ok();
    let differs = |range: &Range<u64>| {
        let mut bytes = vec![0; (range.end - range.start) as usize];
        let read = part
            .as_ref()
            .map(|part| std::os::unix::fs::FileExt::read_exact_at(part, &mut bytes, range.start));
        read.is_none_or(|read| read.is_err()) || bytes != payload.bytes(range.clone())
    };
    claims(&manifest).iter().filter(|range| differs(range)).map(|range| range.end - range.start).sum()
}
