//! The way of one delivery: decode, wait for room, download while the lease lasts, commit, and only then a word to the queue.

use super::desk::{Desk, Named, Told};
use super::lease::{Instant, Lease, State};
use super::outcome::{Deliveries, Outcome, Verdict, is_of_the_worker, judge};
use super::posting::{LINE, LIST, Place, decode, id_of};
use super::slots::Held;
use crate::engine::{Progress, Report, Request};
use crate::error::{Error, Kind};
use async_nats::header::NATS_MESSAGE_ID;
use async_nats::jetstream::{AckKind, Message};
use serde_json::{Value, json};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Longest wait for a slot of the origin: other jobs shall have their turn.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// Pause before a word is sent again that the queue has not confirmed.
const PAUSE: Duration = Duration::from_millis(100);
/// Time for one confirmation.
const CONFIRMATION: Duration = Duration::from_secs(2);

/// End of a delivery, as its worker counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Done,
    /// The job is laid aside, with this kind of failure.
    Dead(Kind),
    /// Another delivery follows; `pauses` if the worker shall take no jobs for a while.
    Later {
        pauses: bool,
    },
}

/// Reason why a download was cancelled by its delivery.
#[derive(Clone, Copy)]
enum Cancelled {
    Stopped,
    Stalled,
    LeaseLost,
}

/// End of a download.
enum Ended {
    Whole(Box<Report>),
    Failed {
        error: Error,
        reached: bool,
    },
    Cancelled(Cancelled),
    /// It never began.
    NoSlot,
    HandedBack,
    NoJob(Error),
}

/// A job that was delivered by a message, which was requested at `from`.
pub(super) struct Delivery {
    desk: Arc<Desk>,
    message: Message,
    lease: Lease,
    id: String,
    place: Place,
    sequence: u64,
    deliveries: Deliveries,
}

/// Carries out a job, and tells the queue how it has ended.
pub(super) async fn carry_out(desk: Arc<Desk>, message: Message, from: Instant) -> End {
    let header = |name: &str| message.headers.as_ref()?.get(name).map(|value| value.as_str().to_owned());
    let place = Place { list: header(LIST), line: header(LINE).and_then(|line| line.parse().ok()) };
    let job = decode(&message.payload);
    // Another program may have published it without an identifier.
    let id = header(NATS_MESSAGE_ID.as_ref()).filter(|id| is_key(id));
    let (sequence, all) = message
        .info()
        .map_or((0, 1), |info| (info.stream_sequence, u64::try_from(info.delivered).unwrap_or(1)));
    let id = id.or_else(|| job.as_ref().ok().map(id_of)).unwrap_or_else(|| format!("message-{sequence}"));
    let deliveries = desk.excuses.of(&id, all).await;
    let lease = Lease::new(desk.lease, from);
    let mut delivery = Delivery { desk, message, lease, id, place, sequence, deliveries };
    let resolved = job.and_then(|job| (delivery.desk.words.resolve)(job));
    let ended = match resolved {
        Err(error) => Ended::NoJob(error),
        Ok(_) if deliveries.are_too_many() => Ended::NoJob(Error::new(
            Kind::Other,
            format!("it was given out {} times, and no worker came back with it", all - 1),
        )),
        Ok(request) => Box::pin(delivery.download(request)).await,
    };
    delivery.conclude(&ended).await
}

/// Returns true for an identifier that can be the key of a bucket.
fn is_key(id: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'=');
    (1..=128).contains(&id.len()) && id.bytes().all(plain)
}

impl Delivery {
    /// Downloads, in a slot of the origin if there are such.
    async fn download(&mut self, request: Request) -> Ended {
        let desk = self.desk.clone();
        let mut slot = None;
        if let Some(throttle) = &desk.throttle {
            let time = (desk.lease / 2).min(LONGEST_WAIT);
            let origin = request.address().origin();
            slot = tokio::select! {
                slot = throttle.slot(&origin, time) => slot,
                () = desk.stopped() => return Ended::HandedBack,
            };
            if slot.is_none() {
                return Ended::NoSlot;
            }
        }
        let permit = tokio::select! {
            biased;
            () = desk.stopped() => None,
            permit = desk.room.acquire() => permit.ok(),
        };
        let ended = match permit {
            Some(_permit) if self.lease.is_fresh(desk.now()) => self.run(request, &mut slot).await,
            _ => Ended::HandedBack,
        };
        if let (Some(throttle), Some(slot)) = (&desk.throttle, slot) {
            throttle.give_back(slot).await;
        }
        ended
    }

