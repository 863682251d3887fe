//! Verdict on a response head, reached before any byte of its body is used.
//!
//! One pure function, [`judge`]. It judges each response anew (RFC 9110 §14.3: an `Accept-Ranges` promises nothing for
//! later requests).

use super::ByteRange;
use super::byte_range::ContentRange;
use super::packing::Packing;
use super::representation::Representation;
use super::response_head::{Field, ResponseHead};
use http::StatusCode;
use std::time::Duration;

/// The request, as far as it matters for the verdict.
#[derive(Clone, Debug)]
pub(crate) struct Expectation {
    /// Requested range; `None` if the request carried no `Range`.
    pub(crate) range: Option<ByteRange>,
    /// True if the request carried `If-Range`.
    pub(crate) if_range: bool,
    /// True if a digest will verify the finished file, so that a missing validator is no danger.
    pub(crate) digest_expected: bool,
    /// Length of the file in bytes, if it was given along with its URL.
    pub(crate) length_expected: Option<u64>,
    /// Compression format of the file by its name: a content coding of that format is the file's own.
    pub(crate) packing: Option<Packing>,
}

/// Permitted use of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The body holds these positions of the representation.
    Partial { stated: ByteRange, representation: Representation },
    /// The body is the whole representation, from position 0. `same` tells if the bytes already on disk may stay: the
    /// version is known to be the expected one, or a digest will verify the file.
    Whole { representation: Representation, same: bool },
    /// The resource exists and has no bytes.
    Empty { representation: Representation },
    /// No byte of the body may be used.
    Refused(Refusal),
}

/// Reason why no byte of a response may be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The server has another version than the expected one.
    Changed(String),
    /// A file of the same length under another validator: a new version, or another of several servers behind one name.
    OtherVersion(String),
    /// A 200 that holds only a part of the file.
    NotWhole(String),
    /// Contradicts the known version, although its strong validator names that version: one of the two is false, and
    /// nothing known is worth discarding for it.
    Contradiction(String),
    /// A 200 in spite of `If-Range` that is of the same version, or of the same length if a digest will verify the
    /// file: ask again without `If-Range`.
    IfRangeIgnored,
    /// The range was refused although the resource may well exist: ask without a range.
    RangeRefused(String),
    /// 404, 410.
    NotFound(u16),
    /// 401, 403, 407; and the authentication schemes that the server or the proxy offers, if any.
    Denied { status: u16, wants: Option<String> },
    /// 408, 425, 429, nearly all 5xx, and a 403 that limits the rate: retry later, with fewer connections.
    Busy { status: u16, retry_after: Option<Duration> },
    /// Contradicts the known file and looks like something else altogether: a login page, a captive portal.
    Impostor(String),
    /// Encoded content; haul never decodes.
    Coded(String),
    /// The length is not the expected one.
    OfAnotherLength(String),
    /// The length is not stated, and one is expected.
    OfNoLength(String),
    /// Another status that carries no file, and that a retry does not change; in words.
    Rejected(String),
    /// Any other unusable response, and the reason.
    Unusable(String),
}

/// Judges a response against the request and the known representation.
pub(crate) fn judge(expected: &Expectation, known: Option<&Representation>, head: &ResponseHead) -> Verdict {
    let verdict = match head.status.as_u16() {
        200 => whole(expected, known, head),
        206 => partial(expected, known, head),
        416 => unsatisfiable(expected, known, head),
        status @ (404 | 410) => Err(Refusal::NotFound(status)),
        403 if head.rate_limited => Err(busy(head)),
        status @ (401 | 403 | 407) => Err(Refusal::Denied { status, wants: head.wants.clone() }),
        511 => Err(Refusal::Impostor("the network asks for a login first (511)".to_owned())),
        // RFC 9110 §15: an unknown status is treated as the first of its class, and a 500 may pass.
        501 | 505 | 506 | 510 => Err(Refusal::Rejected(in_words(head.status))),
        408 | 425 | 429 | 500.. => Err(busy(head)),
        _ => Err(Refusal::Rejected(in_words(head.status))),
    };
    verdict.unwrap_or_else(Verdict::Refused)
}

