//! Control of a running download, from anywhere.

use super::progress::Phase;
use super::publisher::Publisher;
use super::settings::Connections;
use super::slots::{JobSlot, Place, SlotWait, Slots, granted};
use crate::error::Error;
use crate::plan::Address;
use std::collections::VecDeque;
use std::num::NonZeroU64;
use tokio::sync::mpsc;

/// Command of the application to one download.
#[derive(Debug)]
pub(crate) enum Order {
    Pause,
    Resume,
    Connections(Connections),
    LimitRate(Option<NonZeroU64>),
    AddSource(Address),
    RemoveSource(Address),
    ReplaceUrl(Address),
}

/// Controls a [`Download`](crate::Download); cheap to clone. Each command returns at once and is carried out in order; after
/// the end of the download it does nothing. An order that cannot be carried out is reported as a
/// [`Notice::Refused`](crate::Notice::Refused).
///
/// ```no_run
/// # async fn example(client: haul::Client) -> Result<(), haul::Error> {
/// let download = client.start(haul::Request::new("https://example.org/disk.img")?);
/// let control = download.control();
/// control.limit_rate(std::num::NonZeroU64::new(1 << 20));
/// control.pause();
/// let mut progress = download.progress();
/// let _ = progress.wait_for(|now| now.phase == haul::Phase::Paused).await;
/// control.resume();
/// # let _ = download.join().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Control {
    orders: mpsc::UnboundedSender<Order>,
}

impl Control {
    pub(crate) fn new() -> (Self, Orders) {
        let (sender, orders) = mpsc::unbounded_channel();
        (Self { orders: sender }, Orders { orders, early: VecDeque::new() })
    }

    fn give(&self, order: Order) {
        // There is no receiver any more once the download has ended.
        let _ = self.orders.send(order);
    }

    /// Pauses: connections are closed, bytes of a file with a manifest are made durable, and the slot goes to the next download. The phase is
    /// [`Phase::Paused`](crate::Phase::Paused) once that is done. A file whose server gives no strong validator starts over
    /// afterwards, unless a digest is expected; into a pipe such a one is not paused.
    pub fn pause(&self) {
        self.give(Order::Pause);
    }

    /// Goes on after a pause, once there is a slot.
    pub fn resume(&self) {
        self.give(Order::Resume);
    }

    /// Changes the number of connections. Connections beyond it are closed, the slowest first.
    pub fn connections(&self, connections: Connections) {
        self.give(Order::Connections(connections));
    }

    /// Changes the rate limit of this download, in bytes per second; `None` for no limit. The limits of its host and of the
    /// client apply as well.
    pub fn limit_rate(&self, rate: Option<NonZeroU64>) {
        self.give(Order::LimitRate(rate));
    }

    /// Adds a mirror, which must hold the same bytes: it is used only if the download expects a digest. It receives the
    /// secrets of the URL if it has the same origin, and none otherwise.
    ///
    /// # Errors
    /// `Usage` if it is no http or https URL, or has a user name.
    pub fn add_source(&self, url: &str) -> Result<(), Error> {
        self.give(Order::AddSource(without_user(url)?));
        Ok(())
    }

    /// Goes on without a mirror, or without the URL itself if there are mirrors. Bytes that it gave stay.
    ///
    /// # Errors
    /// `Usage` if it is no http or https URL, or has a user name.
    pub fn remove_source(&self, url: &str) -> Result<(), Error> {
        self.give(Order::RemoveSource(without_user(url)?));
        Ok(())
    }

    /// Uses another URL for the same file from the next request on, as after one that has expired. What it leads to must be
    /// the same version. Secrets stay with the origin they were given for.
    ///
    /// # Errors
    /// `Usage` if it is no http or https URL, or has a user name.
    pub fn replace_url(&self, url: &str) -> Result<(), Error> {
        self.give(Order::ReplaceUrl(without_user(url)?));
        Ok(())
    }
}

/// Receiving end of the orders to one download.
#[derive(Debug)]
pub(crate) struct Orders {
    orders: mpsc::UnboundedReceiver<Order>,
    /// Orders that came before the download had a slot.
    early: VecDeque<Order>,
}

impl Orders {
    /// The next order; waits for ever once all handles are dropped. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Order {
        match self.orders.recv().await {
            Some(order) => order,
            None => std::future::pending().await,
        }
    }

    /// An order that was given already.
    pub(crate) fn try_next(&mut self) -> Option<Order> {
        self.early.pop_front().or_else(|| self.orders.try_recv().ok())
    }

    /// Waits for the slot at `place`. During a pause no slot is waited for; afterwards the download queues again.
    pub(crate) async fn slot(&mut self, slots: &Slots, place: Place, publisher: &Publisher) -> JobSlot {
        let mut waiting: Option<SlotWait> = Some(Box::pin(place.slot()));
        loop {
            tokio::select! {
                biased;
                order = self.orders.recv() => match order {
                    Some(Order::Pause) => {
                        // A place that is not polled would keep its slot from the others.
                        waiting = None;
                        publisher.phase(Phase::Paused);
                    }
                    Some(Order::Resume) if waiting.is_none() => {
                        waiting = Some(Box::pin(slots.queue().slot()));
                        publisher.phase(Phase::Queued);
                    }
                    Some(Order::Resume) => {}
                    Some(other) => self.early.push_back(other),
                    // All handles are dropped: there are no further orders.
                    None => match waiting.take() {
                        Some(waiting) => return waiting.await,
                        None => std::future::pending::<()>().await,
                    },
                },
                slot = granted(&mut waiting) => return slot,
            }
        }
    }
}

fn without_user(url: &str) -> Result<Address, Error> {
    let (address, user) = Address::parse(url).map_err(|error| Error::usage(error.to_string()))?;
    match user {
        None => Ok(address),
        Some(_) => Err(Error::usage("a URL that is given to a running download has no user name")),
    }
}
