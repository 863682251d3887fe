//! HEAD, beside the first ranged GET. It decides nothing, but a whole answer that is shorter than HEAD says is asked for once
//! more before it is believed.

use super::*;
use crate::plan::advice::Advice;

/// HEADs a file, at most.
const MOST: u32 = 2;
/// How long a HEAD may hold up a file that is complete: where the framing has shown the end, it only confirms that; …
const CONFIRMING: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// … where it has not, nothing else tells a connection that broke from one that was closed.
const PROVING: Duration = Duration::from_secs(5);

/// What became of HEAD.
#[derive(Debug, Default)]
pub(super) struct Inquiry {
    asked: u32,
    pending: bool,
    wanted: bool,
    /// There is no more to learn by asking.
    settled: bool,
    advice: Option<Advice>,
    /// The file comes as one whole answer, and whether its framing shows where it ends.
    whole: Option<bool>,
    complete_since: Option<Moment>,
    /// How long the answer was that was not believed.
    shorter: Option<u64>,
}

impl Inquiry {
    /// Nothing is left of the answer; what HEAD said stands.
    pub(super) fn begin_again(&mut self) {
        (self.whole, self.complete_since) = (None, None);
    }
}

/// What a file that is complete waits for.
enum Held {
    Not,
    /// A HEAD that is under way.
    Waits,
    Asks,
}

impl Transfer {
    /// Whether HEAD is to be asked now, beside the first ranged GET: where the way is so long that further connections are made
    /// before the first answer. On a shorter one it waits for that answer, which may be that nothing is to be asked now.
    pub(crate) fn may_inquire(&self, now: Moment) -> bool {
        let probing = self.stage == Stage::Probing { ranged: true } && self.known.is_none();
        let several = self.policy.connections.most() > 1 && self.took_long_to_connect(now).is_some();
        probing && several && self.is_curious()
    }

    /// Whether HEAD is to be asked now that a large file has begun, because there was no moment for it before.
    pub(crate) fn may_inquire_late(&self) -> bool {
        self.is_curious() && self.inquiry.asked == 0 && self.policy.connections.most() > 1
    }

    fn is_curious(&self) -> bool {
        let inquiry = &self.inquiry;
        self.policy.sources == 1 && inquiry.asked < MOST && !inquiry.settled && inquiry.advice.is_none()
    }

    /// HEAD is being asked.
    pub(crate) fn handle_inquired(&mut self) {
        self.inquiry.asked += 1;
        (self.inquiry.pending, self.inquiry.wanted) = (true, false);
    }

    /// HEAD was answered, or failed, or was given up.
    pub(crate) fn handle_advice(&mut self, advice: Option<Advice>) {
        self.inquiry.pending = false;
        match advice {
            Some(advice) if advice.leads_elsewhere() => self.ask_where_it_led(),
            Some(advice) => {
                (self.inquiry.settled, self.inquiry.advice) = (true, Some(advice));
                self.weigh();
            }
            None => self.inquiry.settled = true,
        }
    }

    /// Whether HEAD agreed with what came, or was not needed.
    pub(crate) fn answers_agree(&self) -> bool {
        let said = self.inquiry.advice.as_ref().and_then(Advice::length);
        self.inquiry.whole.is_none() || (said.is_some() && said == self.length())
    }

    /// Whether the file came as one answer that is not to a range.
    pub(crate) fn came_as_a_whole(&self) -> bool {
        self.inquiry.whole.is_some()
    }

    /// A whole answer begins.
    pub(super) fn whole_began(&mut self, shows_its_end: bool) {
        self.inquiry.whole = Some(shows_its_end);
        self.ask_where_it_led();
        self.weigh();
    }

    /// With a single connection nothing is asked beside the file.
    fn ask_where_it_led(&mut self) {
        let beside = self.inquiry.whole.is_some() && self.policy.connections.most() > 1;
        self.inquiry.wanted = beside && self.is_curious() && !self.inquiry.pending;
    }

    pub(super) fn next_inquiry(&mut self) -> Option<Command> {
        let proven = self.inquiry.whole.unwrap_or(true);
        std::mem::take(&mut self.inquiry.wanted).then_some(Command::Inquire { proven })
    }

    /// Every byte is written: finishes, unless HEAD may yet say that this is not all.
    pub(super) fn next_ending(&mut self, now: Moment) -> Option<Command> {
        match self.held(now) {
            Held::Waits => None,
            Held::Asks => Some(Command::Inquire { proven: false }),
            Held::Not if self.weigh() => self.poll_command(now),
            Held::Not => {
                self.finished = true;
                Some(Command::Finish)
            }
        }
    }

    fn held(&mut self, now: Moment) -> Held {
        let Some(shows_its_end) = self.inquiry.whole else {
            return Held::Not;
        };
        if !self.inquiry.pending {
            let asks = !shows_its_end && self.is_curious();
            return if asks { Held::Asks } else { Held::Not };
        }
        let patience = match shows_its_end {
            true => (self.latency() * 4).clamp(CONFIRMING.0, CONFIRMING.1),
            false => PROVING,
        };
        let since = *self.inquiry.complete_since.get_or_insert(now);
        if now.saturating_sub(since) < patience {
            return Held::Waits;
        }
        (self.inquiry.pending, self.inquiry.settled) = (false, true);
        Held::Not
    }

    /// Holds the length of a whole answer against what HEAD said; true where the answer is not believed.
    fn weigh(&mut self) -> bool {
        let stated = self.inquiry.advice.as_ref().and_then(Advice::length);
        let (Some(shows_its_end), Some(stated), Some(length), Some(known)) =
            (self.inquiry.whole, stated, self.length(), self.known.as_ref())
        else {
            return false;
        };
        let may_be = self.inquiry.advice.as_ref().is_some_and(|advice| advice.may_be_of(known));
        if length >= stated || !may_be || self.failure.is_some() || self.discard.is_some() {
            return false;
        }
        let why = format!("the answer ended after {length} of the {stated} bytes that HEAD states");
        // What has left through a pipe cannot be asked for again; GET counts, where its end is certain.
        let has_left = self.policy.window.is_some() && length > 0;
        if has_left || self.inquiry.shorter.is_some() {
            let same = has_left || self.inquiry.shorter == Some(length);
            if (shows_its_end && same) || self.policy.digest_expected {
                return false;
            }
            let hint = "try again later; with a digest (--sha256) the bytes decide, and not what HEAD says";
            self.fail(Error::new(Kind::Network, why).with_hint(hint));
            return true;
        }
        self.inquiry.shorter = Some(length);
        self.stream(&format!("asked once more: {why}"));
        self.discard = Some(why);
        true
    }
}
