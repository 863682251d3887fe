//! Front end for programs: aria2's JSON-RPC over HTTP and WebSocket, a page, and figures for monitoring.

mod answer;
mod caller;
mod cookies;
mod guard;
mod list;
mod methods;
mod metrics;
mod options;
mod places;
mod server;
mod service;
mod socket;
mod status;

pub(crate) use guard::{Access, new_secret};
pub(crate) use server::{Listeners, serve};
pub(crate) use service::{Save, Service, Settings, aria2_code};
