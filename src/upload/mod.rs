//! Uploads into S3: a destination that takes bytes in order, sends them as the parts of a multipart upload, and goes on after a kill.

mod api;
mod compare;
mod destination;
mod hashes;
mod manifest;
mod parts;
mod sizes;

pub use destination::S3Destination;
