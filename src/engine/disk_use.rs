//! Detects that the disk is the bottleneck.

use crate::plan::Moment;
use std::time::Duration;

/// Measuring interval.
const WINDOW: Duration = Duration::from_millis(200);
/// The disk is the bottleneck if writing takes this part of the time.
const BUSY: f64 = 0.7;

/// Share of the recent time that was spent in writing.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct DiskUse {
    since: Moment,
    writing: Duration,
    busy: bool,
}

impl DiskUse {
    /// Returns true if the disk is busy; `writing` is the total time that all workers together have spent in writing.
    pub(super) fn is_busy(&mut self, writing: Duration, now: Moment) -> bool {
        let elapsed = now.saturating_sub(self.since);
        if elapsed >= WINDOW {
            let spent = writing.saturating_sub(self.writing);
            *self = Self { since: now, writing, busy: spent.as_secs_f64() >= BUSY * elapsed.as_secs_f64() };
        }
        self.busy
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_is_written_to_most_of_the_time_is_busy_until_it_is_not() {
        let at = Duration::from_millis;
        let mut disk = DiskUse::default();
        assert!(!disk.is_busy(at(90), at(100)));
        assert!(disk.is_busy(at(180), at(200)));
        assert!(disk.is_busy(at(181), at(300)));
        assert!(!disk.is_busy(at(190), at(400)));
    }
}
