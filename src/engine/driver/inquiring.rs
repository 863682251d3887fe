//! HEAD requests, sent on the connection that would be opened next anyway.

use super::Driver;
use crate::clock::Clock;
use crate::engine::event::Notice;
use crate::engine::publisher::Publisher;
use crate::plan::advice::Advice;
use crate::plan::response_head::ResponseHead;
use crate::plan::{Address, Moment};
use crate::verify::{Published, published_by_head};
use http::StatusCode;
use std::time::Duration;
use tokio::task::JoinError;

/// A HEAD that is not answered for this long while GET is served is taken for one that never will be.
const SILENCE: Duration = Duration::from_secs(5);

/// Response to a HEAD: the advice in it, and the digests that it states of the object.
pub(super) struct Said {
    advice: Advice,
    published: Vec<Published>,
}

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
            self.ask_head(self.shared.requesters.of(self.transfer.lead()).route.target());
        }
    }

    /// Sends HEAD because the plan wants it. If the end of the file is certain, a host whose answers agreed before is
    /// trusted without.
    pub(super) fn inquire(&mut self, proven: bool) {
        if proven && self.wants.host.agrees_with_whole_answers() {
            return self.transfer.handle_advice(None);
        }
        let address = self.shared.requesters.of(self.transfer.lead()).route.target();
        self.ask_head(address);
    }

    fn ask_head(&mut self, address: Address) {
        self.inquiry.abort_all();
        self.inquired_at = Some(Clock::start());
        self.transfer.handle_inquired();
        let requester = self.shared.requesters.of(self.transfer.lead());
        self.inquiry.spawn(async move {
            let (status, headers) = requester.inquire(&address).await.ok()?;
            let head = ResponseHead::read(status, &headers, Clock::date());
            let is_of_the_file = status == StatusCode::OK && head.coding.is_none();
            let published = if is_of_the_file { published_by_head(&headers) } else { Vec::new() };
            Some(Said { advice: Advice::of(&head), published })
        });
    }

    /// Hands what this file showed of its host to the memory, for later files and runs.
    pub(super) async fn remember(&mut self) {
        let is_silent = |asked: &Clock| asked.now() >= SILENCE;
        if !self.inquiry.is_empty() && self.inquired_at.as_ref().is_some_and(is_silent) {
            self.wants.host.answers_head(false);
        }
        // The level of several sources together says nothing of one.
        if let (1, Some(level)) = (self.wants.sources.len(), self.transfer.found()) {
            self.wants.host.found(level);
        }
        self.wants.host.remember(&self.shared.requesters.first().exchange).await;
    }

    /// HEAD was answered, failed, or was given up.
    pub(super) fn advised(&mut self, said: Result<Option<Said>, JoinError>, publisher: &mut Publisher) {
        if !self.inquiry.is_empty() {
            // Another one has taken its place.
            return;
        }
        let said = said.ok().flatten();
        let (advice, published) = said.map_or((None, Vec::new()), |said| (Some(said.advice), said.published));
        if let Some(advice) = &advice {
            self.take_digests_of_head(advice, published);
        }
        if let Some(answered) = advice.as_ref().and_then(Advice::is_served) {
            self.wants.host.answers_head(answered);
        }
        if let Some(advice) = &advice {
            publisher.notice(Notice::Head, advice.in_words());
        }
        self.transfer.handle_advice(advice);
    }

    /// Expects the digests that HEAD states, if the responses to GET state none and both are of one version.
    fn take_digests_of_head(&mut self, advice: &Advice, published: Vec<Published>) {
        let is_needed = self.wants.is_unproven() && self.wants.spec.published.is_empty();
        let is_same = || {
            let known = self.transfer.representation();
            known.is_some_and(|known| {
                advice.may_be_of(known)
                    && advice.length().is_none_or(|length| known.complete_length == Some(length))
            })
        };
        if !published.is_empty() && is_needed && self.wants.sources.len() == 1 && is_same() {
            self.wants.spec.published = published;
            self.destination.expect(self.wants.spec.algorithms());
        }
    }
}
