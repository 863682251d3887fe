//! Log of requests and responses.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Instant;

use super::request::Request;

/// One request and its outcome.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) request: Arc<Request>,
    pub(crate) status: Option<u16>,
    /// Time at which the response head was written.
    pub(crate) answered: Option<Instant>,
    /// Body bytes of a 200 or 206 that were written to the socket.
    pub(crate) body: u64,
    /// Time at which the exchange was over, however it ended.
    pub(crate) ended: Option<Instant>,
}

impl Deref for Record {
    type Target = Request;

    fn deref(&self) -> &Request {
        &self.request
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Log {
    pub(crate) requests: Vec<Record>,
    /// Connections accepted.
    pub(crate) connections: usize,
    /// Connections that have ended, by their number.
    pub(crate) closed: Vec<usize>,
    pub(crate) most_in_flight: usize,
    pub(crate) in_flight: usize,
    pub(crate) total_requests: usize,
    pub(crate) generation: usize,
}

impl Log {
    /// Payload sent: body bytes of all 200 and 206 responses.
    pub(crate) fn body_bytes(&self) -> u64 {
        self.requests.iter().map(|record| record.body).sum()
    }

    pub(crate) fn gets(&self) -> impl Iterator<Item = &Record> {
        self.requests.iter().filter(|record| record.is_get())
    }

    pub(crate) fn with_status(&self, status: u16) -> usize {
        self.requests.iter().filter(|record| record.status == Some(status)).count()
    }

    pub(crate) fn summary(&self) -> String {
        let mut text = format!("{} connections, {} payload bytes\n", self.connections, self.body_bytes());
        for record in self.requests.iter().take(60) {
            let range = record.header("range").unwrap_or("-");
            text.push_str(&format!(
                "  #{} c{} {} {} {range} -> {:?} {} bytes\n",
                record.n, record.connection, record.method, record.target, record.status, record.body
            ));
        }
        text
    }
}
