//! Options of the command line.

use std::path::PathBuf;
use std::time::Duration;

use crate::floor::Floor;
use crate::rows::ByHand;
use crate::shuttle::Shuttle;

/// The text of `--help`.
pub(crate) const USAGE: &str = "\
cargo bench --bench peers -- [OPTIONS]

  --rounds N   interleaved rounds of each race (default 5)
  --row NAME   only this row (may be given more than once): raw, verified, tls, kill, watched, small, capped,
               paced, durable, growth; and, where root can make network namespaces, over an emulated line: long-fat,
               small-window, lossy, capped-flows, capped-start, shared-line, guarded, uneven, short, deep-queue,
               mobile, far, background, small-far, as-aria2c
  --line MBIT/MS/LOSS/EACH/QUEUE  open an emulated line and a server at its end, and keep them to be tried by hand
  --quick      one round with small files: shows that everything works, the ratios mean little
  --seed N     seed of the payload, the order of the arms and the moments of the kills (default 1)
  --disk DIR   where the durable row saves, on a disk (default: the directory for temporary files)
  --write      also write the table to benches/RESULTS.md
  --strict     a missed bound makes the exit code non-zero, as a wrong file always does";

/// One of the comparisons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RowName {
    Raw,
    Verified,
    Tls,
    Kill,
    Watched,
    Small,
    Capped,
    Paced,
    Durable,
    Growth,
    LongFat,
    SmallWindow,
    Lossy,
    CappedFlows,
    CappedStart,
    SharedLine,
    Guarded,
    Uneven,
    Short,
    DeepQueue,
    Mobile,
    Far,
    Background,
    SmallFar,
    AsAria2c,
}

impl RowName {
    /// Each row with its name on the command line.
    const NAMES: [(&str, Self); 25] = [
        ("raw", Self::Raw),
        ("verified", Self::Verified),
        ("tls", Self::Tls),
        ("kill", Self::Kill),
        ("watched", Self::Watched),
        ("small", Self::Small),
        ("capped", Self::Capped),
        ("paced", Self::Paced),
        ("durable", Self::Durable),
        ("growth", Self::Growth),
        ("long-fat", Self::LongFat),
        ("small-window", Self::SmallWindow),
        ("lossy", Self::Lossy),
        ("capped-flows", Self::CappedFlows),
        ("capped-start", Self::CappedStart),
        ("shared-line", Self::SharedLine),
        ("guarded", Self::Guarded),
        ("uneven", Self::Uneven),
        ("short", Self::Short),
        ("deep-queue", Self::DeepQueue),
        ("mobile", Self::Mobile),
        ("far", Self::Far),
        ("background", Self::Background),
        ("small-far", Self::SmallFar),
        ("as-aria2c", Self::AsAria2c),
    ];

    /// All rows, in the order of the report.
    fn all() -> Vec<Self> {
        Self::NAMES.into_iter().map(|(_, row)| row).collect()
    }

    pub(crate) fn text(self) -> &'static str {
        // Every row has its name there.
        Self::NAMES.into_iter().find(|(_, row)| *row == self).map_or("", |(name, _)| name)
    }

    /// Returns true if it downloads the large payload over loopback.
    pub(crate) const fn is_large(self) -> bool {
        matches!(self, Self::Raw | Self::Verified | Self::Tls | Self::Kill | Self::Watched)
    }

    /// Returns true if it needs an emulated line.
    pub(crate) const fn is_wan(self) -> bool {
        !self.is_large()
            && !matches!(self, Self::Small | Self::Capped | Self::Paced | Self::Durable | Self::Growth)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let found = Self::NAMES.into_iter().find(|(name, _)| *name == text);
        found.map(|(_, row)| row).ok_or_else(|| {
            let names = Self::NAMES.map(|(name, _)| name).join(", ");
            format!("--row {text}: there is {names}")
        })
    }
}

/// Options of the comparison.
pub(crate) struct Options {
    pub(crate) rounds: usize,
    pub(crate) rows: Vec<RowName>,
    pub(crate) quick: bool,
    pub(crate) seed: u64,
    pub(crate) write: bool,
    pub(crate) strict: bool,
    /// An emulated line to open by hand, instead of any comparison.
    pub(crate) line: Option<ByHand>,
    /// Directory in which the durable row saves.
    pub(crate) disk: PathBuf,
}

impl Options {
    /// Size of the payload of the rows over loopback with one large file.
    pub(crate) const fn payload_size(&self) -> u64 {
        if self.quick { 128 << 20 } else { 1 << 30 }
    }

    /// Size of the capped row's payload: a multiple of 80 MB, so that it takes five seconds (quick: one).
    pub(crate) const fn capped_size(&self) -> u64 {
        if self.quick { 80_000_000 } else { 400_000_000 }
    }

    pub(crate) const fn small_files(&self) -> usize {
        if self.quick { 500 } else { 5_000 }
    }

    pub(crate) const fn far_files(&self) -> usize {
        if self.quick { 200 } else { 2_000 }
    }

    /// Size of the durable row's payload.
    pub(crate) const fn durable_size(&self) -> u64 {
        if self.quick { 256 << 20 } else { 4 << 30 }
    }

