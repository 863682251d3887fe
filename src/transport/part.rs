//! A part of a resource as a resource of its own: positions in requests and responses are moved, so that nothing above knows of it.

use super::Failure;
use crate::error::{Error, Kind, Remedy};
use crate::plan::ByteRange;
use crate::plan::byte_range::{ContentRange, number};
use http::{HeaderMap, HeaderValue, StatusCode, header};

/// Positions of the part in the resource: from `start` up to, but not including, `end`, or to the end of the resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) start: u64,
    pub(crate) end: Option<u64>,
}

impl Part {
    /// `Range` field value for a range of the part, or for all of it.
    pub(super) fn requested(self, range: Option<&str>) -> String {
        let (first, last) = range.and_then(positions).unwrap_or((0, None));
        let first = self.start.saturating_add(first);
        let limit = self.end.map(|end| end.saturating_sub(1));
        let last = last.map(|last| self.start.saturating_add(last)).into_iter().chain(limit).min();
        match last {
            Some(last) => format!("bytes={first}-{}", last.max(first)),
            None => format!("bytes={first}-"),
        }
    }

    /// Length of the part in a resource of this length.
    fn length(self, complete: u64) -> u64 {
        self.end.map_or(complete, |end| end.min(complete)).saturating_sub(self.start)
    }

    /// Moves the positions of a response; `whole` if all of the part was requested.
    pub(super) fn received(
        self,
        whole: bool,
        status: &mut StatusCode,
        headers: &mut HeaderMap,
    ) -> Result<(), Failure> {
        match *status {
            StatusCode::OK => {
                let cause =
                    "the server sent all of the file: it serves no ranges, so a part cannot be fetched alone";
                return Err(Failure::Fatal(
                    Error::new(Kind::Http, cause).with_status(200).with_remedy(Remedy::WholeFile),
                ));
            }
            StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE => {}
            _ => return Ok(()),
        }
        let mut stated = headers.get_all(header::CONTENT_RANGE).iter();
        let (Some(value), None) = (stated.next(), stated.next()) else {
            return Ok(());
        };
        let Ok(range) = ContentRange::parse(value.as_bytes()) else {
            return Ok(());
        };
        match range {
            ContentRange::Unsatisfied { complete_length } if complete_length <= self.start => {
                let cause = format!(
                    "the file has {complete_length} bytes, and the part begins with byte {}",
                    self.start
                );
                return Err(Failure::Fatal(Error::usage(cause)));
            }
            ContentRange::Unsatisfied { complete_length } => {
                set(headers, header::CONTENT_RANGE, &format!("bytes */{}", self.length(complete_length)));
            }
            ContentRange::Satisfied { range, complete_length } => {
                let length = complete_length.map(|complete| self.length(complete));
                let moved = self.moved(range, length);
                // Without a complete length only the end that was asked for shows that this is all of it.
                let all = length.or_else(|| self.end.map(|end| end.saturating_sub(self.start)));
                if whole && moved.start() == 0 && all == Some(moved.len()) {
                    *status = StatusCode::OK;
                    headers.remove(header::CONTENT_RANGE);
                    if let Some(length) = length.filter(|_| !headers.contains_key(header::TRANSFER_ENCODING))
                    {
                        set(headers, header::CONTENT_LENGTH, &length.to_string());
                    }
                } else {
                    let of = length.map_or("*".to_owned(), |length| length.to_string());
                    // An empty range has no form, and is refused as malformed.
                    let last = moved.end().wrapping_sub(1);
                    let value = format!("bytes {}-{last}/{of}", moved.start());
                    set(headers, header::CONTENT_RANGE, &value);
                }
            }
        }
        Ok(())
    }

    /// The range as one of the part; empty if it lies before it.
    fn moved(self, range: ByteRange, length: Option<u64>) -> ByteRange {
        if range.start() < self.start {
            return ByteRange::default();
        }
        let end = range.end() - self.start;
        ByteRange::new(range.start() - self.start, length.map_or(end, |length| end.min(length)))
    }

    /// Changes the length that a HEAD states to that of the part.
    pub(super) fn described(self, headers: &mut HeaderMap) {
        let stated = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
        if let Some(complete) = stated.and_then(|text| number(text.trim()).ok()) {
            set(headers, header::CONTENT_LENGTH, &self.length(complete).to_string());
        }
    }
}

/// First and last position of a `Range` field value that was made here.
fn positions(range: &str) -> Option<(u64, Option<u64>)> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    Some((first.parse().ok()?, last.parse().ok()))
}

fn set(headers: &mut HeaderMap, name: header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_of_a_part_is_asked_for_at_its_place_in_the_whole() {
        let part = |start, end| Part { start, end };
        for (part, range, asked) in [
            (part(100, Some(200)), None, "bytes=100-199"),
            (part(100, None), None, "bytes=100-"),
            (part(100, Some(200)), Some("bytes=0-0"), "bytes=100-100"),
            (part(100, Some(200)), Some("bytes=50-999"), "bytes=150-199"),
            (part(100, None), Some("bytes=50-"), "bytes=150-"),
        ] {
            assert_eq!(part.requested(range), asked, "{part:?} {range:?}");
        }
    }

    #[test]
    fn a_range_of_the_whole_is_one_of_the_part_or_none() {
        let part = Part { start: 100, end: Some(200) };
        assert_eq!(part.moved(ByteRange::new(100, 200), Some(100)), ByteRange::new(0, 100));
        assert_eq!(part.moved(ByteRange::new(150, 300), Some(100)), ByteRange::new(50, 100));
        assert!(part.moved(ByteRange::new(0, 1000), Some(100)).is_empty());
        assert_eq!([150, 50, 500].map(|complete| part.length(complete)), [50, 0, 100]);
    }
}
