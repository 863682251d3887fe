//! A fleet that loses nothing and writes nothing twice, with figures. It needs a `nats-server` and no network:
//!
//! ```text
//! cargo run --release --example fleet                                               # a minute
//! cargo run --release --example fleet -- --jobs 100000 --large 200 --kills 200      # the whole of it
//! ```
//!
//! One `haul -i` and a fleet of workers fetch the same list; then workers are killed and stopped at random, the server is restarted and the
//! network cut, while the origin refuses, resets and cuts. Every file is compared, every result counted. It ends with 0 if all of that holds.

#![expect(clippy::print_stdout, reason = "an example talks to the person who runs it")]
#![expect(
    clippy::disallowed_methods,
    reason = "an example has no floors: it opens files and reads clocks itself"
)]

#[expect(unreachable_pub, reason = "a module of the example")]
mod origin;
#[expect(unreachable_pub, reason = "a module of the example")]
mod processes;
#[expect(unreachable_pub, reason = "a module of the example")]
mod relay;

use async_nats::jetstream;
use async_nats::jetstream::consumer::{DeliverPolicy, pull};
use origin::{Origin, Served};
use processes::{AS_HAUL, Nats, Worker, haul};
use relay::{Line, Relay};
use rustix::process::Signal;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::error::Error;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// As in the program itself, so that its memory is the same.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Outcome<T> = Result<T, Box<dyn Error>>;

const SMALL: u64 = 16 << 10;
const LARGE: u64 = 8 << 20;
const LEASE: Duration = Duration::from_secs(5);
const LONGEST: Duration = Duration::from_secs(3600);

/// Numbers of the story.
struct Scale {
    jobs: usize,
    large: usize,
    workers: usize,
    kills: usize,
    /// Small jobs at once in one worker.
    width: usize,
    seed: u64,
}

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    if arguments.get(1).is_some_and(|first| first == AS_HAUL) {
        let rest = arguments[2..].iter().cloned();
        return haul::cli::run_with(std::iter::once(OsString::from("haul")).chain(rest));
    }
    let told = scale(&arguments[1..]).and_then(|scale| Story::begin(scale)?.tell());
    match told {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            println!("fleet: not everything held");
            ExitCode::FAILURE
        }
        Err(error) => {
            println!("fleet: {error}");
            ExitCode::FAILURE
        }
    }
}

fn scale(arguments: &[OsString]) -> Outcome<Scale> {
    let mut scale = Scale { jobs: 1000, large: 6, workers: 4, kills: 8, width: 8, seed: 1 };
    for pair in arguments.chunks(2) {
        let [name, value] = pair else { return Err("each flag has a number".into()) };
        let number: usize = value.to_str().unwrap_or_default().parse()?;
        match name.to_str() {
            Some("--jobs") => scale.jobs = number,
            Some("--large") => scale.large = number,
            Some("--workers") => scale.workers = number.max(2),
            Some("--kills") => scale.kills = number,
            Some("--width") => scale.width = number,
            Some("--seed") => scale.seed = number as u64,
            _ => {
                return Err(
                    "flags: --jobs, --large, --workers, --kills, --width, --seed, each with a number".into(),
                );
            }
        }
    }
    Ok(scale)
}

struct Story {
    scale: Scale,
    home: tempfile::TempDir,
    files: Vec<Served>,
    origin: Origin,
    nats: Nats,
    relay: Relay,
    held: bool,
}

impl Story {
    fn begin(scale: Scale) -> Outcome<Self> {
        let home = tempfile::Builder::new().prefix("haul-fleet-").tempdir()?;
        let small =
            (0..scale.jobs).map(|number| Served { number: number as u64, size: SMALL, is_slow: false });
        let large = (0..scale.large).map(|number| Served {
            number: (scale.jobs + number) as u64,
            size: LARGE,
            is_slow: number % 10 == 0,
        });
        let files: Vec<_> = small.chain(large).collect();
        let origin = Origin::start(files.clone())?;
        let nats = Nats::start(&home.path().join("nats"))?;
        let relay = Relay::start(nats.port)?;
        Ok(Self { scale, home, files, origin, nats, relay, held: true })
    }

