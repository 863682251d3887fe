//! What makes a download happen: one driver task a file, its workers, the checkpoint.

mod checkpoint;
mod client;
mod clock;
mod disk_use;
mod download;
mod driver;
mod event;
mod hosts;
mod lane;
mod limit;
mod order;
mod preparation;
mod progress;
mod report;
mod request;
mod saver;
mod settings;
mod sink;
mod survey;
mod teller;
mod turns;
mod upkeep;
mod work;
mod worker;
mod workers;
mod workplace;

pub use crate::transport::{Family, Interface, Proxy, Resolve};
pub use client::Client;
pub use download::Download;
pub use event::{Event, Notice};
pub use progress::{ConnectionView, Phase, Progress, Slowness};
pub use report::Report;
pub use request::{IfExists, Output, Request};
pub use settings::{ClientSettings, Connections, Jobs};
pub use survey::Plan;
pub use upkeep::{audit, discard, verify_file};
