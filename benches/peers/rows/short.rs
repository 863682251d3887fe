//! Files that are complete before a connection is up to speed, over TLS, with which each connection costs round trips.

use std::path::Path;
use std::time::Duration;

use super::Row;
use super::course::{Course, EVERYBODY, against_curl, append, payload};
use crate::Outcome;
use crate::arm::Errand;
use crate::race::Track;
use crate::wan::{Line, Setting};

/// Sizes in 10⁶ bytes, and bounds of haul's time as multiples of curl's.
const SIZES: [(u64, f64); 3] = [(1, 0.80), (4, 0.82), (16, 0.82)];

pub(super) fn run(track: &Track<'_>, root: &Path) -> Outcome<Row> {
    let line = Line::new(400.0, Duration::from_millis(100));
    let course = Course::open(track, root, &Setting::new(line.clone()))?;
    let mut row = Row {
        title: "short: small files over TLS from far away".to_owned(),
        notes: vec![format!("Line: {line}. axel and fast-down do not check the certificate.")],
        ..Row::default()
    };
    for (megabytes, bound) in SIZES {
        let payload = payload(track, root, megabytes * 1_000_000)?;
        let errand = Errand { secure: true, ..course.errand(&payload) };
        let standings = track.race(&EVERYBODY, &errand)?;
        append(&mut row.table, &format!("{megabytes} MB"), &standings);
        row.checks.extend(against_curl(&standings, &format!("{megabytes} MB: wall ÷ curl"), bound));
        row.wrong.extend(standings.wrong);
    }
    Ok(row)
}
