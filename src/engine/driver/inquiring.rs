//! HEAD requests, sent on the connection that would be opened next anyway.

use super::Driver;
use crate::engine::clock::Clock;
use crate::engine::event::Notice;
use crate::engine::teller::Teller;
use crate::plan::advice::Advice;
use crate::plan::answer::Answer;
use crate::plan::{Address, Moment};
use tokio::task::JoinError;

impl Driver {
    /// Sends HEAD beside the first ranged GET, as soon as its connection is established. Skipped for a host whose files
    /// are small and whose answers agree, or that refuses further connections, to spare it a second request per file.
    pub(super) fn inquire_beside(&mut self, now: Moment) {
        let address = self.reached.borrow().clone();
        if let Some(address) =
            address.filter(|_| self.transfer.may_inquire(now) && !self.wants.host.is_enough())
        {
            self.ask_head(address);
        }
    }

    /// Sends HEAD beside the body, if the first response came on an existing connection or too soon for it.
    pub(super) fn inquire_late(&mut self) {
        if self.transfer.may_inquire_late() && !self.wants.host.is_enough() {
            self.ask_head(self.shared.requesters[self.transfer.lead()].route.target());
        }
    }

    /// Sends HEAD because the plan wants it. If the end of the file is certain, a host whose answers agreed before is
    /// trusted without.
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
