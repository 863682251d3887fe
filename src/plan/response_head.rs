//! Facts of a response head, parsed once. Nothing here is trusted yet: [`super::verdict`] judges it.

use super::byte_range::{ContentRange, number};
use super::representation::{EntityTag, Validators};
use crate::formats::challenges::Challenges;
use http::{HeaderMap, HeaderName, StatusCode, header};
use std::time::{Duration, SystemTime};

/// A field that may be given at most once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Field<T> {
    Absent,
    Given(T),
    /// Present but unusable: the reason, in words that continue "its Content-Range is unusable: ".
    Broken(&'static str),
}

/// Longest wait: a Retry-After beyond it means "never"; small enough to be added to any moment.
const LONGEST_WAIT: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// Tolerated difference between two clocks that are both set.
const BETWEEN_CLOCKS: Duration = Duration::from_secs(60);
/// Field names in which servers state the number of requests left, and the time of the reset.
const LIMIT_REMAINING: [&str; 2] = ["x-ratelimit-remaining", "ratelimit-remaining"];
const LIMIT_RESET: [&str; 2] = ["x-ratelimit-reset", "ratelimit-reset"];

/// Parsed response head.
#[derive(Clone, Debug)]
pub(crate) struct ResponseHead {
    pub(crate) status: StatusCode,
    pub(crate) content_range: Field<ContentRange>,
    pub(crate) content_length: Option<u64>,
    /// The Content-Encoding, if it is not `identity`.
    pub(crate) coding: Option<String>,
    /// The Transfer-Encoding, if it is not `chunked`: it would be saved as if it were the file.
    pub(crate) transfer_coding: Option<String>,
    /// True if the framing shows the end of the body: a length, or chunks. Otherwise a connection that closes early
    /// looks like the end (RFC 9112 §8).
    pub(crate) shows_its_end: bool,
    /// True if the request went to a signed URL, so that `If-Range` was left out of it.
    pub(crate) without_if_range: bool,
    /// The media type without its parameters, in lower case.
    pub(crate) media_type: Option<String>,
    pub(crate) validators: Validators,
    /// Time that the server asks to wait: Retry-After, else the reset of a used-up rate limit.
    pub(crate) retry_after: Option<Duration>,
    /// True for a 403 that concerns the rate of requests and not the credentials: in effect a 429.
    pub(crate) rate_limited: bool,
    pub(crate) content_disposition: Option<Vec<u8>>,
    /// Authentication schemes that a refusal offers, as "A, B or C".
    pub(crate) wants: Option<String>,
}

impl ResponseHead {
    /// Parses a response head that was received at `now`.
    pub(crate) fn read(status: StatusCode, headers: &HeaderMap, now: SystemTime) -> Self {
        Self {
            status,
            content_range: content_range(headers),
            // RFC 9112 §6.3: a transfer coding overrides it.
            content_length: text(headers, &header::CONTENT_LENGTH)
                .filter(|_| !headers.contains_key(header::TRANSFER_ENCODING))
                .and_then(|value| number(value).ok()),
            coding: coding(headers, &header::CONTENT_ENCODING, "identity"),
            transfer_coding: coding(headers, &header::TRANSFER_ENCODING, "chunked"),
            shows_its_end: shows_its_end(headers),
            without_if_range: false,
            media_type: text(headers, &header::CONTENT_TYPE)
                .map(|value| value.split(';').next().unwrap_or(value).trim().to_ascii_lowercase()),
            validators: validators(headers, now),
            retry_after: asked_to_wait(headers, now),
            rate_limited: is_rate_limited(status, headers),
            content_disposition: headers
                .get(header::CONTENT_DISPOSITION)
                .map(|value| value.as_bytes().to_vec()),
            wants: wants(status, headers),
        }
    }

    pub(crate) fn is_multipart(&self) -> bool {
        self.media_type.as_deref().is_some_and(|media| media.starts_with("multipart/byteranges"))
    }
}

fn wants(status: StatusCode, headers: &HeaderMap) -> Option<String> {
    let field = match status {
        StatusCode::UNAUTHORIZED => header::WWW_AUTHENTICATE,
        StatusCode::PROXY_AUTHENTICATION_REQUIRED => header::PROXY_AUTHENTICATE,
        _ => return None,
    };
    Challenges::read(headers, &field).in_words()
}

/// A field that was sent exactly once, as text.
fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    if values.next().is_some() {
        return None;
    }
    // RFC 9110 §5.5: opaque bytes beyond ASCII are allowed; a validator with them is echoed or not used at all.
    std::str::from_utf8(value.as_bytes()).ok()
}

