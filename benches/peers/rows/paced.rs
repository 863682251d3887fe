//! nginx's own `limit_rate`: each connection gets a burst, and the next one a second later.

use std::path::Path;
use std::time::Duration;

use super::Row;
use super::course::{Course, append};
use crate::Outcome;
use crate::arm::{Arm, Errand};
use crate::check::Check;
use crate::nginx::Nginx;
use crate::payload::Payload;
use crate::race::{Standings, Track};
use crate::wan::{Line, Setting, Wan};

/// Location, size of the file in MiB, and caption.
const CASES: [(&str, u64, &str); 3] = [
    ("/paced-1m/", 64, "64 MiB, 1 MiB/s a connection"),
    ("/paced-2m/", 64, "64 MiB, 2 MiB/s a connection"),
    ("/paced-200k/", 8, "8 MiB, 200 KiB/s a connection"),
];

/// Round trips in milliseconds of the lines that it is measured over too; nothing else bounds them.
const WAYS: [u64; 2] = [1, 20];

pub(crate) fn run(track: &Track<'_>, root: &Path) -> Outcome<Row> {
    let mut row = Row {
        title: "paced: from a server that gives each connection a burst a second".to_owned(),
        ..Row::default()
    };
    {
        let nginx = Nginx::start(&track.tools.nginx, track.workshop, root)?;
        cases(track, root, ("loopback", &nginx, None), &mut row)?;
    }
    if let Some(refusal) = Wan::refusal(track.tools) {
        row.notes.push(refusal);
        return Ok(row);
    }
    for milliseconds in WAYS {
        let line = Line { delay: Duration::from_millis(milliseconds) / 2, ..Line::default() };
        let course = Course::open(track, root, &Setting::new(line))?;
        let way = format!("{milliseconds} ms");
        cases(track, root, (&way, &course.nginx, Some(&course.wan)), &mut row)?;
    }
    Ok(row)
}

fn cases(
    track: &Track<'_>,
    root: &Path,
    (way, nginx, wan): (&str, &Nginx, Option<&Wan>),
    row: &mut Row,
) -> Outcome<()> {
    for (location, size, caption) in CASES {
        let size = if track.options.quick { size / 8 } else { size } << 20;
        let payload = Payload::write(root, "paced.bin", size, track.options.seed)?;
        let errand = Errand { wan, ..Errand::here(nginx, location, &payload, None) };
        let standings = track.race(&[Arm::Haul, Arm::HaulSixteen, Arm::Aria2Best], &errand)?;
        let caption = format!("{caption}, {way}");
        append(&mut row.table, &caption, &standings);
        row.checks.extend(against(&standings, Arm::Aria2Best, &caption, 1.05));
        row.checks.extend(against(&standings, Arm::HaulSixteen, &caption, 1.10));
        row.wrong.extend(standings.wrong);
    }
    Ok(())
}

fn against(standings: &Standings, other: Arm, caption: &str, bound: f64) -> Option<Check> {
    let (haul, against) = (standings.of(Arm::Haul)?, standings.of(other)?);
    let what = format!("{caption}: wall ÷ {}", other.name());
    Some(Check::at_most(what, haul.wall() / against.wall(), bound, ""))
}
