//! Current date, for Retry-After and the expiry of cookies.

use std::time::SystemTime;

#[expect(clippy::disallowed_methods, reason = "a date has no other meaning than against the clock")]
pub(super) fn now() -> SystemTime {
    SystemTime::now()
}

/// Seconds since 1970.
pub(super) fn seconds() -> u64 {
    now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |passed| passed.as_secs())
}
