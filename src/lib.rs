//! haul downloads large files over many connections, resumes after interruptions, and verifies the saved file against
//! its published digest.
//!
//! The crate is layered; a module uses only modules of lower layers, and of its own layer without cycles:
//!
//! | layer | modules | contents |
//! |---|---|---|
//! | 5 | `cli` | arguments, rendering, exit codes (feature `cli`) |
//! |   | `rpc` | the daemon: aria2's JSON-RPC, a page, figures (feature `cli`) |
//! |   | `fleet` | jobs over several machines, by a NATS server (feature `fleet`) |
//! | 4 | `jobs`, `upload` | jobs as plain data, and their queue; uploads into S3 (feature `s3`) |
//! | 3 | `engine` | the driver that owns a transfer, and its workers |
//! |   | `destination` | where bytes go: a file, a pipe, or what the caller brings; the checkpoint |
//! |   | `s3` | objects of S3: credentials, signatures (feature `s3`) |
//! | 2 | `transport`, `storage`, `manifest`, `verify` | effects: sockets, files, the sidecar, digests |
//! | 1 | `plan`, `clock` | decisions: pure, no clock, no files, no sockets; the only reader of the time |
//! | 0 | `formats`, `error`, `threads`, `sys` | parsers of text formats; errors; threads for blocking work; the operating system |
//!
//! # Example
//!
//! ```no_run
//! # async fn example() -> Result<(), haul::Error> {
//! let client = haul::Client::new(haul::ClientSettings::default())?;
//! let request = haul::Request::new("https://example.org/disk.img")?
//!     .output("/tmp/disk.img")
//!     .digest("sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855".parse()?);
//! let download = client.start(request);
//! let report = download.join().await?;
//! println!("{} bytes in {:?}", report.size, report.elapsed);
//! # Ok(())
//! # }
//! ```

#[doc(hidden)]
pub mod benching;
mod clock;
mod destination;
mod engine;
mod error;
#[cfg(feature = "fleet")]
mod fleet;
mod formats;
#[cfg(all(feature = "cli", any(test, feature = "fuzzing")))]
#[doc(hidden)]
pub mod fuzzing;
mod jobs;
mod manifest;
mod plan;
#[cfg(feature = "cli")]
mod rpc;
#[cfg(feature = "s3")]
mod s3;
mod storage;
mod sys;
mod threads;
mod transport;
#[cfg(feature = "s3")]
mod upload;
mod verify;

#[cfg(feature = "cli")]
pub mod cli;

pub use engine::{
    AddressFamily, Client, ClientSettings, ConnectionView, Connections, Constraints, Content, Control,
    Download, Event, FilePieces, Forecast, Held, HostSettings, IfExists, Interface, Jobs, MirrorPreview,
    NameSource, Notice, Output, OwnDestination, Phase, PieceProof, Posted, Preview, Progress, Proof,
    ProvedBy, Proxy, PublicKeyPin, Redirected, Remembered, Report, Request, Resolve, Slowness, Sought, Step,
    Trace, Transport, Writer,
};
pub use engine::{
    audit, digests_of, discard, is_finished, pieces_of, verify_file, verify_signature, wrong_pieces,
    wrong_pieces_of,
};
pub use error::{Error, Kind, Remedy, Trouble};
pub use formats::cookie_file::Cookies;
pub use formats::netrc::Netrc;
pub use jobs::{
    Defaults, Invalid, Job, JobChange, JobEnd, JobId, JobOptions, JobState, JobStatus, Login, NamedBy,
    PieceDigests, Queue, QueueEvent, QueueSettings, Totals, resolve, resolve_unnamed,
};
#[cfg(feature = "cli")]
pub use jobs::{JobList, Listed, metalink, metalink_of_files};
pub use manifest::{Inspection, inspect};
pub use plan::{Address, ByteRange, Origin};
#[cfg(feature = "s3")]
pub use s3::{S3, S3Style};
#[cfg(feature = "s3")]
pub use upload::S3Destination;
pub use verify::{Algorithm, Digest, Encoding, MinisignKey, MinisignSignature, ParseDigestError, Signer};
