//! Objects of S3: their names and places, credentials as the AWS tools find them, signatures (Signature Version 4), and refusals in words.

mod account;
mod chain;
mod document;
mod keys;
mod location;
mod profile;
mod refusal;
mod settings;
mod signer;
mod text;
mod vault;

pub use account::S3;
pub(crate) use document::Document;
pub(crate) use location::Location;
pub(crate) use refusal::Refusal;
pub use settings::S3Style;
