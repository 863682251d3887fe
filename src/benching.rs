//! Inner parts whose cost `benches/micro.rs` measures. Always compiled, so that `cargo bench` needs no flag; not meant
//! for users, and not a stable API.

mod book;
mod rehearsal;
mod scatter;

pub use book::{Book, Claims};
pub use rehearsal::{Rehearsal, Rehearsed};
pub use scatter::Scatter;

use crate::plan::segment::{Victim, cut};
use std::time::Duration;

/// Position at which a connection at `position` that ends at `end` would lose the rest to a thief of the same speed,
/// both at `rate`.
#[must_use]
pub fn steal(position: u64, end: u64, rate: f64) -> Option<u64> {
    cut(&Victim { position, end, rate }, rate, Duration::from_millis(50))
}
