//! Small requests with a document, and their small responses.

use crate::error::{Error, Kind};
use crate::transport::{Document, Failure, Requester, Response};
use std::time::Duration;

/// Size limit of a response in bytes.
const LARGEST: usize = 4 << 20;

/// Response to a document.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Posted {
    /// Status code.
    pub status: u16,
    /// Body of the response, at most 4 MiB.
    pub body: Vec<u8>,
}

/// Sends a document; each part of the response must come within `stall`.
pub(super) async fn post(
    requester: &Requester,
    media_type: &str,
    document: Vec<u8>,
    stall: Duration,
) -> Result<Posted, Error> {
    let document = Document { media_type, bytes: document.into() };
    let reply = requester.post(&document).await.map_err(Failure::into_error)?;
    let Response { status, body: mut incoming, .. } = reply;
    let mut body = Vec::new();
    loop {
        let Ok(next) = tokio::time::timeout(stall, incoming.next()).await else {
            let why = format!("the response stopped for {} s", stall.as_secs_f32());
            return Err(Error::new(Kind::Http, why));
        };
        let Some(bytes) = next.map_err(Failure::into_error)? else { break };
        if body.len() + bytes.len() > LARGEST {
            return Err(Error::new(Kind::Http, format!("the response has more than {LARGEST} bytes")));
        }
        body.extend_from_slice(&bytes);
    }
    incoming.recycle();
    Ok(Posted { status: status.as_u16(), body })
}
