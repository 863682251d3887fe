//! Snapshots of what a person sees, and the width of every row.

use super::bars::width_in;
use super::view::{File, Paper, Scene};
use super::waiting::Retrying;
use super::{FileView, Totals, line, plain, waiting};
use crate::cli::canvas::Row;
use crate::cli::snapshot::{self, WIDTHS};
use crate::{ByteRange, ConnectionView, Event, Phase, Progress, Slowness};
use proptest::prelude::*;
use std::time::Duration;
use tokio::sync::watch;
use unicode_width::UnicodeWidthStr as _;

const MIB: u64 = 1 << 20;

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A file of 8 GiB, of which a third has come on four connections.
fn progress() -> Progress {
    let size = 8192 * MIB;
    let connection = |at: u64| {
        let start = size / 4 * at;
        let range = ByteRange::new(start, start + size / 4);
        ConnectionView { range, position: start + size / 12, stalled: false }
    };
    let connections: Vec<_> = (0..4).map(connection).collect();
    Progress {
        phase: Phase::Transferring,
        reached: true,
        size: Some(size),
        received: size / 3,
        written: size / 3,
        durable: size / 4,
        rate: Some(36.5 * MIB as f64),
        eta: Some(seconds(150)),
        elapsed: seconds(75),
        ranges: connections.iter().map(|one| ByteRange::new(one.range.start(), one.position)).collect(),
        connections,
        ..Progress::default()
    }
}

fn with_silent(count: usize) -> Progress {
    let mut progress = progress();
    progress.connections.iter_mut().take(count).for_each(|connection| connection.stalled = true);
    progress
}

/// The same file once everything is on disk.
fn verifying(verified: Option<u64>) -> Progress {
    Progress { phase: Phase::Verifying, written: 8192 * MIB, verified, connections: Vec::new(), ..progress() }
}

fn slow(slowness: Slowness) -> Progress {
    Progress { slowed_by: Some(slowness), ..progress() }
}

fn one<'a>(name: &'a str, progress: &Progress) -> File<'a> {
    File { name, progress: progress.clone(), waits: None }
}

fn totals(count: usize) -> Totals {
    Totals { count, ok: count / 4, failed: count / 10, under_way: 9, received: 5000 * MIB, rate: Some(9e7) }
}

/// The rows of a scene at each width, in Unicode or in ASCII.
fn at_each_width<'a>(ascii: bool, totals: &'a Totals, files: impl Fn() -> Vec<File<'a>>) -> String {
    let mut shown = String::new();
    for columns in WIDTHS {
        let paper = Paper { width: width_in(columns), ascii };
        shown += &format!("{columns} columns\n");
        for row in paper.scene(&Scene { files: files(), totals }, 24) {
            assert!(row.seen().width() < columns, "{columns}: {}", row.seen());
            shown += &format!("{}\n", row.seen());
        }
    }
    shown
}

fn alone(ascii: bool, name: &str, progress: &Progress) -> String {
    at_each_width(ascii, &Totals::default(), || vec![one(name, progress)])
}

#[test]
fn one_file_in_unicode_and_in_ascii() {
    let shown = alone(false, "debian-12.9.0-amd64-DVD-1.iso", &progress())
        + &alone(true, "debian-12.9.0-amd64-DVD-1.iso", &progress());
    snapshot::compare("one-file", &shown);
}

#[test]
fn one_file_in_each_phase() {
    let phases = [
        Progress { phase: Phase::Paused, connections: Vec::new(), ..progress() },
        verifying(None),
        verifying(Some(6000 * MIB)),
    ];
    let shown: String = phases.iter().map(|progress| alone(false, "disk.img", progress)).collect();
    snapshot::compare("phases", &shown);
}

#[test]
fn more_files_than_the_screen_has_rows_for() {
    let names: Vec<_> = (1..=40).map(|number| format!("part-{number:02}.tar.zst")).collect();
    let totals = totals(40);
    let files = || names.iter().map(|name| one(name, &progress())).collect();
    snapshot::compare("many-files", &at_each_width(false, &totals, files));
}

