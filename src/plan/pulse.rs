//! Pacing: a server that limits the rate of each connection sends a burst, pauses, and sends the next burst.
//!
//! nginx does so with `limit_rate`, as do token buckets that are refilled every second. Such a pause is neither a
//! stall nor a collapse, and shows that the server limits each connection.

use super::Moment;
use std::time::Duration;

/// Period, from the first byte of one burst to that of the next, assumed until one has been measured.
pub(crate) const SECOND: Duration = Duration::from_secs(1);
/// Longest period that counts as pacing.
const LONGEST: Duration = Duration::from_secs(5);
/// Bursts of one size differ by at most 1/`ALIKE`: a server that counts bytes includes those of the response head.
const ALIKE: u64 = 32;
/// Periods of one length differ by at most 1/`EVEN`.
const EVEN: u32 = 5;
/// Factor by which a pause may be longer than its burst explains.
const PATIENT: f64 = 1.5;
/// Smallest burst, in bytes; fewer are a congestion window that opens.
const SMALLEST: u64 = 32 << 10;

/// Bursts and pauses of one connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pulse {
    /// Start of the latest burst, arrival of its last bytes, and its size in bytes.
    burst: Option<(Moment, Moment, u64)>,
    /// Size in bytes and period of the burst before it.
    before: Option<(u64, Duration)>,
    /// Complete cycles in a row that were alike.
    alike: u32,
    /// True if nothing has come for a pause.
    pausing: bool,
}

impl Pulse {
    /// Records the bytes received since the last look; silence of at least `pause` separates two bursts.
    pub(crate) fn saw(&mut self, bytes: u64, pause: Duration, now: Moment) {
        self.pausing = bytes == 0 && self.paused(pause, now).is_some();
        if bytes == 0 {
            return;
        }
        self.burst = Some(match self.burst {
            Some((began, last, sum)) if now.saturating_sub(last) < pause => (began, now, sum + bytes),
            Some((began, _, sum)) => {
                self.ended(sum, now.saturating_sub(began));
                (now, now, bytes)
            }
            None => (now, now, bytes),
        });
    }

    fn ended(&mut self, bytes: u64, period: Duration) {
        let repeats = self.before.is_some_and(|(size, last)| {
            are_alike(size, bytes) && last.abs_diff(period) <= last.max(period) / EVEN
        });
        self.alike = if repeats { self.alike + 1 } else { 0 };
        self.before = Some((bytes, period));
    }

    /// Size in bytes of the burst after which nothing has come for `pause`, if it is large enough to be one.
    pub(crate) fn paused(&self, pause: Duration, now: Moment) -> Option<u64> {
        let (_, last, bytes) = self.burst?;
        (bytes >= SMALLEST && now.saturating_sub(last) >= pause).then_some(bytes)
    }

    /// True if bytes have come without a pause: no cycle has been completed, and none is seen to end.
    pub(crate) fn is_even(&self) -> bool {
        self.before.is_none() && !self.pausing
    }

    /// Bytes a second over the latest complete cycle. The bursts of one connection may grow, as the buffers of its server do, and
    /// the pauses with them: this stays the same.
    pub(crate) fn cap(&self) -> Option<f64> {
        let (bytes, period) = self.before?;
        (bytes >= SMALLEST && period <= LONGEST).then(|| bytes as f64 / period.as_secs_f64().max(1e-3))
    }

    /// True if the latest burst, at `cap` bytes a second, explains why nothing has come since.
    pub(crate) fn is_explained(&self, cap: f64, now: Moment) -> bool {
        self.burst.is_some_and(|(began, _, bytes)| {
            now.saturating_sub(began).as_secs_f64() <= bytes as f64 / cap.max(1.0) * PATIENT
        })
    }

    /// Period of a cycle, once two of them were alike.
    pub(crate) fn period(&self) -> Option<Duration> {
        let (bytes, period) = self.before?;
        (self.alike > 0 && bytes >= SMALLEST && period <= LONGEST).then_some(period)
    }
}

/// Pacing as shown by all connections of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Pacing {
    found: Option<(u64, Duration)>,
    /// Bytes a second of one connection, once a cycle was complete.
    cap: Option<f64>,
    /// Deadline for the next burst; without one it was no pacing.
    doubtful: Option<Moment>,
    /// True if an assumed pacing turned out to be none.
    refuted: bool,
}

impl Pacing {
    /// Takes in the pulses of the connections in use.
    ///
    /// Connections that began at different moments and paused after the same number of bytes were stopped by a server
    /// that counts them; packet loss stops each at a different point. A connection with a repeating pulse shows the
    /// same alone.
    pub(crate) fn observe<'a>(
        &mut self,
        pulses: &(impl Iterator<Item = &'a Pulse> + Clone),
        pause: Duration,
        now: Moment,
    ) {
        let period = pulses.clone().filter_map(Pulse::period).min();
        if self.found.is_some() {
            let caps = pulses.clone().filter_map(Pulse::cap);
            self.cap = caps.max_by(f64::total_cmp).or(self.cap);
        }
        let paused = || pulses.clone().filter_map(|pulse| pulse.paused(pause, now));
        let (Some(least), Some(most)) = (paused().min(), paused().max()) else {
            return;
        };
        if let Some(period) = period {
            (self.found, self.doubtful) = (Some((most, period)), None);
            return;
        }
        if pulses.clone().any(|pulse| pulse.before.is_some()) {
            self.doubtful = None;
        }
        if self.doubtful.is_some_and(|until| now >= until) {
            *self = Self { refuted: true, ..Self::default() };
        }
        let together = paused().count() >= 2 && paused().count() * 2 >= pulses.clone().count();
        if self.found.is_none() && !self.refuted && together && are_alike(least, most) {
            (self.found, self.doubtful) = (Some((most, SECOND)), Some(now + SECOND * 3 / 2));
        }
    }

