//! The commands, one file each.

pub(super) mod fetch;
pub(super) mod generate;
pub(super) mod info;
pub(super) mod resume;
pub(super) mod rm;
pub(super) mod status;
pub(super) mod verify;