fn busy(head: &ResponseHead) -> Refusal {
    Refusal::Busy { status: head.status.as_u16(), retry_after: head.retry_after }
}

/// Describes a status that carries no file.
fn in_words(status: StatusCode) -> String {
    let meaning = match status.as_u16() {
        202 => "it is still at work on the request, and there is no file yet",
        203 => "something on the way has changed the answer",
        204 | 205 => "there is no content",
        226 => "this is a difference to another version and not the file",
        _ => "",
    };
    let (status, reason) = (status.as_u16(), status.canonical_reason().unwrap_or_default());
    match (meaning, reason) {
        ("", "") => format!("the server answered {status}"),
        ("", reason) => format!("the server answered {status} ({reason})"),
        (meaning, _) => format!("the server answered {status}: {meaning}"),
    }
}

/// 206 (RFC 9110 §15.3.7): usable only if it states its range, and the range holds the requested start.
fn partial(
    expected: &Expectation,
    known: Option<&Representation>,
    head: &ResponseHead,
) -> Result<Verdict, Refusal> {
    let Some(wanted) = expected.range else {
        return Err(Refusal::Unusable("a 206 to a request for everything".to_owned()));
    };
    refuse_coding(expected, head)?;
    if head.is_multipart() {
        return Err(unusable("a 206 in several parts to a request for one"));
    }
    let (stated, complete_length) = match &head.content_range {
        Field::Given(ContentRange::Satisfied { range, complete_length }) => (*range, *complete_length),
        Field::Given(ContentRange::Unsatisfied { .. }) => {
            return Err(unusable("a 206 whose range is unsatisfied"));
        }
        Field::Absent => return Err(unusable("a 206 without Content-Range")),
        Field::Broken(why) => {
            return Err(Refusal::Unusable(format!("a 206 with an unusable Content-Range: {why}")));
        }
    };
    if !stated.contains(wanted.start()) {
        return Err(unusable("a 206 for another range than the one asked for"));
    }
    // `/*` leaves the length open, and the known length still holds.
    let end = complete_length.or_else(|| known.and_then(|known| known.complete_length));
    if end.is_some_and(|end| stated.end() > end) {
        return Err(unusable("a 206 for a range that goes on beyond the end of the file"));
    }
    if head.content_length.is_some_and(|length| length != stated.len()) {
        return Err(unusable("a 206 whose Content-Length contradicts its Content-Range"));
    }
    let seen = Representation {
        complete_length: end,
        validators: head.validators.clone(),
        media_type: head.media_type.clone(),
    };
    refuse_another_length(expected, &seen)?;
    if let Some(known) = known {
        refuse_contradiction(expected, known, &seen, complete_length, head)?;
        refuse_unproven(expected, known, &seen)?;
    }
    Ok(Verdict::Partial { stated, representation: seen })
}

/// Refuses a 206 of an unproven version: without `If-Range` only the response's own validator shows the version.
fn refuse_unproven(
    expected: &Expectation,
    known: &Representation,
    seen: &Representation,
) -> Result<(), Refusal> {
    let proven = expected.if_range
        || expected.digest_expected
        || known.validators.strong().is_none()
        || known.validators.strongly_equal(&seen.validators);
    if proven { Ok(()) } else { Err(unusable("a 206 that does not show which version it is of")) }
}

/// 200: a whole representation.
fn whole(
    expected: &Expectation,
    known: Option<&Representation>,
    head: &ResponseHead,
) -> Result<Verdict, Refusal> {
    refuse_coding(expected, head)?;
    refuse_part(expected, head)?;
    let seen = Representation {
        complete_length: head.content_length,
        validators: head.validators.clone(),
        media_type: head.media_type.clone(),
    };
    refuse_another_length(expected, &seen)?;
    let Some(known) = known else {
        refuse_no_length(expected, &seen)?;
        return Ok(Verdict::Whole { representation: seen, same: false });
    };
    let same = known.validators.strongly_equal(&seen.validators);
    if !same
        && expected.digest_expected
        && expected.if_range
        && expected.range.is_some()
        && is_as_long(known, seen.complete_length)
    {
        // Another server of the same name: its ranges may be joined, for the digest verifies them.
        return Err(Refusal::IfRangeIgnored);
    }
    refuse_contradiction(expected, known, &seen, seen.complete_length, head)?;
    if !same && known.complete_length.is_some() && seen.complete_length.is_none() {
        // Neither its version nor its end can be verified: not worth a byte of the known file.
        return Err(unusable("a 200 that shows neither which version it is of nor how long it is"));
    }
    if same && expected.if_range && expected.range.is_some() {
        return Err(Refusal::IfRangeIgnored);
    }
    Ok(Verdict::Whole { representation: seen, same: same || expected.digest_expected })
}

