//! Download with verification of the digest.

use std::path::Path;

use super::{Row, size};
use crate::Outcome;
use crate::arm::{Arm, Errand};
use crate::check::Check;
use crate::nginx::Nginx;
use crate::payload::Payload;
use crate::race::{Standings, Track, median};

pub(crate) fn run(track: &Track<'_>, root: &Path, payload: &Payload) -> Outcome<Row> {
    let nginx = Nginx::start(&track.tools.nginx, track.workshop, root)?;
    let errand = Errand::here(&nginx, "/", payload, None);
    let arms = [Arm::HaulVerified, Arm::Haul, Arm::Openssl, Arm::CurlThenOpenssl, Arm::Aria2Verified];
    let mut waits = Vec::new();
    let standings = track.watched_race(&arms, &errand, &mut |arm| {
        if arm == Arm::HaulVerified {
            waits.extend(super::told(&track.said()?, "verifying").and_then(|wait| wait.as_f64()));
        }
        Ok(())
    })?;
    Ok(Row {
        title: format!("verified: {} and its SHA-256, haul without -x, aria2c over 4 connections", size(payload.size)),
        table: standings.table(),
        checks: checks(&standings, &waits),
        notes: vec![
            "aria2c allocates as it does by default (prealloc); its other ways were not faster on tmpfs."
                .to_owned(),
            "Exposed is the time between the last byte and the verdict, as haul tells it; hashing alone is openssl \
             dgst of the file, in the same rounds."
                .to_owned(),
            in_all(&standings),
        ],
        wrong: standings.wrong,
    })
}

fn checks(standings: &Standings, waits: &[f64]) -> Vec<Check> {
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
        .chain(exposed(standings, waits))
        .collect()
}

/// Checks the share of the hashing time that is not hidden behind the download.
fn exposed(standings: &Standings, waits: &[f64]) -> Option<Check> {
    let hashing = standings.of(Arm::Openssl)?.wall();
    let wait = (!waits.is_empty()).then(|| median(waits.iter().copied()))?;
    Some(Check::at_most("hash time exposed ÷ hashing alone", wait / hashing, 0.10, ""))
}

/// Reports the cost of hashing on a machine whose processors are all busy already.
fn in_all(standings: &Standings) -> String {
    let (Some(verified), Some(plain)) = (standings.of(Arm::HaulVerified), standings.of(Arm::Haul)) else {
        return String::new();
    };
    format!(
        "With a digest haul takes {:.2} s longer, for {:.2} s more of processor time: server, client and hash share \
         the processors of one machine.",
        verified.wall() - plain.wall(),
        verified.cpu() - plain.cpu()
    )
}
