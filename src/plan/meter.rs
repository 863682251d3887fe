//! Rate of received bytes over the recent past.

use super::Moment;
use std::collections::VecDeque;
use std::time::Duration;

/// A rate over a sliding window, from samples of a counter that only grows.
#[derive(Clone, Debug)]
pub(crate) struct Meter {
    window: Duration,
    samples: VecDeque<(Moment, u64)>,
}

/// Samples kept, at most; a faster sampler overwrites its latest one.
const SAMPLES: u32 = 32;

impl Meter {
    pub(crate) fn new(window: Duration) -> Self {
        Self { window, samples: VecDeque::new() }
    }

    /// Records that the counter stood at `total` at `now`.
    pub(crate) fn sample(&mut self, now: Moment, total: u64) {
        let spacing = self.window / SAMPLES;
        // The newest sample is always the present; it becomes history once it is far enough from the one before.
        if let [.., before, last] = self.samples.make_contiguous()
            && last.0.saturating_sub(before.0) < spacing
        {
            *last = (now, total);
        } else {
            self.samples.push_back((now, total));
        }
        while self.samples.len() > 2 && now.saturating_sub(self.samples[1].0) >= self.window {
            self.samples.pop_front();
        }
    }

    /// Bytes a second over the window up to the last sample; `None` while the samples are too close together.
    pub(crate) fn rate(&self) -> Option<f64> {
        since(*self.samples.front()?, *self.samples.back()?)
    }

    /// Bytes a second over the last `span` up to the last sample, or over all samples if they span less.
    pub(crate) fn recent(&self, span: Duration) -> Option<f64> {
        let last = *self.samples.back()?;
        let begins = last.0.saturating_sub(span);
        let before = self.samples.iter().rev().find(|(at, _)| *at <= begins);
        since(*before.or(self.samples.front())?, last)
    }
}

/// Bytes a second between two samples; `None` if they are too close together.
fn since((start, from): (Moment, u64), (end, to): (Moment, u64)) -> Option<f64> {
    let elapsed = end.saturating_sub(start);
    (elapsed >= Duration::from_millis(10)).then(|| to.saturating_sub(from) as f64 / elapsed.as_secs_f64())
}

/// Time that the rest takes at this rate; `None` if it is unknown or not worth showing.
pub(crate) fn eta(rest: u64, rate: Option<f64>) -> Option<Duration> {
    let seconds = rest as f64 / rate.filter(|rate| *rate >= 1.0)?;
    (seconds < 1e8).then(|| Duration::from_secs_f64(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_flow_has_its_rate_however_often_it_is_sampled() {
        for step in [1, 20, 300] {
            let mut meter = Meter::new(Duration::from_secs(3));
            for tick in 0..(10_000 / step) {
                meter.sample(Duration::from_millis(tick * step), tick * step * 1000);
            }
            let rate = meter.rate().unwrap();
            assert!((rate - 1_000_000.0).abs() < 1_000.0, "{step} ms: {rate}");
        }
    }

    #[test]
    fn a_flow_that_stops_is_forgotten_after_the_window() {
        let mut meter = Meter::new(Duration::from_secs(3));
        meter.sample(Duration::ZERO, 0);
        meter.sample(Duration::from_secs(1), 1 << 20);
        for second in 2..10 {
            meter.sample(Duration::from_secs(second), 1 << 20);
        }
        assert_eq!(meter.rate(), Some(0.0));
    }

    #[test]
    fn a_flow_that_collapses_is_seen_at_once_in_its_recent_rate() {
        let mut meter = Meter::new(Duration::from_secs(2));
        for tick in 0..100_u64 {
            let total = if tick < 75 { tick * 20_000 } else { 1_500_000 + (tick - 75) * 400 };
            meter.sample(Duration::from_millis(tick * 20), total);
        }
        assert!(meter.rate().unwrap() > 500_000.0);
        let recent = meter.recent(Duration::from_millis(400)).unwrap();
        assert!((recent - 20_000.0).abs() < 2_000.0, "{recent}");
    }

    #[test]
    fn no_rate_means_no_eta() {
        assert_eq!(eta(100, None), None);
        assert_eq!(eta(100, Some(0.0)), None);
        assert_eq!(eta(100, Some(50.0)), Some(Duration::from_secs(2)));
    }
}
