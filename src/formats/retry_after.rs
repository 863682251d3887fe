//! The `Retry-After` header (RFC 9110 §10.2.3): the wait that a server asks for.

use std::time::{Duration, SystemTime};

/// Returns the wait from `now`, or `None` if the value is neither delay-seconds nor an HTTP-date.
///
/// A date is accepted in all three formats (RFC 9110 §5.6.7); one that has passed means no wait. A number too
/// large to count is a wait too long to count, not nonsense, so it becomes [`Duration::MAX`]. Cap the result
/// before adding it to a point in time.
pub(crate) fn parse(value: &[u8], now: SystemTime) -> Option<Duration> {
    let text = str::from_utf8(value).ok()?.trim_ascii();
    delay_seconds(text).or_else(|| until_date(text, now))
}

/// Accepts only digits: `parse` alone would accept `+5`.
fn delay_seconds(text: &str) -> Option<Duration> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // Nothing but digits, so only an overflow can fail.
    Some(text.parse().map_or(Duration::MAX, Duration::from_secs))
}

fn until_date(text: &str, now: SystemTime) -> Option<Duration> {
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(now).unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Sun, 06 Nov 1994 08:49:37 GMT, the example of RFC 9110.
    const EXAMPLE: u64 = 784_111_777;

    fn parse_at(value: &str, seconds: u64) -> Option<Duration> {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        parse(value.as_bytes(), now)
    }

    #[test]
    fn digits_are_seconds() {
        for (value, seconds) in [("0", 0), ("120", 120), (" 7\t", 7), ("007", 7)] {
            assert_eq!(parse_at(value, EXAMPLE), Some(Duration::from_secs(seconds)));
        }
    }

    #[test]
    fn a_number_too_large_to_count_is_a_very_long_wait() {
        assert_eq!(parse_at("999999999999999999999", EXAMPLE), Some(Duration::MAX));
        assert_eq!(parse_at("18446744073709551616", EXAMPLE), Some(Duration::MAX));
    }

    #[test]
    fn a_date_is_accepted_in_all_three_formats() {
        for date in
            ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"]
        {
            assert_eq!(parse_at(date, EXAMPLE - 90), Some(Duration::from_secs(90)), "{date}");
        }
    }

    #[test]
    fn a_date_that_has_passed_means_no_wait() {
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        assert_eq!(parse_at(date, EXAMPLE), Some(Duration::ZERO));
        assert_eq!(parse_at(date, EXAMPLE + 1), Some(Duration::ZERO));
    }

    #[test]
    fn anything_else_is_not_a_wait() {
        for value in ["", " ", "-1", "+5", "1.5", "abc", "5s", "5, 6", "٣", "Sun, 99 Nov 1994 08:49:37 GMT"]
        {
            assert_eq!(parse_at(value, EXAMPLE), None, "{value:?}");
        }
        assert_eq!(parse(b"5\xff", SystemTime::UNIX_EPOCH), None);
    }

    proptest! {
        #[test]
        fn parsing_a_value_never_panics(value in any::<Vec<u8>>()) {
            let _ = parse(&value, SystemTime::UNIX_EPOCH);
        }

        #[test]
        fn parsing_something_like_a_date_never_panics(
            day in "(Sun|Mon|Sunday|Monday|xxx),? ",
            rest in "[0-9 ]{2}[ -](Nov|Feb|Xxx)[ -][0-9]{2,4} [0-9]{2}:[0-9]{2}:[0-9]{2} (GMT|[0-9]{4})",
        ) {
            let _ = parse_at(&format!("{day}{rest}"), EXAMPLE);
        }
    }
}
