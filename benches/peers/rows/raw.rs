//! Full speed of the machine: no digest, no limit.

use std::path::Path;

use super::{Row, size};
use crate::Outcome;
use crate::arm::{Arm, Errand};
use crate::check::Check;
use crate::nginx::Nginx;
use crate::payload::Payload;
use crate::race::{Standings, Track};

pub(crate) fn run(track: &Track<'_>, root: &Path, payload: &Payload) -> Outcome<Row> {
    let nginx = Nginx::start(&track.tools.nginx, track.workshop, root)?;
    let errand = Errand::here(&nginx, "/", payload, None);
    let arms = [Arm::Floor, Arm::Haul, Arm::Curl, Arm::Aria2];
    let standings = track.race(&arms, &errand)?;
    Ok(Row {
        title: format!(
            "raw: {}, haul without flags, the loop and aria2c over 4 connections",
            size(payload.size)
        ),
        table: standings.table(),
        checks: checks(&standings),
        notes: Vec::new(),
        wrong: standings.wrong,
    })
}

fn checks(standings: &Standings) -> Vec<Check> {
    let (Some(floor), Some(haul)) = (standings.of(Arm::Floor), standings.of(Arm::Haul)) else {
        return Vec::new();
    };
    let mut checks = vec![
        Check::at_most("wall ÷ bare loop", haul.wall() / floor.wall(), 1.08, ""),
        Check::at_most("CPU ÷ bare loop", haul.cpu() / floor.cpu(), 1.15, ""),
        Check::at_most("peak resident", haul.peak() / 1_048_576.0, 20.0, " MiB"),
    ];
    checks.extend(
        standings
            .of(Arm::Curl)
            .map(|curl| Check::at_most("wall ÷ curl", haul.wall() / curl.wall(), 0.80, "")),
    );
    checks
}