/// 416 (RFC 9110 §15.5.17): `*/N` states the length, and nothing else. It never means "complete".
fn unsatisfiable(
    expected: &Expectation,
    known: Option<&Representation>,
    head: &ResponseHead,
) -> Result<Verdict, Refusal> {
    let length = match head.content_range {
        Field::Given(ContentRange::Unsatisfied { complete_length }) => Some(complete_length),
        _ => None,
    };
    if known.is_some_and(|known| known.complete_length.is_none()) || expected.range.is_none() {
        return Err(rejected("the server answered 416 although no range was asked for"));
    }
    match (known.and_then(|known| known.complete_length), length) {
        (None, Some(0)) => {
            let validators = head.validators.clone();
            let representation = Representation { complete_length: Some(0), validators, media_type: None };
            refuse_another_length(expected, &representation)?;
            Ok(Verdict::Empty { representation })
        }
        // For another version the response to an If-Range would have been that version (RFC 9110 §13.1.5).
        (Some(known), Some(now)) if known != now && expected.if_range => Err(Refusal::Contradiction(
            format!("it has {known} bytes, and a range within them is refused because it has {now}"),
        )),
        (Some(known), Some(now)) if known != now => {
            Err(Refusal::Changed(format!("it had {known} bytes and has now {now}")))
        }
        (None, _) => {
            Err(Refusal::RangeRefused("the server answered 416 to a range that starts at 0".to_owned()))
        }
        (Some(_), _) => Err(rejected("the server answered 416 to a range that lies within the file")),
    }
}

fn refuse_another_length(expected: &Expectation, seen: &Representation) -> Result<(), Refusal> {
    match (expected.length_expected, seen.complete_length) {
        (Some(expected), Some(length)) if length != expected => Err(Refusal::OfAnotherLength(format!(
            "the server has a file of {length} bytes, and the one that is wanted has {expected}"
        ))),
        _ => Ok(()),
    }
}

/// Refuses a response without a length if one is expected: a mismatch would show only after too many bytes, or too
/// few.
fn refuse_no_length(expected: &Expectation, seen: &Representation) -> Result<(), Refusal> {
    match (expected.length_expected, seen.complete_length) {
        (Some(expected), None) => Err(Refusal::OfNoLength(format!(
            "the server does not say how long its file is, and the one that is wanted has {expected} bytes"
        ))),
        _ => Ok(()),
    }
}

/// Refuses a content coding (haul never decodes), unless it is the file's own: a file that is published packed is
/// saved packed, and a digest verifies the bytes whatever they are called. A transfer coding is never the file's own.
fn refuse_coding(expected: &Expectation, head: &ResponseHead) -> Result<(), Refusal> {
    if let Some(coding) = &head.transfer_coding {
        return Err(Refusal::Coded(coding.clone()));
    }
    let Some(coding) = &head.coding else {
        return Ok(());
    };
    let by_media = || head.media_type.as_deref().and_then(Packing::of_media);
    let own = Packing::of_coding(coding)
        .is_some_and(|packing| expected.packing == Some(packing) || by_media() == Some(packing));
    if own || expected.digest_expected { Ok(()) } else { Err(Refusal::Coded(coding.clone())) }
}

