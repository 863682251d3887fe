//! Many small files: the cost of each one besides its bytes.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use super::Row;
use crate::Outcome;
use crate::check::Check;
use crate::nginx::Nginx;
use crate::race::{Entrant, Standings, Track};
use crate::shelf::{self, Shelf};
use crate::shuttle::Shuttle;
use crate::tools::{Tools, clean};

const FLOOR: &str = "bare keep-alive loop, 4 threads";
const HAUL: &str = "haul -i";
const CURL: &str = "curl -Z --parallel-max 16";
const ARIA2: &str = "aria2c -j16";

pub(crate) fn run(track: &Track<'_>, root: &Path) -> Outcome<Row> {
    let shelf = Shelf::write(root, track.options.small_files(), track.options.seed)?;
    let nginx = Nginx::start(&track.tools.nginx, track.workshop, root)?;
    let lists = track.workshop.fresh("lists")?;
    write_lists(&lists, &nginx, &shelf)?;
    let entrants = entrants(track, &nginx, &shelf, &lists);
    let standings = track.heat(track.workshop, &entrants, &|directory: &Path| shelf.difference(directory))?;
    fs::remove_dir_all(root.join(shelf::DIRECTORY))?;
    Ok(Row {
        title: format!("small: {} files of {} KiB", shelf.count, shelf::EACH >> 10),
        table: standings.table(),
        checks: checks(&standings),
        notes: vec![
            "Every byte of every file is compared after each run, outside the measured time.".to_owned(),
        ],
        wrong: standings.wrong,
    })
}

/// Writes the lists: haul and aria2c read plain URLs, curl its own format, which names the file too.
fn write_lists(lists: &Path, nginx: &Nginx, shelf: &Shelf) -> Outcome<()> {
    let (mut plain, mut curl) = (String::new(), String::new());
    for nth in 0..shelf.count {
        let name = shelf::name(nth);
        let url = format!("http://{}/{}/{name}", nginx.address(), shelf::DIRECTORY);
        writeln!(plain, "{url}")?;
        writeln!(curl, "url = \"{url}\"\noutput = \"{name}\"")?;
    }
    fs::write(lists.join("plain"), plain)?;
    fs::write(lists.join("curl"), curl)?;
    Ok(())
}

/// Entrants that are installed.
fn entrants<'a>(
    track: &'a Track<'_>,
    nginx: &'a Nginx,
    shelf: &'a Shelf,
    lists: &'a Path,
) -> Vec<Entrant<'a>> {
    let mut entrants = vec![
        Entrant::new(FLOOR, move |directory: &Path| {
            let (address, output) = (nginx.address(), directory.to_owned());
            let mut command = clean(std::env::current_exe()?);
            command.args(Shuttle { address, count: shelf.count, output }.args());
            Ok(vec![command])
        }),
        Entrant::new(HAUL, move |directory: &Path| {
            let mut command = clean(Tools::HAUL);
            command.args(["--no-config", "--progress", "none", "-i"]);
            command.arg(lists.join("plain")).arg("-d").arg(directory);
            Ok(vec![command])
        }),
    ];
    if let Some(curl) = &track.tools.curl {
        entrants.push(Entrant::new(CURL, move |directory: &Path| {
            let mut command = clean(curl);
            command.args(["--disable", "--no-progress-meter", "--show-error", "--fail", "-Z"]);
            command.args(["--parallel-max", "16", "-K"]).arg(lists.join("curl")).current_dir(directory);
            Ok(vec![command])
        }));
    }
    if let Some(aria2) = &track.tools.aria2 {
        entrants.push(Entrant::new(ARIA2, move |directory: &Path| {
            let mut command = clean(aria2);
            command.args(["--no-conf=true", "--quiet=true", "-j16", "-d"]).arg(directory);
            command.arg("-i").arg(lists.join("plain"));
            Ok(vec![command])
        }));
    }
    entrants
}

fn checks(standings: &Standings) -> Vec<Check> {
    let Some(haul) = standings.named(HAUL) else {
        return Vec::new();
    };
    [(CURL, "wall ÷ curl -Z", 0.95), (ARIA2, "wall ÷ aria2c -j16", 0.35)]
        .into_iter()
        .filter_map(|(name, what, bound)| Some((standings.named(name)?, what, bound)))
        .map(|(peer, what, bound)| Check::at_most(what, haul.wall() / peer.wall(), bound, ""))
        .collect()
}
