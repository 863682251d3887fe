//! Survey of a file on the server, without downloading it.

use crate::clock::Clock;
use crate::error::Error;
use crate::formats::content_disposition;
use crate::formats::file_name::ForeignName;
use crate::plan::advice::Advice;
use crate::plan::answer::{Answer, Field};
use crate::plan::byte_range::ContentRange;
use crate::plan::concurrency::Allowance;
use crate::plan::representation::Representation;
use crate::plan::retry::RetryPolicy;
use crate::plan::transfer::{Policy, Transfer};
use crate::transport::{Failure, Reply, Requester};
use crate::verify::{Published, published};
use std::time::Duration;

/// Result of a survey.
pub(crate) struct Survey {
    pub(crate) final_url: String,
    pub(crate) representation: Representation,
    pub(crate) ranges: Option<bool>,
    pub(crate) head: Option<String>,
    pub(crate) head_size: Option<u64>,
    pub(crate) content_disposition: Option<Vec<u8>>,
    pub(crate) published: Vec<Published>,
}

/// Timeout for HEAD, which is advice, before a GET is tried.
const HEAD_PATIENCE: Duration = Duration::from_secs(3);
/// Timeout for HEAD once GET has answered; it adds to the display and decides nothing.
const BESIDE: Duration = Duration::from_secs(1);

/// Asks with HEAD and, if that is refused or silent, with a GET for one byte.
pub(crate) async fn survey(requester: &Requester) -> Result<Survey, Error> {
    match tokio::time::timeout(HEAD_PATIENCE, requester.head()).await {
        Ok(Ok(reply)) if reply.status.is_success() => Ok(read(&reply)),
        Ok(Err(Failure::Fatal(error))) => Err(error),
        _ => probe(requester).await,
    }
}

/// Asks with a GET for one byte, whose length counts, and then with HEAD.
pub(crate) async fn survey_by_get(requester: &Requester) -> Result<Survey, Error> {
    let mut found = probe(requester).await?;
    if let Ok(Ok((status, headers))) =
        tokio::time::timeout(BESIDE, requester.inquire(&requester.route.target())).await
    {
        let advice = Advice::of(&Answer::read(status, &headers, Clock::date()));
        found.head_size = advice.length();
        found.head = Some(advice.in_words());
    }
    Ok(found)
}

/// Asks with a GET for one byte.
pub(crate) async fn probe(requester: &Requester) -> Result<Survey, Error> {
    let (reply, answer) = ask(requester, Some("bytes=0-0")).await?;
    let mut found = read(&reply);
    match (reply.status.as_u16(), &answer.content_range) {
        (206, Field::Given(ContentRange::Satisfied { complete_length, .. })) => {
            found.ranges = Some(true);
            found.representation.complete_length = *complete_length;
        }
        (200, Field::Given(ContentRange::Satisfied { .. })) => return whole(requester).await,
        (200, _) => found.ranges = Some(false),
        (416, Field::Given(ContentRange::Unsatisfied { complete_length })) => {
            found.ranges = Some(true);
            found.representation.complete_length = Some(*complete_length);
        }
        // Other credentials are required, with or without a range.
        (401 | 407 | 511, _) => return Err(refusal(&answer)),
        _ => return whole(requester).await,
    }
    Ok(found)
}

/// Repeats the GET without a range, which may be all that was refused. The body is not read.
async fn whole(requester: &Requester) -> Result<Survey, Error> {
    let (reply, answer) = ask(requester, None).await?;
    if reply.status != http::StatusCode::OK {
        return Err(refusal(&answer));
    }
    Ok(Survey { ranges: Some(false), ..read(&reply) })
}

async fn ask(requester: &Requester, range: Option<&str>) -> Result<(Reply, Answer), Error> {
    let reply = requester.get(range, None).await.map_err(Failure::into_error)?;
    let answer = Answer::read(reply.status, &reply.headers, Clock::date());
    Ok((reply, answer))
}

/// The error that a download would end with on this response.
fn refusal(answer: &Answer) -> Error {
    let policy = Policy {
        connections: Allowance::Fixed(1),
        min_split: 1,
        min_theft: 0,
        first_split: 1,
        retry: RetryPolicy { attempts: 0, ..RetryPolicy::default() },
        stall: Duration::MAX,
        digest_expected: false,
        length_expected: None,
        packing: None,
        in_order: false,
        window: None,
        may_restart: false,
        sources: 1,
        seed: 0,
    };
    Transfer::new(policy).refusal_of(answer)
}

fn read(reply: &Reply) -> Survey {
    let answer = Answer::read(reply.status, &reply.headers, Clock::date());
    Survey {
        final_url: reply.address.to_string(),
        representation: Representation {
            complete_length: answer.content_length,
            validators: answer.validators,
            media_type: answer.media_type,
        },
        ranges: None,
        head: None,
        head_size: None,
        content_disposition: answer.content_disposition,
        published: published(reply.status, &reply.headers),
    }
}

impl Survey {
    /// The server's name for the file, made safe.
    pub(crate) fn suggested_name(&self) -> Option<ForeignName> {
        content_disposition::file_name(self.content_disposition.as_deref()?)
    }
}