    fn tell(mut self) -> Outcome<bool> {
        println!(
            "{} jobs of {} KiB and {} of {} MiB, {} workers, {} kills",
            self.scale.jobs,
            SMALL >> 10,
            self.scale.large,
            LARGE >> 20,
            self.scale.workers,
            self.scale.kills
        );
        let small = self.list("small", 0..self.scale.jobs)?;
        let all = self.list("all", mixed(self.scale.jobs, self.scale.large))?;
        let one = self.alone(&small)?;
        self.together(&small, one)?;
        self.idle()?;
        self.killed()?;
        self.chaos(&all)?;
        Ok(self.held)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn check(&mut self, what: &str, holds: bool) {
        self.held &= holds;
        println!("  {} {what}", if holds { "ok  " } else { "FAIL" });
    }

    /// Writes a list. Every other file has a digest; the rest are known by their validator.
    fn list(&self, name: &str, numbers: impl Iterator<Item = usize>) -> Outcome<PathBuf> {
        let path = self.path(&format!("{name}.jsonl"));
        let mut text = String::new();
        for number in numbers {
            let file = self.files[number];
            let mut line = json!({ "url": format!("http://{}/f/{number}", self.origin.address) });
            if number % 2 == 0 {
                line["sha256"] = hex(&Sha256::digest(file.bytes(0, file.size))).into();
            }
            text += &format!("{line}\n");
        }
        fs::write(&path, text)?;
        Ok(path)
    }

    fn run(&self, url: &str, arguments: &[&str]) -> Outcome<(i32, Value, Duration)> {
        let began = Instant::now();
        let output = haul(url, self.home.path(), arguments)?.output()?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let last =
            said.lines().last().and_then(|line| serde_json::from_str(line).ok()).unwrap_or(Value::Null);
        let code = output.status.code().unwrap_or(-1);
        if code != 0 {
            println!(
                "  haul {}: {code}: {}",
                arguments.join(" "),
                String::from_utf8_lossy(&output.stderr).trim_end()
            );
        }
        Ok((code, last, began.elapsed()))
    }

    /// One `haul -i`: the time that the queue is compared with.
    fn alone(&mut self, list: &Path) -> Outcome<Duration> {
        let (list, directory) = (text(list)?, self.path("alone"));
        let arguments = ["-i", &list, "-d", &text(&directory)?, "-q", "--no-config", "--no-memory"];
        let (code, _, time) = self.run("", &arguments)?;
        let (requests, _) = self.origin.count_anew();
        println!("one haul -i: {:.2} s, {requests} requests", time.as_secs_f64());
        self.check("it fetched the small files", code == 0);
        fs::remove_dir_all(directory)?;
        Ok(time)
    }

    /// The same list over workers, with nothing in their way.
    fn together(&mut self, list: &Path, one: Duration) -> Outcome<()> {
        let url = self.nats.url();
        let (code, submitted, submitting) =
            self.run(&url, &["submit", &text(list)?, "--json", "--stream", "plain"])?;
        self.check("all are submitted", code == 0 && submitted["added"] == self.scale.jobs);
        let (_, again, _) = self.run(&url, &["submit", &text(list)?, "--json", "--stream", "plain"])?;
        self.check(
            "a second submission adds nothing",
            again["added"] == 0 && again["known"] == self.scale.jobs,
        );
        let began = Instant::now();
        let mut workers = Vec::new();
        for _ in 0..self.scale.workers {
            workers.push(self.worker(&url, "plain", "together", &["--until-empty"])?);
        }
        let codes = workers.iter_mut().map(Worker::wait).collect::<Result<Vec<_>, _>>()?;
        let time = began.elapsed();
        let (requests, sent) = self.origin.count_anew();
        let jobs = self.scale.jobs as f64;
        let ratio = time.as_secs_f64() / one.as_secs_f64();
        let overhead = (time.as_secs_f64() - one.as_secs_f64()).max(0.0) * 1000.0 / jobs;
        println!(
            "{} workers: {:.2} s, {ratio:.2} x one haul -i; {overhead:.3} ms a job more; submitted in {:.2} s ({:.3} ms a job); {requests} requests",
            self.scale.workers,
            time.as_secs_f64(),
            submitting.as_secs_f64(),
            submitting.as_secs_f64() * 1000.0 / jobs,
        );
        self.check("all workers ended well", codes.iter().all(|code| *code == Some(0)));
        self.check("nothing was fetched twice", sent == self.scale.jobs as u64 * SMALL);
        // With few jobs the start of the processes and the look for the end of the queue are most of the time.
        if self.scale.jobs >= 50_000 {
            self.check("at most 1.5 x the time of one haul -i", ratio <= 1.5);
            self.check("at most 0.2 ms a job for the queue", overhead <= 0.2);
        }
        fs::remove_dir_all(self.path("together"))?;
        Ok(())
    }

    fn worker(&self, url: &str, stream: &str, directory: &str, more: &[&str]) -> Outcome<Worker> {
        let (directory, lease) = (text(&self.path(directory))?, format!("{}s", LEASE.as_secs()));
        let width = self.scale.width.to_string();
        let arguments = [
            &[
                "worker", "--stream", stream, "-d", &directory, "--lease", &lease, "-j", &width, "-v",
                "--json",
            ],
            &["--no-config", "--no-memory"][..],
            more,
        ]
        .concat();
        let (log, events) = (self.path("workers.log"), self.path(&format!("{stream}.events")));
        Ok(Worker::start(haul(url, self.home.path(), &arguments)?, &log, &events)?)
    }

    /// Memory of a worker that has nothing to do.
    fn idle(&mut self) -> Outcome<()> {
        let url = self.nats.url();
        let worker = self.worker(&url, "idle", "idle", &[])?;
        let began = Instant::now();
        let mut seen = 0;
        while seen == 0 && began.elapsed() < LONGEST {
            let (_, status, _) =
                self.run(&url, &["fleet", "status", "--json", "--stream", "idle", "--retry-max-time", "9s"])?;
            seen = status["workers"].as_array().map_or(0, Vec::len);
        }
        let resident = worker.resident().unwrap_or(u64::MAX);
        println!("an idle worker: {:.1} MiB resident", resident as f64 / 1024.0);
        self.check("at most 20 MiB", resident <= 20 << 10);
        Ok(())
    }

    /// The time after which the job of a killed worker runs again.
    fn killed(&mut self) -> Outcome<()> {
        let url = self.nats.url();
        let list = self.path("held.jsonl");
        fs::write(&list, format!("http://{}/held\n", self.origin.address))?;
        self.run(&url, &["submit", &text(&list)?, "--stream", "held", "-q"])?;
        let first = self.worker(&url, "held", "held", &[])?;
        let mut second = None;
        if self.origin.wait_for_held(1, LONGEST) {
            second = Some(self.worker(&url, "held", "held", &["--until-empty"])?);
            first.signal(Signal::KILL);
        }
        let began = Instant::now();
        let came = self.origin.wait_for_held(2, LEASE * 4);
        let time = began.elapsed();
        self.origin.release();
        let code = second.as_mut().map(Worker::wait).transpose()?.flatten();
        println!(
            "the job of a killed worker runs again after {:.2} s, with a lease of {} s",
            time.as_secs_f64(),
            LEASE.as_secs()
        );
        self.check(
            "at most the lease and 1 s",
            came && code == Some(0) && time <= LEASE + Duration::from_secs(1),
        );
        self.origin.count_anew();
        Ok(())
    }

    /// Everything at once: kills, stops, restarts, cuts, and an origin that misbehaves.
    fn chaos(&mut self, list: &Path) -> Outcome<()> {
        let direct = self.nats.url();
        let url = format!("nats://{}", self.relay.address);
        self.run(&direct, &["submit", &text(list)?, "--stream", "chaos", "-q"])?;
        self.origin.misbehave(true);
        let began = Instant::now();
        let mut fleet = Vec::new();
        for _ in 0..self.scale.workers {
            fleet.push(self.worker(&url, "chaos", "out", &[])?);
        }
        let done = self.torment(&mut fleet, &url)?;
        let time = began.elapsed();
        self.relay.set(Line::Open);
        for worker in &fleet {
            worker.signal(Signal::CONT);
            worker.signal(Signal::TERM);
        }
        for worker in &mut fleet {
            worker.wait()?;
        }
        self.origin.misbehave(false);
        println!("under torment: {:.1} s until the queue was empty", time.as_secs_f64());
        self.check("the queue ran empty", done);
        self.weigh(&direct)
    }

    /// Kills and stops workers as the jobs advance, until the queue is empty. Returns false if it never is.
    fn torment(&mut self, fleet: &mut [Worker], url: &str) -> Outcome<bool> {
        let mut random = self.scale.seed;
        let mut next = move || {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) as usize
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (mut kills, mut stops, mut stopped) = (0, 0, None::<(usize, Instant)>);
        let (mut restarts, mut cuts, mut silences) = (0, 0, 0);
        let began = Instant::now();
        let mut silent_since = None::<Instant>;
        let mut looked = Instant::now();
        let planned = self.scale.kills.max(1);
        while began.elapsed() < LONGEST {
            std::thread::sleep(Duration::from_millis(5));
            if let Some((number, _)) =
                stopped.filter(|(_, since)| since.elapsed() > LEASE + Duration::from_secs(1))
            {
                fleet[number].signal(Signal::CONT);
                stopped = None;
            }
            if silent_since.is_some_and(|since| since.elapsed() > LEASE + Duration::from_secs(1)) {
                self.relay.set(Line::Open);
                silent_since = None;
            }
            // The requests that jobs would take without any trouble.
            let requests = self.origin.counts.requests.load(Ordering::Relaxed) as usize;
            let due = requests * (planned + 1) / self.files.len().max(1);
            if kills < planned.min(due) {
                kills += 1;
                let number = next() % fleet.len();
                match kills {
                    // The special ones, each once or twice.
                    number if number >= planned / 4 && restarts == 0 => {
                        self.nats.restart()?;
                        restarts += 1;
                    }
                    number if number >= planned / 3 && cuts == 0 => {
                        self.relay.set(Line::Cut);
                        self.relay.set(Line::Open);
                        cuts += 1;
                    }
                    number if number >= planned / 2 && silences == 0 => {
                        self.relay.set(Line::Silent);
                        silent_since = Some(Instant::now());
                        silences += 1;
                    }
                    _ if kills % 5 == 2 && stopped.is_none() => {
                        fleet[number].signal(Signal::STOP);
                        stopped = Some((number, Instant::now()));
                        stops += 1;
                    }
                    _ => {
                        if stopped.is_some_and(|(held, _)| held == number) {
                            stopped = None;
                        }
                        fleet[number] = self.worker(url, "chaos", "out", &[])?;
                    }
                }
            }
            for worker in fleet.iter_mut() {
                if !worker.is_running() {
                    *worker = self.worker(url, "chaos", "out", &[])?;
                }
            }
            if looked.elapsed() > Duration::from_millis(500) {
                looked = Instant::now();
                let empty = runtime.block_on(waiting(&self.nats.url(), "chaos"));
                if empty.is_ok_and(|messages| messages == 0) && kills >= planned.min(due) {
                    println!(
                        "{} kills, {stops} stops past the lease, {restarts} restarts of the server, {cuts} cuts and {silences} silences of the network",
                        kills - stops - restarts - cuts - silences
                    );
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Compares every file, and counts every result.
    fn weigh(&mut self, url: &str) -> Outcome<()> {
        let of_large = self.origin.counts.of_large.load(Ordering::Relaxed);
        let (requests, sent) = self.origin.count_anew();
        let (small, large) = (self.scale.jobs as u64 * SMALL, self.scale.large as u64 * LARGE);
        let out = self.path("out");
        let mut wrong = 0;
        for (number, file) in self.files.iter().enumerate() {
            let found = fs::read(out.join(number.to_string())).unwrap_or_default();
            wrong += usize::from(found != file.bytes(0, file.size));
        }
        let left = fs::read_dir(&out)?.count().saturating_sub(self.files.len());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let results = runtime.block_on(results(url, "chaos"))?;
        let mut done: BTreeMap<String, usize> = BTreeMap::new();
        let (mut retries, mut errors) = (0, 0);
        for result in &results {
            let id = result["id"].as_str().unwrap_or_default().to_owned();
            match result["event"].as_str() {
                Some("done") => {
                    *done.entry(id).or_default() += usize::from(result["already_there"] == false);
                }
                Some("error") => {
                    errors += 1;
                    println!("  laid aside: {result}");
                }
                _ => retries += 1,
            }
        }
        let unseen = done.values().filter(|commits| **commits == 0).count();
        let share = |sent: u64, size: u64| (sent as f64 / size.max(1) as f64 - 1.0).max(0.0) * 100.0;
        let again = share(sent - of_large, small);
        let counts = &self.origin.counts;
        println!(
            "{requests} requests for {} jobs; fetched again: {again:.2} % of the small files, {:.2} % of the large ones; {} refused with Retry-After, {} cut; {retries} tries again; \
             {unseen} commits whose worker was killed before it could tell",
            self.files.len(),
            share(of_large, large),
            counts.refused.load(Ordering::Relaxed),
            counts.broken.load(Ordering::Relaxed),
        );
        self.check(
            &format!("every file is right ({wrong} wrong, {left} left beside them)"),
            wrong == 0 && left == 0,
        );
        let lost = self.files.len() - done.len();
        self.check(&format!("no job is lost ({lost}), none laid aside ({errors})"), lost == 0 && errors == 0);
        // The stream drops a second result of a job, so the workers' own words count.
        let mut commits: BTreeMap<String, usize> = BTreeMap::new();
        for line in fs::read_to_string(self.path("chaos.events"))?.lines() {
            // A worker that is killed may leave half a line.
            let Ok(event) = serde_json::from_str::<Value>(line) else { continue };
            if event["event"] == "done" && event["already_there"] == false {
                *commits.entry(event["id"].as_str().unwrap_or_default().to_owned()).or_default() += 1;
            }
        }
        let twice = commits.values().filter(|commits| **commits > 1).count();
        self.check("the workers tell of their commits", !commits.is_empty());
        self.check(&format!("each was committed once ({twice} twice)"), twice == 0);
        if self.scale.jobs >= 50_000 {
            self.check("at most 2 % of the small files fetched again", again <= 2.0);
        }
        Ok(())
    }
}

/// Numbers of all files, the large ones spread evenly among the small ones.
fn mixed(jobs: usize, large: usize) -> impl Iterator<Item = usize> {
    let each = (jobs / large.max(1)).max(1);
    let beside = move |number: usize| {
        let file = number.is_multiple_of(each).then_some(jobs + number / each);
        file.filter(|file| *file < jobs + large)
    };
    let small = (0..jobs).flat_map(move |number| [Some(number), beside(number)]);
    small.flatten().chain(jobs + jobs.div_ceil(each).min(large)..jobs + large)
}

/// Messages in a stream.
async fn waiting(url: &str, stream: &str) -> Outcome<u64> {
    let context = jetstream::new(async_nats::connect(url).await?);
    Ok(context.get_stream(stream).await?.cached_info().state.messages)
}

/// All results of a fleet.
async fn results(url: &str, stream: &str) -> Outcome<Vec<Value>> {
    let context = jetstream::new(async_nats::connect(url).await?);
    let stream = context.get_stream(format!("{stream}-results")).await?;
    let count = stream.cached_info().state.messages;
    let config = pull::OrderedConfig { deliver_policy: DeliverPolicy::All, ..pull::OrderedConfig::default() };
    let mut messages = stream.create_consumer(config).await?.messages().await?;
    let mut results = Vec::new();
    while (results.len() as u64) < count {
        let next =
            std::future::poll_fn(|context| futures_core::Stream::poll_next(Pin::new(&mut messages), context))
                .await;
        let message = next.ok_or("the stream of results ended early")??;
        results.push(serde_json::from_slice(&message.payload)?);
    }
    Ok(results)
}

fn text(path: &Path) -> Outcome<String> {
    Ok(path.to_str().ok_or("the directory for temporary files has a name that is no text")?.to_owned())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
