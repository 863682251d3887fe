//! Submission of jobs: messages with identifiers, so that none is added twice, and many on the way at once.

use super::posting::{LINE, LIST, Place, Posting, id_of};
use super::queue::Queue;
use crate::engine::Request;
use crate::error::Error;
use async_nats::HeaderMap;
use async_nats::header::NATS_MESSAGE_ID;
use async_nats::jetstream::context::PublishAckFuture;
use std::collections::VecDeque;
use std::time::Duration;

/// Messages that wait for their confirmation at once.
const WINDOW: usize = 1024;
/// Times that a message is sent before the submission is given up.
const MOST_SENT: u32 = 5;

/// Jobs that were submitted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Submitted {
    /// Jobs that the queue has taken.
    pub(crate) added: u64,
    /// Jobs that it had within the window of duplicates.
    pub(crate) known: u64,
}

/// A submission that goes on.
pub(crate) struct Submission {
    queue: Queue,
    window: Duration,
    submitted: Submitted,
    waiting: VecDeque<(Message, PublishAckFuture)>,
}

struct Message {
    subject: String,
    headers: HeaderMap,
    text: Vec<u8>,
    sent: u32,
}

impl Submission {
    /// Begins a submission; the stream is made if it is not there.
    ///
    /// # Errors
    /// `Unsafe` for a stream of another version; `Network`, `Auth`.
    pub(crate) async fn open(queue: Queue, window: Option<Duration>) -> Result<Self, Error> {
        let stream = queue.jobs_or_new(window).await?;
        let window = window.unwrap_or(stream.cached_info().config.duplicate_window);
        Ok(Self { queue, window, submitted: Submitted::default(), waiting: VecDeque::new() })
    }

    /// Period in which a job that is submitted again is known.
    pub(crate) fn window(&self) -> Duration {
        self.window
    }

    /// Jobs that are confirmed.
    pub(crate) fn confirmed(&self) -> Submitted {
        self.submitted
    }

    /// Submits a job that resolves to `request`.
    ///
    /// # Errors
    /// `Usage` for a job that no message can hold; `Network`, `Auth`.
    pub(crate) async fn submit(&mut self, posting: &Posting, request: &Request) -> Result<(), Error> {
        let subject = self.queue.names.job(&request.address().origin());
        let message = Message {
            subject,
            headers: headers(&id_of(&posting.job), &posting.place),
            text: posting.encode()?,
            sent: 0,
        };
        self.send(message).await?;
        while self.waiting.len() >= WINDOW {
            self.confirm_first().await?;
        }
        Ok(())
    }

    /// Waits until everything is confirmed.
    ///
    /// # Errors
    /// `Network`, `Auth`.
    pub(crate) async fn end(mut self) -> Result<Submitted, (Submitted, Error)> {
        while !self.waiting.is_empty() {
            if let Err(error) = self.confirm_first().await {
                return Err((self.submitted, error));
            }
        }
        Ok(self.submitted)
    }

    async fn send(&mut self, mut message: Message) -> Result<(), Error> {
        message.sent += 1;
        let sent = self.queue.context.publish_with_headers(
            message.subject.clone(),
            message.headers.clone(),
            message.text.clone().into(),
        );
        let ack =
            sent.await.map_err(|error| self.queue.connection.failed("a job cannot be submitted", &error))?;
        self.waiting.push_back((message, ack));
        Ok(())
    }

    /// Waits for the confirmation of the first message; without one it is sent again, which adds nothing twice.
    async fn confirm_first(&mut self) -> Result<(), Error> {
        let Some((message, ack)) = self.waiting.pop_front() else { return Ok(()) };
        match ack.await {
            Ok(ack) if ack.duplicate => self.submitted.known += 1,
            Ok(_) => self.submitted.added += 1,
            Err(_) if message.sent < MOST_SENT => return self.send(message).await,
            Err(error) => return Err(self.queue.connection.failed("a job is not confirmed", &error)),
        }
        Ok(())
    }
}

fn headers(id: &str, place: &Place) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(NATS_MESSAGE_ID, id);
    if let Some(list) = place.list.as_deref().filter(|list| !list.contains(['\r', '\n'])) {
        headers.insert(LIST, list);
    }
    if let Some(line) = place.line {
        headers.insert(LINE, line.to_string());
    }
    headers
}
