//! Digests, and the hashing that follows the front of a download.

mod digest;
mod frontier;
mod minisign;
mod pieces;
mod published;

pub(crate) use digest::Hasher;
pub use digest::{Algorithm, Digest, Encoding, ParseDigestError};
pub(crate) use frontier::{Follower, Frontier, Hashed, hash_file};
pub use minisign::{MinisignKey, MinisignSignature, Signer};
pub(crate) use pieces::{Pieces, Turns, hash_pieces};
pub(crate) use published::{
    Published, RECORDED, published, published_by_head, published_by_redirect, that_count,
};

impl From<ParseDigestError> for crate::error::Error {
    fn from(error: ParseDigestError) -> Self {
        Self::usage(error.to_string())
    }
}
