//! Rate limits in header fields of servers: `X-RateLimit-Remaining`, `RateLimit-Remaining`, and the reset.

use std::time::{Duration, SystemTime};

/// Threshold between a reset in seconds from now and one in seconds since 1970: both are in use under one name.
const MOMENT: u64 = 1_000_000_000;

/// Returns true if the number of remaining requests is stated as 0.
pub(crate) fn is_used_up(remaining: &[u8]) -> bool {
    let remaining = remaining.trim_ascii();
    !remaining.is_empty() && remaining.iter().all(|digit| *digit == b'0')
}

/// Returns the wait until a reset that was received at `now`; `None` if it is no number. Cap it before adding it to a
/// point in time.
pub(crate) fn until_reset(reset: &[u8], now: SystemTime) -> Option<Duration> {
    let text = str::from_utf8(reset).ok()?.trim_ascii();
    let number: u64 = text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())??;
    if number < MOMENT {
        return Some(Duration::from_secs(number));
    }
    let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    Some(Duration::from_secs(number.saturating_sub(now)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_used_up_where_nothing_is_left() {
        for (value, used_up) in
            [("0", true), (" 00 ", true), ("1", false), ("", false), ("-0", false), ("x", false)]
        {
            assert_eq!(is_used_up(value.as_bytes()), used_up, "{value:?}");
        }
    }

    #[test]
    fn a_reset_is_a_moment_or_a_number_of_seconds() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        for (value, wait) in [
            ("30", Some(30)),
            (" 0", Some(0)),
            ("1700000060", Some(60)),
            ("1600000000", Some(0)),
            ("", None),
            ("-1", None),
            ("1e9", None),
            ("99999999999999999999999", None),
        ] {
            assert_eq!(until_reset(value.as_bytes(), now), wait.map(Duration::from_secs), "{value:?}");
        }
    }
}
