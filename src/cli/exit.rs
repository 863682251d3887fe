//! Exit codes: one table.

use crate::error::Kind;

/// The table, as printed in `--help` and in `docs/reference.md`.
pub(super) const TABLE: &str = "\
Exit codes:
   0  ok
   1  other, or several files failed differently
   2  usage
   3  not found (404, 410)
   4  the server wants other credentials (401, 403, 407)
   5  another refusal of the server, or an answer that makes no sense
   6  network: DNS, connecting, timeouts, broken connections
   7  TLS
   8  the resource changed, or cannot be continued safely
   9  disk
  10  the target exists
  11  another process is working on the target
  12  checksum or signature mismatch
  13  refused as unsafe
 130  interrupted (143: terminated, 129: hung up); what came is kept";

/// Rows of the table: the code and its meaning.
pub(super) fn rows() -> impl Iterator<Item = (&'static str, &'static str)> {
    TABLE
        .lines()
        .skip(1)
        .filter_map(|line| line.trim_start().split_once("  ").or_else(|| line.trim_start().split_once(' ')))
}

/// Exit code of a failure.
pub(super) const fn code(kind: Kind) -> u8 {
    match kind {
        Kind::Other => 1,
        Kind::Usage => 2,
        Kind::NotFound => 3,
        Kind::Auth => 4,
        Kind::Http => 5,
        Kind::Network => 6,
        Kind::Tls => 7,
        Kind::Changed => 8,
        Kind::Disk => 9,
        Kind::Exists => 10,
        Kind::Locked => 11,
        Kind::Checksum => 12,
        Kind::Unsafe => 13,
        Kind::Cancelled => 130,
    }
}

/// Exit code of a run that a signal ended, as shells define it.
pub(super) fn code_of_signal(number: i32) -> u8 {
    u8::try_from(number).map_or(1, |number| number.saturating_add(128))
}

/// Exit code of several files: the code of all failures if they agree.
pub(super) fn combined(kinds: &[Kind]) -> u8 {
    match kinds {
        [] => 0,
        [first, rest @ ..] if rest.iter().all(|kind| kind == first) => code(*first),
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_the_table_is_a_code_and_what_it_means() {
        let rows: Vec<_> = rows().collect();
        assert_eq!(rows.len(), TABLE.lines().count() - 1);
        assert!(
            rows.iter().all(|(code, meaning)| code.parse::<u8>().is_ok() && !meaning.is_empty()),
            "{rows:?}"
        );
    }

    #[test]
    fn files_that_failed_differently_have_the_general_code() {
        assert_eq!(combined(&[]), 0);
        assert_eq!(combined(&[Kind::NotFound, Kind::NotFound]), 3);
        assert_eq!(combined(&[Kind::NotFound, Kind::Disk]), 1);
    }
}
