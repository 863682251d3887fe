//! Yielding: a receiver that takes only the part of a line that other traffic leaves, in the spirit of LEDBAT (RFC 6817) and of
//! its receiver-driven form (RFC 9840).
//!
//! The signal is the delay: a queue on the way to us makes each round trip longer than the shortest one seen. As long as the
//! queue is short the receive windows grow, and the line is filled; as soon as it is longer than the target they shrink. A queue
//! that stays although we take next to nothing is made by others: then we keep out of the way until it has been empty for
//! a while. If others were there first, the shortest round trip that we saw had their queue in it, and that shows as soon as a
//! shorter one comes; so we stop for a moment now and then to see one.

use super::Moment;
use std::collections::HashMap;
use std::time::Duration;

/// Queue that we may make ourselves. RFC 6817 §2.5 allows 100 ms; this is what a call does not notice.
pub(crate) const TARGET: Duration = Duration::from_millis(12);
/// A queue that is no longer than this is none.
const EMPTY: Duration = Duration::from_millis(5);
/// Round trips that differ by no more than this are alike.
const ALIKE: Duration = Duration::from_millis(3);
/// Time without a queue after which we are alone again.
const QUIET: Duration = Duration::from_secs(3);
/// A round trip that is seen in this time may have the work of the server in it.
const BEGINNING: Duration = Duration::from_secs(1);
/// Time from the first queue to the first look at the line without us, and from each look to the next; its length in round trips.
const FIRST_LOOK: Duration = Duration::from_millis(700);
const NEXT_LOOK: Duration = Duration::from_secs(10);
const LOOKING: f64 = 1.5;
/// Part of the window that is kept meanwhile: with less, senders would need long to fill it again.
const GLANCE: f64 = 0.25;
/// Round trips that they need all the same.
const REFILLING: u32 = 4;
/// The shortest round trip is that of the last minutes: routes change.
const BASE_AGE: Duration = Duration::from_secs(60);
/// Peers that are told apart.
const MOST_PEERS: usize = 256;
/// Windows of one connection: packets, of which two are acknowledged at once, and bytes, more than any line needs.
const SMALLEST: f64 = 2.0;
const LARGEST: f64 = 16.0 * 1024.0 * 1024.0;
/// Window of each connection at first, in packets, as large as a sender's (RFC 6928).
const FIRST: f64 = 10.0;
/// Bytes in a packet, until one was seen.
const PACKET: f64 = 1_448.0;
/// Part of the window that is won in one round trip without a queue, and given up for each target that the queue is too long.
const RISE: f64 = 0.1;
const FALL: f64 = 0.25;
/// Part that is given up at the most.
const LONGEST_FALL: f64 = 0.5;
/// A window is no larger than so many times what is under way: a sender that does not fill it would fill it at once one day
/// (RFC 7661).
const UNUSED: f64 = 2.0;

/// Measurements of one connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Signal {
    /// Number of the peer: round trips to different ones cannot be compared.
    pub(crate) peer: u32,
    /// Round trip, the queue on the way included; zero if none was measured yet.
    pub(crate) round_trip: Duration,
    /// Bytes that have come since the last signal.
    pub(crate) received: u64,
    /// Largest number of bytes in a packet; zero if none has come yet.
    pub(crate) packet: u32,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Stance {
    /// Doubles each round trip until a queue shows.
    Opening,
    /// Keeps the queue at the target.
    Steady,
    /// Takes little for some round trips, and goes back to a window.
    Looking { until: Moment, window: f64 },
    /// Others are on the line. `quiet`: since when there has been no queue.
    Aside { quiet: Option<Moment> },
}

/// Round trip to a peer without a queue.
#[derive(Clone, Debug)]
struct Base {
    /// Shortest round trips of the present stretch of time and of the one before.
    shortest: [Option<Duration>; 2],
    stretch_began: Moment,
    began: Moment,
    /// Round trip of the empty line, as it was when the beginning was over: `None` until then.
    trusted: Option<Duration>,
}

