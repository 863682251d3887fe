//! Survey of a file on the server, without downloading it.

use super::stated::Stated;
use crate::clock::Clock;
use crate::error::Error;
use crate::formats::content_disposition;
use crate::formats::file_name::ForeignName;
use crate::plan::ByteRange;
use crate::plan::advice::Advice;
use crate::plan::byte_range::ContentRange;
use crate::plan::concurrency::Allowance;
use crate::plan::representation::Representation;
use crate::plan::response_head::{Field, ResponseHead};
use crate::plan::retry::RetryPolicy;
use crate::plan::transfer::{Policy, Transfer};
use crate::transport::{Failure, Redirect, Requester, Response};
use crate::verify::published_by_head;
use http::{HeaderMap, StatusCode, Version, header};
use std::time::Duration;
use tokio::time::timeout;

/// Result of a survey.
pub(crate) struct Survey {
    pub(crate) final_url: String,
    pub(crate) redirects: Vec<Redirect>,
    pub(crate) version: Version,
    /// Version of TLS, if the response came over it.
    pub(crate) tls: Option<&'static str>,
    /// True if the server offers HTTP/2; `None` if that was not found out.
    pub(crate) http2: Option<bool>,
    pub(crate) representation: Representation,
    pub(crate) ranges: Option<bool>,
    /// Promise of ranges in `Accept-Ranges`, which decides nothing.
    pub(crate) ranges_promised: Option<bool>,
    pub(crate) head: Option<String>,
    pub(crate) head_size: Option<u64>,
    pub(crate) content_disposition: Option<Vec<u8>>,
    /// Path of the URL that answered.
    pub(crate) final_path: String,
    pub(crate) stated: Stated,
}

/// Timeout for HEAD, which is advice, before a GET is tried.
const HEAD_PATIENCE: Duration = Duration::from_secs(3);
/// Timeout for each further question once GET has answered; it adds to the display and decides nothing.
const BESIDE: Duration = Duration::from_secs(1);

/// Asks with HEAD and, if that is refused or silent, with a GET for one byte.
pub(crate) async fn survey(requester: &Requester) -> Result<Survey, Error> {
    match timeout(HEAD_PATIENCE, requester.head()).await {
        Ok(Ok(reply)) if reply.status.is_success() => Ok(read(&reply)),
        Ok(Err(Failure::Fatal(error))) => Err(error),
        _ => probe(requester).await,
    }
}

/// Name that the answer gives to the file: the one that the server suggests, or else that of the URL that answered. `None` if the server
/// does not tell at once: the download itself finds out what is wrong.
pub(crate) async fn name_of_answer(requester: &Requester) -> Option<ForeignName> {
    let head = timeout(HEAD_PATIENCE, requester.head()).await.ok()?.ok()?;
    match head.status.as_u16() {
        200 | 206 => read(&head).name_in_answer(),
        // There are links that are signed for GET, and servers without HEAD.
        400 | 403 | 405 | 501 => {
            let (reply, _) = ask(requester, Some("bytes=0-0")).await.ok()?;
            reply.status.is_success().then(|| read(&reply).name_in_answer())?
        }
        _ => None,
    }
}

/// Asks with a GET for one byte, whose length counts, and then with HEAD.
pub(crate) async fn survey_by_get(requester: &Requester) -> Result<Survey, Error> {
    let mut found = probe(requester).await?;
    found.add_advice(timeout(BESIDE, requester.inquire(&requester.route.target())).await.ok());
    Ok(found)
}

/// As [`survey_by_get`], and asks for a byte in the middle, and whether there is HTTP/2.
pub(crate) async fn survey_in_depth(requester: &Requester) -> Result<Survey, Error> {
    let (mut found, reply) = probed(requester).await?;
    if found.ranges == Some(true) && reply.status == StatusCode::PARTIAL_CONTENT {
        // Its one byte is read, so that the next request has the connection.
        reply.body.finish().await;
    } else {
        drop(reply);
    }
    let target = requester.route.target();
    let asking = async {
        let ranges = timeout(BESIDE, honours_ranges(requester, &found)).await.ok().flatten();
        (ranges, timeout(BESIDE, requester.inquire(&target)).await)
    };
    let ((ranges, head), http2) = tokio::join!(asking, timeout(BESIDE, requester.offers_http2(&target)));
    found.ranges = ranges.or(found.ranges);
    found.http2 = http2.ok().flatten();
    found.add_advice(head.ok());
    Ok(found)
}

