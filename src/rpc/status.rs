//! The state of a job in aria2's words: numbers are strings, and only the wanted keys are there.

use super::service::{aria2_code, code_of_kind, directory_of};
use crate::{ByteRange, JobState, JobStatus};
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

/// Length of a piece of the bitfield, in bytes.
const PIECE: u64 = 1 << 20;
/// Most pieces of a bitfield; larger files have larger pieces.
const MOST_PIECES: u64 = 16_384;

/// Facts about a job besides its state in the queue.
pub(super) struct Facts<'a> {
    pub(super) gid: &'a str,
    pub(super) path: Option<PathBuf>,
    pub(super) root: &'a Path,
}

/// State in aria2's words.
pub(super) fn word(status: &JobStatus) -> &'static str {
    match status.state {
        // It waits for a slot after a pause.
        JobState::Running if is_queued(status) => "waiting",
        JobState::Running => "active",
        JobState::Waiting => "waiting",
        JobState::Paused => "paused",
        JobState::Done => "complete",
        JobState::Failed => "error",
    }
}

/// Returns true if a job that has started has no slot.
pub(super) fn is_queued(status: &JobStatus) -> bool {
    status.progress.as_ref().is_some_and(|progress| progress.phase == crate::Phase::Queued)
}

/// Positions of a job's file that are there.
struct Have {
    total: u64,
    completed: u64,
    ranges: Vec<ByteRange>,
}

fn have(status: &JobStatus, path: Option<&Path>) -> Have {
    if let Some(report) = &status.report {
        return Have {
            total: report.size,
            completed: report.size,
            ranges: vec![ByteRange::new(0, report.size)],
        };
    }
    if let Some(progress) = &status.progress {
        let total = progress.size.or(status.job.size).unwrap_or(0);
        // Of a file with a wrong digest nothing counts.
        if status.ended.as_ref().is_some_and(|end| end.kind.as_deref() == Some("checksum")) {
            return Have { total, completed: 0, ranges: Vec::new() };
        }
        return Have { total, completed: progress.written, ranges: progress.ranges.clone() };
    }
    let there = |path: &Path| std::fs::metadata(path).map_or(0, |found| found.len());
    match status.state {
        JobState::Done => {
            let recorded = status.ended.as_ref().and_then(|end| end.size);
            let length = recorded.unwrap_or_else(|| path.map_or(0, there));
            Have { total: length, completed: length, ranges: vec![ByteRange::new(0, length)] }
        }
        // Remains of an earlier run of the daemon.
        _ => match path.and_then(|path| crate::inspect(path).ok()) {
            Some(left) => Have { total: left.size.unwrap_or(0), completed: left.durable, ranges: Vec::new() },
            None => Have { total: status.job.size.unwrap_or(0), completed: 0, ranges: Vec::new() },
        },
    }
}

fn piece_length(total: u64) -> u64 {
    let mut piece = PIECE;
    while total.div_ceil(piece) > MOST_PIECES {
        piece *= 2;
    }
    piece
}

/// Pieces that are there as a whole, as hexadecimal digits, the first piece in the highest bit.
fn bitfield(ranges: &[ByteRange], total: u64) -> String {
    let piece = piece_length(total);
    let count = total.div_ceil(piece);
    let is_there = |index: u64| {
        let wanted = ByteRange::new(index * piece, ((index + 1) * piece).min(total));
        index < count && ranges.iter().any(|range| range.intersection(wanted) == wanted)
    };
    let digit = |nibble: u64| {
        let bits = (0..4).fold(0, |bits, bit| (bits << 1) | u32::from(is_there(4 * nibble + bit)));
        char::from_digit(bits, 16).unwrap_or('0')
    };
    (0..count.div_ceil(8) * 2).map(digit).collect()
}

