//! Download to a disk, until the file is durable.

use std::fs;
use std::path::Path;

use super::{Row, size};
use crate::Outcome;
use crate::arm::haul;
use crate::check::Check;
use crate::nginx::Nginx;
use crate::payload::Payload;
use crate::race::{Entrant, OUTPUT, Standings, Track};
use crate::tools::clean;
use crate::workshop::{Workshop, is_in_memory};

const DD: &str = "dd bs=1M conv=fsync";
const HAUL: &str = "haul";
const CURL: &str = "curl, then sync FILE";

pub(crate) fn run(track: &Track<'_>, root: &Path) -> Outcome<Row> {
    let (bytes, disk) = (track.options.durable_size(), &track.options.disk);
    let title = format!("durable: {} to a disk, until it is synced", size(bytes));
    if is_in_memory(disk) {
        let why =
            format!("Left out: {} is in memory; --disk DIR names a directory on a disk.", disk.display());
        return Ok(Row::left_out(title, why));
    }
    let place = Workshop::open_in(disk, bytes + (64 << 20))?;
    let payload = Payload::write(root, "durable.bin", bytes, track.options.seed)?;
    let nginx = Nginx::start(&track.tools.nginx, track.workshop, root)?;
    let entrants = entrants(track, &nginx, &payload);
    let standings =
        track.heat(&place, &entrants, &|directory: &Path| payload.difference(&directory.join(OUTPUT)))?;
    fs::remove_file(&payload.path)?;
    Ok(Row {
        title,
        table: standings.table(),
        checks: checks(&standings),
        notes: vec![
            "dd copies the payload from where the server reads it: no network, one process.".to_owned(),
        ],
        wrong: standings.wrong,
    })
}

/// Entrants that are installed. Dirty pages of earlier runs are written before the clock starts.
fn entrants<'a>(track: &'a Track<'_>, nginx: &'a Nginx, payload: &'a Payload) -> Vec<Entrant<'a>> {
    let url = move || format!("http://{}/{}", nginx.address(), payload.name);
    let mut entrants = vec![
        Entrant::new(DD, move |directory: &Path| {
            rustix::fs::sync();
            let mut command = clean("dd");
            command.arg(format!("if={}", payload.path.display()));
            command.arg(format!("of={}", directory.join(OUTPUT).display()));
            command.args(["bs=1M", "conv=fsync"]);
            Ok(vec![command])
        }),
        Entrant::new(HAUL, move |directory: &Path| {
            rustix::fs::sync();
            Ok(vec![haul(&url(), &directory.join(OUTPUT), None)])
        }),
    ];
    if let Some(curl) = &track.tools.curl {
        entrants.push(Entrant::new(CURL, move |directory: &Path| {
            rustix::fs::sync();
            let output = directory.join(OUTPUT);
            let mut fetch = clean(curl);
            fetch.args(["--disable", "--silent", "--show-error", "--fail", "-o"]).arg(&output).arg(url());
            let mut sync = clean("sync");
            sync.arg(&output);
            Ok(vec![fetch, sync])
        }));
    }
    entrants
}

fn checks(standings: &Standings) -> Vec<Check> {
    let (Some(haul), Some(dd)) = (standings.named(HAUL), standings.named(DD)) else {
        return Vec::new();
    };
    vec![Check::at_most("wall ÷ dd conv=fsync", haul.wall() / dd.wall(), 1.05, "")]
}
