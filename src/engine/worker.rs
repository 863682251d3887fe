//! One attempt at one segment, from the request to the last byte.

use super::lane::{Claim, Lane};
use super::limit::Limits;
use super::stated::Stated;
use crate::clock::Clock;
use crate::destination::Sink;
use crate::error::{Error, Failure};
use crate::plan::ByteRange;
use crate::plan::response_head::ResponseHead;
use crate::plan::transfer::{AttemptId, End, SegmentRequest};
use crate::transport::{Body, Requester, Response};
use bytes::Bytes;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// A connection that is abandoned after delivering nothing for this long counts as silent, and its address is
/// distrusted.
const SILENT: Duration = Duration::from_secs(2);

/// State that all workers of a file share.
pub(crate) struct Shared {
    pub(crate) requesters: Requesters,
    pub(crate) questions: mpsc::Sender<Box<PendingResponse>>,
    /// Payload taken off the network, needed or not, in bytes.
    pub(crate) received: AtomicU64,
    /// Nanoseconds spent in writing, by all workers together.
    pub(crate) writing: AtomicU64,
    /// Number of workers that are writing at this moment.
    pub(crate) writers: AtomicU64,
    pub(crate) limits: Limits,
    /// True until it is known what the server states of the file.
    pub(crate) wants_statement: AtomicBool,
    /// For the text of a disk error.
    pub(crate) path: PathBuf,
}

/// One requester per source, by its number; a source may be added while attempts run.
pub(crate) struct Requesters(RwLock<Vec<Requester>>);

impl Requesters {
    /// `all` has at least the requester of the URL.
    pub(crate) fn new(all: Vec<Requester>) -> Self {
        Self(RwLock::new(all))
    }

    /// The requester of the URL.
    pub(crate) fn first(&self) -> Requester {
        self.of(0)
    }

    /// The requester of a source.
    pub(crate) fn of(&self, source: usize) -> Requester {
        // Sources are only added, and a panic elsewhere cannot leave the list half changed.
        self.0.read().unwrap_or_else(PoisonError::into_inner)[source].clone()
    }

    pub(crate) fn push(&self, added: Requester) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).push(added);
    }
}

impl Shared {
    /// Counts bytes taken off the network, and waits if they exceed the rate limit. Dropping the future cancels only
    /// the wait.
    async fn received(&self, bytes: usize) {
        self.received.fetch_add(bytes as u64, Ordering::Relaxed);
        self.limits.pass(bytes).await;
    }
}

/// A response that waits for the driver's ruling before any byte of its body is taken.
pub(crate) struct PendingResponse {
    pub(crate) id: AttemptId,
    pub(crate) answer: ResponseHead,
    /// Statements of the response about the file, if they are wanted.
    pub(crate) stated: Option<Box<Stated>>,
    pub(crate) reply: oneshot::Sender<Option<WriteTarget>>,
}

/// The ruling that the body may be taken.
pub(crate) struct WriteTarget {
    /// Position of the first byte of the body.
    pub(crate) offset: u64,
    /// End of the body as the response states it; bytes beyond are discarded.
    pub(crate) until: u64,
    pub(crate) sink: Sink,
}

/// Runs the attempt. Returns soon after the lane is abandoned.
pub(crate) async fn attempt(
    shared: Arc<Shared>,
    id: AttemptId,
    ask: SegmentRequest,
    lane: Arc<Lane>,
) -> (AttemptId, End) {
    let ended = tokio::select! {
        biased;
        () = lane.abandoned() => Ok(None),
        opened = open(&shared, id, &ask) => opened,
    };
    let end = match ended {
        Ok(None) => End::Abandoned,
        Ok(Some((body, permit, body_end))) => take(&shared, &lane, body, permit, body_end).await,
        Err(failure) => End::Failed(failure),
    };
    (id, end)
}

