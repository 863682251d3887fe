//! A queue of downloads that survives its process, in some twenty seconds, without any other server:
//!
//! ```text
//! cargo run --release --example queue
//! ```
//!
//! A first process adds jobs, pauses one, moves one, limits one, and is killed with SIGKILL while they run. This process
//! opens the same queue: the same jobs in the same order, the paused one paused. It lets them go on, and checks the files.

#![expect(clippy::print_stdout, reason = "an example talks to the person who runs it")]
#![expect(clippy::disallowed_methods, reason = "an example has no floors: it opens files itself")]

#[expect(unreachable_pub, reason = "a module of the examples")]
mod served;

use haul::{Client, ClientSettings, Job, JobOptions, Jobs, Queue, QueueEvent, QueueSettings};
use served::{LIMIT, MIB, SIZE, Server, hex_digest, mib, payload};
use std::error::Error;
use std::fs::File;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// First argument of the process that is killed.
const FIRST: &str = "--first";
const NAMES: [&str; 3] = ["one.img", "two.img", "three.img"];

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Runtime::new().expect("threads can be made");
    let outcome = runtime.block_on(async {
        match &arguments[..] {
            [first, directory, origin] if first == FIRST => begin(Path::new(directory), origin).await,
            _ => show().await,
        }
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("queue: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn open(directory: &Path) -> Result<Queue, haul::Error> {
    let mut settings = ClientSettings::default();
    settings.jobs = Jobs::AtMost(1);
    let mut queue = QueueSettings::default();
    queue.session = Some(directory.join("queue"));
    queue.defaults.dir = Some(directory.to_owned());
    Queue::open(Client::new(settings)?, queue).await
}

/// The first process: it never comes to its end.
async fn begin(directory: &Path, origin: &str) -> Outcome<()> {
    let queue = open(directory).await?;
    let mut ids = Vec::new();
    for name in NAMES {
        ids.push(queue.add(Job::new(format!("{origin}/{name}"))).await?);
    }
    queue.pause(ids[1]).await?;
    queue.move_to(ids[2], 0).await?;
    let mut slow = JobOptions::default();
    slow.limit_rate = Some(8 * MIB);
    queue.set_options(ids[0], slow).await?;
    list(&queue, "The first process").await;
    tokio::time::sleep(Duration::from_secs(3600)).await;
    Ok(())
}

async fn list(queue: &Queue, who: &str) {
    println!("{who}:");
    let running = queue.running().await;
    for status in running.iter().chain(&queue.waiting(0, 10).await) {
        let limit = status
            .job
            .options
            .limit_rate
            .map_or(String::new(), |rate| format!(", at most {} a second", mib(rate)));
        println!("  {}  {:?}{limit}  {}", status.id, status.state, status.job.url);
    }
}

async fn show() -> Outcome<()> {
    let place = tempfile::Builder::new().prefix("haul-queue-").tempdir()?;
    let expected = hex_digest(payload())?;
    let server = Server::start()?;
    println!("A server on this machine gives {} a second to each connection.\n", mib(LIMIT));

    // No more than this is sent before the first process is killed, so that no file is complete by then.
    server.desk.next_run(SIZE / 4 * 3);
    let mut first = Command::new(std::env::current_exe()?)
        .arg(FIRST)
        .arg(place.path())
        .arg(format!("http://{}", server.address))
        .spawn()?;
    while !server.desk.wait_until_sent(SIZE / 2) || kept(place.path()) == 0 {
        if first.try_wait()?.is_some() {
            return Err("the first process has ended".into());
        }
    }
    first.kill()?;
    first.wait()?;
    server.desk.next_run(u64::MAX);
    println!(
        "\nkill -9, with {} of {} on disk. Another process opens the queue:",
        mib(kept(place.path())),
        NAMES[0]
    );

    let queue = open(place.path()).await?;
    let mut events = queue.events();
    list(&queue, "\nThis process").await;
    for status in queue.waiting(0, 10).await {
        if status.state == haul::JobState::Paused {
            queue.resume(status.id).await?;
        }
    }
    let mut no_limit = JobOptions::default();
    no_limit.limit_rate = Some(0);
    for status in queue.running().await.into_iter().chain(queue.waiting(0, 10).await) {
        queue.set_options(status.id, no_limit.clone()).await?;
    }
    println!();
    let mut done = 0;
    while done < NAMES.len() {
        match events.recv().await? {
            QueueEvent::Done(id, report) => {
                done += 1;
                println!(
                    "  {id}  complete: {}, {} of it by the first process",
                    mib(report.size),
                    mib(report.resumed)
                );
            }
            QueueEvent::Failed(id, error) => return Err(format!("{id}: {error}").into()),
            _ => {}
        }
    }
    queue.close().await?;
    for name in NAMES {
        let found = hex_digest(File::open(place.path().join(name))?)?;
        if found != expected {
            return Err(format!("{name} has the digest {found}").into());
        }
    }
    println!("\nAll three have the digest sha256:{expected}");
    Ok(())
}

/// Bytes of the first file that are durable.
fn kept(directory: &Path) -> u64 {
    haul::inspect(&directory.join(NAMES[0])).map_or(0, |left| left.durable)
}
