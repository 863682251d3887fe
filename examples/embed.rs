//! haul as a library: downloads into memory, two at once, with their progress, one cancelled, and headers for one origin.
//!
//! ```text
//! cargo run --release --example embed           # from a server of its own
//! cargo run --release --example embed -- URL...
//! ```

#![expect(clippy::print_stdout, reason = "an example talks to the person who runs it")]

#[expect(unreachable_pub, reason = "a module of the examples")]
#[expect(dead_code, reason = "each example uses a part of it")]
mod served;

use haul::{Client, ClientSettings, Connections, Download, Jobs, Kind, Report, Request};
use served::{MIB, SIZE, Server, mib};
use std::collections::BTreeMap;
use std::error::Error;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::task::JoinSet;

/// Bytes in memory, which come in order.
#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Vec<u8>>>);

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A panic elsewhere cannot leave a byte half written.
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Headers by origin. The library sends those of a request to the origin of its URL alone, and not to the target of a redirect.
type Headers = BTreeMap<String, Vec<(&'static str, &'static str)>>;

/// The library creates no runtime of its own: it runs on this one.
#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let server = Server::start()?;
    server.desk.next_run(u64::MAX);
    let own = format!("http://{}/disk.img", server.address);
    let given: Vec<_> = std::env::args().skip(1).collect();
    let urls = if given.is_empty() { vec![own.clone(); 3] } else { given.clone() };
    let headers = Headers::from([(format!("http://{}", server.address), vec![("X-Team", "build")])]);

    let mut settings = ClientSettings::default();
    settings.jobs = Jobs::AtMost(2);
    let client = Client::new(settings)?;
    let mut running = JoinSet::new();
    for (number, url) in urls.into_iter().enumerate() {
        let memory = Memory::default();
        let request = Request::new(&url)?.connections(Connections::AtMost(8)).stream(memory.clone());
        let origin = request.address().origin().to_string();
        let fields = headers.get(&origin).into_iter().flatten();
        let request = fields.fold(request, |request, (name, value)| request.header(*name, *value));
        // The last of its own is cancelled on the way.
        let most = if given.is_empty() && number == 2 { 4 * MIB } else { u64::MAX };
        // Begins at once, or as soon as one of the two turns is free.
        let download = client.start(request);
        running.spawn(async move { (number, memory, followed(number, download, most).await) });
    }

    let mut outcomes = BTreeMap::new();
    while let Some(ended) = running.join_next().await {
        let (number, memory, outcome) = ended?;
        let bytes = memory.0.lock().unwrap_or_else(PoisonError::into_inner).len() as u64;
        match &outcome {
            Ok(report) => println!("{number}: {} in {:.1} s", mib(bytes), report.elapsed.as_secs_f64()),
            Err(error) => println!("{number}: {error}"),
        }
        outcomes.insert(number, (bytes, outcome.map(drop).map_err(|error| error.kind())));
    }
    let all_came = outcomes.values().all(|(_, outcome)| outcome.is_ok());
    let as_shown = outcomes.into_iter().all(|(number, outcome)| match number {
        2 => outcome.1 == Err(Kind::Cancelled),
        _ => outcome == (SIZE, Ok(())),
    });
    if if given.is_empty() { as_shown } else { all_came } { Ok(()) } else { Err("not as expected".into()) }
}

/// Follows the progress of a download until it ends; cancels it once it has more than `most` bytes.
async fn followed(number: usize, download: Download, most: u64) -> Result<Report, haul::Error> {
    let mut progress = download.progress();
    let cancel = download.canceller();
    let mut ended = std::pin::pin!(download.join());
    let mut told = 0;
    loop {
        tokio::select! {
            ended = &mut ended => return ended,
            Ok(()) = progress.changed() => {
                let now = progress.borrow_and_update().clone();
                if now.received > most {
                    cancel();
                }
                if now.received >= told + 8 * MIB {
                    told = now.received;
                    println!("{number}: {} of {:?} bytes, {} connections", told, now.size, now.connections.len());
                }
            }
        }
    }
}
