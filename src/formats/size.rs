//! Parsing and formatting of sizes and durations.

use super::redaction;
use std::fmt;
use std::time::Duration;

pub(crate) use super::byte_count::format_bytes;

const NANOS_PER_SECOND: u128 = 1_000_000_000;

/// Longest duration accepted: beyond practical use, and short enough to be added to any point in time.
const LONGEST_DURATION: Duration = Duration::from_hours(10 * 365 * 24);

/// Parses a size in bytes: `4096`, `64K`, `10M`, `1.5G`, `10MiB`, `10 MB`.
///
/// K, M, G and T are powers of 1024, in any case and with or without `B` or `iB` after them. A remaining fraction of a
/// byte is dropped.
pub(crate) fn parse_size(text: &str) -> Result<u64, ParseQuantityError> {
    let number = Number::split(text, Quantity::Size)?;
    let unit = size_unit(number.unit).ok_or_else(|| number.unknown_unit(Quantity::Size))?;
    if unit == 1 && !number.fraction.is_empty() {
        return Err(ParseQuantityError::malformed(text, Quantity::Size));
    }
    number
        .times(unit)
        .and_then(|bytes| u64::try_from(bytes).ok())
        .ok_or_else(|| ParseQuantityError::too_large(text, Quantity::Size))
}

/// Parses a duration: `3`, `3s`, `0.5s`, `500ms`, `2m`, `1h`. A number without a unit is seconds.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, ParseQuantityError> {
    let number = Number::split(text, Quantity::Duration)?;
    let unit = duration_unit(number.unit).ok_or_else(|| number.unknown_unit(Quantity::Duration))?;
    number
        .times(unit)
        .filter(|nanos| *nanos <= LONGEST_DURATION.as_nanos())
        .and_then(|nanos| u64::try_from(nanos).ok())
        .map(Duration::from_nanos)
        .ok_or_else(|| ParseQuantityError::too_large(text, Quantity::Duration))
}

/// Formats a duration in whole seconds: `0:07`, `1:02:03`. Hours are not turned into days.
pub(crate) fn format_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours == 0 { format!("{minutes}:{seconds:02}") } else { format!("{hours}:{minutes:02}:{seconds:02}") }
}

fn size_unit(unit: &str) -> Option<u128> {
    match unit.to_ascii_lowercase().as_str() {
        "" | "b" => Some(1),
        "k" | "ki" | "kb" | "kib" => Some(1 << 10),
        "m" | "mi" | "mb" | "mib" => Some(1 << 20),
        "g" | "gi" | "gb" | "gib" => Some(1 << 30),
        "t" | "ti" | "tb" | "tib" => Some(1 << 40),
        _ => None,
    }
}

/// Nanoseconds of a unit.
fn duration_unit(unit: &str) -> Option<u128> {
    match unit.to_ascii_lowercase().as_str() {
        "ms" => Some(NANOS_PER_SECOND / 1000),
        "" | "s" => Some(NANOS_PER_SECOND),
        "m" => Some(NANOS_PER_SECOND * 60),
        "h" => Some(NANOS_PER_SECOND * 3600),
        _ => None,
    }
}

/// A decimal number and its unit, still as text. Never a float: none is exactly `0.1`, and large sizes would lose
/// bytes.
struct Number<'a> {
    whole: &'a str,
    fraction: &'a str,
    unit: &'a str,
}

impl<'a> Number<'a> {
    fn split(text: &'a str, quantity: Quantity) -> Result<Self, ParseQuantityError> {
        let (whole, rest) = split_digits(text.trim());
        let (fraction, rest, complete) = match rest.strip_prefix('.') {
            None => ("", rest, true),
            Some(rest) => {
                let (fraction, rest) = split_digits(rest);
                (fraction, rest, !fraction.is_empty())
            }
        };
        if whole.is_empty() || !complete {
            return Err(ParseQuantityError::malformed(text, quantity));
        }
        Ok(Self { whole, fraction, unit: rest.trim_start() })
    }

