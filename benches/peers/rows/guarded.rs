//! A server that allows two connections: measures how soon haul settles for them, and how often it is refused.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::Row;
use super::course::{Course, append, payload};
use crate::Outcome;
use crate::arm::{Arm, Errand};
use crate::check::Check;
use crate::race::{Standings, Track};
use crate::wan::{Line, Setting};

/// Refusal of the third connection: a name for the report, and the location.
const WAYS: [(&str, &str); 2] = [("503", "/two-503/"), ("429 with Retry-After: 1", "/two-429/")];

pub(super) fn run(track: &Track<'_>, root: &Path) -> Outcome<Row> {
    let size = track.options.wan_size();
    let payload = payload(track, root, size)?;
    let line = Line::new(100.0, Duration::from_millis(20));
    let course = Course::open(track, root, &Setting::new(line.clone()))?;
    let mut row = Row {
        title: format!("guarded: {} MB from a server that allows two connections", size / 1_000_000),
        notes: vec![format!("Line: {line}. Refusals are counted from nginx's access log.")],
        ..Row::default()
    };
    for (way, location) in WAYS {
        let errand = Errand { location, ..course.errand(&payload) };
        let (standings, refusals) = race(track, &course, &errand)?;
        append(&mut row.table, way, &standings);
        row.checks.extend(checks(way, &standings, refusals));
        row.wrong.extend(standings.wrong);
    }
    Ok(row)
}

/// Runs haul with and without the number of connections, and returns the most refusals of any run without it.
fn race(track: &Track<'_>, course: &Course, errand: &Errand<'_>) -> Outcome<(Standings, usize)> {
    let mut seen = refused(&course.nginx.requests()?);
    let mut worst = 0;
    let standings = track.watched_race(&[Arm::Haul, Arm::HaulTwo], errand, &mut |arm| {
        let now = refused(&course.nginx.requests()?);
        if arm == Arm::Haul {
            worst = worst.max(now - seen);
        }
        seen = now;
        Ok(())
    })?;
    Ok((standings, worst))
}

fn refused(requests: &[Value]) -> usize {
    requests.iter().filter(|request| matches!(request["status"].as_u64(), Some(429 | 503))).count()
}

fn checks(way: &str, standings: &Standings, refusals: usize) -> Vec<Check> {
    let (Some(haul), Some(two)) = (standings.of(Arm::Haul), standings.of(Arm::HaulTwo)) else {
        return Vec::new();
    };
    vec![
        Check::at_most(format!("{way}: wall ÷ haul -x2"), haul.wall() / two.wall(), 1.08, ""),
        Check::at_most(format!("{way}: refusals, worst run"), refusals as f64, 8.0, ""),
    ]
}
