//! Decisions, and nothing else: no clock, no files, no sockets, no tasks. Time is an argument.
//!
//! [`transfer::Transfer`] is told what happened (`handle_*`) and says what to do (`poll_command`); the pieces
//! it is made of each own one decision: what an answer means ([`verdict`]), which range is worth asking for
//! ([`segment`]), how many connections ([`concurrency`]), when to try again ([`retry`]).

mod address;
pub(crate) mod advice;
pub(crate) mod answer;
pub(crate) mod budget;
pub(crate) mod byte_range;
pub(crate) mod concurrency;
pub(crate) mod meter;
pub(crate) mod pace;
pub(crate) mod packing;
pub(crate) mod pulse;
mod range_set;
pub(crate) mod representation;
pub(crate) mod retry;
pub(crate) mod seed;
pub(crate) mod segment;
mod source;
pub(crate) mod testimony;
pub(crate) mod transfer;
pub(crate) mod verdict;

pub use address::Address;
pub(crate) use address::{AddressError, Origin, bare_host, is_whole_record};
pub use byte_range::ByteRange;
pub(crate) use range_set::RangeSet;

/// A moment, as the time since the run began. The plan never reads a clock; whoever drives it says when it is.
pub(crate) type Moment = std::time::Duration;
