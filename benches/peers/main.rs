//! haul beside the programs a person would otherwise use, and beside a bare loop that does nothing but move
//! the bytes.
//!
//! One command that anyone can repeat: `cargo bench --bench peers`. It makes its own payload on a memory
//! file system, starts its own nginx on loopback, runs every client in interleaved rounds, checks each
//! file's digest, and prints a table. As root it also does so over emulated wide-area lines. See `--help`
//! behind `--` for the options.

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

/// What a step of the bench gives: a failure is shown to a person and ends the run, so its type does not
/// matter.
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

/// Runs the rows, prints what they gave, and judges it.
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
