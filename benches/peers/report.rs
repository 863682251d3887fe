//! The final report, as Markdown, and the exit code.

use std::path::Path;
use std::process::ExitCode;

use crate::Outcome;
use crate::machine;
use crate::options::Options;
use crate::rows::Row;
use crate::tools::Tools;
use crate::workshop::Workshop;

/// Renders the whole text.
pub(crate) fn render(options: &Options, tools: &Tools, workshop: &Workshop, rows: &[Row]) -> String {
    let mut lines = preface(options);
    for row in rows {
        lines.push(format!("\n## {}\n", row.title));
        lines.extend(row.table.iter().cloned());
        if !row.checks.is_empty() {
            lines.push("\n| promised | measured | bound | |\n|---|---:|---:|---|".to_owned());
            lines.extend(row.checks.iter().map(crate::check::Check::line));
        }
        lines.extend(row.notes.iter().map(|note| format!("\n{note}")));
        lines.extend(row.wrong.iter().map(|wrong| format!("\n**WRONG**: {wrong}")));
    }
    lines.push("\n## Measured on\n".to_owned());
    let facts = [machine::describe(), tools.versions(), tools.missing()].concat();
    lines.extend(facts.iter().map(|fact| format!("- {fact}")));
    lines.push(format!("- payload and outputs {}", place(workshop)));
    lines.join("\n") + "\n"
}

fn preface(options: &Options) -> Vec<String> {
    let rounds = options.rounds;
    let mut lines = vec![
        "# haul and its peers\n".to_owned(),
        "Written by `cargo bench --bench peers -- --write`. nginx on loopback, or at the end".to_owned(),
        format!(
            "of an emulated line; every client in a process of its own, {rounds} interleaved rounds, medians, each \
             file's digest checked outside the measured time. With `--row NAME` a row is measured and replaced by itself."
        ),
    ];
    if options.quick {
        lines.push("\n**A `--quick` run**: small files, the ratios mean little.".to_owned());
    }
    lines
}

const fn place(workshop: &Workshop) -> &'static str {
    if workshop.in_memory() { "on tmpfs" } else { "on disk: there was no room in memory" }
}

/// Beginning of every row, and of the part after the last one.
const SECTION: &str = "\n## ";

/// Writes the text to its file in the repository. Rows that were not measured now stay as they are, with their dates.
pub(crate) fn save(text: &str) -> Outcome<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/RESULTS.md");
    let before = std::fs::read_to_string(&path).unwrap_or_default();
    std::fs::write(&path, merged(&before, text))?;
    eprintln!("written: {}", path.display());
    Ok(())
}

/// Replaces rows of `before` with those of `fresh`, and appends the new ones.
fn merged(before: &str, fresh: &str) -> String {
    let name = |section: &str| section.split(':').next().unwrap_or_default().trim().to_owned();
    let mut fresh_sections = fresh.split(SECTION);
    let preface = fresh_sections.next().unwrap_or_default();
    let mut rows: Vec<_> = fresh_sections.collect();
    let facts = rows.pop().unwrap_or_default();
    let old: Vec<_> = before.split(SECTION).skip(1).collect();
    let mut sections = vec![preface];
    for section in &old[..old.len().saturating_sub(1)] {
        let found = rows.iter().position(|row| name(row) == name(section));
        sections.push(found.map_or(*section, |at| rows.remove(at)));
    }
    sections.extend(rows);
    sections.push(facts);
    sections.join(SECTION)
}

/// Fails on any wrong file; on a missed bound only with `--strict`.
pub(crate) fn verdict(options: &Options, rows: &[Row]) -> ExitCode {
    let wrong = rows.iter().any(|row| !row.wrong.is_empty());
    let missed = rows.iter().flat_map(|row| &row.checks).any(|check| !check.holds());
    if wrong || (options.strict && missed) { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
