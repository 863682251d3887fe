//! Preview of the mirrors of a file: what each says of it.

use super::probe::probe;
use super::request::Request;
use crate::plan::Address;
use crate::transport::Requester;
use std::time::Duration;
use tokio::task::JoinSet;

/// Mirrors that are asked, at most, and the time for each.
const ASKED: usize = 8;
const PATIENCE: Duration = Duration::from_secs(3);

/// Response of another source about the file.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MirrorPreview {
    /// Its URL, redacted.
    pub url: String,
    /// True if it was asked: of many only the first are.
    pub is_asked: bool,
    /// The complete length in bytes that it states.
    pub size: Option<u64>,
    /// True if it was seen to serve ranges.
    pub ranges: Option<bool>,
    /// Reason why it cannot be used, in words.
    pub problem: Option<String>,
}

impl MirrorPreview {
    fn unasked(address: &Address) -> Self {
        Self { url: address.to_string(), is_asked: false, size: None, ranges: None, problem: None }
    }
}

/// Asks the first mirrors of a request, all at once. `requesters` has one for each of its sources.
pub(crate) async fn ask(requesters: &[Requester], request: &Request) -> Vec<MirrorPreview> {
    let mut mirrors: Vec<_> = request.sources().skip(1).map(MirrorPreview::unasked).collect();
    let mut asking = JoinSet::new();
    for (number, requester) in requesters.iter().skip(1).take(ASKED).cloned().enumerate() {
        asking.spawn(async move {
            let found = tokio::time::timeout(PATIENCE, Box::pin(probe(&requester))).await;
            (number, found)
        });
    }
    while let Some(asked) = asking.join_next().await {
        // One that died has been reported, and counts as not asked.
        let Ok((number, found)) = asked else {
            continue;
        };
        let mirror = &mut mirrors[number];
        mirror.is_asked = true;
        match found {
            Ok(Ok(found)) => {
                (mirror.size, mirror.ranges) = (found.representation.complete_length, found.ranges);
            }
            Ok(Err(error)) => mirror.problem = Some(error.to_string()),
            Err(_) => mirror.problem = Some(format!("no answer within {} s", PATIENCE.as_secs())),
        }
    }
    mirrors
}