/// Refuses a 200 that states a part of the file. A Content-Range has no meaning on a 200 (RFC 9110 §14.4), but a
/// server that sends one has most likely sent the range: it is evidence against a whole file.
fn refuse_part(expected: &Expectation, head: &ResponseHead) -> Result<(), Refusal> {
    let why = match &head.content_range {
        Field::Absent => return Ok(()),
        Field::Given(ContentRange::Satisfied { range, complete_length }) => {
            let everything = range.start() == 0 && *complete_length == Some(range.end());
            let length = head.content_length;
            let whole = everything && length.is_none_or(|length| length == range.len());
            if whole || (length.is_some() && length == *complete_length) {
                return Ok(());
            }
            match complete_length {
                Some(complete) => {
                    format!("a 200 that states {} of {complete} bytes and not the whole file", range.len())
                }
                None => format!("a 200 that states {} bytes of a file and not the whole", range.len()),
            }
        }
        // An unreadable field says nothing against a response that is whole anyway.
        _ if expected.range.is_none() => return Ok(()),
        _ => "a 200 with a Content-Range".to_owned(),
    };
    Err(Refusal::NotWhole(why))
}

/// True if a response states the known length. One that leaves it open says nothing of another version's length.
fn is_as_long(known: &Representation, stated: Option<u64>) -> bool {
    stated.is_some() && known.complete_length == stated
}

fn refuse_contradiction(
    expected: &Expectation,
    known: &Representation,
    seen: &Representation,
    stated: Option<u64>,
    head: &ResponseHead,
) -> Result<(), Refusal> {
    let Some(difference) = known.contradicted_by(seen) else {
        return Ok(());
    };
    if known.validators.strongly_equal(&seen.validators) {
        return Err(Refusal::Contradiction(difference));
    }
    let html = |media: Option<&str>| media == Some("text/html");
    if html(head.media_type.as_deref()) && known.media_type.is_some() && !html(known.media_type.as_deref()) {
        return Err(Refusal::Impostor("the server answered with a web page instead of the file".to_owned()));
    }
    let whole = head.status == StatusCode::OK;
    if whole && seen.validators.is_silent() && !known.validators.is_silent() {
        // A new version of a file carries a validator as the old one did; a page in its place does not. A 206 may omit
        // it (RFC 9110 §15.3.7).
        return Err(Refusal::Impostor(
            "the server answered with something of another length and without a version instead of the file"
                .to_owned(),
        ));
    }
    if !is_as_long(known, stated) {
        return Err(Refusal::Changed(difference));
    }
    // A digest verifies the joined ranges, whatever each of several servers calls its version.
    if expected.digest_expected { Ok(()) } else { Err(Refusal::OtherVersion(difference)) }
}

fn unusable(why: &str) -> Refusal {
    Refusal::Unusable(why.to_owned())
}

