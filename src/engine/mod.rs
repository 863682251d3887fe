//! Download engine: one driver task per file, its workers, the checkpoint.

mod adopt;
mod attempts;
mod client;
mod context;
mod control;
mod credentials;
mod description;
mod disk_use;
mod download;
mod driver;
mod event;
mod forecast;
mod hosts;
mod lane;
mod limit;
mod maintenance;
mod memory;
mod mirror_preview;
mod post;
mod preview;
mod probe;
mod progress;
mod publisher;
mod report;
mod request;
mod settings;
mod slots;
mod stated;
mod worker;

pub use crate::destination::{Constraints, Content, Held, IfExists, OwnDestination, Sought};
pub use crate::transport::{
    AddressFamily, HostSettings, Interface, Proxy, PublicKeyPin, Resolve, Step, Trace,
};
pub use client::Client;
pub use control::Control;
pub(crate) use credentials::check_secrets;
#[cfg(feature = "cli")]
pub(crate) use description::strongest;
pub use download::Download;
pub use event::{Event, Notice};
pub use forecast::Forecast;
pub use maintenance::{
    FilePieces, audit, digests_of, discard, is_finished, pieces_of, verify_file, verify_signature,
    wrong_pieces, wrong_pieces_of,
};
pub use mirror_preview::MirrorPreview;
pub use post::Posted;
pub use preview::{Preview, Redirected, Remembered};
pub use progress::{ConnectionView, Phase, Progress, Slowness};
pub use report::{PieceProof, Proof, ProvedBy, Report, Transport};
#[cfg(feature = "s3")]
pub(crate) use request::is_s3;
pub use request::{NameSource, Output, Request, Writer};
pub use settings::{ClientSettings, Connections, Jobs};
pub(crate) use slots::{JobSlot, SlotWait, granted};
