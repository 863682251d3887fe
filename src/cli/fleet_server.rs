//! The server of a fleet, as the options name it.

use super::fleet_options::ServerOptions;
use super::{bounded, list};
use crate::error::Error;
use crate::fleet::{Names, Server};
use std::path::PathBuf;
use std::time::Duration;

/// Largest file of credentials, in bytes.
const LARGEST_CREDENTIALS: u64 = 64 << 10;

/// Checks the address, the credentials and the name of the stream, before any traffic.
///
/// # Errors
/// `Usage`.
pub(super) fn server(
    options: &ServerOptions,
    ca_file: Option<PathBuf>,
    patience: Option<Duration>,
) -> Result<(Server, Names), Error> {
    let Some(urls) = &options.nats else {
        return Err(Error::usage("there is no NATS server")
            .with_hint("name it: --nats nats://HOST:PORT, or the variable NATS_URL"));
    };
    let names = Names::new(&options.stream).map_err(|error| error.retold(format!("--stream: {error}")))?;
    let server = Server::parse(urls).map_err(|error| error.retold(format!("--nats: {error}")))?;
    let read = |path: &PathBuf| {
        bounded::read(path, LARGEST_CREDENTIALS).map_err(|error| list::unreadable(path, &error))
    };
    let credentials = options.creds.as_ref().map(read).transpose()?;
    let server = server.credentials(credentials).ca_file(ca_file).patience(patience.unwrap_or_default());
    Ok((server, names))
}
