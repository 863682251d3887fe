//! Cost of the inner parts, without a network: the plan, the set of ranges, the manifest.
//!
//! `cargo bench --bench micro`. The manifest is written to memory where that is possible, so that no disk is
//! measured.

#![expect(clippy::disallowed_methods, reason = "a bench is all clocks and files")]
#![expect(clippy::print_stdout, reason = "the share of the scheduler is shown beside what criterion shows")]

use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use criterion::{BatchSize, Criterion};
use haul::ByteRange;
use haul::benching::{Book, Claims, Rehearsal, Scatter, steal};
use tempfile::TempDir;

/// Most claims in a manifest that was just rewritten.
const MANY: u64 = 16_384;
const MIB: u64 = 1 << 20;
const TEN_TERABYTES: u64 = 10_000_000_000_000;
/// 10 Gbit/s.
const RATE: u64 = 1_250_000_000;
/// Share of a processor that the scheduler may use while such a line is full.
const BOUND: f64 = 0.01;

fn main() {
    if !std::env::args().any(|arg| arg == "--bench") {
        // `cargo test --all-targets` also runs benches, and must not take minutes for it.
        println!("micro: not run; use `cargo bench --bench micro`");
        return;
    }
    show_scheduler();
    let mut criterion = Criterion::default().without_plots().configure_from_args();
    plan(&mut criterion);
    range_set(&mut criterion);
    journal(&mut criterion);
    criterion.final_summary();
}

/// Shows the time of all decisions about 10 TB, as a share of the time that its download would take.
fn show_scheduler() {
    let start = Instant::now();
    let rehearsed = Rehearsal::new(TEN_TERABYTES, RATE).play().expect("nothing fails in a rehearsal");
    let share = start.elapsed().as_secs_f64() / rehearsed.elapsed.as_secs_f64();
    let verdict = if share <= BOUND { "holds" } else { "MISSED" };
    println!(
        "scheduler: 10 TB at 10 Gbit/s, {} requests in {:.0} s of virtual time: {:.3} % of one processor, at most \
         {:.0} %: {verdict}",
        rehearsed.requests,
        rehearsed.elapsed.as_secs_f64(),
        share * 100.0,
        BOUND * 100.0
    );
}

fn plan(criterion: &mut Criterion) {
    criterion.bench_function("plan: 100 GB at 10 Gbit/s, all decisions", |bencher| {
        bencher.iter(|| Rehearsal::new(black_box(100_000_000_000), RATE).play());
    });
    criterion.bench_function("plan: steal decision", |bencher| {
        bencher.iter(|| steal(black_box(5 * MIB), black_box(900 * MIB), black_box(10e6)));
    });
}

fn range_set(criterion: &mut Criterion) {
    let (odd, even) = (scattered(1), scattered(0));
    let everything = ByteRange::new(0, 2 * MANY * MIB);
    criterion.bench_function("range set: 16,384 inserts at random places", |bencher| {
        bencher.iter(|| filled(black_box(&odd)));
    });
    let set = filled(&odd);
    criterion.bench_function("range set: first gap among 16,384 ranges", |bencher| {
        let mut places = odd.iter().cycle();
        bencher.iter(|| {
            let from = places.next().map_or(0, |range| range.start());
            set.first_gap(ByteRange::new(from, everything.end()))
        });
    });
    let other = filled(&even);
    criterion.bench_function("range set: union of two of 16,384 ranges", |bencher| {
        bencher.iter_batched_ref(|| set.clone(), |set| set.unite(&other), BatchSize::LargeInput);
    });
}

fn journal(criterion: &mut Criterion) {
    let directory = directory();
    let path = directory.path().join("file.haul");
    let length = 2 * MANY * MIB;
    let (many, none) = (Claims::of(&scattered(1)), Claims::of(&[]));
    // Eight connections, each with one run since the last checkpoint.
    let checkpoint = Claims::of(&scattered(1)[..8]);
    criterion.bench_function("journal: append a checkpoint of 8 runs", |bencher| {
        bencher.iter_batched_ref(
            || Book::create(&path, length, &none).expect("the directory can be written"),
            |book| book.append(&checkpoint),
            BatchSize::PerIteration,
        );
    });
    criterion.bench_function("journal: compact 16,384 runs", |bencher| {
        bencher.iter(|| Book::create(&path, length, &many));
    });
    let book = Book::create(&path, length, &many).expect("the directory can be written");
    assert_eq!(book.claims() as u64, MANY, "neighbours of different pieces are not melted");
    criterion.bench_function("journal: open one of 16,384 runs", |bencher| {
        bencher.iter(|| Book::open(&path));
    });
}

fn directory() -> TempDir {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    made.expect("a temporary directory can be made")
}

fn filled(ranges: &[ByteRange]) -> Scatter {
    let mut set = Scatter::new();
    for range in ranges {
        set.insert(*range);
    }
    set
}

/// Every second mebibyte in a scattered order: the multiplier is odd, so every place comes once.
fn scattered(first: u64) -> Vec<ByteRange> {
    let place = |nth: u64| (nth * 40_503 % MANY * 2 + first) * MIB;
    (0..MANY).map(place).map(|start| ByteRange::new(start, start + MIB)).collect()
}