fn content_range(headers: &HeaderMap) -> Field<ContentRange> {
    let mut values = headers.get_all(header::CONTENT_RANGE).iter();
    match (values.next(), values.next()) {
        (None, _) => Field::Absent,
        (Some(value), None) => match ContentRange::parse(value.as_bytes()) {
            Ok(range) => Field::Given(range),
            Err(why) => Field::Broken(why),
        },
        (Some(_), Some(_)) => Field::Broken("it is given more than once"),
    }
}

fn coding(headers: &HeaderMap, name: &HeaderName, harmless: &str) -> Option<String> {
    let values = headers.get_all(name).iter();
    let codings: Vec<_> = values
        .map(|value| String::from_utf8_lossy(value.as_bytes()).trim().to_ascii_lowercase())
        .filter(|coding| !coding.is_empty() && coding != harmless)
        .collect();
    (!codings.is_empty()).then(|| codings.join(", "))
}

fn shows_its_end(headers: &HeaderMap) -> bool {
    let chunked = |value: &http::HeaderValue| value.as_bytes().to_ascii_lowercase().ends_with(b"chunked");
    match headers.get_all(header::TRANSFER_ENCODING).iter().next_back() {
        Some(last) => chunked(last),
        None => headers.contains_key(header::CONTENT_LENGTH),
    }
}

fn validators(headers: &HeaderMap, now: SystemTime) -> Validators {
    let owned = |name| text(headers, name).map(str::to_owned);
    let last_modified = owned(&header::LAST_MODIFIED);
    let received = || last_modified.as_deref().and_then(|modified| time_of_receipt(modified, now));
    Validators {
        etag: text(headers, &header::ETAG).and_then(EntityTag::parse),
        date: if headers.contains_key(header::DATE) { owned(&header::DATE) } else { received() },
        last_modified,
    }
}

/// Time of receipt, in place of a missing Date (RFC 9110 §6.6.1), if it is so much later than Last-Modified that it
/// does not matter whose clock it is from (§8.8.2.2).
fn time_of_receipt(last_modified: &str, now: SystemTime) -> Option<String> {
    let modified = httpdate::parse_http_date(last_modified).ok()?;
    let age = now.duration_since(modified).ok()?;
    (age >= BETWEEN_CLOCKS).then(|| httpdate::fmt_http_date(now))
}

/// Time that a response received at `received` asks to wait. A date is measured against the server's own Date, since
/// it stands for a duration, and our clock may be years off.
pub(crate) fn asked_to_wait(headers: &HeaderMap, received: SystemTime) -> Option<Duration> {
    let date = text(headers, &header::DATE).and_then(|date| httpdate::parse_http_date(date).ok());
    let now = date.unwrap_or(received);
    let stated = headers.get(header::RETRY_AFTER);
    let stated = stated.and_then(|value| crate::formats::retry_after::parse(value.as_bytes(), now));
    let until_reset = || {
        let reset = LIMIT_RESET.iter().find_map(|name| headers.get(*name))?;
        crate::formats::rate_limit::until_reset(reset.as_bytes(), now)
    };
    stated.or_else(|| is_used_up(headers).then(until_reset).flatten()).map(|wait| wait.min(LONGEST_WAIT))
}

/// True if a 403 is a 429 under another number: it states a wait, or that no request is left.
pub(crate) fn is_rate_limited(status: StatusCode, headers: &HeaderMap) -> bool {
    status == StatusCode::FORBIDDEN && (headers.contains_key(header::RETRY_AFTER) || is_used_up(headers))
}

