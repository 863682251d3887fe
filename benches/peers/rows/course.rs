//! Common parts of the rows over an emulated line: the line, the server at its end, and the peers of haul.

use std::path::Path;

use super::Row;
use crate::Outcome;
use crate::arm::{Arm, Errand};
use crate::check::Check;
use crate::nginx::Nginx;
use crate::payload::Payload;
use crate::race::{Standings, Track};
use crate::wan::{Line, Setting, Wan};

/// Clients that a person would otherwise use.
pub(super) const PEERS: [Arm; 5] = [Arm::Curl, Arm::Aria2Best, Arm::Axel, Arm::Wget2, Arm::FastDown];

/// haul first, then all peers.
pub(super) const EVERYBODY: [Arm; 6] =
    [Arm::Haul, Arm::Curl, Arm::Aria2Best, Arm::Axel, Arm::Wget2, Arm::FastDown];

/// An open line with a server. The server is dropped first, the line after it.
pub(super) struct Course {
    pub(super) nginx: Nginx,
    pub(super) wan: Wan,
}

impl Course {
    pub(super) fn open(track: &Track<'_>, root: &Path, setting: &Setting) -> Outcome<Self> {
        let wan = Wan::open(track.tools, setting, track.options.seed)?;
        let nginx = Nginx::start_at_the_end_of(&wan, &track.tools.nginx, track.workshop, root)?;
        Ok(Self { nginx, wan })
    }

    /// Errand for the payload over this line, without a number of connections.
    pub(super) fn errand<'a>(&'a self, payload: &'a Payload) -> Errand<'a> {
        Errand {
            nginx: &self.nginx,
            location: "/",
            payload,
            connections: None,
            wan: Some(&self.wan),
            secure: false,
            learned: None,
        }
    }

    /// The same after one run of haul, which has learned of the server.
    pub(super) fn errand_after_a_run<'a>(
        &'a self,
        track: &Track<'_>,
        payload: &'a Payload,
    ) -> Outcome<Errand<'a>> {
        let learned = track.workshop.fresh("learned")?;
        let errand = self.errand(payload);
        let output = learned.join("file.bin");
        self.wan.reset();
        for mut command in Arm::HaulKnowing.commands(track.tools, &errand, &output)? {
            command.status()?;
        }
        std::fs::remove_file(output)?;
        Ok(Errand { learned: Some(learned.join("state")), ..errand })
    }
}

/// Writes the payload of a row. All have the same name, so that there is never more than one.
pub(super) fn payload(track: &Track<'_>, root: &Path, size: u64) -> Outcome<Payload> {
    Ok(Payload::write(root, "wan.bin", size, track.options.seed)?)
}

/// A race of all clients for one file over one line, with the bound of haul's time as a multiple of the best peer's.
pub(super) fn race_over(
    track: &Track<'_>,
    root: &Path,
    (line, size, bound): (Line, u64, f64),
    title: String,
) -> Outcome<Row> {
    let payload = payload(track, root, size)?;
    let course = Course::open(track, root, &Setting::new(line.clone()))?;
    let standings = track.race(&EVERYBODY, &course.errand(&payload))?;
    Ok(Row {
        title,
        table: standings.table(),
        checks: against_the_best(&standings, bound).into_iter().collect(),
        notes: vec![format!("Line: {line}.")],
        wrong: standings.wrong,
    })
}

/// Checks haul's time as a multiple of the best peer's.
pub(super) fn against_the_best(standings: &Standings, bound: f64) -> Option<Check> {
    best_of(standings, "", bound)
}

/// Checks the same in one race among several.
pub(super) fn best_of(standings: &Standings, caption: &str, bound: f64) -> Option<Check> {
    let (haul, best) = (standings.of(Arm::Haul)?, standings.best(&PEERS)?);
    let separator = if caption.is_empty() { "" } else { ": " };
    let what = format!("{caption}{separator}wall ÷ best peer ({})", best.name);
    Some(Check::at_most(what, haul.wall() / best.wall(), bound, ""))
}

/// The wall time of haul's second run as a multiple of the best peer's.
pub(super) fn known_against_the_best(standings: &Standings, caption: &str, bound: f64) -> Option<Check> {
    let (haul, best) = (standings.of(Arm::HaulKnowing)?, standings.best(&PEERS)?);
    let what = format!("{caption}, known host: wall ÷ best peer ({})", best.name);
    Some(Check::at_most(what, haul.wall() / best.wall(), bound, ""))
}

/// Checks haul's time as a multiple of curl's.
pub(super) fn against_curl(standings: &Standings, what: &str, bound: f64) -> Option<Check> {
    let (haul, curl) = (standings.of(Arm::Haul)?, standings.of(Arm::Curl)?);
    Some(Check::at_most(what, haul.wall() / curl.wall(), bound, ""))
}

/// Appends a table with a caption, below the others of the same row.
pub(super) fn append(table: &mut Vec<String>, caption: &str, standings: &Standings) {
    if !table.is_empty() {
        table.push(String::new());
    }
    table.push(format!("{caption}:\n"));
    table.extend(standings.table());
}
