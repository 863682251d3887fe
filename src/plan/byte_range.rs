//! A half-open range of byte positions. Inclusive positions exist only in header text.

use std::fmt;

/// The positions from `start` up to, but not including, `end`.
///
/// ```
/// let range = haul::ByteRange::new(10, 30);
/// assert_eq!(range.len(), 20);
/// assert_eq!(range.intersection(haul::ByteRange::new(25, 99)), haul::ByteRange::new(25, 30));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct ByteRange {
    start: u64,
    end: u64,
}

impl ByteRange {
    /// The range from `start` to `end`; empty if `end` is not beyond `start`.
    #[must_use]
    pub const fn new(start: u64, end: u64) -> Self {
        Self { start, end: if end > start { end } else { start } }
    }

    /// The first position.
    #[must_use]
    pub const fn start(self) -> u64 {
        self.start
    }

    /// The position after the last one.
    #[must_use]
    pub const fn end(self) -> u64 {
        self.end
    }

    /// Number of bytes in the range.
    #[must_use]
    pub const fn len(self) -> u64 {
        self.end - self.start
    }

    /// True if it holds no bytes.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.end == self.start
    }

    /// True if `position` lies in it.
    #[must_use]
    pub const fn contains(self, position: u64) -> bool {
        self.start <= position && position < self.end
    }

    /// Intersection of both ranges; empty (at the later start) if they do not overlap.
    #[must_use]
    pub fn intersection(self, other: Self) -> Self {
        Self::new(self.start.max(other.start), self.end.min(other.end))
    }

    /// `Range` field value that requests it (RFC 9110 §14.1.2): positions there are inclusive. `None` for an empty
    /// range, which has no such form.
    pub(crate) fn to_header(self) -> Option<String> {
        (!self.is_empty()).then(|| format!("bytes={}-{}", self.start, self.end - 1))
    }
}

impl fmt::Debug for ByteRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.start, self.end)
    }
}

/// A parsed `Content-Range` (RFC 9110 §14.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ContentRange {
    /// `bytes a-b/N`, or `bytes a-b/*` if the server does not know the complete length.
    Satisfied { range: ByteRange, complete_length: Option<u64> },
    /// `bytes */N`: no byte of the requested range exists; `N` is the complete length.
    Unsatisfied { complete_length: u64 },
}

impl ContentRange {
    /// Parses a field value.
    ///
    /// # Errors
    /// The reason in words: another unit, a number that is malformed or overflows, a last position before the first, a
    /// range that exceeds the complete length.
    pub(crate) fn parse(value: &[u8]) -> Result<Self, &'static str> {
        let text = std::str::from_utf8(value).map_err(|_| "it is not text")?.trim_matches([' ', '\t']);
        let (unit, rest) = text.split_once(' ').ok_or("it has no unit")?;
        if !unit.eq_ignore_ascii_case("bytes") {
            return Err("its unit is not bytes");
        }
        let (positions, length) = rest.split_once('/').ok_or("it has no complete length")?;
        if positions == "*" {
            return Ok(Self::Unsatisfied { complete_length: number(length)? });
        }
        let (first, last) = positions.split_once('-').ok_or("it has no last position")?;
        let (first, last) = (number(first)?, number(last)?);
        if last < first {
            return Err("its last position lies before the first");
        }
        let end = last.checked_add(1).ok_or("its last position is too large")?;
        let complete_length = if length == "*" { None } else { Some(number(length)?) };
        if complete_length.is_some_and(|length| length < end) {
            return Err("its range lies beyond the complete length");
        }
        Ok(Self::Satisfied { range: ByteRange::new(first, end), complete_length })
    }
}

/// A decimal number of a header: digits only. `str::parse` alone would accept a plus sign.
pub(crate) fn number(text: &str) -> Result<u64, &'static str> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("a position in it is not a number");
    }
    text.parse().map_err(|_| "a position in it is too large")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_range_is_asked_for_with_inclusive_positions() {
        assert_eq!(ByteRange::new(0, 1).to_header().as_deref(), Some("bytes=0-0"));
        assert_eq!(ByteRange::new(500, 1000).to_header().as_deref(), Some("bytes=500-999"));
        assert_eq!(ByteRange::new(7, 7).to_header(), None);
        assert_eq!(ByteRange::new(7, 3).to_header(), None);
    }

    #[test]
    fn a_legal_content_range_is_understood() {
        for (text, range, complete_length) in [
            ("bytes 0-9/10", ByteRange::new(0, 10), Some(10)),
            ("BYTES 5-5/10", ByteRange::new(5, 6), Some(10)),
            ("bytes 0-499/*", ByteRange::new(0, 500), None),
        ] {
            let parsed = ContentRange::parse(text.as_bytes());
            assert_eq!(parsed, Ok(ContentRange::Satisfied { range, complete_length }), "{text}");
        }
        assert_eq!(ContentRange::parse(b"bytes */47"), Ok(ContentRange::Unsatisfied { complete_length: 47 }));
    }

    // T007
    #[test]
    fn an_illegal_content_range_is_refused() {
        for text in [
            "",
            "bytes",
            "bytes 0-9",
            "bytes 10-5/100",
            "bytes 0-9/5",
            "items 0-9/100",
            "bytes */*",
            "bytes -5/100",
            "bytes 5-/100",
            "bytes 0-9/10 junk",
            "bytes 0-9/10,",
            "bytes +0-9/10",
            "bytes 0x0-9/10",
            "bytes=0-9/10",
            "bytes 0-18446744073709551615/*",
            "bytes 0-9/99999999999999999999999999999999",
            "bytes 0 - 9/10",
        ] {
            assert!(ContentRange::parse(text.as_bytes()).is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn parsing_never_panics(value in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = ContentRange::parse(&value);
        }

        #[test]
        fn what_is_understood_lies_within_the_complete_length(first: u64, last: u64, length: u64) {
            if let Ok(ContentRange::Satisfied { range, complete_length: Some(length) }) =
                ContentRange::parse(format!("bytes {first}-{last}/{length}").as_bytes())
            {
                prop_assert!(!range.is_empty() && range.end() <= length);
            }
        }
    }
}
