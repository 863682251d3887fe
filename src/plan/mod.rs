//! Pure decision logic: no clock, no files, no sockets, no tasks. Time is an argument.
//!
//! [`transfer::Transfer`] is a state machine: `handle_*` report events to it, `poll_command` returns the next command.
//! Each of its parts owns one decision: the meaning of a response ([`verdict`]), the range to request next
//! ([`segment`]), the number of connections ([`concurrency`]), the time of a retry ([`retry`]).

mod address;
pub(crate) mod advice;
pub(crate) mod budget;
pub(crate) mod byte_range;
pub(crate) mod concurrency;
pub(crate) mod meter;
pub(crate) mod named_sources;
pub(crate) mod pace;
pub(crate) mod packing;
pub(crate) mod pulse;
mod range_set;
pub(crate) mod representation;
pub(crate) mod response_head;
pub(crate) mod retry;
pub(crate) mod seed;
pub(crate) mod segment;
pub(crate) mod slowness;
mod source;
pub(crate) mod testimony;
pub(crate) mod transfer;
pub(crate) mod verdict;
pub(crate) mod yielding;

pub use address::{Address, Origin};
pub(crate) use address::{AddressError, bare_host, is_whole_record};
pub use byte_range::ByteRange;
pub(crate) use range_set::RangeSet;

/// Point in time, as the time since the run began. The plan never reads a clock; its driver passes the time in.
pub(crate) type Moment = std::time::Duration;
