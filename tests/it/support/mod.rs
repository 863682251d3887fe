//! What the tests stand on: files whose bytes betray their place, a server that does exactly as it is told, a runner for
//! the real program, and certificates.

pub(crate) mod claims;
pub(crate) mod haul;
pub(crate) mod library;
pub(crate) mod loop_disk;
pub(crate) mod payload;
pub(crate) mod proxy;
pub(crate) mod server;
pub(crate) mod tls;

pub(crate) use haul::{Haul, Outcome, Running, Sandbox};
pub(crate) use payload::Payload;
pub(crate) use server::{Answer, Body, Ending, Exchange, Gate, Modified, Reply, Request, Resource, Server};
pub(crate) use tls::Authority;

/// Whether the long runs are wanted, too.
pub(crate) fn exhaustive() -> bool {
    std::env::var_os("HAUL_EXHAUSTIVE").is_some_and(|value| value == "1")
}

/// Says that a test has nothing to say here; where `HAUL_REQUIRE_TOOLS=1` asks for all of them, that is a failure.
pub(crate) fn left_out(why: &str) {
    assert!(std::env::var_os("HAUL_REQUIRE_TOOLS").is_none_or(|value| value != "1"), "{why}");
    eprintln!("DID NOT RUN: {why}");
}

pub(crate) const KIB: u64 = 1024;
pub(crate) const MIB: u64 = 1024 * KIB;
