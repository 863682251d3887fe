//! The inner parts whose cost `benches/micro.rs` measures. Always compiled, so that `cargo bench` needs no flag;
//! nothing for users, and no promise to them.

mod book;
mod rehearsal;
mod scatter;

pub use book::{Book, Claims};
pub use rehearsal::{Rehearsal, Rehearsed};
pub use scatter::Scatter;

use crate::plan::segment::{Prey, cut};
use std::time::Duration;

/// Where a connection at `position` that ends at `end` would be robbed by one that is as fast: both at `rate`.
#[must_use]
pub fn steal(position: u64, end: u64, rate: f64) -> Option<u64> {
    cut(&Prey { position, end, rate }, rate, Duration::from_millis(50))
}