    /// Multiplies the number by a unit, rounded down. `None` on overflow.
    fn times(&self, unit: u128) -> Option<u128> {
        // Eighteen digits are finer than any unit here, and leave room for the multiplication.
        let fraction = &self.fraction[..self.fraction.len().min(18)];
        let scale = fraction.bytes().fold(1_u128, |scale, _| scale * 10);
        let fraction: u128 = format!("0{fraction}").parse().ok()?;
        let whole: u128 = self.whole.parse().ok()?;
        whole.checked_mul(unit)?.checked_add(fraction * unit / scale)
    }

    fn unknown_unit(&self, quantity: Quantity) -> ParseQuantityError {
        ParseQuantityError { quantity, problem: Problem::UnknownUnit, text: excerpt(self.unit) }
    }
}

fn split_digits(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text.split_at(end)
}

/// Reason that a text is not a size or not a duration, in words for its author.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ParseQuantityError {
    quantity: Quantity,
    problem: Problem,
    /// Wrong part of the input, shortened.
    text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quantity {
    Size,
    Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Problem {
    Malformed,
    UnknownUnit,
    TooLarge,
}

impl ParseQuantityError {
    fn malformed(text: &str, quantity: Quantity) -> Self {
        Self { quantity, problem: Problem::Malformed, text: excerpt(text) }
    }

    fn too_large(text: &str, quantity: Quantity) -> Self {
        Self { quantity, problem: Problem::TooLarge, text: excerpt(text) }
    }
}

impl Quantity {
    fn noun(self) -> &'static str {
        match self {
            Self::Size => "size",
            Self::Duration => "duration",
        }
    }

    fn examples(self) -> &'static str {
        match self {
            Self::Size => "4096, 64K, 10M or 1.5G (K, M, G and T are powers of 1024)",
            Self::Duration => "3, 500ms, 3s, 2m or 1h",
        }
    }

    fn limit(self) -> &'static str {
        match self {
            Self::Size => "16 EiB",
            Self::Duration => "ten years",
        }
    }
}

impl fmt::Display for ParseQuantityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { quantity, problem, text } = self;
        let (noun, examples) = (quantity.noun(), quantity.examples());
        match problem {
            Problem::Malformed => write!(f, "{text:?} is not a {noun}; write one as {examples}"),
            Problem::UnknownUnit => {
                write!(f, "{text:?} is not a unit of a {noun}; write one as {examples}")
            }
            Problem::TooLarge => {
                write!(f, "{text:?} is too large for a {noun}; the limit is {}", quantity.limit())
            }
        }
    }
}

impl std::error::Error for ParseQuantityError {}

