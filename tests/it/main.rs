//! Black-box tests: the real program against a server that does what the test says.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stderr,
    clippy::missing_panics_doc,
    reason = "a test panics where it fails, and the floors are a matter of the program, not of its tests"
)]

mod accounts;
mod adopting;
mod answers;
mod aria2c;
mod auto;
mod background;
mod batch;
mod bounds;
mod catalogue;

mod commands;
mod completions;
mod control;
mod cookies;
mod crash;
mod differential;
mod digest;
mod digest_lists;
mod disk;
mod download;
mod exits;
mod far_files;
mod faults;
mod file_systems;
mod floors;
mod foreign_names;
mod framing;
mod heads;
mod hedge;
mod host_rules;
mod identity;
mod info;
mod json;
mod limit;
mod lists;
mod lock;
mod locks;
mod logins;
mod memory;
mod metalink;
mod minisign;
mod mirrors;
mod named_mirrors;
mod names;
mod network;
mod own;
mod ownership;
mod parts;
mod phases;
mod pieces;
mod pins;
mod planted;
mod prompts;
mod proofs;
mod proxies;
mod queue;
mod redirects;
mod reluctant;
mod resume;
mod retries;
mod s3;
mod screen;
mod secrets;
mod serve;
mod server_checks;
mod signals;
mod slow;
mod slowness;
mod small;
mod stdout;
mod support;
mod surroundings;
mod tls;
