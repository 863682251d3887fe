//! A server that gives each connection 10 MB/s: more connections make the download faster.

use std::path::Path;

use super::Row;
use crate::Outcome;
use crate::arm::{Arm, Errand};
use crate::check::Check;
use crate::nginx::Nginx;
use crate::payload::Payload;
use crate::race::{Standings, Track, megabytes_a_second};

const CONNECTIONS: u64 = 8;
/// Rate of one connection, in 10⁶ bytes a second.
const EACH: f64 = 10.0;

pub(crate) fn run(track: &Track<'_>, root: &Path) -> Outcome<Row> {
    let (size, seed) = (track.options.capped_size(), track.options.seed);
    let payload = Payload::write(root, "capped.bin", size, seed)?;
    let nginx = Nginx::start(&track.tools.nginx, track.workshop, root)?;
    let errand = Errand::here(&nginx, "/10-megabytes/", &payload, Some(CONNECTIONS));
    let standings = track.race(&[Arm::Floor, Arm::Haul, Arm::Aria2], &errand)?;
    Ok(Row {
        title: format!(
            "capped: {} MB from a server with 10 MB/s a connection, 8 connections",
            size / 1_000_000
        ),
        table: standings.table(),
        checks: checks(&standings, size),
        notes: notes(&standings, size),
        wrong: standings.wrong,
    })
}

fn checks(standings: &Standings, size: u64) -> Vec<Check> {
    let Some(haul) = standings.of(Arm::Haul) else {
        return Vec::new();
    };
    let rate = megabytes_a_second(size, haul.wall());
    vec![Check::at_least(
        "rate over the whole run ÷ (8 × 10 MB/s)",
        rate / (CONNECTIONS as f64 * EACH),
        0.95,
        "",
    )]
}

/// Explains the rates: nginx sends the first piece of each request at once, so that even one range a connection gets a
/// little more than the limit.
fn notes(standings: &Standings, size: u64) -> Vec<String> {
    let rate = |arm| Some(megabytes_a_second(size, standings.of(arm)?.wall()));
    let (Some(floor), Some(haul)) = (rate(Arm::Floor), rate(Arm::Haul)) else {
        return Vec::new();
    };
    vec![format!(
        "The bare loop with one range a connection reaches {floor:.1} MB/s, haul {haul:.1} MB/s: nginx lets the \
         first 100 ms' worth of every request pass at once."
    )]
}