#[test]
fn a_file_of_unknown_length() {
    let unknown = Progress { size: None, eta: None, ranges: Vec::new(), ..progress() };
    let slow = Progress { slowed_by: Some(Slowness::Disk), ..unknown.clone() };
    snapshot::compare(
        "unknown-length",
        &(alone(false, "stream.bin", &unknown) + &alone(false, "stream.bin", &slow)),
    );
}

#[test]
fn names_of_wide_characters_and_very_long_names() {
    let long = format!("{}.tar.gz", "a-very-long-name-of-a-file-".repeat(9));
    let names = [
        "数据集合-数据集合-数据集合-数据集合.tar.gz",
        "☁️☁️☁️☁️☁️☁️☁️☁️☁️☁️☁️☁️☁️☁️☁️☁️☁️☁️☁️☁️☁️☁️.zip",
        "e\u{301}te\u{301}.mp4",
        long.as_str(),
    ];
    let totals = totals(4);
    let shown = at_each_width(false, &totals, || names.iter().map(|name| one(name, &progress())).collect());
    snapshot::compare("names", &shown);
}

/// Each reason, on a host with a name of usual length.
fn reasons() -> Vec<Progress> {
    let host = || "files.example.org".to_owned();
    let silent = Slowness::Silent { host: host(), quiet: seconds(7) };
    let hash = Slowness::Hash { behind: 1800 * MIB };
    vec![
        slow(Slowness::Limit { rate: 512 << 10 }),
        slow(Slowness::Yielding),
        slow(Slowness::Reader),
        slow(Slowness::Disk),
        Progress { slowed_by: Some(hash), ..verifying(Some(6392 * MIB)) },
        slow(Slowness::Server { host: host(), status: Some(429), wait: Some(seconds(30)) }),
        slow(Slowness::Server { host: host(), status: Some(503), wait: None }),
        slow(Slowness::Server { host: host(), status: None, wait: None }),
        Progress { slowed_by: Some(silent), ..with_silent(1) },
        with_silent(2),
    ]
}

#[test]
fn each_reason_of_slowness() {
    let shown: String = reasons().iter().map(|progress| alone(false, "disk.img", progress)).collect();
    snapshot::compare("slowness", &shown);
}

#[test]
fn each_reason_of_a_pause() {
    let mut file = FileView::new(
        "disk.img".into(),
        "https://files.example.org/disk.img".into(),
        watch::channel(Progress::default()).1,
    );
    let starting = Progress { phase: Phase::Starting, ..Progress::default() };
    file.seen.look(&starting, seconds(0));
    let mut shown = String::new();
    let mut show = |file: &FileView, progress: &Progress, now| {
        let waits = waiting::words(file, progress, now);
        assert!(waits.is_some(), "{progress:?}");
        let files = || vec![File { name: "disk.img", progress: progress.clone(), waits: waits.clone() }];
        shown += &at_each_width(false, &Totals::default(), files);
    };
    show(&file, &starting, seconds(4));
    show(&file, &Progress { reached: true, ..starting.clone() }, seconds(12));
    file.seen.look(&progress(), seconds(20));
    let mut stalled = with_silent(4);
    show(&file, &stalled, seconds(32));
    let cause = "the server limits how often it is asked (429)".to_owned();
    file.seen.retrying = Some(Retrying { cause, attempt: 2, until: seconds(75), received: stalled.received });
    stalled.connections.clear();
    show(&file, &stalled, seconds(33));
    snapshot::compare("pauses", &shown);
}

#[test]
fn rows_in_colours_and_without() {
    let totals = totals(2);
    let waits = Some("try 2 failed, next in 0:42: it is busy".to_owned());
    let waiting = File { name: "b.img", progress: progress(), waits };
    let scene = Scene { files: vec![one("a.img", &progress()), waiting], totals: &totals };
    let rows = Paper { width: width_in(60), ascii: false }.scene(&scene, 24);
    let plain: String = rows.iter().map(|row| row.painted(false) + "\n").collect();
    assert!(!plain.contains('\x1b') && plain == rows.iter().map(|row| row.seen() + "\n").collect::<String>());
    let painted: String = rows.iter().map(|row| row.painted(true) + "\n").collect();
    snapshot::compare(
        "colours",
        &format!("without colours\n{plain}in colours\n{}", painted.replace('\x1b', "ESC")),
    );
}