/// Sends the request, and waits for the ruling on the response. Nothing of the body has been read when it returns.
async fn open(
    shared: &Shared,
    id: AttemptId,
    ask: &SegmentRequest,
) -> Result<Option<(Body, WriteTarget, Option<u64>)>, Failure> {
    let range = if ask.ranged { ask.wanted.to_header() } else { None };
    let requester = shared.requesters.of(ask.source);
    let reply = requester.get(range.as_deref(), ask.if_range.as_deref()).await?;
    let asks = ask.source == 0 && shared.wants_statement.load(Ordering::Relaxed);
    let stated = asks.then(|| Box::new(Stated::read(&reply)));
    let Response { status, headers, body, address, .. } = reply;
    let mut answer = ResponseHead::read(status, &headers, Clock::date());
    answer.without_if_range = address.is_signed() || requester.signs(&address);
    let body_length = answer.content_length;
    let (reply, ruling) = oneshot::channel();
    if shared.questions.send(Box::new(PendingResponse { id, answer, stated, reply })).await.is_err() {
        return Ok(None);
    }
    Ok(ruling.await.ok().flatten().map(|permit| {
        let body_end = body_length.map(|length| permit.offset.saturating_add(length));
        (body, permit, body_end)
    }))
}

/// Writes the body to its range until the lane or the body ends.
async fn take(
    shared: &Shared,
    lane: &Lane,
    mut body: Body,
    permit: WriteTarget,
    body_end: Option<u64>,
) -> End {
    let mut offset = permit.offset;
    let mut abandoned = std::pin::pin!(lane.abandoned());
    loop {
        let waiting = Clock::start();
        let next = tokio::select! {
            biased;
            () = &mut abandoned => {
                if waiting.now() >= SILENT {
                    body.distrust();
                }
                return End::Abandoned;
            }
            next = body.next() => next,
        };
        let mut came = match next {
            Ok(Some(bytes)) => bytes,
            Ok(None) => {
                body.recycle();
                return End::Complete;
            }
            Err(failure) => return End::Failed(failure),
        };
        while !came.is_empty() {
            let mut bytes = came.split_to(came.len().min(shared.limits.piece()));
            tokio::select! {
                biased;
                () = shared.received(bytes.len()) => {}
                () = &mut abandoned => return End::Abandoned,
            }
            if let Some(end) = write(shared, lane, &permit, &mut offset, &mut bytes).await {
                return end;
            }
            if lane.is_over(offset) {
                let next = offset + (bytes.len() + came.len()) as u64;
                finish(shared, lane, body, ByteRange::new(next, body_end.unwrap_or(u64::MAX))).await;
                return End::Complete;
            }
        }
    }
}

/// Writes what the lane wants of the bytes at `offset`, and moves it on; returns the end of the attempt if that has come.
async fn write(
    shared: &Shared,
    lane: &Lane,
    permit: &WriteTarget,
    offset: &mut u64,
    bytes: &mut Bytes,
) -> Option<End> {
    while !bytes.is_empty() {
        if *offset >= permit.until {
            return Some(End::Complete);
        }
        let stated = usize::try_from(permit.until - *offset).unwrap_or(usize::MAX);
        match lane.claim(*offset, bytes.len().min(stated)) {
            Claim::Over => break,
            Claim::Skip(length) => {
                *offset += length as u64;
                let _ = bytes.split_to(length);
            }
            Claim::Write(length) => {
                let piece = bytes.split_to(length);
                let clock = Clock::start();
                shared.writers.fetch_add(1, Ordering::Relaxed);
                let written = permit.sink.write(*offset, piece.clone()).await;
                shared.writers.fetch_sub(1, Ordering::Relaxed);
                shared.writing.fetch_add(clock.now().as_nanos() as u64, Ordering::Relaxed);
                if let Err(error) = written {
                    if error.kind() == std::io::ErrorKind::BrokenPipe {
                        return Some(End::Abandoned);
                    }
                    let error = Error::disk("cannot write to", &shared.path, &error);
                    return Some(End::Failed(Failure::Fatal(error)));
                }
                lane.wrote(*offset, &piece);
                *offset += length as u64;
            }
        }
    }
    None
}

/// The lane has ended. The rest of the body decides whether the connection is worth keeping.
async fn finish(shared: &Shared, lane: &Lane, mut body: Body, rest: ByteRange) {
    let leftover = lane.leftover();
    if rest.len() > leftover.bytes {
        return;
    }
    let draining = async {
        while let Ok(Some(bytes)) = body.next().await {
            shared.received(bytes.len()).await;
        }
    };
    tokio::select! {
        biased;
        () = lane.abandoned() => {}
        () = tokio::time::sleep(leftover.time) => {}
        () = draining => body.recycle(),
    }
}