    /// Bytes of one burst, if the server paces.
    pub(crate) fn burst(self) -> Option<u64> {
        self.found.map(|(burst, _)| burst)
    }

    /// Bytes a second of one connection, if the server paces and a cycle has shown it.
    pub(crate) fn cap(self) -> Option<f64> {
        self.cap
    }

    /// Period of a cycle; zero if the server does not pace.
    pub(crate) fn period(self) -> Duration {
        self.found.map_or(Duration::ZERO, |(_, period)| period)
    }
}

fn are_alike(one: u64, other: u64) -> bool {
    one.abs_diff(other) <= one.max(other) / ALIKE
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSE: Duration = Duration::from_millis(100);
    const TICK: u64 = 20;

    /// A pulse of that many ticks; `bytes` returns the bytes that arrive at a tick.
    fn pulse(ticks: u64, bytes: impl Fn(u64) -> u64) -> (Pulse, Moment) {
        let mut pulse = Pulse::default();
        for tick in 0..ticks {
            pulse.saw(bytes(tick), PAUSE, Duration::from_millis(tick * TICK));
        }
        (pulse, Duration::from_millis(ticks * TICK))
    }

    fn found(pulses: &[Pulse], now: Moment) -> Pacing {
        let mut pacing = Pacing::default();
        pacing.observe(&pulses.iter(), PAUSE, now);
        pacing
    }

    #[test]
    fn two_connections_that_pause_after_the_same_bytes_are_paced_at_once() {
        let (one, _) = pulse(10, |tick| if tick < 2 { 524_000 } else { 0 });
        let (other, now) = pulse(10, |tick| if tick == 1 { 1_048_576 } else { 0 });
        let pacing = found(&[one, other], now);
        assert_eq!((pacing.burst(), pacing.period()), (Some(1_048_576), SECOND));
        // A single connection may have lost packets.
        assert_eq!(found(&[one], now), Pacing::default());
    }

    #[test]
    fn a_pause_that_no_burst_follows_was_no_pacing() {
        let (one, _) = pulse(10, |tick| if tick < 2 { 524_000 } else { 0 });
        let mut pacing = Pacing::default();
        for tick in 10..200 {
            pacing.observe(&[one, one].iter(), PAUSE, Duration::from_millis(tick * TICK));
            let late = tick * TICK >= 200 + 1500;
            assert_eq!(pacing.burst().is_none(), late, "at {} ms", tick * TICK);
        }
    }

    #[test]
    fn connections_that_loss_stops_stop_at_different_bytes() {
        let (one, _) = pulse(10, |tick| if tick < 3 { 400_000 } else { 0 });
        let (other, now) = pulse(10, |tick| if tick < 2 { 500_000 } else { 0 });
        assert_eq!(found(&[one, other], now), Pacing::default());
    }

    #[test]
    fn a_pulse_that_repeats_itself_tells_its_period() {
        let (paced, now) = pulse(140, |tick| if tick % 50 == 3 { 200_000 } else { 0 });
        assert_eq!(paced.period(), Some(SECOND));
        assert_eq!(found(&[paced], now).period(), SECOND);
        let (steady, _) = pulse(140, |_| 4_000);
        assert_eq!((steady.period(), steady.paused(PAUSE, now)), (None, None));
        let (uneven, _) = pulse(140, |tick| if tick % 50 == 3 { 50_000 + 500 * tick } else { 0 });
        assert_eq!(uneven.period(), None);
    }

    #[test]
    fn bursts_that_grow_with_their_pauses_have_one_rate() {
        // As nginx sends 200 KiB a second into a socket whose buffer grows: size of a burst, and tick at which it comes.
        let bursts = [(46_336_u64, 0_u64), (69_504, 11), (114_392, 28), (170_864, 56), (205_000, 98)];
        let at = |tick| bursts.iter().find(|(_, at)| *at == tick).map_or(0, |(bytes, _)| *bytes);
        let mut pulses = [Pulse::default(); 2];
        let mut pacing = Pacing::default();
        for tick in 0..120 {
            let now = Duration::from_millis(tick * TICK);
            pulses.iter_mut().for_each(|pulse| pulse.saw(at(tick), PAUSE, now));
            pacing.observe(&pulses.iter(), PAUSE, now);
            assert_eq!(pacing.cap().is_some(), tick >= 11, "at tick {tick}");
            if let Some(cap) = pacing.cap() {
                assert!((185_000.0..=225_000.0).contains(&cap), "{cap} at tick {tick}");
                assert!(pulses[0].is_explained(cap, now), "at tick {tick}");
            }
        }
        let cap = pacing.cap().unwrap();
        assert!(!pulses[0].is_explained(cap, Duration::from_secs(4)), "a silence of two seconds");
    }

    #[test]
    fn a_few_packets_and_then_nothing_is_no_burst() {
        let (little, now) = pulse(10, |tick| if tick == 0 { 14_600 } else { 0 });
        assert_eq!(found(&[little, little], now), Pacing::default());
    }
}
