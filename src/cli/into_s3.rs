//! Downloads that go into S3.

use super::args::Options;
use super::places;
use super::setup::Wanted;
use crate::error::Error;
use crate::{Client, S3Destination};
use std::sync::Arc;

/// Sends a download into S3, if that is the place of all of the run.
pub(super) fn into_s3(wanted: Wanted, options: &Options, client: &Client) -> Result<Wanted, Error> {
    let Wanted { job, request, line } = wanted;
    let Some(place) = &options.uploads else { return Ok(Wanted { job, request, line }) };
    let object = place.object_of(&request)?;
    let policy = job.options.if_exists.or(options.if_exists.map(Into::into)).unwrap_or_default();
    let mut object = S3Destination::new(client, &options.s3.store(), &object)?.if_exists(policy)?;
    if let Some(directory) = places::state("uploads") {
        object = object.resumable_in(directory);
    }
    Ok(Wanted { job, request: request.into_destination(Arc::new(object)), line })
}
