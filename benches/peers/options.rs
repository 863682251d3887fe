//! What the person asked for on the command line.

use std::path::PathBuf;

use crate::floor::Floor;

/// The text of `--help`.
pub(crate) const USAGE: &str = "\
cargo bench --bench peers -- [OPTIONS]

  --rounds N   interleaved rounds of each race (default 5)
  --row NAME   only this row (may be given more than once): raw, verified, kill, capped; and, where root can
               make network namespaces, over an emulated line: long-fat, small-window, lossy, capped-flows,
               shared-line, guarded, uneven, short
  --quick      one round with small files: shows that everything works, the ratios mean little
  --seed N     seed of the payload, the order of the arms and the moments of the kills (default 1)
  --write      also write the table to benches/RESULTS.md
  --strict     a missed bound makes the exit code non-zero, as a wrong file always does";

/// One of the comparisons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RowName {
    Raw,
    Verified,
    Kill,
    Capped,
    LongFat,
    SmallWindow,
    Lossy,
    CappedFlows,
    SharedLine,
    Guarded,
    Uneven,
    Short,
}

impl RowName {
    pub(crate) const ALL: [Self; 12] = [
        Self::Raw,
        Self::Verified,
        Self::Kill,
        Self::Capped,
        Self::LongFat,
        Self::SmallWindow,
        Self::Lossy,
        Self::CappedFlows,
        Self::SharedLine,
        Self::Guarded,
        Self::Uneven,
        Self::Short,
    ];

    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Verified => "verified",
            Self::Kill => "kill",
            Self::Capped => "capped",
            Self::LongFat => "long-fat",
            Self::SmallWindow => "small-window",
            Self::Lossy => "lossy",
            Self::CappedFlows => "capped-flows",
            Self::SharedLine => "shared-line",
            Self::Guarded => "guarded",
            Self::Uneven => "uneven",
            Self::Short => "short",
        }
    }

    /// Whether it fetches the large payload over loopback.
    pub(crate) const fn is_large(self) -> bool {
        matches!(self, Self::Raw | Self::Verified | Self::Kill)
    }

    /// Whether it needs an emulated line.
    pub(crate) const fn is_wan(self) -> bool {
        !self.is_large() && !matches!(self, Self::Capped)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let names = Self::ALL.map(Self::text).join(", ");
        let found = Self::ALL.into_iter().find(|row| row.text() == text);
        found.ok_or_else(|| format!("--row {text}: there is {names}"))
    }
}

/// How the comparison is run.
pub(crate) struct Options {
    pub(crate) rounds: usize,
    pub(crate) rows: Vec<RowName>,
    pub(crate) quick: bool,
    pub(crate) seed: u64,
    pub(crate) write: bool,
    pub(crate) strict: bool,
}

impl Options {
    /// Size of the payload of the raw, verified and kill rows.
    pub(crate) const fn payload_size(&self) -> u64 {
        if self.quick { 128 << 20 } else { 1 << 30 }
    }

    /// Size of the capped row's payload: a multiple of 80 MB, so that it is five seconds' worth (quick:
    /// one).
    pub(crate) const fn capped_size(&self) -> u64 {
        if self.quick { 80_000_000 } else { 400_000_000 }
    }

    /// Size of the payload of most rows over a WAN.
    pub(crate) const fn wan_size(&self) -> u64 {
        if self.quick { 20_000_000 } else { 100_000_000 }
    }

    /// Size of the capped-flows row's payload: twenty seconds' worth, so that the start does not decide.
    pub(crate) const fn capped_flows_size(&self) -> u64 {
        if self.quick { 100_000_000 } else { 1_000_000_000 }
    }

    /// Size of the uneven row's payload.
    pub(crate) const fn uneven_size(&self) -> u64 {
        if self.quick { 40_000_000 } else { 150_000_000 }
    }

    /// What the payload and the output of the largest row take, and a little more.
    pub(crate) fn room(&self) -> u64 {
        let size = |row: &RowName| match row {
            RowName::Raw | RowName::Verified | RowName::Kill => self.payload_size(),
            RowName::Capped => self.capped_size(),
            RowName::CappedFlows => self.capped_flows_size(),
            _ => self.uneven_size(),
        };
        2 * self.rows.iter().map(size).max().unwrap_or(0) + (64 << 20)
    }

    pub(crate) const fn kills(&self) -> usize {
        if self.quick { 2 } else { 10 }
    }
}

/// What this process is to do.
pub(crate) enum Request {
    Compare(Options),
    /// Be the bare loop: the bench runs itself, so that the loop is measured as a process like the others.
    Floor(Floor),
    Say(String),
}

/// Reads the arguments after the program's name.
pub(crate) fn parse(mut args: impl Iterator<Item = String>) -> Result<Request, String> {
    let mut options =
        Options { rounds: 5, rows: Vec::new(), quick: false, seed: 1, write: false, strict: false };
    let mut rounds = None;
    let mut under_cargo_bench = false;
    while let Some(arg) = args.next() {
        let mut value = |flag: &str| args.next().ok_or(format!("{flag} wants a value"));
        match arg.as_str() {
            "--bench" => under_cargo_bench = true,
            "--quick" => options.quick = true,
            "--write" => options.write = true,
            "--strict" => options.strict = true,
            "--rounds" => rounds = Some(number(&arg, &value(&arg)?)?),
            "--seed" => options.seed = number(&arg, &value(&arg)?)?,
            "--row" => options.rows.push(RowName::parse(&value(&arg)?)?),
            "--help" | "-h" => return Ok(Request::Say(USAGE.to_owned())),
            Floor::FLAG => return floor(args).map(Request::Floor),
            other => return Err(format!("unknown argument {other}")),
        }
    }
    if !under_cargo_bench {
        // `cargo test --all-targets` runs benches too, and must not take minutes for it.
        return Ok(Request::Say("peers: not run; use `cargo bench --bench peers`".to_owned()));
    }
    options.rounds = match rounds {
        Some(0) => return Err("--rounds wants at least 1".to_owned()),
        Some(given) => given,
        None if options.quick => 1,
        None => options.rounds,
    };
    if options.rows.is_empty() {
        options.rows = RowName::ALL.to_vec();
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
    })
}
