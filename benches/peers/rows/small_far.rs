//! Many small files from far away, from a server that allows few connections.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::Row;
use super::course::Course;
use crate::Outcome;
use crate::check::Check;
use crate::race::{Entrant, Standings, Track};
use crate::shelf::{self, Shelf};
use crate::tools::{Tools, clean};
use crate::wan::{Line, Setting};

/// Connections that the server allows at once.
const CONNECTIONS: usize = 6;
const HAUL: &str = "haul -i";
const CURL: &str = "curl -Z --http1.1 --parallel-max 6";
const CURL_HTTP2: &str = "curl -Z --parallel-max 100 (HTTP/2)";

pub(super) fn run(track: &Track<'_>, root: &Path) -> Outcome<Row> {
    let shelf = Shelf::write(root, track.options.far_files(), track.options.seed)?;
    let line = Line { connections: Some(CONNECTIONS), ..Line::new(400.0, Duration::from_millis(100)) };
    let course = Course::open(track, root, &Setting::new(line.clone()))?;
    let lists = track.workshop.fresh("lists")?;
    let (mut plain, mut curl) = (String::new(), String::new());
    for nth in 0..shelf.count {
        let name = shelf::name(nth);
        let url = format!("https://{}/{}/{name}", course.nginx.http2_address(), shelf::DIRECTORY);
        writeln!(plain, "{url}")?;
        writeln!(curl, "url = \"{url}\"\noutput = \"{name}\"")?;
    }
    fs::write(lists.join("plain"), plain)?;
    fs::write(lists.join("curl"), curl)?;
    let entrants = entrants(track, &course, &lists);
    let judge = |directory: &Path| shelf.difference(directory);
    let standings = track.heat_over(&course.wan, &entrants, &judge)?;
    fs::remove_dir_all(root.join(shelf::DIRECTORY))?;
    Ok(Row {
        title: format!(
            "small-far: {} files of {} KiB over TLS from far away",
            shelf.count,
            shelf::EACH >> 10
        ),
        table: standings.table(),
        checks: checks(&standings),
        notes: vec![format!("Line: {line}. The server has HTTP/2 too.")],
        wrong: standings.wrong,
    })
}

fn entrants<'a>(track: &'a Track<'_>, course: &'a Course, lists: &'a Path) -> Vec<Entrant<'a>> {
    let placed = |command: &Command| course.wan.client().inside(command);
    let mut entrants = vec![Entrant::new(HAUL, move |directory: &Path| {
        let mut command = clean(Tools::HAUL);
        command.args(["--no-config", "--progress", "none", "--cacert"]).arg(course.nginx.authority());
        command.arg("-i").arg(lists.join("plain")).arg("-d").arg(directory);
        Ok(vec![placed(&command)])
    })];
    let Some(curl) = &track.tools.curl else {
        return entrants;
    };
    for (name, flags) in
        [(CURL, ["--http1.1", "--parallel-max", "6"]), (CURL_HTTP2, ["--http2", "--parallel-max", "100"])]
    {
        entrants.push(Entrant::new(name, move |directory: &Path| {
            let mut command = clean(curl);
            command.args(["--disable", "--no-progress-meter", "--show-error", "--fail", "-Z", "--cacert"]);
            command.arg(course.nginx.authority()).args(flags);
            command.args(["--output-dir"]).arg(directory).arg("-K").arg(lists.join("curl"));
            Ok(vec![placed(&command)])
        }));
    }
    entrants
}

fn checks(standings: &Standings) -> Vec<Check> {
    let (Some(haul), Some(curl)) = (standings.named(HAUL), standings.named(CURL)) else {
        return Vec::new();
    };
    vec![Check::at_most("wall ÷ curl -Z over HTTP/1.1", haul.wall() / curl.wall(), 0.5, "")]
}