impl Base {
    fn new(now: Moment) -> Self {
        Self { shortest: [None; 2], stretch_began: now, began: now, trusted: None }
    }

    /// Takes in a round trip. Returns the shortest one, and true if the line was not empty when it was taken for that.
    fn observe(&mut self, round_trip: Duration, now: Moment) -> (Duration, bool) {
        if now.saturating_sub(self.stretch_began) >= BASE_AGE {
            (self.shortest, self.stretch_began) = ([None, self.shortest[0]], now);
        }
        let was_wrong = now.saturating_sub(self.began) >= BEGINNING && self.distrust();
        self.shortest[0] = Some(self.shortest[0].map_or(round_trip, |shortest| shortest.min(round_trip)));
        (self.shortest(), was_wrong)
    }

    fn shortest(&self) -> Duration {
        self.shortest.iter().flatten().min().copied().unwrap_or_default()
    }

    /// A round trip shorter than the one that was taken for that of the empty line shows that it was not empty.
    fn distrust(&mut self) -> bool {
        let shortest = self.shortest();
        let trusted = *self.trusted.get_or_insert(shortest);
        let was_wrong = shortest + ALIKE <= trusted;
        if was_wrong {
            self.trusted = Some(shortest);
        }
        was_wrong
    }
}

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Yielding {
    stance: Stance,
    /// Window of all connections together, in bytes.
    window: f64,
    connections: usize,
    /// Bytes in a packet.
    packet: f64,
    /// Empty lines by peer: each is at a distance of its own.
    bases: HashMap<u32, Base>,
    /// Shortest round trip of the peer that was heard last.
    base: Duration,
    next_look: Option<Moment>,
    /// When senders fill their windows again after the last look.
    refilled: Moment,
    /// When the window was last changed, and the shortest queue since then.
    changed: Moment,
    seen: Option<Duration>,
    /// Changes in a row that found a queue beyond the target although the window fell each time.
    in_vain: u32,
    /// Bytes received since the last change.
    received: u64,
    /// Queue at the last change.
    queue: Duration,
}

impl Yielding {
    pub(crate) fn new(now: Moment) -> Self {
        Self {
            stance: Stance::Opening,
            window: FIRST * PACKET,
            connections: 1,
            packet: PACKET,
            bases: HashMap::new(),
            base: Duration::ZERO,
            next_look: None,
            refilled: now,
            changed: now,
            seen: None,
            in_vain: 0,
            received: 0,
            queue: Duration::ZERO,
        }
    }

    /// Receive window of each connection, in bytes.
    pub(crate) fn window(&self) -> u32 {
        (self.window / self.connections as f64).clamp(SMALLEST * self.packet, LARGEST) as u32
    }

    /// True if the line is full, by us or by others: then more connections are of no use.
    pub(crate) fn is_full(&self) -> bool {
        self.is_aside() || self.queue > EMPTY
    }

    /// True while others are on the line.
    pub(crate) fn is_aside(&self) -> bool {
        matches!(self.stance, Stance::Aside { .. })
    }

    /// Takes in what one of `connections` measured.
    pub(crate) fn observe(&mut self, signal: Signal, connections: usize, now: Moment) {
        let Signal { peer, round_trip, received, packet } = signal;
        self.received += received;
        // On the loopback interface a packet has 64 KiB, and a sender waits for room for half of one.
        self.packet = self.packet.max(f64::from(packet.min(1 << 16)));
        if round_trip.is_zero() {
            return;
        }
        self.join(connections.max(1));
        if self.bases.len() >= MOST_PEERS {
            self.bases.clear();
        }
        let (base, was_wrong) =
            self.bases.entry(peer).or_insert_with(|| Base::new(now)).observe(round_trip, now);
        self.base = base;
        if was_wrong {
            self.give_way();
        }
        let queue = round_trip.saturating_sub(base);
        self.seen = Some(self.seen.map_or(queue, |seen| seen.min(queue)));
        // The effect of a change shows in the round trip after it.
        let wait = if self.stance == Stance::Opening { round_trip } else { round_trip + round_trip / 2 };
        if now.saturating_sub(self.changed) >= wait
            && let Some(seen) = self.seen.take()
        {
            let lasted = now.saturating_sub(self.changed).as_secs_f64();
            let under_way = self.received as f64 / lasted.max(1e-3) * round_trip.as_secs_f64();
            (self.changed, self.received, self.queue) = (now, 0, seen);
            self.adjust(self.queue, now);
            if now >= self.refilled && !matches!(self.stance, Stance::Looking { .. }) {
                let most = if self.stance == Stance::Opening { UNUSED * 2.0 } else { UNUSED };
                self.set(
                    self.window.min((under_way * most).max(FIRST * self.packet * self.connections as f64)),
                );
            }
        }
    }

