//! Carries out the orders of the application to a running download.

use super::Driver;
use crate::engine::control::Order;
use crate::engine::event::Notice;
use crate::engine::progress::Phase;
use crate::engine::publisher::Publisher;
use crate::engine::slots::JobSlot;
use crate::plan::Address;
use crate::plan::slowness::Reasons;
use crate::plan::transfer::Refused;

impl Driver {
    /// Carries out one order.
    pub(super) fn follow_order(&mut self, order: Order, publisher: &mut Publisher) {
        let now = publisher.clock.now();
        let done = match order {
            Order::Pause => {
                self.regaining = None;
                self.transfer.pause().map_err(refusal)
            }
            Order::Resume => {
                if self.transfer.is_paused() && self.slot.is_none() {
                    // It goes on once there is a slot.
                    let slots = self.wants.slots.clone();
                    self.regaining.get_or_insert_with(|| Box::pin(slots.queue().slot()));
                } else {
                    self.transfer.go_on(now);
                }
                Ok(())
            }
            Order::Connections(connections) => {
                self.wants.connections_wanted = connections;
                self.allow(publisher);
                Ok(())
            }
            Order::LimitRate(rate) => {
                self.shared.limits.file.set(rate);
                self.allow(publisher);
                Ok(())
            }
            Order::AddSource(address) => self.add_source(&address),
            Order::RemoveSource(address) => self.remove_source(&address),
            Order::ReplaceUrl(address) => {
                self.wants.sources[0] = address.to_string();
                self.wants.addresses[0] = address.clone();
                self.shared.requesters.first().route.replace(address);
                self.transfer.handle_renewed();
                self.transfer.restore_source(0).map_err(refusal)
            }
        };
        if let Err(why) = done {
            publisher.notice(Notice::Refused, why);
        }
    }

    /// Applies the wanted number of connections, within what the limits make use of.
    fn allow(&mut self, publisher: &mut Publisher) {
        let possible = self.wants.possible_connections(self.shared.limits.rate());
        let allowance = self.wants.connections_wanted.allowance(possible);
        self.wants.connections = allowance.most();
        publisher.allowed_connections = publisher.allowed_connections.max(allowance.most());
        self.transfer.allow(allowance, publisher.clock.now());
    }

    pub(super) fn add_source(&mut self, address: &Address) -> Result<(), &'static str> {
        if !self.wants.spec.may_have_mirrors() {
            return Err("add mirror: mirrors need a digest, which shows that they hold the same bytes");
        }
        if !self.destination.can_be_repaired() {
            return Err(
                "add mirror: bytes of a wrong mirror cannot be taken back from a pipe or a caller's own destination",
            );
        }
        if let Some(source) = self.source_of(address) {
            return self.transfer.restore_source(source).map_err(refusal);
        }
        let added = self.shared.requesters.first().beside(address);
        let added = added.map_err(|_| "add mirror: no valid request can be made for this URL")?;
        self.transfer.add_source().map_err(refusal)?;
        self.shared.requesters.push(added);
        self.wants.sources.push(address.to_string());
        self.wants.addresses.push(address.clone());
        Ok(())
    }

    fn remove_source(&mut self, address: &Address) -> Result<(), &'static str> {
        match self.source_of(address) {
            Some(source) => self.transfer.remove_source(source).map_err(refusal),
            None => Err("remove source: not a source of this download"),
        }
    }

    fn source_of(&self, address: &Address) -> Option<usize> {
        self.wants.addresses.iter().position(|one| one == address)
    }

    /// After a pause, once every attempt has ended: makes everything durable, gives the slot back, and says so.
    pub(super) async fn rest(&mut self, publisher: &mut Publisher) {
        if !self.transfer.is_at_rest() || self.destination.is_being_created() {
            self.at_rest = false;
            return;
        }
        if std::mem::replace(&mut self.at_rest, true) {
            return;
        }
        self.spares.abort_all();
        self.inquiry.abort_all();
        self.named.abandon();
        if let Err(error) = self.destination.flush(publisher.clock.now()).await {
            self.at_rest = false;
            return self.transfer.fail(error);
        }
        self.slot = None;
        publisher.reasons = Reasons::default();
        self.show(publisher, Phase::Paused, true);
    }

    /// Goes on with a slot after a pause.
    pub(super) fn regain(&mut self, slot: JobSlot, publisher: &Publisher) {
        self.regaining = None;
        self.slot = Some(slot);
        self.transfer.go_on(publisher.clock.now());
    }
}

fn refusal(refused: Refused) -> &'static str {
    match refused {
        Refused::Over => "too late: the download has ended or is ending",
        Refused::WouldLose => "not paused: without a strong validator the output could not be resumed",
        Refused::Searching => "too late: the source of wrong bytes is being searched for",
        Refused::LastSource => "remove source: the last source stays",
    }
}
