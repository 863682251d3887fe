//! haul as a library: downloads several files at once and prints the progress of each.
//!
//! ```text
//! cargo run --release --example embed -- URL...
//! ```

#![expect(clippy::print_stdout, reason = "an example talks to the person who runs it")]

use haul::{Client, ClientSettings, Connections, Download, Event, Report, Request};
use std::error::Error;
use std::time::Duration;
use tokio::task::JoinSet;

/// The library creates no runtime of its own: it runs on this one.
#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut settings = ClientSettings::default();
    settings.jobs = haul::Jobs::AtMost(2);
    let client = Client::new(settings)?;

    let mut running = JoinSet::new();
    for url in std::env::args().skip(1) {
        let request = Request::new(&url)?.directory("downloads").connections(Connections::AtMost(4));
        let name = request.address().to_string();
        // Begins at once, or as soon as one of the two turns is free.
        running.spawn(follow(name, client.start(request)));
    }

    let mut failed = 0;
    while let Some(ended) = running.join_next().await {
        match ended? {
            Ok(report) => {
                println!("{}: {} bytes in {:.1} s", report.url, report.size, report.elapsed.as_secs_f64());
            }
            // A failed download does not stop the others. Its bytes are kept for the next run.
            Err(error) => {
                failed += 1;
                println!("{}: {error}; {} bytes kept", error.url().unwrap_or("?"), error.kept().unwrap_or(0));
            }
        }
    }
    if failed == 0 { Ok(()) } else { Err(format!("{failed} failed").into()) }
}

/// Prints the progress of a download once a second, and notices at once, until it ends.
async fn follow(name: String, mut download: Download) -> Result<Report, haul::Error> {
    let progress = download.progress();
    let mut events = download.events();
    let mut ended = std::pin::pin!(download.join());
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    loop {
        tokio::select! {
            ended = &mut ended => return ended,
            Some(event) = next(&mut events) => {
                if let Event::Notice(_, text) = event {
                    println!("{name}: {text}");
                }
            }
            _ = ticks.tick() => {
                let now = progress.borrow().clone();
                println!("{name}: {} of {:?} bytes, {} connections", now.written, now.size, now.connections.len());
            }
        }
    }
}

async fn next(events: &mut Option<tokio::sync::mpsc::Receiver<Event>>) -> Option<Event> {
    match events {
        Some(events) => events.recv().await,
        None => None,
    }
}
