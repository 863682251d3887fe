//! HEAD, asked on the connection that would be opened next anyway.

use super::Driver;
use crate::engine::clock::Clock;
use crate::engine::event::Notice;
use crate::engine::teller::Teller;
use crate::plan::advice::Advice;
use crate::plan::answer::Answer;
use crate::plan::{Address, Moment};
use tokio::task::JoinError;

impl Driver {
    /// Beside the first ranged GET, as soon as its connection stands. A host whose files are small and whose answers agree, or that
    /// refuses further connections, is not asked twice for each file.
    pub(super) fn inquire_beside(&mut self, now: Moment) {
        let address = self.reached.borrow().clone();
        if let Some(address) =
            address.filter(|_| self.transfer.may_inquire(now) && !self.wants.host.is_enough())
        {
            self.ask_head(address);
        }
    }

    /// Beside its body, where the first answer came on a connection that stood already, or at once.
    pub(super) fn inquire_late(&mut self) {
        if self.transfer.may_inquire_late() && !self.wants.host.is_enough() {
            self.ask_head(self.shared.requesters[self.transfer.lead()].route.target());
        }
    }

    /// Because the plan wants it. Where the end of the file is certain, a host whose answers agree is believed.
    pub(super) fn inquire(&mut self, proven: bool) {
        if proven && self.wants.host.agrees_with_whole_answers() {
            return self.transfer.handle_advice(None);
        }
        let address = self.shared.requesters[self.transfer.lead()].route.target();
        self.ask_head(address);
    }

    fn ask_head(&mut self, address: Address) {
        self.inquiry.abort_all();
        self.transfer.handle_inquired();
        let requester = self.shared.requesters[self.transfer.lead()].clone();
        self.inquiry.spawn(async move {
            let (status, headers) = requester.inquire(&address).await.ok()?;
            Some(Advice::of(&Answer::read(status, &headers, Clock::date())))
        });
    }

    /// HEAD was answered, failed, or was given up.
    pub(super) fn advised(&mut self, said: Result<Option<Advice>, JoinError>, teller: &mut Teller) {
        if !self.inquiry.is_empty() {
            // Another one has taken its place.
            return;
        }
        let advice = said.ok().flatten();
        if let Some(advice) = &advice {
            teller.notice(Notice::Head, advice.in_words());
        }
        self.transfer.handle_advice(advice);
    }
}