#[test]
fn lines_where_there_is_no_terminal() {
    let started = Event::Started {
        url: "https://files.example.org/disk.img".into(),
        path: Some("disk.img".into()),
        size: Some(8192 * MIB),
        resumed: 100 * MIB,
        connections: 4,
    };
    let mut lines = vec![line::started("disk.img", &started).unwrap()];
    let of = |progress: &Progress, waits| plain::progress_line("disk.img", progress, waits);
    lines.push(of(&progress(), None));
    lines.push(of(&Progress { size: None, eta: None, ..progress() }, None));
    lines.push(of(&progress(), Some("try 2 failed, next in 0:42: it is busy")));
    lines.extend(reasons().iter().map(|progress| of(progress, None)));
    snapshot::compare("no-terminal", &(lines.join("\n") + "\n"));
}

fn any_slowness() -> impl Strategy<Value = Option<Slowness>> {
    let host = "[a-z]{1,40}(\\.[a-z]{2,9}){1,3}";
    prop_oneof![
        Just(None),
        any::<u64>().prop_map(|rate| Some(Slowness::Limit { rate })),
        Just(Some(Slowness::Disk)),
        Just(Some(Slowness::Reader)),
        any::<u64>().prop_map(|behind| Some(Slowness::Hash { behind })),
        (host, proptest::option::of(400..600_u16), proptest::option::of(0..100_000_u64)).prop_map(
            |(host, status, wait)| { Some(Slowness::Server { host, status, wait: wait.map(seconds) }) }
        ),
        (host, 0..100_000_u64)
            .prop_map(|(host, quiet)| Some(Slowness::Silent { host, quiet: seconds(quiet) })),
    ]
}

fn any_progress() -> impl Strategy<Value = Progress> {
    let phase = prop_oneof![
        Just(Phase::Starting),
        Just(Phase::Transferring),
        Just(Phase::Verifying),
        Just(Phase::Paused)
    ];
    (
        phase,
        proptest::option::of(any::<u64>()),
        any::<u64>(),
        proptest::option::of(0.0..1e15_f64),
        proptest::collection::vec((any::<u64>(), any::<bool>()), 0..70),
        any_slowness(),
    )
        .prop_map(|(phase, size, written, rate, connections, slowed_by)| {
            let most = size.unwrap_or(u64::MAX);
            let connection = |(position, stalled): (u64, bool)| ConnectionView {
                range: ByteRange::new(0, most),
                position: position % most.max(1),
                stalled,
            };
            Progress {
                phase,
                size,
                written: written.min(most),
                verified: size.map(|size| size / 3),
                rate,
                eta: rate.map(|rate| Duration::from_secs(rate as u64 / 1000)),
                connections: connections.into_iter().map(connection).collect(),
                ranges: vec![ByteRange::new(0, written.min(most))],
                slowed_by,
                ..Progress::default()
            }
        })
}

proptest! {
    #[test]
    fn no_row_is_wider_than_the_screen(
        name in "\\PC{0,80}", emoji in "[☁❤👩👨\u{200d}\u{fe0f}\u{301}数é]{0,60}", waits in proptest::option::of("\\PC{0,200}"),
        progress in any_progress(), columns in 1..200_usize, lines in 1..60_usize, ascii: bool, count in 0..1_000_000_usize,
    ) {
        let totals = Totals { count, ok: count / 3, failed: count / 5, under_way: 7, received: u64::MAX, rate: Some(1e15) };
        let paused = File { name: &emoji, progress: progress.clone(), waits };
        let files = vec![one(&name, &progress), paused, one(&emoji, &progress)];
        let rows = Paper { width: columns, ascii }.scene(&Scene { files, totals: &totals }, lines);
        let width = |row: &Row| row.seen().width();
        prop_assert!(rows.iter().all(|row| width(row) <= columns), "{columns}: {rows:?}");
        prop_assert!(rows.len() <= lines.max(4), "{} rows", rows.len());
    }
}
