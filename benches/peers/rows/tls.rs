//! Full speed of TLS on the machine.

use std::path::Path;
use std::process::Command;

use super::{Row, size};
use crate::Outcome;
use crate::arm::haul;
use crate::check::Check;
use crate::floor::Floor;
use crate::nginx::Nginx;
use crate::payload::Payload;
use crate::race::{Entrant, OUTPUT, Standings, Track};
use crate::tools::clean;

const FLOOR: &str = "bare TLS recv+pwrite loop";
const HAUL: &str = "haul";
const CURL: &str = "curl (one connection)";
const ARIA2: &str = "aria2c -x16 -s16";

/// Connections of the bare loop.
const CONNECTIONS: u64 = 4;

pub(crate) fn run(track: &Track<'_>, root: &Path, payload: &Payload) -> Outcome<Row> {
    let nginx = Nginx::start(&track.tools.nginx, track.workshop, root)?;
    let entrants = entrants(track, &nginx, payload);
    let standings = track
        .heat(track.workshop, &entrants, &|directory: &Path| payload.difference(&directory.join(OUTPUT)))?;
    Ok(Row {
        title: format!(
            "tls: {} over TLS 1.3, haul without flags, the loop over 4 connections",
            size(payload.size)
        ),
        table: standings.table(),
        checks: checks(&standings),
        notes: Vec::new(),
        wrong: standings.wrong,
    })
}

/// Entrants that are installed.
fn entrants<'a>(track: &'a Track<'_>, nginx: &'a Nginx, payload: &'a Payload) -> Vec<Entrant<'a>> {
    let url = move || format!("https://{}/{}", nginx.secure_address(), payload.name);
    let mut entrants = vec![
        Entrant::new(FLOOR, move |directory: &Path| Ok(vec![floor(nginx, payload, directory)?])),
        Entrant::new(HAUL, move |directory: &Path| {
            let mut command = haul(&url(), &directory.join(OUTPUT), None);
            command.arg("--cacert").arg(nginx.authority());
            Ok(vec![command])
        }),
    ];
    if let Some(curl) = &track.tools.curl {
        entrants.push(Entrant::new(CURL, move |directory: &Path| {
            let mut command = clean(curl);
            command.args(["--disable", "--silent", "--show-error", "--fail", "--cacert"]);
            command.arg(nginx.authority()).arg("-o").arg(directory.join(OUTPUT)).arg(url());
            Ok(vec![command])
        }));
    }
    if let Some(aria2) = &track.tools.aria2 {
        entrants.push(Entrant::new(ARIA2, move |directory: &Path| {
            let mut command = clean(aria2);
            command.args(["--no-conf=true", "--quiet=true", "-x16", "-s16", "-o", OUTPUT, "-d"]);
            command.arg(directory);
            command.arg(format!("--ca-certificate={}", nginx.authority().display())).arg(url());
            Ok(vec![command])
        }));
    }
    entrants
}

/// Runs this very program as the loop.
fn floor(nginx: &Nginx, payload: &Payload, directory: &Path) -> Outcome<Command> {
    let floor = Floor {
        address: nginx.secure_address(),
        path: format!("/{}", payload.name),
        size: payload.size,
        connections: CONNECTIONS,
        output: directory.join(OUTPUT),
        ca: Some(nginx.authority()),
    };
    let mut command = clean(std::env::current_exe()?);
    command.args(floor.args());
    Ok(command)
}

fn checks(standings: &Standings) -> Vec<Check> {
    let Some(haul) = standings.named(HAUL) else {
        return Vec::new();
    };
    [(CURL, "wall ÷ curl", 0.85), (ARIA2, "wall ÷ aria2c -x16 -s16", 0.70)]
        .into_iter()
        .filter_map(|(name, what, bound)| Some((standings.named(name)?, what, bound)))
        .map(|(peer, what, bound)| Check::at_most(what, haul.wall() / peer.wall(), bound, ""))
        .collect()
}
