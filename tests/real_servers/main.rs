//! haul against servers that people run: nginx, Apache httpd, Caddy, lighttpd, and Python's `http.server`,
//! which has no ranges; and stores of S3: moto and s3s-fs.
//!
//! Each test starts a server of its own from `fixtures/servers`. A server that is not installed makes its
//! tests pass and say on stderr that they did not run; with `HAUL_REQUIRE_SERVERS=1` they fail instead.

#![expect(clippy::disallowed_methods, reason = "these tests drive other programs with files and deadlines")]

mod client;
mod interruption;
mod listening;
mod payload;
mod relay;
mod server;
mod site;
mod store;

mod every_server;
mod nginx;
mod python;
mod s3;
mod tls;
