//! Compares haul with the programs a person would otherwise use, and with a bare loop that does nothing but move the
//! bytes.
//!
//! A single command repeats it: `cargo bench --bench peers`. It generates its own payload on a memory file system,
//! starts its own nginx on loopback, runs every client in interleaved rounds, checks each file's digest, and prints a
//! table. As root it also does so over emulated wide-area lines. See `--help` after `--` for the options.

#![expect(clippy::disallowed_methods, reason = "a bench is all clocks, files and processes")]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the table goes to stdout, what is going on to stderr"
)]

mod arm;
mod check;
mod endless;
mod floor;
#[path = "../../tests/real_servers/listening.rs"]
mod listening;
mod machine;
mod nginx;
mod options;
mod payload;
mod race;
mod report;
mod rows;
mod secure;
mod shelf;
mod shuttle;
mod sparse_disk;
mod stopwatch;
mod tools;
mod wan;
mod workshop;

use std::error::Error;
use std::process::ExitCode;

use options::{Options, Request};

/// Result of a step of the bench: a failure is shown to the user and ends the run, so its type does not matter.
type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    let asked = options::parse(std::env::args().skip(1));
    let ended = match asked {
        Ok(Request::Floor(floor)) => floor::run(&floor).map(|()| ExitCode::SUCCESS),
        Ok(Request::Shuttle(shuttle)) => shuttle::run(&shuttle).map(|()| ExitCode::SUCCESS),
        Ok(Request::Compare(options)) => compare(&options),
        Ok(Request::Say(text)) => {
            println!("{text}");
            Ok(ExitCode::SUCCESS)
        }
        Err(message) => {
            eprintln!("{message}\n\n{}", options::USAGE);
            return ExitCode::from(2);
        }
    };
    ended.unwrap_or_else(|error| {
        eprintln!("peers: {error}");
        ExitCode::FAILURE
    })
}

/// Runs the rows, prints their results, and judges them.
fn compare(options: &Options) -> Outcome<ExitCode> {
    let tools = tools::Tools::find()?;
    let workshop = workshop::Workshop::open(options.room())?;
    if let Some(line) = options.line {
        return rows::by_hand(options, &tools, &workshop, line).map(|()| ExitCode::SUCCESS);
    }
    let write = |rows: &[rows::Row]| {
        let text = report::render(options, &tools, &workshop, rows);
        if options.write { report::save(&text) } else { Ok(()) }
    };
    let results = rows::run(options, &tools, &workshop, &write)?;
    println!("{}", report::render(options, &tools, &workshop, &results));
    Ok(report::verdict(options, &results))
}