fn is_used_up(headers: &HeaderMap) -> bool {
    let left = LIMIT_REMAINING.iter().find_map(|name| headers.get(*name));
    left.is_some_and(|left| crate::formats::rate_limit::is_used_up(left.as_bytes()))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Builds an answer from a status and header lines, for the tests of other modules.
    pub(crate) fn head(status: u16, lines: &[(&str, &str)]) -> ResponseHead {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        ResponseHead::read(StatusCode::from_u16(status).unwrap(), &headers, SystemTime::UNIX_EPOCH)
    }

    #[test]
    fn two_content_ranges_are_unusable() {
        let head = head(206, &[("content-range", "bytes 0-1/2"), ("content-range", "bytes 0-1/2")]);
        assert!(matches!(head.content_range, Field::Broken(_)));
    }

    #[test]
    fn identity_is_no_coding() {
        assert_eq!(head(200, &[("content-encoding", "identity")]).coding, None);
        assert_eq!(head(200, &[("content-encoding", "GZIP")]).coding.as_deref(), Some("gzip"));
    }

    #[test]
    fn a_transfer_coding_overrides_the_length_and_only_chunks_are_undone() {
        let chunked = head(200, &[("transfer-encoding", "chunked"), ("content-length", "5")]);
        assert_eq!((chunked.content_length, chunked.transfer_coding), (None, None));
        assert!(head(200, &[("transfer-encoding", "gzip, chunked")]).transfer_coding.is_some());
    }

    #[test]
    fn a_body_shows_its_end_by_a_length_or_by_chunks() {
        for (lines, shows) in [
            (vec![("content-length", "5")], true),
            (vec![("transfer-encoding", "Chunked")], true),
            (vec![("transfer-encoding", "gzip, chunked")], true),
            (vec![("transfer-encoding", "gzip")], false),
            (vec![], false),
        ] {
            assert_eq!(head(200, &lines).shows_its_end, shows, "{lines:?}");
        }
    }

    const RECEIVED: u64 = 1_700_000_000; // Tue, 14 Nov 2023 22:13:20 GMT

    fn received(status: u16, lines: &[(&str, &str)]) -> ResponseHead {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(RECEIVED);
        ResponseHead::read(StatusCode::from_u16(status).unwrap(), &headers, now)
    }

    #[test]
    fn a_date_to_wait_for_counts_from_the_date_of_the_answer_whatever_our_clock_says() {
        let until = ("retry-after", "Sun, 06 Nov 1994 08:50:07 GMT");
        for (date, wait) in [
            (Some("Sun, 06 Nov 1994 08:49:37 GMT"), 30),
            (Some("Sun, 06 Nov 1994 08:50:37 GMT"), 0),
            // Only our own clock is left, and by that the time has passed.
            (Some("yesterday"), 0),
            (None, 0),
        ] {
            let mut lines = vec![until];
            lines.extend(date.map(|date| ("date", date)));
            assert_eq!(received(503, &lines).retry_after, Some(Duration::from_secs(wait)), "{date:?}");
        }
        let late = ("retry-after", "Wed, 14 Nov 2035 22:13:25 GMT");
        let date = ("date", "Wed, 14 Nov 2035 22:13:20 GMT");
        assert_eq!(received(503, &[late, date]).retry_after, Some(Duration::from_secs(5)));
    }

    #[test]
    fn a_403_is_about_the_rate_of_requests_where_it_says_so() {
        let reset = ("x-ratelimit-reset", "1700000030");
        for (status, lines, limited, wait) in [
            (403, vec![], false, None),
            (403, vec![("retry-after", "2")], true, Some(2)),
            (403, vec![("x-ratelimit-remaining", "0")], true, None),
            (403, vec![("x-ratelimit-remaining", "0"), reset], true, Some(30)),
            (403, vec![("ratelimit-remaining", "0"), ("ratelimit-reset", "7")], true, Some(7)),
            (403, vec![("x-ratelimit-remaining", "58"), reset], false, None),
            (401, vec![("retry-after", "2")], false, Some(2)),
            (429, vec![("x-ratelimit-remaining", "0"), reset], false, Some(30)),
        ] {
            let head = received(status, &lines);
            assert_eq!(
                (head.rate_limited, head.retry_after),
                (limited, wait.map(Duration::from_secs)),
                "{lines:?}"
            );
        }
    }

    #[test]
    fn the_time_of_receipt_stands_in_for_a_date_that_is_missing() {
        let strong = |lines: &[_]| received(206, lines).validators.strong().map(str::to_owned);
        let old = "Tue, 14 Nov 2023 22:12:20 GMT";
        assert_eq!(strong(&[("last-modified", old)]).as_deref(), Some(old));
        // Less than a minute apart, the two clocks may disagree; and a Date that is present is not replaced.
        assert_eq!(strong(&[("last-modified", "Tue, 14 Nov 2023 22:12:21 GMT")]), None);
        assert_eq!(strong(&[("last-modified", "Tue, 14 Nov 2033 22:12:20 GMT")]), None);
        assert_eq!(strong(&[("last-modified", old), ("date", old)]), None);
        assert_eq!(strong(&[("last-modified", old), ("date", "today")]), None);
        assert_eq!(strong(&[("last-modified", old), ("etag", "W/\"a\"")]), None);
    }

    #[test]
    fn two_entity_tags_are_none() {
        assert_eq!(head(200, &[("etag", "\"a\""), ("etag", "\"b\"")]).validators.etag, None);
    }
}
