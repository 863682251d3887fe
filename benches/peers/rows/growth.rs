//! Costs that may grow with the length of a file, and those that must not.

use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::Row;
use crate::Outcome;
use crate::arm::haul;
use crate::check::Check;
use crate::endless::Endless;
use crate::race::{OUTPUT, Track};
use crate::sparse_disk::SparseDisk;
use crate::stopwatch;

const LENGTHS: [(&str, u64); 3] =
    [("1 GB", 1_000_000_000), ("100 GB", 100_000_000_000), ("10 TB", 10_000_000_000_000)];

/// A run that has not come far enough after this time is interrupted all the same.
const PATIENCE: Duration = Duration::from_secs(60);

/// Measurements of the beginning of one download.
struct Beginning {
    name: &'static str,
    /// Peak resident bytes.
    peak: u64,
    /// Bytes of the manifest after the interruption.
    manifest: u64,
    cpu: Duration,
    wrong: Option<String>,
}

impl Beginning {
    fn line(&self) -> String {
        let (peak, manifest) = (self.peak as f64 / 1_048_576.0, self.manifest as f64 / 1024.0);
        format!("| {} | {peak:.1} | {manifest:.1} | {:.3} |", self.name, self.cpu.as_secs_f64())
    }
}

pub(crate) fn run(track: &Track<'_>) -> Outcome<Row> {
    let amount = track.options.growth_size();
    let title = format!("growth: the first {} MB of files of 1 GB, 100 GB and 10 TB", amount / 1_000_000);
    let server = Endless::start()?;
    let mut beginnings = Vec::new();
    for (name, length) in LENGTHS {
        eprintln!("growth: {name}");
        // Mounts a new one each time, so that only one beginning takes space.
        match SparseDisk::mount(track.workshop) {
            Ok(disk) => beginnings.push(begin(track, &disk, &server, name, length)?),
            Err(why) => return Ok(Row::left_out(title, format!("Left out: {why}."))),
        }
    }
    let mut table =
        vec!["| file | peak MiB | manifest KiB | CPU s |".to_owned(), "|---|---:|---:|---:|".to_owned()];
    table.extend(beginnings.iter().map(Beginning::line));
    let wrong = |one: &Beginning| one.wrong.as_ref().map(|why| format!("{}: {why}", one.name));
    Ok(Row {
        title,
        table,
        checks: checks(&beginnings),
        notes: vec![
            "haul without flags onto a sparse XFS, interrupted with SIGTERM. What the scheduler costs over the whole \
             of 10 TB is measured in virtual time: `cargo bench --bench micro`."
                .to_owned(),
        ],
        wrong: beginnings.iter().filter_map(wrong).collect(),
    })
}

fn begin(
    track: &Track<'_>,
    disk: &SparseDisk,
    server: &Endless,
    name: &'static str,
    length: u64,
) -> Outcome<Beginning> {
    let output = disk.root().join(OUTPUT);
    let complaints = track.workshop.root().join("stderr");
    let mut command = haul(&server.url(length), &output, None);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&complaints)?);
    let (start, enough) = (Instant::now(), server.sent() + track.options.growth_size());
    let child = command.spawn()?;
    while server.sent() < enough && start.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(5));
    }
    // The child was not waited for, so its id is still valid even if it has ended.
    kill_process(Pid::from_child(&child), Signal::TERM)?;
    let (status, cost) = stopwatch::wait(&child, start)?;
    let said = fs::read_to_string(&complaints).unwrap_or_default();
    // Not SIGINT: a shell may ignore it for what it runs in the background, and haul respects that.
    let wrong = (status.signal() != Some(Signal::TERM.as_raw()))
        .then(|| format!("{status}, not interrupted: {}", said.lines().last().unwrap_or("no message")));
    let manifest = fs::metadata(output.with_added_extension("haul")).map_or(0, |metadata| metadata.len());
    Ok(Beginning { name, peak: cost.peak, manifest, cpu: cost.cpu, wrong })
}

fn checks(beginnings: &[Beginning]) -> Vec<Check> {
    let peak_of = |length: &str| beginnings.iter().find(|one| one.name == length).map(|one| one.peak as f64);
    let largest = beginnings.iter().map(|one| one.manifest).max().unwrap_or(0) as f64;
    let mut checks = vec![Check::at_most("largest manifest", largest / 1_048_576.0, 2.0, " MiB")];
    if let (Some(small), Some(large)) = (peak_of("1 GB"), peak_of("10 TB")) {
        checks.push(Check::at_most("peak at 10 TB ÷ peak at 1 GB", large / small, 1.25, ""));
    }
    checks
}
