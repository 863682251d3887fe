//! A request as the disk sees it.

use super::request::IfExists;
use crate::plan::Address;
use crate::verify::Digest;

/// What is wanted, as far as the disk is concerned.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    pub(crate) address: Address,
    pub(crate) digests: Vec<Digest>,
    pub(crate) if_exists: IfExists,
    pub(crate) restart: bool,
    pub(crate) may_restart: bool,
    pub(crate) create_directory: bool,
}
