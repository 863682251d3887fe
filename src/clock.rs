//! The only place that reads a clock: that of the runtime, which tests can pause.

use crate::plan::Moment;
use std::time::{Duration, SystemTime};
use tokio::time::Instant;

/// Tells the time since the run began, which is all that the plan needs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    began: Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { began: Instant::now() }
    }

    pub(crate) fn now(self) -> Moment {
        self.began.elapsed()
    }

    /// The time of day, for dates in responses.
    #[expect(clippy::disallowed_methods, reason = "this is the home of the clock")]
    pub(crate) fn date() -> SystemTime {
        SystemTime::now()
    }

    /// Time since 1970.
    pub(crate) fn since_1970() -> Duration {
        Self::date().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
    }

    /// A seed that differs from run to run.
    pub(crate) fn seed() -> u64 {
        Self::since_1970().as_nanos() as u64
    }
}
