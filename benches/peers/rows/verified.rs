//! The file, and the proof that it is the right one.

use std::path::Path;

use super::{Row, size};
use crate::Outcome;
use crate::arm::{Arm, Errand};
use crate::check::Check;
use crate::nginx::Nginx;
use crate::payload::Payload;
use crate::race::{Laps, Standings, Track};

pub(crate) fn run(track: &Track<'_>, root: &Path, payload: &Payload) -> Outcome<Row> {
    let nginx = Nginx::start(&track.tools.nginx, track.workshop, root)?;
    let errand = Errand::here(&nginx, "/", payload, None);
    let arms = [Arm::HaulVerified, Arm::Haul, Arm::Openssl, Arm::CurlThenOpenssl, Arm::Aria2Verified];
    let standings = track.race(&arms, &errand)?;
    Ok(Row {
        title: format!("verified: {} and its SHA-256, haul without -x, aria2c over 4 connections", size(payload.size)),
        table: standings.table(),
        checks: checks(&standings),
        notes: vec![
            "aria2c allocates as it does by default (prealloc); its other ways were not faster on tmpfs."
                .to_owned(),
            "Exposed is what haul takes longer with a digest than without; hashing alone is openssl dgst of the \
             file, in the same rounds."
                .to_owned(),
        ],
        wrong: standings.wrong,
    })
}

fn checks(standings: &Standings) -> Vec<Check> {
    let Some(haul) = standings.of(Arm::HaulVerified) else {
        return Vec::new();
    };
    let peers = [
        (Arm::CurlThenOpenssl, "wall ÷ (curl, then openssl dgst)", 0.65),
        (Arm::Aria2Verified, "wall ÷ aria2c --checksum", 0.55),
    ];
    peers
        .into_iter()
        .filter_map(|(arm, what, bound)| Some((standings.of(arm)?, what, bound)))
        .map(|(peer, what, bound)| Check::at_most(what, haul.wall() / peer.wall(), bound, ""))
        .chain(exposed(standings, haul))
        .collect()
}

/// How much of the time that hashing takes is not hidden behind the download.
fn exposed(standings: &Standings, verified: &Laps) -> Option<Check> {
    let (plain, hashing) = (standings.of(Arm::Haul)?, standings.of(Arm::Openssl)?);
    let exposed = (verified.wall() - plain.wall()).max(0.0);
    Some(Check::at_most("hash time exposed ÷ hashing alone", exposed / hashing.wall(), 0.10, ""))
}