fn rejected(why: &str) -> Refusal {
    Refusal::Rejected(why.to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::representation::{EntityTag, Validators};
    use super::super::response_head::tests::head;
    use super::*;

    const SIZE: u64 = 1000;

    fn known() -> Representation {
        Representation {
            complete_length: Some(SIZE),
            validators: Validators { etag: EntityTag::parse("\"v1\""), ..Validators::default() },
            media_type: Some("application/octet-stream".to_owned()),
        }
    }

    fn expected(start: u64, end: u64) -> Expectation {
        Expectation {
            range: Some(ByteRange::new(start, end)),
            if_range: true,
            digest_expected: false,
            length_expected: None,
            packing: None,
        }
    }

    fn judged(status: u16, lines: &[(&str, &str)]) -> Verdict {
        judge(&expected(100, 200), Some(&known()), &head(status, lines))
    }

    fn stated(verdict: &Verdict) -> Option<ByteRange> {
        match verdict {
            Verdict::Partial { stated, .. } => Some(*stated),
            _ => None,
        }
    }

    fn refusal(verdict: Verdict) -> Refusal {
        match verdict {
            Verdict::Refused(refusal) => refusal,
            other => panic!("not refused: {other:?}"),
        }
    }

    #[test]
    fn a_200_without_a_version_is_no_new_version_of_a_file_that_has_one() {
        let page = [("content-length", "20"), ("content-type", "application/json")];
        assert!(matches!(refusal(judged(200, &page)), Refusal::Impostor(_)));
        let newer = [("content-length", "20"), ("last-modified", "Wed, 21 Oct 2015 07:28:00 GMT")];
        assert!(matches!(refusal(judged(200, &newer)), Refusal::Changed(_)));
        let nameless = Representation { validators: Validators::default(), ..known() };
        let judged = judge(&expected(100, 200), Some(&nameless), &head(200, &page));
        assert!(matches!(refusal(judged), Refusal::Changed(_)));
    }

    // T004, T007, T009
    #[test]
    fn a_206_is_usable_where_its_range_holds_the_wanted_start() {
        for (content_range, expected) in [
            ("bytes 100-199/1000", Some((100, 200))),
            ("bytes 100-149/1000", Some((100, 150))),
            ("bytes 0-149/1000", Some((0, 150))),
            ("bytes 50-999/1000", Some((50, 1000))),
            ("bytes 100-199/*", Some((100, 200))),
            ("bytes 0-3982/*", None),
            ("bytes 101-199/1000", None),
            ("bytes 0-99/1000", None),
            ("bytes 100-199/1001", None),
            ("items 100-199/1000", None),
            ("bytes */1000", None),
        ] {
            let verdict = judged(206, &[("content-range", content_range), ("etag", "\"v1\"")]);
            let expected = expected.map(|(start, end)| ByteRange::new(start, end));
            assert_eq!(stated(&verdict), expected, "{content_range}: {verdict:?}");
        }
    }

    // T006, T010, T031
    #[test]
    fn a_206_that_does_not_say_what_it_holds_is_unusable() {
        let range = ("content-range", "bytes 100-199/1000");
        assert!(matches!(refusal(judged(206, &[])), Refusal::Unusable(_)));
        let multipart = ("content-type", "multipart/byteranges; boundary=x");
        assert!(matches!(refusal(judged(206, &[range, multipart])), Refusal::Unusable(_)));
        let coded = ("content-encoding", "gzip");
        assert_eq!(refusal(judged(206, &[range, coded])), Refusal::Coded("gzip".to_owned()));
        assert!(matches!(refusal(judged(206, &[range, ("content-length", "99")])), Refusal::Unusable(_)));
    }

    // T008, T014
    #[test]
    fn another_tag_or_length_is_a_change() {
        let range = ("content-range", "bytes 100-199/1000");
        for other in ["\"v2\"", "W/\"v1\""] {
            let head = head(206, &[range, ("etag", other)]);
            let judged = |expected| judge(&expected, Some(&known()), &head);
            assert!(matches!(refusal(judged(expected(100, 200))), Refusal::OtherVersion(_)));
            // Several servers, each with its own tag for the same bytes: the digest verifies the joined ranges.
            let proven = Expectation { digest_expected: true, ..expected(100, 200) };
            assert!(stated(&judged(proven)).is_some());
        }
        // A length that is left open is not shown to be the same.
        let open = head(206, &[("content-range", "bytes 100-199/*"), ("etag", "\"v2\"")]);
        let proven = Expectation { digest_expected: true, ..expected(100, 200) };
        assert!(matches!(refusal(judge(&proven, Some(&known()), &open)), Refusal::Changed(_)));
        let longer = ("content-range", "bytes 100-199/1001");
        assert!(matches!(refusal(judged(206, &[longer])), Refusal::Changed(_)));
        let lying = refusal(judged(206, &[longer, ("etag", "\"v1\"")]));
        assert!(matches!(lying, Refusal::Contradiction(_)));
        let shorter = refusal(judged(200, &[("content-length", "500"), ("etag", "\"v1\"")]));
        assert!(matches!(shorter, Refusal::Contradiction(_)));
        assert!(matches!(refusal(judged(200, &[("etag", "\"v2\"")])), Refusal::Changed(_)));
    }

    #[test]
    fn a_200_that_states_a_part_is_not_the_whole_file() {
        let plain = Expectation { range: None, if_range: false, ..expected(0, 1) };
        for (content_range, length, whole) in [
            ("bytes 0-999/1000", Some("1000"), true),
            ("bytes 0-999/1000", None, true),
            // The whole length, with a field that has no meaning.
            ("bytes 0-99/1000", Some("1000"), true),
            ("bytes 0-99/1000", Some("100"), false),
            ("bytes 0-99/1000", None, false),
            ("bytes 0-99/*", Some("100"), false),
            ("bytes 900-999/1000", Some("100"), false),
        ] {
            let mut lines = vec![("content-range", content_range)];
            lines.extend(length.map(|length| ("content-length", length)));
            for expected in [&plain, &expected(0, 100)] {
                let verdict = judge(expected, None, &head(200, &lines));
                let taken = matches!(verdict, Verdict::Whole { .. });
                let refused = matches!(verdict, Verdict::Refused(Refusal::NotWhole(_)));
                assert_eq!((taken, refused), (whole, !whole), "{lines:?}: {verdict:?}");
            }
        }
        let odd = head(200, &[("content-range", "bytes */1000"), ("content-length", "1000")]);
        assert!(matches!(judge(&plain, None, &odd), Verdict::Whole { .. }));
    }

    #[test]
    fn a_coding_is_the_files_own_by_its_name_or_type_and_else_only_with_a_digest() {
        let gzip = Some(Packing::Gzip);
        for (coding, packing, media, digest, taken) in [
            ("gzip", gzip, "application/octet-stream", false, true),
            ("x-gzip", gzip, "application/octet-stream", false, true),
            ("gzip", None, "application/x-gzip", false, true),
            ("gzip", None, "application/octet-stream", false, false),
            ("gzip", Some(Packing::Zstd), "application/zstd", false, false),
            ("zstd", Some(Packing::Zstd), "text/plain", false, true),
            ("gzip, gzip", gzip, "application/gzip", false, false),
            ("gzip", None, "text/plain", true, true),
            ("br", None, "text/html", true, true),
        ] {
            let lines = [
                ("content-encoding", coding),
                ("content-type", media),
                ("content-length", "1000"),
                ("etag", "\"v1\""),
            ];
            let expected = Expectation {
                range: None,
                if_range: false,
                digest_expected: digest,
                packing,
                ..expected(0, 1)
            };
            let verdict = judge(&expected, None, &head(200, &lines));
            assert_eq!(matches!(verdict, Verdict::Whole { .. }), taken, "{lines:?}: {verdict:?}");
        }
        let packed =
            head(200, &[("transfer-encoding", "gzip, chunked"), ("content-type", "application/gzip")]);
        let proven = Expectation { range: None, packing: gzip, digest_expected: true, ..expected(0, 1) };
        assert!(matches!(judge(&proven, None, &packed), Verdict::Refused(Refusal::Coded(_))));
    }

    #[test]
    fn a_206_may_leave_out_the_validator_only_when_something_else_proves_it() {
        let head = head(206, &[("content-range", "bytes 100-199/1000")]);
        let mut expected = expected(100, 200);
        assert!(stated(&judge(&expected, Some(&known()), &head)).is_some());
        expected.if_range = false;
        assert!(matches!(refusal(judge(&expected, Some(&known()), &head)), Refusal::Unusable(_)));
        expected.digest_expected = true;
        assert!(stated(&judge(&expected, Some(&known()), &head)).is_some());
    }

    // T001, T003, T013
    #[test]
    fn a_200_to_a_range_is_the_whole_thing_from_zero() {
        let lines = [("etag", "\"v1\""), ("content-length", "1000"), ("content-range", "bytes 100-199/1000")];
        assert_eq!(refusal(judged(200, &lines)), Refusal::IfRangeIgnored);
        let mut again = expected(100, 200);
        again.if_range = false;
        let verdict = judge(&again, Some(&known()), &head(200, &lines));
        assert!(matches!(verdict, Verdict::Whole { same: true, .. }), "{verdict:?}");
        let verdict = judge(&again, None, &head(200, &lines));
        assert!(matches!(verdict, Verdict::Whole { same: false, .. }), "{verdict:?}");
        let unproven = judge(&again, Some(&known()), &head(200, &[("content-length", "1000")]));
        assert!(matches!(unproven, Verdict::Whole { same: false, .. }), "{unproven:?}");
    }

    // T012, T039
    #[test]
    fn a_416_never_means_complete() {
        let shorter = [("content-range", "bytes */993")];
        assert!(matches!(refusal(judged(416, &shorter)), Refusal::Contradiction(_)));
        let plain = Expectation { if_range: false, ..expected(100, 200) };
        let verdict = judge(&plain, Some(&known()), &head(416, &shorter));
        assert!(matches!(refusal(verdict), Refusal::Changed(_)));
        assert!(matches!(refusal(judged(416, &[("content-range", "bytes */1000")])), Refusal::Rejected(_)));
        assert!(matches!(refusal(judged(416, &[])), Refusal::Rejected(_)));
        let first = |lines: &[_]| judge(&expected(0, 100), None, &head(416, lines));
        assert!(matches!(first(&[("content-range", "bytes */0")]), Verdict::Empty { .. }));
        assert!(matches!(refusal(first(&[])), Refusal::RangeRefused(_)));
        assert!(matches!(refusal(first(&[("content-range", "bytes */9")])), Refusal::RangeRefused(_)));
    }

    #[test]
    fn a_200_of_no_known_version_and_no_length_replaces_nothing() {
        assert!(matches!(
            refusal(judged(200, &[("content-type", "application/octet-stream")])),
            Refusal::Unusable(_)
        ));
    }

    #[test]
    fn a_416_to_a_request_without_a_range_says_nothing() {
        let expected = Expectation {
            range: None,
            if_range: false,
            digest_expected: false,
            length_expected: None,
            packing: None,
        };
        let verdict = judge(&expected, None, &head(416, &[("content-range", "bytes */0")]));
        assert!(matches!(refusal(verdict), Refusal::Rejected(_)));
    }

    #[test]
    fn a_web_page_in_place_of_the_file_is_an_impostor() {
        let page = [("content-type", "text/html; charset=utf-8"), ("content-length", "52")];
        assert!(matches!(refusal(judged(200, &page)), Refusal::Impostor(_)));
        assert!(matches!(refusal(judged(511, &page)), Refusal::Impostor(_)));
    }

    #[test]
    fn every_status_is_final_but_those_that_may_pass() {
        for status in 100..600_u16 {
            let refusal = match judged(status, &[("content-length", "5")]) {
                Verdict::Refused(refusal) => refusal,
                other => panic!("{status}: {other:?}"),
            };
            let passes = matches!(refusal, Refusal::Busy { .. });
            let expected = matches!(status, 408 | 425 | 429)
                || (status >= 500 && ![501, 505, 506, 510, 511].contains(&status));
            assert_eq!(passes, expected, "{status}: {refusal:?}");
            match status {
                // A 200 of another length, and a 206 that does not state its range.
                200 | 206 => {}
                404 | 410 => assert_eq!(refusal, Refusal::NotFound(status)),
                401 | 403 | 407 => assert_eq!(refusal, Refusal::Denied { status, wants: None }),
                511 => assert!(matches!(refusal, Refusal::Impostor(_))),
                _ if passes => assert_eq!(refusal, Refusal::Busy { status, retry_after: None }),
                _ => match refusal {
                    Refusal::Rejected(why) => assert!(why.contains(&status.to_string()), "{why}"),
                    other => panic!("{status}: {other:?}"),
                },
            }
        }
    }

    #[test]
    fn a_403_that_limits_the_rate_is_a_429() {
        let limited = judged(403, &[("retry-after", "2")]);
        let wait = Some(Duration::from_secs(2));
        assert_eq!(refusal(limited), Refusal::Busy { status: 403, retry_after: wait });
        let limited = judged(403, &[("x-ratelimit-remaining", "0")]);
        assert_eq!(refusal(limited), Refusal::Busy { status: 403, retry_after: None });
        assert_eq!(
            refusal(judged(403, &[("x-ratelimit-remaining", "1")])),
            Refusal::Denied { status: 403, wants: None }
        );
    }

    #[test]
    fn a_206_to_a_request_for_everything_is_unusable() {
        let expected = Expectation {
            range: None,
            if_range: false,
            digest_expected: false,
            length_expected: None,
            packing: None,
        };
        let verdict = judge(&expected, None, &head(206, &[("content-range", "bytes 0-9/10")]));
        assert!(matches!(refusal(verdict), Refusal::Unusable(_)));
    }
}
