//! Detects that the disk is the bottleneck.

use crate::plan::Moment;
use std::time::Duration;

/// Measuring interval.
const WINDOW: Duration = Duration::from_millis(200);
/// The disk is the bottleneck if writing takes this part of the time.
const BUSY: f64 = 0.7;
/// Looks in an interval that tell something, at the least.
const LOOKS: u32 = 4;

/// Share of the recent time that was spent in writing.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct DiskUse {
    since: Moment,
    writing: Duration,
    /// Number of looks, and of those at which a write was under way: one that hangs has taken no time yet.
    looks: u32,
    under_way: u32,
    busy: bool,
}

impl DiskUse {
    /// Returns true if the disk is busy; `writing` is the total time that all workers together have spent in writes that have ended,
    /// and `writes` is true if one is under way.
    pub(super) fn is_busy(&mut self, writing: Duration, writes: bool, now: Moment) -> bool {
        self.looks += 1;
        self.under_way += u32::from(writes);
        let elapsed = now.saturating_sub(self.since);
        if elapsed >= WINDOW {
            let spent = writing.saturating_sub(self.writing);
            let hangs = self.looks >= LOOKS && self.under_way == self.looks;
            let busy = hangs || spent.as_secs_f64() >= BUSY * elapsed.as_secs_f64();
            *self = Self { since: now, writing, looks: 0, under_way: 0, busy };
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
        assert!(!disk.is_busy(at(90), false, at(100)));
        assert!(disk.is_busy(at(180), false, at(200)));
        assert!(disk.is_busy(at(181), false, at(300)));
        assert!(!disk.is_busy(at(190), false, at(400)));
    }

    #[test]
    fn a_disk_whose_write_does_not_end_is_busy_before_the_write_has_taken_its_time() {
        let at = Duration::from_millis;
        let looked = |writes: fn(u64) -> bool| {
            let mut disk = DiskUse::default();
            (1..=50).map(|look| disk.is_busy(Duration::ZERO, writes(look), at(20 * look))).last().unwrap()
        };
        assert!(looked(|_| true));
        assert!(!looked(|look| look % 5 != 0), "writes that end between two looks are counted by their time");
    }
}