    /// Bytes of each resource that the growth row downloads.
    pub(crate) const fn growth_size(&self) -> u64 {
        if self.quick { 128_000_000 } else { 768_000_000 }
    }

    /// Size of the payload of most rows over a WAN.
    pub(crate) const fn wan_size(&self) -> u64 {
        if self.quick { 20_000_000 } else { 100_000_000 }
    }

    /// Size of the capped-flows row's payload: it takes twenty seconds, so that the start does not decide.
    pub(crate) const fn capped_flows_size(&self) -> u64 {
        if self.quick { 100_000_000 } else { 1_000_000_000 }
    }

    /// Size of the payload of the deep-queue and mobile rows.
    pub(crate) const fn short_line_size(&self) -> u64 {
        if self.quick { 1_000_000 } else { 16_000_000 }
    }

    /// Time for which the background row looks at the neighbour.
    pub(crate) const fn watching(&self) -> Duration {
        Duration::from_secs(if self.quick { 2 } else { 12 })
    }

    /// Size of the uneven row's payload.
    pub(crate) const fn uneven_size(&self) -> u64 {
        if self.quick { 40_000_000 } else { 150_000_000 }
    }

    /// Space for the payload and the output of the largest row, or for the durable row's payload alone, and a little
    /// more.
    pub(crate) fn room(&self) -> u64 {
        let size = |row: &RowName| match row {
            RowName::Durable => self.durable_size(),
            RowName::Capped => 2 * self.capped_size(),
            RowName::CappedFlows | RowName::Far => 2 * self.capped_flows_size(),
            row if row.is_large() => 2 * self.payload_size(),
            _ => 2 * self.uneven_size(),
        };
        self.rows.iter().map(size).max().unwrap_or(0) + (512 << 20)
    }

    pub(crate) const fn kills(&self) -> usize {
        if self.quick { 2 } else { 10 }
    }
}

/// Task of this process.
pub(crate) enum Request {
    Compare(Options),
    /// Run the bare loop: the bench runs itself, so that the loop is measured as a process like the others.
    Floor(Floor),
    /// Run the bare loop of many small files.
    Shuttle(Shuttle),
    Say(String),
}

/// Parses the arguments after the program's name.
pub(crate) fn parse(mut args: impl Iterator<Item = String>) -> Result<Request, String> {
    let mut options = Options {
        rounds: 5,
        rows: Vec::new(),
        quick: false,
        seed: 1,
        write: false,
        strict: false,
        line: None,
        disk: std::env::temp_dir(),
    };
    let mut rounds = None;
    let mut under_cargo_bench = false;
    while let Some(arg) = args.next() {
        let mut value = |flag: &str| args.next().ok_or(format!("{flag} wants a value"));
        match arg.as_str() {
            "--bench" => under_cargo_bench = true,
            "--quick" => options.quick = true,
            "--write" => options.write = true,
            "--strict" => options.strict = true,
            "--line" => {
                let text = value(&arg)?;
                options.line =
                    Some(ByHand::parse(&text).ok_or(format!("--line {text}: as in 400/100/0.005"))?);
            }
            "--rounds" => rounds = Some(number(&arg, &value(&arg)?)?),
            "--seed" => options.seed = number(&arg, &value(&arg)?)?,
            "--row" => options.rows.push(RowName::parse(&value(&arg)?)?),
            "--help" | "-h" => return Ok(Request::Say(USAGE.to_owned())),
            "--disk" => options.disk = PathBuf::from(value(&arg)?),
            Shuttle::FLAG => return shuttle(args).map(Request::Shuttle),
            Floor::FLAG => return floor(args).map(Request::Floor),
            other => return Err(format!("unknown argument {other}")),
        }
    }
    if !under_cargo_bench {
        // `cargo test --all-targets` also runs benches, and must not take minutes for it.
        return Ok(Request::Say("peers: not run; use `cargo bench --bench peers`".to_owned()));
    }
    options.rounds = match rounds {
        Some(0) => return Err("--rounds wants at least 1".to_owned()),
        Some(given) => given,
        None if options.quick => 1,
        None => options.rounds,
    };
    if options.rows.is_empty() {
        options.rows = RowName::all();
    }
    Ok(Request::Compare(options))
}

fn number<T: std::str::FromStr>(flag: &str, text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{flag} {text}: not a number"))
}

fn floor(mut args: impl Iterator<Item = String>) -> Result<Floor, String> {
    let mut next = |what: &str| args.next().ok_or(format!("{} wants {what}", Floor::FLAG));
    Ok(Floor {
        address: next("an address")?,
        path: next("a path")?,
        size: number("size", &next("a size")?)?,
        connections: number("connections", &next("a number of connections")?)?,
        output: PathBuf::from(next("an output")?),
        ca: args.next().map(PathBuf::from),
    })
}

fn shuttle(mut args: impl Iterator<Item = String>) -> Result<Shuttle, String> {
    let mut next = |what: &str| args.next().ok_or(format!("{} wants {what}", Shuttle::FLAG));
    Ok(Shuttle {
        address: next("an address")?,
        count: number("count", &next("a number of files")?)?,
        output: PathBuf::from(next("a directory")?),
    })
}
