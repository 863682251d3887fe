//! Times and tries of one request, in place of those of the client.

use super::Request;
use crate::engine::settings::ClientSettings;
use crate::plan::retry::RetryPolicy;
use crate::transport::Timeouts;
use std::time::Duration;

/// Times and tries of one request; what is not given is that of the client.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::engine) struct Patience {
    retries: Option<u32>,
    retry_wait: Duration,
    connect: Option<Duration>,
    /// Time in which the response has to begin, and for which a connection may deliver nothing.
    pub(in crate::engine) silence: Option<Duration>,
}

impl Patience {
    pub(in crate::engine) fn timeouts(&self, of_client: Timeouts) -> Timeouts {
        Timeouts {
            connect: self.connect.unwrap_or(of_client.connect),
            first_byte: self.silence.unwrap_or(of_client.first_byte),
        }
    }

    pub(in crate::engine) fn retry(&self, settings: &ClientSettings) -> RetryPolicy {
        RetryPolicy {
            attempts: self.retries.unwrap_or(settings.retries),
            max_time: settings.retry_max_time,
            // A number of tries counts, however much has come.
            patience: if self.retries.is_some() { Duration::ZERO } else { settings.patience },
            retry_after_cap: settings.retry_after_cap,
            shortest_wait: self.retry_wait,
        }
    }
}

impl Request {
    /// Gives up after this many rounds of failure in a row without new bytes, in place of that of the client and of its patience.
    ///
    /// ```
    /// # fn main() -> Result<(), haul::Error> {
    /// let second = std::time::Duration::from_secs(1);
    /// let request = haul::Request::new("https://example.org/disk.img")?
    ///     .retries(2)
    ///     .retry_wait(second)
    ///     .connect_timeout(5 * second)
    ///     .timeout(20 * second);
    /// # let _ = request;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn retries(mut self, rounds: u32) -> Self {
        self.patience.retries = Some(rounds);
        self
    }

    /// Waits at least this long between two rounds of failure.
    #[must_use]
    pub fn retry_wait(mut self, shortest: Duration) -> Self {
        self.patience.retry_wait = shortest;
        self
    }

    /// Timeout for each of resolving, connecting and the TLS handshake, in place of that of the client.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.patience.connect = Some(timeout);
        self
    }

    /// Time in which the response has to begin, and for which a connection may deliver nothing before it is replaced, in place of those of
    /// the client.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.patience.silence = Some(timeout);
        self
    }
}