    /// Shares the window among so many connections. One that is new gets its first window; those that go leave theirs to the others.
    fn join(&mut self, connections: usize) {
        if connections > self.connections && !self.is_aside() {
            self.window = self.window.max(FIRST * self.packet * connections as f64);
        }
        self.connections = connections;
    }

    fn give_way(&mut self) {
        self.in_vain = 0;
        self.stance = Stance::Aside { quiet: None };
        self.set(self.least());
    }

    fn adjust(&mut self, queue: Duration, now: Moment) {
        match self.stance {
            Stance::Opening if queue > TARGET / 2 => {
                self.stance = Stance::Steady;
                self.next_look = Some(now + FIRST_LOOK);
                self.steer(queue);
            }
            Stance::Opening => self.set(self.window * 2.0),
            Stance::Steady if self.next_look.is_some_and(|at| now >= at) => {
                self.stance =
                    Stance::Looking { until: now + self.base.mul_f64(LOOKING), window: self.window };
                self.set(self.window * GLANCE);
            }
            Stance::Steady => self.steer(queue),
            // With so little under way the queue cannot be ours.
            Stance::Looking { until, .. } if now >= until && queue > ALIKE => self.give_way(),
            Stance::Looking { until, window } if now >= until => {
                self.stance = Stance::Steady;
                self.next_look = Some(now + NEXT_LOOK);
                self.refilled = now + self.base * REFILLING;
                self.set(window);
            }
            Stance::Looking { .. } => {}
            Stance::Aside { quiet } => self.wait(queue, quiet, now),
        }
    }

    /// Towards the target, the faster the farther away from it.
    fn steer(&mut self, queue: Duration) {
        let off = 1.0 - queue.as_secs_f64() / TARGET.as_secs_f64();
        // With a window this small the queue cannot be ours.
        self.in_vain = if off < 0.0 { self.in_vain + 1 } else { 0 };
        if off < 0.0 && (self.window <= self.least() * 1.01 || self.in_vain >= 8) {
            return self.give_way();
        }
        let factor = if off < 0.0 { 1.0 - (-off * FALL).min(LONGEST_FALL) } else { 1.0 + off * RISE };
        self.set(self.window * factor);
    }

    fn wait(&mut self, queue: Duration, quiet: Option<Moment>, now: Moment) {
        let since = (queue <= ALIKE).then(|| quiet.unwrap_or(now));
        self.stance = Stance::Aside { quiet: since };
        if since.is_some_and(|since| now.saturating_sub(since) >= QUIET) {
            self.stance = Stance::Opening;
        }
    }

    /// The smallest window of all connections together.
    fn least(&self) -> f64 {
        SMALLEST * self.packet * self.connections as f64
    }

