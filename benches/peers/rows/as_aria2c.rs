//! haul in the place of aria2c, called by the same flags.

use std::path::Path;
use std::time::Duration;

use super::Row;
use super::course::{Course, append, payload};
use super::long_fat;
use crate::Outcome;
use crate::arm::{Arm, Errand};
use crate::check::Check;
use crate::nginx::Nginx;
use crate::race::{Standings, Track};
use crate::wan::{Line, Setting};

const ARMS: [Arm; 2] = [Arm::HaulAsAria2, Arm::Aria2Best];

/// Lines of the other rows, each with a caption, the file in 10⁶ bytes, and the receive window if it is bounded.
fn courses() -> Vec<(&'static str, u64, Line, Option<u64>)> {
    let ms = Duration::from_millis;
    vec![
        ("long-fat", 100, long_fat::line(), None),
        ("small-window", 100, long_fat::line(), Some(1 << 20)),
        ("lossy", 100, Line { loss: 0.005, ..Line::new(200.0, ms(80)) }, None),
        ("capped-start", 16, Line { flow: Some(10e6), ..Line::new(400.0, ms(20)) }, None),
        ("capped-start", 100, Line { flow: Some(10e6), ..Line::new(400.0, ms(20)) }, None),
        ("mobile", 16, Line { loss: 0.01, ..Line::new(30.0, ms(120)) }, None),
        ("far", 1000, Line { delay: ms(50), ..Line::default() }, None),
    ]
}

pub(super) fn run(track: &Track<'_>, root: &Path) -> Outcome<Row> {
    let mut row = Row {
        title: "as-aria2c: haul aria2c -x16 -s16 -k1M beside aria2c itself".to_owned(),
        ..Row::default()
    };
    for (name, megabytes, line, window) in courses() {
        let megabytes = if track.options.quick { megabytes.min(8) } else { megabytes };
        let setting = Setting::new(line.clone());
        let setting = Setting { window: window.unwrap_or(setting.window), ..setting };
        let course = Course::open(track, root, &setting)?;
        let payload = payload(track, root, megabytes * 1_000_000)?;
        let standings = track.race(&ARMS, &course.errand(&payload))?;
        add(&mut row, &format!("{name}, {megabytes} MB"), standings);
        row.notes.push(format!("{name}, {megabytes} MB: {line}."));
    }
    let size = if track.options.quick { 64 << 20 } else { 1 << 30 };
    let nginx = Nginx::start(&track.tools.nginx, track.workshop, root)?;
    let payload = payload(track, root, size)?;
    let standings = track.race(&ARMS, &Errand::here(&nginx, "/", &payload, None))?;
    add(&mut row, "loopback, 1 GiB", standings);
    Ok(row)
}

fn add(row: &mut Row, caption: &str, standings: Standings) {
    append(&mut row.table, caption, &standings);
    if let (Some(haul), Some(aria2)) = (standings.of(Arm::HaulAsAria2), standings.of(Arm::Aria2Best)) {
        let what = format!("{caption}: wall ÷ aria2c");
        row.checks.push(Check::at_most(what, haul.wall() / aria2.wall(), 1.00, ""));
    }
    row.wrong.extend(standings.wrong);
}