/// The job with the wanted keys, or with all.
pub(super) fn object(status: &JobStatus, facts: &Facts<'_>, keys: Option<&[String]>) -> Value {
    let wants =
        |key: &str| keys.is_none_or(|keys| keys.is_empty() || keys.iter().any(|wanted| wanted == key));
    let path = facts.path.as_deref();
    const OF_BYTES: [&str; 8] = [
        "totalLength",
        "completedLength",
        "pieceLength",
        "numPieces",
        "files",
        "bitfield",
        "verifiedLength",
        "haul",
    ];
    // Looking at the disk is only for those who want to know.
    let have = match OF_BYTES.iter().any(|key| wants(key)) {
        true => have(status, path),
        false => Have { total: 0, completed: 0, ranges: Vec::new() },
    };
    let progress = status.progress.as_ref();
    let is_running = status.state == JobState::Running && !is_queued(status);
    let mut object = Map::new();
    let mut put = |key: &str, value: &dyn Fn() -> Value| {
        if wants(key) {
            object.insert(key.to_owned(), value());
        }
    };
    put("gid", &|| facts.gid.into());
    put("status", &|| word(status).into());
    put("totalLength", &|| have.total.to_string().into());
    put("completedLength", &|| have.completed.to_string().into());
    put("uploadLength", &|| "0".into());
    put("uploadSpeed", &|| "0".into());
    put("downloadSpeed", &|| {
        let rate = progress.and_then(|progress| progress.rate).filter(|_| is_running);
        (rate.unwrap_or(0.0) as u64).to_string().into()
    });
    put("connections", &|| {
        let count = progress.filter(|_| is_running).map_or(0, |progress| progress.connections.len());
        count.to_string().into()
    });
    put("pieceLength", &|| piece_length(have.total).to_string().into());
    put("numPieces", &|| have.total.div_ceil(piece_length(have.total)).to_string().into());
    put("dir", &|| directory_of(path, facts.root).into());
    put("files", &|| json!([file(status, path, &have)]));
    if have.total > 0 {
        put("bitfield", &|| bitfield(&have.ranges, have.total).into());
    }
    if let Some(verified) = progress.and_then(|progress| progress.verified).filter(|_| is_running) {
        put("verifiedLength", &|| verified.to_string().into());
    }
    match status.state {
        JobState::Done => {
            put("errorCode", &|| "0".into());
            put("errorMessage", &|| "".into());
        }
        JobState::Failed => {
            let recorded =
                || status.ended.as_ref().and_then(|end| end.kind.as_deref()).map_or(1, code_of_kind);
            put("errorCode", &|| {
                status.error.as_deref().map_or_else(recorded, aria2_code).to_string().into()
            });
            put("errorMessage", &|| {
                let text = status.ended.as_ref().map_or("", |end| &end.text);
                // The next step is known as long as the daemon has not been started anew.
                match status.error.as_deref().and_then(|error| error.remedy()) {
                    Some(remedy) => format!("{text} ({remedy})").into(),
                    None => text.into(),
                }
            });
        }
        _ => {}
    }
    // A page of haul's own shows where each connection is.
    if keys.is_some_and(|keys| keys.iter().any(|key| key == "haul")) {
        let connections = progress.filter(|_| is_running).map(|progress| {
            let of = |view: &crate::ConnectionView| json!([view.position, view.range.end(), view.stalled]);
            progress.connections.iter().map(of).collect::<Vec<_>>()
        });
        let ranges: Vec<_> = have.ranges.iter().map(|range| [range.start(), range.end()]).collect();
        object.insert("haul".to_owned(), json!({ "connections": connections, "ranges": ranges }));
    }
    Value::Object(object)
}

fn file(status: &JobStatus, path: Option<&Path>, have: &Have) -> Value {
    json!({
        "index": "1",
        "path": path.map_or_else(String::new, |path| path.to_string_lossy().into_owned()),
        "length": have.total.to_string(),
        "completedLength": have.completed.to_string(),
        "selected": "true",
        "uris": uris(status),
    })
}

/// The file of a job, alone.
pub(super) fn files(status: &JobStatus, path: Option<&Path>) -> Value {
    json!([file(status, path, &have(status, path))])
}

/// The URL and the mirrors. aria2 shows them as they were given; those of a secret are shown without it.
pub(super) fn uris(status: &JobStatus) -> Value {
    let all = std::iter::once(&status.job.url).chain(&status.job.mirrors);
    let mut used =
        status.state != JobState::Waiting && (status.progress.is_some() || status.state.is_ended());
    let one = |url: &String| {
        let shown =
            crate::Request::new(url).map_or_else(|_| String::new(), |request| request.address().to_string());
        json!({ "uri": shown, "status": if std::mem::take(&mut used) { "used" } else { "waiting" } })
    };
    all.map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bitfield_has_a_bit_for_each_whole_piece_from_the_highest_on() {
        let mib = 1 << 20;
        let range = |start: u64, end: u64| ByteRange::new(start * mib, end * mib);
        assert_eq!(bitfield(&[range(0, 1), range(3, 5)], 10 * mib), "9800");
        assert_eq!(bitfield(&[ByteRange::new(0, mib + 5)], mib + 5), "c0");
        assert_eq!(bitfield(&[ByteRange::new(0, mib - 1)], 2 * mib), "00");
        assert_eq!(bitfield(&[], 0), "");
        // 64 GiB have larger pieces, and no longer field.
        assert_eq!(piece_length(64 << 30), 4 << 20);
        assert!(bitfield(&[], 64 << 30).len() as u64 <= MOST_PIECES / 4);
    }
}