    fn set(&mut self, window: f64) {
        self.window = window.clamp(self.least(), LARGEST * self.connections as f64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const STEP: Duration = Duration::from_millis(5);

    /// A line with a drop-tail queue in virtual time, and a neighbour with CUBIC's window (RFC 9438) on it, or none.
    struct Line {
        rate: f64,
        round_trip: f64,
        queue: f64,
        longest: f64,
        now: Moment,
        ours: Yielding,
        connections: usize,
        /// Our sender, which knows nothing of it.
        sender: Cubic,
        neighbour: Option<Cubic>,
        taken: [f64; 2],
        delays: Vec<f64>,
    }

    struct Cubic {
        window: f64,
        most: f64,
        lost: f64,
    }

    impl Cubic {
        fn new() -> Self {
            Self { window: 14_600.0, most: 0.0, lost: 0.0 }
        }

        fn advance(&mut self, now: f64, step: f64, round_trip: f64, drops: bool) {
            let packet = 1448.0;
            if drops && now - self.lost > round_trip {
                (self.most, self.window, self.lost) = (self.window, self.window * 0.7, now);
            } else if self.most == 0.0 {
                self.window *= 2_f64.powf(step / round_trip);
            } else {
                let scale = (self.most * 0.3 / packet / 0.4).cbrt();
                let wanted = self.most + 0.4 * (now - self.lost - scale).powi(3) * packet;
                self.window = wanted.max(self.window);
            }
        }
    }

    impl Line {
        fn new(rate: f64, milliseconds: u64, connections: usize) -> Self {
            let round_trip = milliseconds as f64 / 1e3;
            Self {
                rate,
                round_trip,
                queue: 0.0,
                longest: rate * round_trip.max(0.04),
                now: Moment::ZERO,
                ours: Yielding::new(Moment::ZERO),
                connections,
                sender: Cubic::new(),
                neighbour: None,
                taken: [0.0; 2],
                delays: Vec::new(),
            }
        }

        fn until(&mut self, seconds: f64) {
            while self.now.as_secs_f64() < seconds {
                self.now += STEP;
                let step = STEP.as_secs_f64();
                let delay = self.queue / self.rate;
                let trip = self.round_trip + delay;
                let ours = (f64::from(self.ours.window()) * self.connections as f64).min(self.sender.window);
                let theirs = self.neighbour.as_ref().map_or(0.0, |one| one.window);
                let offered = (ours + theirs) / trip;
                let passed = offered.min(self.rate).max(if self.queue > 0.0 { self.rate } else { 0.0 });
                let before = self.taken[0];
                for (taken, window) in self.taken.iter_mut().zip([ours, theirs]) {
                    *taken += step * passed.min(self.rate) * window / (ours + theirs);
                }
                self.queue = (self.queue + (offered - self.rate) * step).clamp(0.0, self.longest);
                let drops = self.queue >= self.longest * 0.999;
                // A sender's window grows only as long as it is what bounds it (RFC 9293 and RFC 7661).
                if drops || self.sender.window <= ours * 2.0 {
                    self.sender.advance(self.now.as_secs_f64(), step, trip, drops);
                }
                if let Some(one) = &mut self.neighbour {
                    one.advance(self.now.as_secs_f64(), step, trip, drops);
                }
                self.delays.push(delay);
                let received = (self.taken[0] - before) as u64;
                let signal =
                    Signal { peer: 0, round_trip: Duration::from_secs_f64(trip), received, packet: 1448 };
                self.ours.observe(signal, self.connections, self.now);
            }
        }

        /// Shares of the line that both have had since the last call.
        fn parts(&mut self, seconds: f64) -> [f64; 2] {
            let parts = self.taken.map(|taken| taken / (self.rate * seconds));
            self.taken = [0.0; 2];
            parts
        }

        fn joined_by_a_neighbour(&mut self) {
            self.neighbour = Some(Cubic::new());
        }
    }

    #[test]
    fn an_idle_line_is_filled_and_its_queue_stays_below_25_ms() {
        for (rate, trip) in [(1.25e6, 20), (12.5e6, 40), (50e6, 10), (2.5e6, 120)] {
            for connections in [1, 4, 12] {
                let mut line = Line::new(rate, trip, connections);
                line.until(4.0);
                line.parts(4.0);
                line.delays.clear();
                line.until(24.0);
                let [ours, _] = line.parts(20.0);
                assert!(ours >= 0.95, "{ours} of {rate} at {trip} ms on {connections}");
                line.delays.sort_by(f64::total_cmp);
                let late = line.delays[line.delays.len() * 95 / 100];
                assert!(late <= 0.025, "{late} s at {rate}, {trip} ms on {connections}");
            }
        }
    }

    #[test]
    fn a_neighbour_that_comes_has_nine_tenths_of_what_it_has_alone() {
        for (rate, trip) in [(12.5e6, 40), (6e6, 20), (2.5e6, 80)] {
            let alone = {
                let mut line = Line::new(rate, trip, 1);
                line.ours.set(0.0);
                line.ours.stance = Stance::Aside { quiet: None };
                line.joined_by_a_neighbour();
                line.until(20.0);
                line.parts(20.0)[1]
            };
            let mut line = Line::new(rate, trip, 4);
            line.until(5.0);
            line.parts(5.0);
            line.joined_by_a_neighbour();
            line.until(25.0);
            let [_, theirs] = line.parts(20.0);
            assert!(theirs >= 0.9 * alone, "{theirs} beside us, {alone} alone: {rate} at {trip} ms");
            // It goes, and the line is ours again.
            line.neighbour = None;
            line.until(40.0);
            line.parts(15.0);
            line.until(45.0);
            assert!(line.parts(5.0)[0] >= 0.9, "{rate} at {trip} ms");
        }
    }

    #[test]
    fn a_neighbour_that_was_there_first_keeps_most_of_the_line() {
        for (rate, trip) in [(12.5e6, 40), (6e6, 20)] {
            let mut line = Line::new(rate, trip, 2);
            line.ours.set(0.0);
            line.ours.stance = Stance::Aside { quiet: None };
            line.joined_by_a_neighbour();
            line.until(10.0);
            line.parts(10.0);
            line.ours = Yielding::new(line.now);
            line.until(60.0);
            let [ours, theirs] = line.parts(50.0);
            assert!(theirs >= 0.85 && ours <= 0.15, "{ours} and {theirs}: {rate} at {trip} ms");
        }
    }

    #[test]
    fn a_peer_farther_away_is_no_queue() {
        let mut yielding = Yielding::new(Moment::ZERO);
        let tick = |nth: u64| Duration::from_millis(10 * nth);
        let trip = |peer, millis| Signal {
            peer,
            round_trip: Duration::from_millis(millis),
            received: 30_000,
            packet: 1448,
        };
        for nth in 0..2_000 {
            yielding.observe(trip(1, 10), 2, tick(2 * nth));
            yielding.observe(trip(2, 100), 2, tick(2 * nth + 1));
        }
        assert!(!yielding.is_aside() && yielding.window() > 50_000, "{yielding:?}");
    }

    #[test]
    fn a_longer_route_is_believed_after_two_minutes() {
        let trip = |millis| Signal {
            peer: 0,
            round_trip: Duration::from_millis(millis),
            received: 1000,
            packet: 1448,
        };
        let mut yielding = Yielding::new(Moment::ZERO);
        yielding.observe(trip(20), 1, Moment::ZERO);
        let tick = |nth: u64| Duration::from_millis(100 * nth);
        (1..1300).for_each(|nth| yielding.observe(trip(90), 1, tick(nth)));
        assert_eq!(yielding.base, Duration::from_millis(90));
    }

    proptest! {
        #[test]
        fn windows_stay_within_their_bounds(
            trips in prop::collection::vec((0_u64..2_000_000, 0_usize..100, 0_u64..3_000), 0..500),
        ) {
            let mut yielding = Yielding::new(Moment::ZERO);
            let mut now = Moment::ZERO;
            for (micros, connections, later) in trips {
                now += Duration::from_millis(later);
                let signal = Signal { peer: 0, round_trip: Duration::from_micros(micros), received: micros, packet: micros as u32 };
                yielding.observe(signal, connections, now);
                let window = f64::from(yielding.window());
                prop_assert!((SMALLEST * PACKET..=LARGEST).contains(&window), "{}", window);
            }
        }
    }
}