    async fn run(&mut self, request: Request, slot: &mut Option<Held>) -> Ended {
        let desk = self.desk.clone();
        let download = desk.client.start(request);
        let (progress, cancel) = (download.progress(), download.canceller());
        let mut join = pin!(download.join());
        let mut looks = tokio::time::interval(self.lease.interval());
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut cancelled = None;
        let mut counted = 0;
        let outcome = loop {
            tokio::select! {
                biased;
                outcome = &mut join => break outcome,
                () = desk.stopped(), if cancelled.is_none() => cancelled = Some(Cancelled::Stopped),
                _ = looks.tick() => {
                    let (moved, received) = { let seen = progress.borrow(); (moved(&seen), seen.received) };
                    desk.counters.bytes.fetch_add(received.saturating_sub(counted), Ordering::Relaxed);
                    counted = received;
                    if cancelled.is_none() {
                        cancelled = self.look(moved).await;
                    }
                    if let (Some(throttle), Some(held)) = (&desk.throttle, slot.as_mut())
                        && !throttle.keep(held).await
                    {
                        // It has run out, so it is given back by itself; the lease has, too, or is about to.
                        *slot = None;
                    }
                }
            }
            if cancelled.is_some() {
                cancel();
            }
        };
        let (reached, received) = {
            let seen = progress.borrow();
            (seen.reached, seen.received)
        };
        desk.counters.bytes.fetch_add(received.saturating_sub(counted), Ordering::Relaxed);
        match (outcome, cancelled) {
            (Ok(report), _) => Ended::Whole(Box::new(report)),
            (Err(error), Some(why)) if error.kind() == Kind::Cancelled => Ended::Cancelled(why),
            (Err(error), _) => Ended::Failed { error, reached },
        }
    }

    /// Looks at the lease, and renews it if bytes have moved. Returns the reason why the download must end.
    async fn look(&mut self, moved: u64) -> Option<Cancelled> {
        let sent = self.desk.now();
        match self.lease.state(sent, moved) {
            State::Held => None,
            State::Ending => Some(Cancelled::Stalled),
            State::Lost => Some(Cancelled::LeaseLost),
            State::Due => {
                // A renewal that is not confirmed has not happened; it is tried again at the next look.
                let time = self.lease.interval().max(PAUSE);
                if self.say(AckKind::Progress, time).await {
                    self.lease.renewed(sent, moved);
                }
                None
            }
        }
    }

    /// Sends a word to the queue; returns true once it is confirmed.
    async fn say(&self, word: AckKind, time: Duration) -> bool {
        let Some(to) = self.message.reply.clone() else { return false };
        let asked = self.desk.queue.connection.client.request(to, word.into());
        matches!(tokio::time::timeout(time, asked).await, Ok(Ok(_)))
    }

    /// Sends a word until it is confirmed, or until the lease may have run out. Returns true if it is confirmed.
    async fn insist(&self, word: AckKind) -> bool {
        while self.lease.may_speak(self.desk.now()) {
            if self.say(word, CONFIRMATION).await {
                return true;
            }
            tokio::time::sleep(PAUSE).await;
        }
        false
    }

    /// Decides what the end means, and says so.
    async fn conclude(&self, ended: &Ended) -> End {
        let outcome = match ended {
            Ended::Whole(_) => Outcome::Committed,
            Ended::Failed { error, reached } => Outcome::Failed { error, reached: *reached },
            Ended::Cancelled(Cancelled::Stopped) | Ended::HandedBack => Outcome::HandedBack,
            Ended::Cancelled(Cancelled::Stalled) => Outcome::Stalled,
            Ended::Cancelled(Cancelled::LeaseLost) => Outcome::LeaseLost,
            Ended::NoSlot => Outcome::NoSlot,
            Ended::NoJob(_) => Outcome::NoJob,
        };
        // The time since the last look may have been long.
        let verdict = match self.lease.may_speak(self.desk.now()) {
            true => judge(&outcome, self.deliveries),
            false => Verdict::Silence,
        };
        let pauses = matches!(ended, Ended::Failed { error, .. } if is_of_the_worker(error));
        let stalled = Error::new(Kind::Network, "no bytes came for as long as the lease lasts");
        let error = match ended {
            Ended::Failed { error, .. } | Ended::NoJob(error) => Some(error),
            Ended::Cancelled(Cancelled::Stalled) => Some(&stalled),
            _ => None,
        };
        match (verdict, ended) {
            (Verdict::Done, Ended::Whole(report)) => self.done(report).await,
            (Verdict::Dead, _) => self.lay_aside(error.unwrap_or(&stalled)).await,
            (Verdict::Again { .. }, _) => self.again(verdict, error, pauses).await,
            (Verdict::Silence | Verdict::Done, _) => {
                self.desk.tell(&Told::LeaseLost(&self.id));
                End::Later { pauses }
            }
        }
    }

