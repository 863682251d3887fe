//! Support of the tests: files whose bytes tell their offset, a scripted server, a runner for the real program, and
//! certificates.

pub(crate) mod claims;
pub(crate) mod far;
pub(crate) mod haul;
pub(crate) mod library;
pub(crate) mod loop_disk;
pub(crate) mod minisign;
pub(crate) mod payload;
pub(crate) mod proxy;
pub(crate) mod runtime;
pub(crate) mod server;
pub(crate) mod store;
pub(crate) mod tls;
pub(crate) mod window;

pub(crate) use haul::{Haul, Outcome, Running, Sandbox};
pub(crate) use minisign::Minisign;
pub(crate) use payload::Payload;
pub(crate) use runtime::on_a_runtime;
pub(crate) use server::{Answer, Body, Ending, Exchange, Gate, Modified, Reply, Request, Resource, Server};
pub(crate) use tls::Authority;
pub(crate) use window::Window;

/// Returns true if the long runs are asked for, too.
pub(crate) fn exhaustive() -> bool {
    std::env::var_os("HAUL_EXHAUSTIVE").is_some_and(|value| value == "1")
}

/// Reports a skipped test; with `HAUL_REQUIRE_TOOLS=1` this is a failure.
pub(crate) fn left_out(why: &str) {
    assert!(std::env::var_os("HAUL_REQUIRE_TOOLS").is_none_or(|value| value != "1"), "{why}");
    eprintln!("DID NOT RUN: {why}");
}

pub(crate) const KIB: u64 = 1024;
pub(crate) const MIB: u64 = 1024 * KIB;