/// Beginning of the input, enough to recognise it. The rest may be anything, such as a URL with a password.
fn excerpt(text: &str) -> String {
    redaction::named(text).chars().take(32).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn size_error(text: &str) -> String {
        parse_size(text).unwrap_err().to_string()
    }

    fn duration_error(text: &str) -> String {
        parse_duration(text).unwrap_err().to_string()
    }

    #[test]
    fn a_size_is_a_number_and_a_power_of_1024() {
        for (text, bytes) in [
            ("0", 0),
            ("4096", 4096),
            ("4096B", 4096),
            ("64K", 64 << 10),
            ("64k", 64 << 10),
            ("10M", 10 << 20),
            ("10Mi", 10 << 20),
            ("10MiB", 10 << 20),
            ("10MB", 10 << 20),
            (" 10 MiB ", 10 << 20),
            ("1.5G", 3 << 29),
            ("0.1K", 102),
            ("2T", 2 << 40),
            ("18446744073709551615", u64::MAX),
            ("1.0000000000000000000000000000000000000001K", 1024),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text:?}");
        }
    }

    #[test]
    fn a_size_that_cannot_be_read_is_answered_with_examples() {
        for text in ["", "M", ".5G", "5.", "5.K", "-1", "+1", "1,5G", "1.5", "1.5B", "1.2.3", "0x10", "٣"] {
            assert!(parse_size(text).is_err(), "{text:?}");
        }
        assert_eq!(
            size_error("ten"),
            "\"ten\" is not a size; write one as 4096, 64K, 10M or 1.5G (K, M, G and T are powers of 1024)"
        );
        assert_eq!(
            size_error("10X"),
            "\"X\" is not a unit of a size; write one as 4096, 64K, 10M or 1.5G (K, M, G and T are powers of 1024)"
        );
    }

    #[test]
    fn a_size_that_does_not_fit_is_refused() {
        for text in ["18446744073709551616", "16777216T", "9".repeat(60).as_str()] {
            assert!(size_error(text).ends_with("too large for a size; the limit is 16 EiB"));
        }
    }

    #[test]
    fn a_duration_without_a_unit_is_seconds() {
        for (text, millis) in [
            ("0", 0),
            ("3", 3000),
            ("3s", 3000),
            ("3 S", 3000),
            ("0.25", 250),
            ("500ms", 500),
            ("2m", 120_000),
            ("1.5h", 5_400_000),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text:?}");
        }
    }

    #[test]
    fn a_duration_that_cannot_be_read_is_answered_with_examples() {
        assert_eq!(duration_error("soon"), "\"soon\" is not a duration; write one as 3, 500ms, 3s, 2m or 1h");
        assert_eq!(
            duration_error("3d"),
            "\"d\" is not a unit of a duration; write one as 3, 500ms, 3s, 2m or 1h"
        );
        assert_eq!(
            duration_error("99999999h"),
            "\"99999999h\" is too large for a duration; the limit is ten years"
        );
        assert_eq!(parse_duration("87600h"), Ok(LONGEST_DURATION));
    }

    #[test]
    fn bytes_are_shown_with_one_decimal() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            ((1 << 20) - 52, "1023.9 KiB"),
            ((1 << 20) - 51, "1.0 MiB"),
            (67_108_864, "64.0 MiB"),
            (1_503_238_554, "1.4 GiB"),
            (10 << 40, "10.0 TiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(format_bytes(bytes), text);
        }
    }

    #[test]
    fn durations_are_shown_as_a_clock_does() {
        for (seconds, text) in
            [(0, "0:00"), (7, "0:07"), (754, "12:34"), (3723, "1:02:03"), (360_000, "100:00:00")]
        {
            assert_eq!(format_duration(Duration::from_secs(seconds)), text);
        }
        assert_eq!(format_duration(Duration::from_millis(1999)), "0:01");
    }

    proptest! {
        #[test]
        fn parsing_never_panics(text in any::<String>()) {
            let _ = parse_size(&text).map_err(|error| error.to_string());
            let _ = parse_duration(&text).map_err(|error| error.to_string());
        }

        #[test]
        fn parsing_something_like_a_quantity_never_panics(text in "[0-9]{0,45}(\\.[0-9]{0,45})? ?[kmgthsib]{0,3}") {
            let _ = parse_size(&text).map_err(|error| error.to_string());
            let _ = parse_duration(&text).map_err(|error| error.to_string());
        }

        #[test]
        fn a_shown_size_is_short_and_close(bytes in 0..u64::MAX >> 16) {
            let text = format_bytes(bytes);
            prop_assert!(text.len() <= 10, "{}", text);
            // Up to a terabyte the units can be parsed back; rounding moves a size by at most 0.05 of 1.0.
            if let Ok(read) = parse_size(&text) {
                prop_assert!(read.abs_diff(bytes) <= bytes / 19);
            }
        }

        #[test]
        fn any_shown_size_is_short(bytes in any::<u64>()) {
            prop_assert!(format_bytes(bytes).len() <= 10);
        }
    }
}