    fn named(&self) -> Named<'_> {
        Named { id: &self.id, place: &self.place, delivery: self.deliveries.all }
    }

    /// The result first: a job that is acknowledged without one would be done without a word.
    async fn done(&self, report: &Report) -> End {
        let event = self.desk.event("done", &self.named(), (self.desk.words.done)(report));
        let is_told = self.store("done", &event).await && self.insist(AckKind::Ack).await;
        self.desk.tell(&Told::Event(&event));
        if !is_told {
            return End::Later { pauses: false };
        }
        self.desk.excuses.forget(&self.id, self.deliveries).await;
        End::Done
    }

    async fn lay_aside(&self, error: &Error) -> End {
        let facts = self.desk.failure(error, Verdict::Dead);
        let event = self.desk.event("error", &self.named(), facts);
        let is_told = self.store_letter(&event).await
            && self.store("error", &event).await
            && self.insist(AckKind::Term).await;
        if !is_told {
            self.desk.tell(&Told::LeaseLost(&self.id));
            return End::Later { pauses: false };
        }
        self.desk.excuses.forget(&self.id, self.deliveries).await;
        self.desk.tell(&Told::Event(&event));
        End::Dead(error.kind())
    }

    async fn again(&self, verdict: Verdict, error: Option<&Error>, pauses: bool) -> End {
        let Verdict::Again { after, excuse } = verdict else { return End::Later { pauses } };
        if after.is_zero() && self.desk.is_stopping() {
            self.desk.closed().await;
        }
        if let Some(excuse) = excuse {
            self.desk.excuses.add(&self.id, self.deliveries, excuse).await;
        }
        if let Some(error) = error {
            let event = self.desk.event("retry", &self.named(), self.desk.failure(error, verdict));
            let _ = self.store("retry", &event).await;
            self.desk.tell(&Told::Event(&event));
        }
        let delay = Some(after).filter(|after| !after.is_zero());
        let _ = self.insist(AckKind::Nak(delay)).await;
        End::Later { pauses }
    }

    /// Stores a result until that is confirmed, or the lease may have run out.
    async fn store(&self, name: &str, event: &Value) -> bool {
        // One result for each delivery that is retried, and one for each job that has ended.
        let id = match name {
            "retry" => format!("retry.{}.{}", self.sequence, self.deliveries.all),
            _ => format!("{name}.{}.{}", self.id, self.sequence),
        };
        self.stored(&self.desk.queue.names.result(name), &id, event).await
    }

    /// Stores the dead letter: the reason, and the message itself as far as it is text.
    async fn store_letter(&self, event: &Value) -> bool {
        let mut letter = event.clone();
        letter["event"] = "dead".into();
        letter["subject"] = self.message.subject.as_str().into();
        letter["message"] = json!(String::from_utf8_lossy(&self.message.payload));
        // In JSON a message may be longer than the server takes.
        let most = self.desk.queue.connection.client.server_info().max_payload / 4 * 3;
        if letter.to_string().len() > most {
            let kept = &self.message.payload[..self.message.payload.len().min(most / 16)];
            letter["message"] = json!(String::from_utf8_lossy(kept));
            letter["cut"] = true.into();
        }
        let id = format!("dead.{}.{}", self.id, self.sequence);
        self.stored(&self.desk.queue.names.dead_letter(), &id, &letter).await
    }

    async fn stored(&self, subject: &str, id: &str, event: &Value) -> bool {
        while self.lease.may_speak(self.desk.now()) {
            if self.desk.publish(subject.to_owned(), id.to_owned(), event).await.is_ok() {
                return true;
            }
            tokio::time::sleep(PAUSE).await;
        }
        false
    }
}

/// Bytes that have moved in this run: from the network, to the disk, or through the hash.
fn moved(progress: &Progress) -> u64 {
    let durable = progress.durable.saturating_sub(progress.resumed);
    progress.received + durable + progress.verified.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_identifiers_become_keys() {
        for (id, wanted) in [("0a", true), ("", false), ("a.b", false), ("a*", false), ("a b", false)] {
            assert_eq!(is_key(id), wanted, "{id}");
        }
        assert!(!is_key(&"x".repeat(129)));
    }

    #[test]
    fn a_file_that_is_only_hashed_moves_too() {
        let progress = Progress { received: 5, verified: Some(3), ..Progress::default() };
        assert_eq!(moved(&progress), 8);
        let resumed = Progress { resumed: 1 << 30, durable: 1 << 30, ..Progress::default() };
        assert_eq!(moved(&resumed), 0);
    }
}
