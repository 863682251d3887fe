//! The comparisons, each with a title, a table, and the numbers that haul promises.

mod as_aria2c;
mod background;
mod by_hand;
mod capped;
mod capped_flows;
mod capped_start;
mod course;
mod deep_queue;
mod durable;
mod far;
mod growth;
mod guarded;
mod kill;
mod long_fat;
mod lossy;
mod mobile;
mod paced;
mod raw;
mod shared_line;
mod short;
mod small;
mod small_far;
mod small_window;
mod tls;
mod uneven;
mod verified;
mod watched;

use std::path::Path;
use std::time::SystemTime;

use serde_json::Value;

pub(crate) use by_hand::ByHand;

use crate::Outcome;
use crate::check::Check;
use crate::options::{Options, RowName};
use crate::payload::Payload;
use crate::race::Track;
use crate::tools::Tools;
use crate::wan::Wan;
use crate::workshop::Workshop;

/// Result of one comparison.
#[derive(Default)]
pub(crate) struct Row {
    pub(crate) title: String,
    pub(crate) table: Vec<String>,
    pub(crate) checks: Vec<Check>,
    pub(crate) notes: Vec<String>,
    /// Runs that failed or saved a wrong file.
    pub(crate) wrong: Vec<String>,
}

impl Row {
    /// A comparison that cannot be made here.
    fn left_out(title: String, why: String) -> Self {
        Self { title, table: Vec::new(), checks: Vec::new(), notes: vec![why], wrong: Vec::new() }
    }
}

/// The rows so far, with a callback for each new one: an hour of measurements must not be lost with the last row.
pub(crate) struct Rows<'a> {
    rows: Vec<Row>,
    after_each: &'a dyn Fn(&[Row]) -> Outcome<()>,
}

impl Rows<'_> {
    fn push(&mut self, mut row: Row) -> Outcome<()> {
        row.notes.push(format!("Measured: {}.", httpdate::fmt_http_date(SystemTime::now())));
        self.rows.push(row);
        (self.after_each)(&self.rows)
    }
}

/// Runs the requested rows.
pub(crate) fn run(
    options: &Options,
    tools: &Tools,
    workshop: &Workshop,
    after_each: &dyn Fn(&[Row]) -> Outcome<()>,
) -> Outcome<Vec<Row>> {
    let root = workshop.fresh("root")?;
    let track = Track { options, tools, workshop };
    let mut rows = Rows { rows: Vec::new(), after_each };
    let needs_large = options.rows.iter().any(|row| row.is_large());
    if needs_large {
        let large = Payload::write(&root, "large.bin", options.payload_size(), options.seed)?;
        for &name in &options.rows {
            match name {
                RowName::Raw => rows.push(raw::run(&track, &root, &large)?)?,
                RowName::Verified => rows.push(verified::run(&track, &root, &large)?)?,
                RowName::Kill => rows.push(kill::run(&track, &root, &large)?)?,
                RowName::Tls => rows.push(tls::run(&track, &root, &large)?)?,
                RowName::Watched => rows.push(watched::run(&track, &root, &large)?)?,
                _ => {}
            }
        }
        // Two payloads at once would need half as much memory again.
        std::fs::remove_file(root.join(large.name))?;
    }
    if options.rows.contains(&RowName::Small) {
        rows.push(small::run(&track, &root)?)?;
    }
    if options.rows.contains(&RowName::Capped) {
        rows.push(capped::run(&track, &root)?)?;
    }
    if options.rows.contains(&RowName::Paced) {
        rows.push(paced::run(&track, &root)?)?;
    }
    if options.rows.contains(&RowName::Durable) {
        rows.push(durable::run(&track, &root)?)?;
    }
    if options.rows.contains(&RowName::Growth) {
        rows.push(growth::run(&track)?)?;
    }
    if options.rows.iter().any(|row| row.is_wan()) {
        over_a_wan(&track, &root, &mut rows)?;
    }
    Ok(rows.rows)
}

/// Opens a line for experiments by hand.
pub(crate) fn by_hand(options: &Options, tools: &Tools, workshop: &Workshop, asked: ByHand) -> Outcome<()> {
    let root = workshop.fresh("root")?;
    asked.run(&Track { options, tools, workshop }, &root)
}

/// Runs the rows over emulated lines, or adds one that says why there are none.
fn over_a_wan(track: &Track<'_>, root: &Path, rows: &mut Rows<'_>) -> Outcome<()> {
    if let Some(refusal) = Wan::refusal(track.tools) {
        eprintln!("notice: {refusal}");
        return rows.push(Row { title: "WAN".to_owned(), notes: vec![refusal], ..Row::default() });
    }
    for &name in &track.options.rows {
        let run: fn(&Track<'_>, &Path) -> Outcome<Row> = match name {
            RowName::LongFat => long_fat::run,
            RowName::SmallWindow => small_window::run,
            RowName::Lossy => lossy::run,
            RowName::CappedFlows => capped_flows::run,
            RowName::CappedStart => capped_start::run,
            RowName::SharedLine => shared_line::run,
            RowName::Guarded => guarded::run,
            RowName::Uneven => uneven::run,
            RowName::Short => short::run,
            RowName::DeepQueue => deep_queue::run,
            RowName::Mobile => mobile::run,
            RowName::Far => far::run,
            RowName::Background => background::run,
            RowName::SmallFar => small_far::run,
            RowName::AsAria2c => as_aria2c::run,
            _ => continue,
        };
        eprintln!("{}:", name.text());
        rows.push(run(track, root)?)?;
    }
    Ok(())
}

/// Returns a field of the event that haul emits at the end of a download.
fn told(events: &str, field: &str) -> Option<Value> {
    events
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .find(|event| event["event"] == "done")
        .map(|event| event[field].clone())
}

/// Formats a size as `1.0 GiB` for a table's title.
fn size(bytes: u64) -> String {
    let mebibytes = bytes as f64 / 1_048_576.0;
    if mebibytes >= 1024.0 { format!("{:.1} GiB", mebibytes / 1024.0) } else { format!("{mebibytes:.0} MiB") }
}
