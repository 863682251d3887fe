//! HEAD, beside the first ranged GET. It decides nothing, but a whole response that is shorter than HEAD states is
//! requested once more before it is accepted.

use super::{Command, Duration, Error, Kind, Moment, Remedy, Stage, Transfer};
use crate::plan::advice::Advice;

/// Number of HEADs per file, at most.
const MOST: u32 = 2;
/// Time for which a HEAD may hold up a complete file: if the framing has shown the end, it only confirms that; …
const CONFIRMING: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// … if it has not, nothing else tells a broken connection from a closed one.
const PROVING: Duration = Duration::from_secs(5);

/// State of the HEAD requests.
#[derive(Debug, Default)]
pub(super) struct Inquiry {
    asked: u32,
    pending: bool,
    wanted: bool,
    /// True if HEAD has nothing more to tell.
    settled: bool,
    advice: Option<Advice>,
    /// Set if the file comes as one whole response: true if its framing shows the end.
    whole: Option<bool>,
    complete_since: Option<Moment>,
    /// Length of the response that was not accepted.
    shorter: Option<u64>,
}

impl Inquiry {
    /// Forgets the response; the result of HEAD stands.
    pub(super) fn begin_again(&mut self) {
        (self.whole, self.complete_since) = (None, None);
    }
}

/// Reason for a complete file to wait.
enum Held {
    Not,
    /// A HEAD is under way.
    Waits,
    Asks,
}

impl Transfer {
    /// True if HEAD is to be sent now, beside the first ranged GET: on a path so long that further connections are
    /// established before the first response. On a shorter one it waits for that response, which may ask to send
    /// nothing now.
    pub(crate) fn may_inquire(&self, now: Moment) -> bool {
        let probing = self.stage == Stage::Probing { ranged: true } && self.known.is_none();
        let several = self.policy.connections.most() > 1 && self.took_long_to_connect(now).is_some();
        probing && several && self.is_curious()
    }

    /// True if HEAD is to be sent now that a large file has begun, because there was no moment for it before.
    pub(crate) fn may_inquire_late(&self) -> bool {
        self.is_curious() && self.inquiry.asked == 0 && self.policy.connections.most() > 1
    }

    fn is_curious(&self) -> bool {
        let inquiry = &self.inquiry;
        self.policy.sources == 1 && inquiry.asked < MOST && !inquiry.settled && inquiry.advice.is_none()
    }

    /// Records that HEAD is being sent.
    pub(crate) fn handle_inquired(&mut self) {
        self.inquiry.asked += 1;
        (self.inquiry.pending, self.inquiry.wanted) = (true, false);
    }

    /// Takes in the response to HEAD; `None` if HEAD failed or was given up.
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

    /// True if HEAD agreed with the received file, or was not needed.
    pub(crate) fn answers_agree(&self) -> bool {
        let said = self.inquiry.advice.as_ref().and_then(Advice::length);
        self.inquiry.whole.is_none() || (said.is_some() && said == self.length())
    }

    /// True if the file came as one response that is not to a range.
    pub(crate) fn came_as_a_whole(&self) -> bool {
        self.inquiry.whole.is_some()
    }

    /// Records that a whole response begins.
    pub(super) fn whole_began(&mut self, shows_its_end: bool) {
        self.inquiry.whole = Some(shows_its_end);
        self.ask_where_it_led();
        self.weigh();
    }

    /// Schedules a HEAD beside a whole response. With a single connection nothing is requested beside the file.
    fn ask_where_it_led(&mut self) {
        let beside = self.inquiry.whole.is_some() && self.policy.connections.most() > 1;
        self.inquiry.wanted = beside && self.is_curious() && !self.inquiry.pending;
    }

    pub(super) fn next_inquiry(&mut self) -> Option<Command> {
        let proven = self.inquiry.whole.unwrap_or(true);
        std::mem::take(&mut self.inquiry.wanted).then_some(Command::Inquire { proven })
    }

    /// Finishes the file, of which every byte is written, unless HEAD may yet show that there is more.
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

    /// Compares the length of a whole response with that stated by HEAD; true if the response is not accepted.
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
        // Bytes that have left through a pipe cannot be requested again; GET counts if its end is certain.
        let has_left = self.policy.window.is_some() && length > 0;
        if has_left || self.inquiry.shorter.is_some() {
            let same = has_left || self.inquiry.shorter == Some(length);
            if (shows_its_end && same) || self.policy.digest_expected {
                return false;
            }
            self.fail(Error::new(Kind::Network, why).with_remedy(Remedy::LaterOrDigest));
            return true;
        }
        self.inquiry.shorter = Some(length);
        self.stream(&format!("asked once more: {why}"));
        self.discard = Some(why);
        true
    }
}
