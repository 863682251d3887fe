//! The facts of a response head, parsed once. Nothing here is trusted yet: [`super::verdict`] judges it.

use super::byte_range::{ContentRange, number};
use super::representation::{EntityTag, Validators};
use http::{HeaderMap, HeaderName, StatusCode, header};
use std::time::{Duration, SystemTime};

/// A field that may be given at most once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Field<T> {
    Absent,
    Given(T),
    /// There, but unusable: why, in words that continue "its Content-Range is unusable: ".
    Broken(&'static str),
}

/// A Retry-After beyond this means "never"; kept small enough to be added to any moment.
const LONGEST_WAIT: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// What a response head says.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) content_range: Field<ContentRange>,
    pub(crate) content_length: Option<u64>,
    /// The Content-Encoding, where it is another than `identity`.
    pub(crate) coding: Option<String>,
    /// The media type without its parameters, in lower case.
    pub(crate) media_type: Option<String>,
    pub(crate) validators: Validators,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) content_disposition: Option<Vec<u8>>,
}

impl Answer {
    /// Reads a response head; `now` gives a Retry-After date its meaning.
    pub(crate) fn read(status: StatusCode, headers: &HeaderMap, now: SystemTime) -> Self {
        Self {
            status,
            content_range: content_range(headers),
            // RFC 9112 §6.3: a transfer coding overrides it.
            content_length: text(headers, &header::CONTENT_LENGTH)
                .filter(|_| !headers.contains_key(header::TRANSFER_ENCODING))
                .and_then(|value| number(value).ok()),
            coding: coding(headers),
            media_type: text(headers, &header::CONTENT_TYPE)
                .map(|value| value.split(';').next().unwrap_or(value).trim().to_ascii_lowercase()),
            validators: validators(headers),
            retry_after: headers
                .get(header::RETRY_AFTER)
                .and_then(|value| crate::formats::retry_after::parse(value.as_bytes(), now))
                .map(|wait| wait.min(LONGEST_WAIT)),
            content_disposition: headers
                .get(header::CONTENT_DISPOSITION)
                .map(|value| value.as_bytes().to_vec()),
        }
    }

    pub(crate) fn is_multipart(&self) -> bool {
        self.media_type.as_deref().is_some_and(|media| media.starts_with("multipart/byteranges"))
    }
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

fn coding(headers: &HeaderMap) -> Option<String> {
    let named = |name: &HeaderName, harmless: &str| {
        let values = headers.get_all(name).iter();
        values
            .map(|value| String::from_utf8_lossy(value.as_bytes()).trim().to_ascii_lowercase())
            .filter(|coding| !coding.is_empty() && coding != harmless)
            .collect::<Vec<_>>()
    };
    let mut codings = named(&header::CONTENT_ENCODING, "identity");
    // Chunks are undone below; any other transfer coding would be saved as if it were the file.
    codings.extend(named(&header::TRANSFER_ENCODING, "chunked"));
    (!codings.is_empty()).then(|| codings.join(", "))
}

fn validators(headers: &HeaderMap) -> Validators {
    let owned = |name| text(headers, name).map(str::to_owned);
    Validators {
        etag: text(headers, &header::ETAG).and_then(EntityTag::parse),
        last_modified: owned(&header::LAST_MODIFIED),
        date: owned(&header::DATE),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// An answer from a status and header lines, as the tests of other modules write them.
    pub(crate) fn answer(status: u16, lines: &[(&str, &str)]) -> Answer {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        Answer::read(StatusCode::from_u16(status).unwrap(), &headers, SystemTime::UNIX_EPOCH)
    }

    #[test]
    fn two_content_ranges_are_unusable() {
        let answer = answer(206, &[("content-range", "bytes 0-1/2"), ("content-range", "bytes 0-1/2")]);
        assert!(matches!(answer.content_range, Field::Broken(_)));
    }

    #[test]
    fn identity_is_no_coding() {
        assert_eq!(answer(200, &[("content-encoding", "identity")]).coding, None);
        assert_eq!(answer(200, &[("content-encoding", "GZIP")]).coding.as_deref(), Some("gzip"));
    }

    #[test]
    fn a_transfer_coding_overrides_the_length_and_only_chunks_are_undone() {
        let chunked = answer(200, &[("transfer-encoding", "chunked"), ("content-length", "5")]);
        assert_eq!((chunked.content_length, chunked.coding), (None, None));
        assert!(answer(200, &[("transfer-encoding", "gzip, chunked")]).coding.is_some());
    }

    #[test]
    fn two_entity_tags_are_none() {
        assert_eq!(answer(200, &[("etag", "\"a\""), ("etag", "\"b\"")]).validators.etag, None);
    }
}