/// Asks with a GET for one byte.
pub(crate) async fn probe(requester: &Requester) -> Result<Survey, Error> {
    probed(requester).await.map(|(found, _)| found)
}

/// As [`probe`], with the response whose body has not been read.
async fn probed(requester: &Requester) -> Result<(Survey, Response), Error> {
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
    Ok((found, reply))
}

/// Asks for a byte in the middle: a range that begins at 0 proves nothing, since there are servers that send the first bytes for
/// any range. `None` if nothing is found out.
async fn honours_ranges(requester: &Requester, found: &Survey) -> Option<bool> {
    let length = found.representation.complete_length.filter(|length| *length > 1)?;
    found.ranges.filter(|served| *served)?;
    let wanted = ByteRange::new(length / 2, length / 2 + 1);
    let (reply, answer) = ask(requester, wanted.to_header().as_deref()).await.ok()?;
    let honours = match (reply.status.as_u16(), &answer.content_range) {
        (206, Field::Given(ContentRange::Satisfied { range, .. })) => Some(range.start() == wanted.start()),
        (200 | 206, _) => Some(false),
        _ => None,
    };
    if honours == Some(true) {
        reply.body.finish().await;
    }
    honours
}

/// Repeats the GET without a range, which may be all that was refused. The body is not read.
async fn whole(requester: &Requester) -> Result<(Survey, Response), Error> {
    let (reply, answer) = ask(requester, None).await?;
    if reply.status != StatusCode::OK {
        return Err(refusal(&answer));
    }
    Ok((Survey { ranges: Some(false), ..read(&reply) }, reply))
}

async fn ask(requester: &Requester, range: Option<&str>) -> Result<(Response, ResponseHead), Error> {
    let reply = requester.get(range, None).await.map_err(Failure::into_error)?;
    let answer = ResponseHead::read(reply.status, &reply.headers, Clock::date());
    Ok((reply, answer))
}

/// The error that a download would end with on this response.
fn refusal(answer: &ResponseHead) -> Error {
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

fn read(reply: &Response) -> Survey {
    let answer = ResponseHead::read(reply.status, &reply.headers, Clock::date());
    Survey {
        final_url: reply.address.to_string(),
        redirects: reply.redirects.clone(),
        version: reply.version,
        tls: reply.tls,
        http2: None,
        representation: Representation {
            complete_length: answer.content_length,
            validators: answer.validators,
            media_type: answer.media_type,
        },
        ranges: None,
        ranges_promised: promised(&reply.headers),
        head: None,
        head_size: None,
        content_disposition: answer.content_disposition,
        final_path: reply.address.path().to_owned(),
        stated: Stated::read(reply),
    }
}

/// Promise of ranges (RFC 9110 §14.3).
fn promised(headers: &HeaderMap) -> Option<bool> {
    let value = headers.get(header::ACCEPT_RANGES)?.to_str().ok()?;
    Some(value.split(',').any(|unit| unit.trim().eq_ignore_ascii_case("bytes")))
}

impl Survey {
    /// Adds what HEAD said, if it said something in time.
    fn add_advice(&mut self, head: Option<Result<(StatusCode, HeaderMap), Failure>>) {
        if let Some(Ok((status, headers))) = head {
            let advice = Advice::of(&ResponseHead::read(status, &headers, Clock::date()));
            self.head_size = advice.length();
            let is_same = advice.length() == self.representation.complete_length
                && advice.may_be_of(&self.representation);
            if is_same && self.stated.published.is_empty() {
                self.stated.published = published_by_head(&headers);
            }
            self.head = Some(advice.in_words());
        }
    }

    /// The server's name for the file, or else that of the URL that answered, made safe.
    fn name_in_answer(&self) -> Option<ForeignName> {
        self.suggested_name().or_else(|| ForeignName::from_url_path(&self.final_path))
    }

    /// The server's name for the file, made safe.
    pub(crate) fn suggested_name(&self) -> Option<ForeignName> {
        content_disposition::file_name(self.content_disposition.as_deref()?)
    }
}
