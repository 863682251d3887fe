//! The comparisons, each a title, a table, and the numbers that haul promises.

mod capped;
mod durable;
mod growth;
mod kill;
mod raw;
mod small;
mod tls;
mod verified;

use crate::Outcome;
use crate::check::Check;
use crate::options::{Options, RowName};
use crate::payload::Payload;
use crate::race::Track;
use crate::tools::Tools;
use crate::workshop::Workshop;

/// What one comparison gave.
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

/// Runs the rows that were asked for.
pub(crate) fn run(options: &Options, tools: &Tools, workshop: &Workshop) -> Outcome<Vec<Row>> {
    let root = workshop.fresh("root")?;
    let track = Track { options, tools, workshop };
    let mut rows = Vec::new();
    let needs_large = options.rows.iter().any(|row| row.is_of_large_payload());
    if needs_large {
        let large = Payload::write(&root, "large.bin", options.payload_size(), options.seed)?;
        for &name in &options.rows {
            match name {
                RowName::Raw => rows.push(raw::run(&track, &root, &large)?),
                RowName::Verified => rows.push(verified::run(&track, &root, &large)?),
                RowName::Kill => rows.push(kill::run(&track, &root, &large)?),
                RowName::Tls => rows.push(tls::run(&track, &root, &large)?),
                RowName::Small | RowName::Capped | RowName::Durable | RowName::Growth => {}
            }
        }
        // Two payloads at once would ask for half as much memory again.
        std::fs::remove_file(root.join(large.name))?;
    }
    if options.rows.contains(&RowName::Small) {
        rows.push(small::run(&track, &root)?);
    }
    if options.rows.contains(&RowName::Capped) {
        rows.push(capped::run(&track, &root)?);
    }
    if options.rows.contains(&RowName::Durable) {
        rows.push(durable::run(&track, &root)?);
    }
    if options.rows.contains(&RowName::Growth) {
        rows.push(growth::run(&track)?);
    }
    Ok(rows)
}

/// `1.0 GiB` for a table's title.
fn size(bytes: u64) -> String {
    let mebibytes = bytes as f64 / 1_048_576.0;
    if mebibytes >= 1024.0 { format!("{:.1} GiB", mebibytes / 1024.0) } else { format!("{mebibytes:.0} MiB") }
}
