//! The commands, one file each.

pub(super) mod add;
pub(super) mod ctl;
pub(super) mod fetch;
#[cfg(feature = "fleet")]
pub(super) mod fleet;
pub(super) mod generate;
pub(super) mod info;
pub(super) mod link;
mod mend;
pub(super) mod pieces;
pub(super) mod resume;
pub(super) mod rm;
pub(super) mod serve;
pub(super) mod show_config;
pub(super) mod status;
#[cfg(feature = "fleet")]
pub(super) mod submit;
pub(super) mod sync;
pub(super) mod verify;
#[cfg(feature = "fleet")]
pub(super) mod worker;
