//! Options of the commands for a fleet.

use super::examples;
use super::values::some_time;
use crate::formats::size::parse_duration;
use clap::{Args, Subcommand};
use std::path::PathBuf;
use std::time::Duration;

/// The server, and the stream on it.
#[derive(Args, Clone, Debug)]
pub(super) struct ServerOptions {
    /// NATS server: nats:// or tls://HOST:PORT, several with commas between them; with USER:PASSWORD@ or TOKEN@ better in the variable, since
    /// other users see command lines
    #[arg(long, value_name = "URL", env = "NATS_URL", hide_env_values = true, help_heading = "Fleet")]
    pub(super) nats: Option<String>,
    /// File of NATS credentials, as nsc writes it
    #[arg(long, value_name = "FILE", env = "NATS_CREDS", hide_env_values = true, help_heading = "Fleet")]
    pub(super) creds: Option<PathBuf>,
    /// Stream of the jobs; several fleets on one server have one each
    #[arg(
        id = "stream_name",
        long = "stream",
        value_name = "NAME",
        default_value = "haul",
        help_heading = "Fleet"
    )]
    pub(super) stream: String,
}

/// Options of the commands that download nothing.
#[derive(Args, Clone, Debug)]
pub(super) struct ReachOptions {
    #[command(flatten)]
    pub(super) server: ServerOptions,
    /// Trust the certificates of this PEM file as well, for tls://
    #[arg(long, value_name = "FILE", env = "HAUL_CACERT", help_heading = "Fleet")]
    pub(super) cacert: Option<PathBuf>,
    /// Time for which a server that is not there is tried again, such as 90s or 10m [default: one attempt]
    #[arg(long, value_name = "TIME", value_parser = parse_duration, env = "HAUL_RETRY_MAX_TIME", help_heading = "Fleet")]
    pub(super) retry_max_time: Option<Duration>,
    /// One JSON object for each event, on the standard output
    #[arg(long, help_heading = "Fleet")]
    pub(super) json: bool,
}

/// `haul submit`.
#[derive(Args, Clone, Debug)]
pub(super) struct SubmitOptions {
    /// Lists as -i takes them: URLs, JSON objects, or lists of aria2's; - reads the standard input
    #[arg(value_name = "LIST", required = true)]
    pub(super) lists: Vec<PathBuf>,
    #[command(flatten)]
    pub(super) reach: ReachOptions,
    /// Period in which a job that is submitted again is not added again [default: 1h, or what the stream has]
    #[arg(long, value_name = "TIME", value_parser = some_time, help_heading = "Fleet")]
    pub(super) duplicate_window: Option<Duration>,
    /// Say nothing but errors
    #[arg(short, long, help_heading = "Fleet")]
    pub(super) quiet: bool,
}

/// `haul worker`.
#[derive(Args, Clone, Debug)]
pub(super) struct WorkerOptions {
    #[command(flatten)]
    pub(super) server: ServerOptions,
    /// Time for which a job is given to no other worker; renewed while bytes come. One for all workers of a stream [default: 60s]
    #[arg(long, value_name = "TIME", value_parser = some_time, help_heading = "Fleet")]
    pub(super) lease: Option<Duration>,
    /// Tries after which a job is laid aside, those not counted that were not its fault
    #[arg(long, value_name = "N", default_value = "8", value_parser = clap::value_parser!(u64).range(1..), help_heading = "Fleet")]
    pub(super) max_deliver: u64,
    /// Jobs at once of one origin, over the whole fleet [default: no limit]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000), help_heading = "Fleet")]
    pub(super) per_host: Option<u32>,
    /// End once no job waits or runs anywhere, with the exit code of those that failed here
    #[arg(long, help_heading = "Fleet")]
    pub(super) until_empty: bool,
}

/// `haul fleet`.
#[derive(Clone, Debug, Subcommand)]
pub(super) enum FleetCommand {
    /// Show how many jobs wait, run, are done and have failed, and the workers
    #[command(after_help = examples::examples_text("fleet"))]
    Status {
        #[command(flatten)]
        reach: ReachOptions,
    },
}

impl FleetCommand {
    /// Returns true if JSON is asked for.
    pub(super) fn wants_json(&self) -> bool {
        match self {
            Self::Status { reach } => reach.json,
        }
    }
}

/// Renames the flag of lists whose name a worker needs for its stream; it takes no lists.
pub(super) fn of_a_worker(flag: clap::Arg) -> clap::Arg {
    flag.long("stream-list").hide(true)
}
